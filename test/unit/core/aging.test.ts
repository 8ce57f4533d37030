import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "../../../src/base/clock.ts";
import { TimerWheel } from "../../../src/base/timer-wheel.ts";
import { AGED, AGES, AGES_NOW, Aging, type AgingQueue } from "../../../src/core/aging.ts";
import { LIMITS, World } from "../../support/queue-world.ts";

const AGE_MS = 10_000;

/** Answers `cutOld` until it says otherwise. */
function cut(w: World): number {
  for (let n = 0; n < 1000; n++) {
    const answer = w.cuts.cutOld();
    if (answer !== AGES_NOW) return answer;
  }
  throw new Error("no end");
}

describe("what gets too old while the peer is away", () => {
  test("is dropped without anybody reading it, and leaves the log", () => {
    const w = new World({ ...LIMITS, maxAgeMs: AGE_MS });
    for (let i = 0; i < 20; i++) {
      w.wallMs = 1000 + i * 1000;
      w.publish(1);
      w.store.commit();
      w.store.sync();
    }
    w.wallMs = 21_000;
    assert.equal(cut(w), AGES);
    w.store.commit();
    assert.equal(w.store.rows.length, 10);
    assert.equal(w.queue.count, 10);
    assert.deepEqual([w.ledger.entries()[0]?.cause, w.ledger.entries()[0]?.count], ["too-old", 10]);
    w.wallMs = 100_000;
    cut(w);
    assert.equal(w.queue.count, 0);
    assert.equal(w.queue.bytes, 0);
    assert.equal(cut(w), AGED, "nothing is left to look after");
  });

  test("what has expired at the head goes too", () => {
    const w = new World({ ...LIMITS, maxAgeMs: AGE_MS });
    w.publish(1, 1500);
    w.publish(1);
    w.wallMs = 2000;
    cut(w);
    assert.equal(w.queue.count, 1);
    assert.equal(w.ledger.entries()[0]?.cause, "expired");
  });

  test("what is in flight stays: the peer may have it", () => {
    const w = new World({ ...LIMITS, maxAgeMs: AGE_MS });
    w.queue.attach(w.peer, 2, false);
    for (let i = 0; i < 5; i++) w.publish(2);
    w.store.commit();
    w.store.sync();
    w.queue.detach();
    w.wallMs = 50_000;
    cut(w);
    assert.equal(w.queue.count, 2);
    w.peer.owed = [];
    w.publish(2);
    w.queue.attach(w.peer, 2, true);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m1", "m5"]);
  });

  test("after a restart those that follow keep the packet ids that the peer knows", () => {
    const w = new World({ ...LIMITS, maxAgeMs: AGE_MS });
    w.queue.attach(w.peer, 4, false);
    for (let i = 0; i < 4; i++) {
      w.wallMs += 1000;
      w.publish(2);
    }
    w.store.commit();
    w.store.sync();
    w.crash();
    w.peer.owed = [];
    w.wallMs = 3500 + AGE_MS;
    cut(w);
    assert.equal(w.queue.count, 2);
    w.queue.attach(w.peer, 4, true);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m1", "m2", "m3"], "m2 and m3 once");
  });

  test("is looked at while something waits and the peer is away, however it came to wait", () => {
    const w = new World({ ...LIMITS, maxAgeMs: AGE_MS });
    const { aging } = w.host.cuts;
    assert.equal(aging.size, 0);
    w.publish(1);
    w.publish(1);
    assert.equal(aging.size, 1, "once");
    w.store.commit();
    w.crash();
    assert.equal(w.host.cuts.aging.size, 1, "after a restart");
    const online = new World({ ...LIMITS, maxAgeMs: AGE_MS });
    online.queue.attach(online.peer, 8, false);
    online.publish(1);
    assert.equal(online.host.cuts.aging.size, 0);
    online.queue.detach();
    assert.equal(online.host.cuts.aging.size, 1);
  });

  test("who is no more is looked after no more, however many come and go", () => {
    const w = new World({ ...LIMITS, maxAgeMs: AGE_MS });
    w.publish(1);
    w.queue.end();
    assert.equal(w.host.cuts.aging.size, 0);
  });
});

class FakeQueue implements AgingQueue {
  readonly limits = { maxAgeMs: 640_000 };
  looks = 0;
  answers: number[] = [];

  cutOld(): number {
    this.looks++;
    return this.answers.shift() ?? AGES;
  }
}

test("each is looked at about 64 times in its age, slice after slice, until it is done", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const later: (() => void)[] = [];
  const aging = new Aging(
    wheel,
    () => clock.nowMs(),
    (run) => later.push(run),
  );
  const queues = Array.from({ length: 100 }, () => new FakeQueue());
  for (const queue of queues) aging.add(queue);
  const pass = (ms: number): void => {
    for (let rest = ms; rest > 0; rest -= 1000) {
      clock.advance(1000);
      wheel.tick();
      for (let run = later.shift(); run !== undefined; run = later.shift()) run();
    }
  };
  pass(9000);
  assert.ok(queues.every(({ looks }) => looks === 0));
  (queues[3] as FakeQueue).answers = [AGES_NOW, AGES_NOW, AGED];
  pass(2000);
  assert.equal(queues[3]?.looks, 3);
  assert.equal(queues[4]?.looks, 1);
  assert.equal(aging.size, 99);
  pass(64_000);
  assert.equal(queues[3]?.looks, 3, "not any more");
  assert.ok((queues[4]?.looks ?? 0) >= 6);
});

test("a queue that ends while its own round looks at it is done with, and the round goes on behind it", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock);
  const later: (() => void)[] = [];
  const aging = new Aging(
    wheel,
    () => clock.nowMs(),
    (run) => later.push(run),
  );
  const [first, second] = [new FakeQueue(), new FakeQueue()];
  first.cutOld = () => {
    const until = performance.now() + 2; // more than a turn may take
    while (performance.now() < until);
    return AGES_NOW;
  };
  aging.add(first);
  aging.add(second);
  for (let ms = 0; ms < 11_000; ms += 1000) {
    clock.advance(1000);
    wheel.tick();
  }
  assert.equal(later.length, 1, "the round stands at the first");
  aging.remove(first);
  for (let run = later.shift(); run !== undefined; run = later.shift()) run();
  assert.deepEqual([second.looks, aging.size], [1, 1]);
  aging.remove(second);
  assert.equal(wheel.armed, 0, "with nobody to look after it sleeps");
});
