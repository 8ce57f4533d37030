import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";
import { Counters } from "../../../src/base/counters.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { Ledger } from "../../../src/core/ledger.ts";
import { LiveQueue } from "../../../src/core/live-queue.ts";
import { Message } from "../../../src/core/message.ts";
import { type QueueLimits, TAKES } from "../../../src/core/queue-limits.ts";
import { clockOf } from "../../support/clock-of.ts";
import { cutsOf } from "../../support/cuts.ts";
import { MemoryStore } from "../../support/memory-store.ts";
import { LIMITS, Peer } from "../../support/queue-world.ts";

class LivePeer extends Peer {
  full = false;
  crowded = false;

  override writable(): boolean {
    return !this.full;
  }
}

class World {
  readonly counters = new Counters();
  readonly ledger = new Ledger(this.counters);
  readonly memory = new Allowance(1e6);
  readonly peer = new LivePeer();
  readonly queue: LiveQueue;
  nowMs = 1000;
  /** Payloads in the order they were taken. */
  readonly published: string[] = [];
  /** How many were written without a message. */
  direct = 0;
  #sent = 0;

  constructor(limits: QueueLimits = LIMITS, windowMax = 8) {
    const time = clockOf(() => this.nowMs);
    this.queue = new LiveQueue(
      {
        store: new MemoryStore(),
        time,
        ledger: this.ledger,
        waitingMemory: this.memory,
        cuts: cutsOf(time),
        schedule: (): void => {},
      },
      "session:clean",
      limits,
    );
    this.queue.attach(this.peer, windowMax);
  }

  message(topic = "t", expiresMs = 0): Message {
    const bytes = Buffer.from(`${topic}m${this.#sent++}`);
    return new Message(bytes, topic.length, topic.length, 1, false, this.nowMs, expiresMs, -1);
  }

  /** As `Session.deliver` does. @returns whether it was taken */
  publish(qos: number, topic = "t", expiresMs = 0): boolean {
    const m = this.message(topic, expiresMs);
    const payload = m.payload.toString();
    if (this.queue.clear) {
      this.direct++;
      this.peer.sendPublish(m, 0, qos, null, this.queue.takePacketId(qos), false);
    } else if (this.queue.admit(m.size) === TAKES) {
      this.queue.enqueue(m, qos, null);
    } else {
      this.queue.dropNewest(() => topic);
      return false;
    }
    this.published.push(payload);
    return true;
  }

  answerAll(): void {
    while (this.peer.owed.length > 0) this.peer.answer(this.queue as never, 0);
  }

  assertIdle(): void {
    assert.deepEqual([this.queue.count, this.queue.bytes, this.queue.inFlight, this.memory.used], [0, 0, 0, 0]);
  }
}

describe("a session that ends with its connection", () => {
  for (let seed = 1; seed <= 60; seed++)
    test(`gets everything once and in order while its window and its output open and close (seed ${seed})`, () => {
      const random = seededRandom(seed);
      const w = new World(LIMITS, 3 + Math.floor(random() * 12));
      let switches = 0;
      for (let step = 0; step < 2000; step++) {
        const what = random();
        const before = w.direct;
        if (what < 0.33) {
          assert.ok(w.publish(random() < 0.8 ? 1 : 2));
          if (w.direct !== before) switches++;
        } else if (what < 0.9) {
          // Mostly the oldest, but any order is the peer's right.
          const owed = w.peer.owed.length;
          if (owed > 0) w.peer.answer(w.queue as never, random() < 0.8 ? 0 : Math.floor(random() * owed));
        } else if (what < 0.93) {
          w.peer.full = true;
        } else {
          w.peer.full = false;
          w.queue.pump();
        }
        assert.ok(w.queue.inFlight <= w.queue.inflight.windowMax);
      }
      w.peer.full = false;
      w.queue.pump();
      w.answerAll();
      assert.deepEqual(w.peer.delivered, w.published);
      assert.ok(
        switches > 20 && switches < w.published.length - 20,
        `${switches} of ${w.published.length} by the fast way`,
      );
      assert.equal(w.peer.dups, 0);
      w.assertIdle();
      assert.deepEqual(w.ledger.entries(), []);
    });

  test("keeps nothing of what was written: its bytes are those that wait", () => {
    const w = new World(LIMITS, 2);
    for (let i = 0; i < 2; i++) w.publish(1);
    assert.deepEqual([w.queue.count, w.queue.bytes, w.memory.used], [2, 0, 0]);
    w.publish(1);
    assert.ok(w.queue.bytes > 0 && w.memory.used === w.queue.bytes);
    w.answerAll();
    w.assertIdle();
  });

  test("is sent no more than it was admitted, drops nothing of that, and slows its publishers down", () => {
    const w = new World({ ...LIMITS, onlineBytes: 10_000 });
    while (w.publish(1));
    assert.ok(w.published.length > 70, "far beyond the window");
    assert.ok(w.queue.congested);
    assert.equal(w.ledger.entries().length, 1, "the one that was not taken");
    w.answerAll();
    assert.deepEqual(w.peer.delivered, w.published);
    assert.ok(!w.queue.congested);
    w.assertIdle();
  });

  test("slows its publishers down when its output is half full", () => {
    const w = new World();
    assert.ok(!w.queue.congested);
    w.peer.crowded = true;
    assert.ok(w.queue.congested);
    w.queue.detach();
    assert.ok(!w.queue.congested);
  });

  test("goes without what all receivers' memory has no room for, counted and listed", () => {
    const w = new World(LIMITS, 1);
    w.memory.takeAnyway(1e6);
    for (let i = 0; i < 4; i++) w.publish(1);
    assert.equal(w.queue.count, 2, "one in flight, and the first of what waits always has room");
    assert.equal(w.counters.get("drops.queue-full"), 2);
    w.answerAll();
    assert.deepEqual(w.peer.delivered, ["m0", "m1"]);
  });

  test("drop-oldest: what waits longest makes room, in flight stays", () => {
    const w = new World({ ...LIMITS, onlineMessages: 10, whenFull: "drop-oldest" }, 4);
    for (let i = 0; i < 30; i++) w.publish(1);
    assert.equal(w.queue.count, 10);
    w.answerAll();
    assert.deepEqual(w.peer.delivered, ["m0", "m1", "m2", "m3", "m24", "m25", "m26", "m27", "m28", "m29"]);
    assert.equal(w.counters.get("drops.queue-full"), 20);
    w.assertIdle();
  });

  test("latest-per-topic: what waits and was superseded makes room first", () => {
    const w = new World({ ...LIMITS, onlineMessages: 8, whenFull: "latest-per-topic" }, 1);
    for (let i = 0; i < 20; i++) w.publish(1, i === 1 ? "rare" : "often");
    w.answerAll();
    assert.ok(w.peer.delivered.includes("m1"));
    assert.deepEqual(w.peer.delivered.slice(-2), ["m18", "m19"]);
    assert.equal(w.counters.get("drops.superseded"), 12);
    w.assertIdle();
  });

  test("what expires while it waits is not sent, counted, and does not block the others", () => {
    const w = new World(LIMITS, 1);
    w.publish(1);
    w.publish(1, "t", 1500);
    w.publish(1);
    w.nowMs = 1500;
    w.answerAll();
    assert.deepEqual(w.peer.delivered, ["m0", "m2"]);
    assert.equal(w.counters.get("drops.expired"), 1);
    w.assertIdle();
  });

  test("what its client has not acknowledged when it goes is counted once, and all memory is free", () => {
    const w = new World(LIMITS, 4);
    for (let i = 0; i < 10; i++) w.publish(1 + (i % 2));
    w.queue.detach();
    assert.equal(w.counters.get("drops.session-ended"), 10);
    assert.equal(w.memory.used, 0);
    assert.deepEqual([w.queue.count, w.queue.inFlight, w.queue.online], [0, 0, false]);
  });

  test("a refusing PUBACK is listed, a wrong packet id is none of its answers", () => {
    const w = new World();
    w.publish(1);
    assert.equal(w.queue.onPuback(77), false);
    assert.equal(w.queue.onPubrec(1, 0), false, "QoS 1 has no PUBREC");
    assert.equal(w.queue.onPubcomp(1), false);
    assert.equal(w.queue.onPuback(1, 0x97), true);
    assert.equal(w.queue.onPuback(1), false);
    assert.equal(w.ledger.entries()[0]?.cause, "refused");
    w.assertIdle();
  });

  test("QoS 2: PUBREL answers each PUBREC, the message counts until the first, the packet id until PUBCOMP", () => {
    const w = new World(LIMITS, 1);
    w.publish(2);
    assert.equal(w.queue.onPubrec(1, 0), true);
    assert.equal(w.queue.onPubrec(1, 0), true);
    assert.equal(w.peer.owed.filter(({ kind }) => kind === "pubrel").length, 2);
    assert.deepEqual([w.queue.count, w.queue.inFlight, w.queue.clear], [0, 1, false]);
    assert.equal(w.queue.onPuback(1), false);
    assert.equal(w.queue.onPubcomp(1), true);
    assert.equal(w.queue.clear, true);
    w.assertIdle();
  });
});
