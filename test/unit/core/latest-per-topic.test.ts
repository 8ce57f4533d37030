import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { LATEST_TOPICS_MAX, LatestIndex, NOT_INDEXED } from "../../../src/core/latest-index.ts";
import type { QueueLimits } from "../../../src/core/queue-limits.ts";
import { LIMITS, World } from "../../support/queue-world.ts";

const LATEST: QueueLimits = { ...LIMITS, messages: 8, onlineMessages: 8, whenFull: "latest-per-topic" };

/** Commits, syncs and turns until nothing is left to be done. */
function quiesce(w: World): void {
  for (let i = 0; i < 40; i++) {
    w.store.commit();
    w.store.sync();
    w.turn();
  }
}

/** Payloads that the peer gets when it comes now. */
function drain(w: World): string[] {
  w.queue.attach(w.peer, 8, true);
  w.settle();
  assert.equal(w.queue.count, 0);
  return w.peer.delivered;
}

function causes(w: World): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { cause, count } of w.ledger.entries()) counts[cause] = (counts[cause] ?? 0) + count;
  return counts;
}

describe("latest-per-topic", () => {
  test("a full receiver loses the oldest of what a newer message of the same topic supersedes", () => {
    const w = new World(LATEST);
    for (const topic of ["a", "b", "b", "b", "c", "b", "b", "b", "b", "a"]) w.publish(1, 0, topic);
    quiesce(w);
    assert.deepEqual(causes(w), { superseded: 2 });
    assert.deepEqual(
      drain(w),
      ["m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"].filter((m) => m !== "m0"),
    );
  });

  test("a receiver that is not full loses nothing", () => {
    const w = new World(LATEST);
    for (let i = 0; i < 8; i++) w.publish(1, 0, "a");
    quiesce(w);
    assert.deepEqual(causes(w), {});
    assert.equal(drain(w).length, 8);
  });

  test("with nothing superseded left, the oldest goes", () => {
    const w = new World(LATEST);
    for (let i = 0; i < 12; i++) w.publish(1, 0, `t${i}`);
    quiesce(w);
    assert.deepEqual(causes(w), { "queue-full": 4 });
    assert.deepEqual(drain(w), ["m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11"]);
  });

  test("what is not on the medium yet may supersede: until then the latest of a topic does not go for want of room", () => {
    const w = new World(LATEST);
    for (const topic of ["rare", "a", "a", "a", "a"]) w.publish(1, 0, topic);
    w.store.commit();
    for (let i = 0; i < 10; i++) w.publish(1, 0, "a");
    w.store.sync();
    for (let i = 0; i < 5; i++) w.turn();
    assert.deepEqual(causes(w), { superseded: 3 });
    quiesce(w);
    assert.deepEqual(causes(w), { superseded: 7 });
    assert.deepEqual(drain(w), ["m0", "m8", "m9", "m10", "m11", "m12", "m13", "m14"]);
  });

  test("one topic for a year: the log does not grow", () => {
    const w = new World(LATEST);
    for (let i = 0; i < 2000; i++) {
      w.publish(1, 0, i % 100 === 0 ? "rare" : "often");
      w.store.commit();
      w.store.sync();
      w.turn();
      assert.ok(w.store.rows.length <= 9, `${w.store.rows.length} rows`);
    }
    quiesce(w);
    assert.ok(drain(w).includes("m1900"), "the latest of the other topic");
  });

  test("bytes are the limit as well", () => {
    const w = new World({ ...LATEST, messages: 1000, bytes: 8 * 131 });
    for (let i = 0; i < 30; i++) w.publish(1, 0, i === 0 ? "r" : "o");
    quiesce(w);
    assert.ok(w.queue.bytes <= 8 * 131);
    assert.ok(drain(w).includes("m0"));
  });

  test("a newer message that the disk takes back supersedes nothing", () => {
    const w = new World({ ...LATEST, messages: 2 });
    w.publish(1, 0, "a");
    w.publish(1, 0, "b");
    quiesce(w);
    w.publish(1, 0, "a");
    w.store.withdraw();
    quiesce(w);
    assert.deepEqual(drain(w), ["m0", "m1"]);
  });

  test("what is in flight is not superseded", () => {
    const w = new World(LATEST);
    w.queue.attach(w.peer, 3, false);
    quiesce(w);
    for (let i = 0; i < 20; i++) w.publish(1, 0, "a");
    quiesce(w);
    w.queue.detach();
    for (let i = 0; i < 20; i++) w.publish(1, 0, "a");
    quiesce(w);
    const before = [...w.peer.delivered];
    assert.deepEqual(before, ["m0", "m1", "m2"]);
    w.peer.owed = [];
    assert.deepEqual(drain(w).slice(3, 6), ["m0", "m1", "m2"], "sent again");
  });

  test("what may have been in flight before a crash is not superseded, what came after is", () => {
    const w = new World(LATEST);
    w.queue.attach(w.peer, 2, false);
    quiesce(w);
    for (let i = 0; i < 4; i++) w.publish(2, 0, "a");
    quiesce(w);
    assert.deepEqual(w.peer.delivered, ["m0", "m1"]);
    w.crash();
    w.peer.owed = [];
    for (let i = 0; i < 20; i++) w.publish(2, 0, "a");
    quiesce(w);
    const got = drain(w);
    assert.deepEqual(got.slice(0, 4), ["m0", "m1", "m2", "m3"]);
    assert.equal(got.at(-1), "m23");
    assert.ok(got.length <= 8);
  });

  test("a restart while the peer is away: what was waiting is superseded all the same", () => {
    const w = new World(LATEST);
    for (let i = 0; i < 8; i++) w.publish(2, 0, i === 0 ? "rare" : "a");
    quiesce(w);
    w.crash();
    w.publish(2, 0, "a");
    w.publish(2, 0, "a");
    quiesce(w);
    assert.deepEqual(causes(w), { superseded: 2 });
    assert.equal(drain(w)[0], "m0");
  });

  test("topics that find no room in the index: the oldest goes, counted", () => {
    const w = new World(LATEST);
    const { latestMemory, notIndexed } = w.host.cuts;
    latestMemory.takeAnyway(latestMemory.bytesMax);
    for (let i = 0; i < 12; i++) w.publish(1, 0, i === 0 ? "rare" : "often");
    quiesce(w);
    assert.deepEqual(causes(w), { "queue-full": 4 });
    assert.ok(notIndexed.value >= 12, `${notIndexed.value}`);
    assert.equal(drain(w)[0], "m4");
  });

  test("the memory of the index comes back when the receiver has room, or is no more", () => {
    for (const end of [true, false]) {
      const w = new World(LATEST);
      const { latestMemory } = w.host.cuts;
      for (let i = 0; i < 12; i++) w.publish(1, 0, `${i % 4}`);
      quiesce(w);
      assert.ok(latestMemory.used > 0);
      if (end) w.queue.end();
      else drain(w);
      assert.equal(latestMemory.used, 0);
    }
  });
});

describe("the index of topics", () => {
  test("knows the newest of each, forgets what is below the head, and gives its memory back", () => {
    const memory = new Allowance(1 << 20);
    const index = new LatestIndex(memory);
    const key = (n: number): number => LatestIndex.keyOf(Buffer.from(`topic/${n}`), 8);
    for (let n = 0; n < 50; n++) assert.equal(index.note(key(n % 10), n + 1, 0), n < 10 ? 0 : n + 1 - 10);
    for (let n = 0; n < 10; n++) assert.equal(index.latest(key(n)), 41 + n);
    assert.ok(memory.used > 0);
    index.clear();
    assert.equal(memory.used, 0);
  });

  test(`full at ${LATEST_TOPICS_MAX} topics, and again open when the head has passed them`, () => {
    const index = new LatestIndex(new Allowance(1 << 20));
    for (let n = 1; n <= LATEST_TOPICS_MAX; n++) assert.equal(index.note(n * 3, n, 0), 0);
    assert.equal(index.note(1, 20_000, 0), NOT_INDEXED);
    let taken = NOT_INDEXED;
    for (let n = 0; n < 2000 && taken === NOT_INDEXED; n++) taken = index.note(1, 20_001 + n, 10_000);
    assert.equal(taken, 0);
    assert.equal(index.latest(1 * 3), 0, "forgotten");
    assert.equal(index.latest(LATEST_TOPICS_MAX * 3), LATEST_TOPICS_MAX);
  });

  test("memory that all share: who finds none is not indexed", () => {
    const index = new LatestIndex(new Allowance(16 * 16));
    for (let n = 1; n <= 8; n++) assert.equal(index.note(n, n, 0), 0);
    assert.equal(index.note(9, 9, 0), NOT_INDEXED);
    assert.equal(index.note(8, 10, 0), 8);
  });
});

describe("a run of random events with drops", () => {
  for (const whenFull of ["latest-per-topic", "drop-oldest"] as const) {
    for (const qos of [1, 2, 0]) {
      for (let seed = 1; seed <= 40; seed++) {
        const words = qos === 0 ? "QoS 1 and 2 mixed" : `QoS ${qos}`;
        test(`${whenFull}, ${words}, seed ${seed}: the latest of each topic comes, ids hold, counts agree`, () => {
          run(whenFull, qos, seed);
        });
      }
    }
  }
});

/** @param fixedQos 0 = mixed */
function run(whenFull: "latest-per-topic" | "drop-oldest", fixedQos: number, seed: number): void {
  const random = seededRandom(seed);
  const messages = 12 + Math.floor(random() * 30);
  const limits = {
    ...LIMITS,
    messages,
    onlineMessages: messages,
    whenFull,
    windowBytes: 1 + Math.floor(random() * 2000),
    maxAgeMs: seed % 4 === 0 ? 60_000 : Number.POSITIVE_INFINITY,
  };
  const w = new World(limits);
  const topics = 1 + Math.floor(random() * 5);
  const windowMax = 1 + Math.floor(random() * 4);
  /** The newest stored message of each topic, and what each one is about. */
  const newest = new Map<string, string>();
  const topicOf = new Map<string, string>();
  const qosOf = new Map<string, number>();
  let open: string[] = [];
  let online = false;
  let first = true;
  /** drop-oldest and age do not hold up what is sent until they are stored: a crash may bring back what they dropped. */
  let undone = false;
  /** The record says that the peer is away. */
  let marked = true;
  const store = (): void => {
    w.store.commit();
    marked = !online;
    for (const payload of open) newest.set(topicOf.get(payload) as string, payload);
    open = [];
  };
  for (let step = 0; step < 800; step++) {
    const dice = random();
    w.wallMs += 1000;
    if (dice < 0.5) {
      const topic = `t${Math.floor(random() * random() * topics)}`;
      const qos = fixedQos === 0 ? 1 + Math.floor(random() * 2) : fixedQos;
      const payload = w.publish(qos, 0, topic);
      if (payload === null) continue;
      topicOf.set(payload, topic);
      qosOf.set(payload, qos);
      open.push(payload);
    } else if (dice < 0.6) {
      if (online) w.peer.answer(w.queue, Math.floor(random() * Math.min(w.peer.owed.length, 6)));
    } else if (dice < 0.9) {
      store();
      if (random() < 0.8) w.store.sync();
      w.turn();
    } else if (dice < 0.93) {
      if (online) w.queue.detach();
      if (online) marked = false;
      online = false;
    } else if (dice < 0.96) {
      if (online) continue;
      w.peer.owed = [];
      w.queue.attach(w.peer, windowMax, !first);
      first = false;
      online = true;
    } else if (dice < 0.965) {
      // A full disk takes back what nobody was told of.
      w.store.withdraw();
      open = [];
    } else if (dice < 0.97) {
      w.cuts.cutOld();
    } else if (dice < 0.98) {
      // What waited then may have been with the peer: it is kept until it is asked, and may not be superseded.
      if (online || !marked) {
        newest.clear();
        undone = true;
      }
      w.crash();
      open = [];
      online = false;
    } else {
      store();
      quiesce(w);
      assert.ok(w.queue.count <= messages, `${w.queue.count} wait where ${messages} may`);
      const [count, bytes] = recount(w);
      assert.deepEqual([w.queue.count, w.queue.bytes], [count, bytes]);
    }
  }
  store();
  if (!online) {
    w.peer.owed = [];
    w.queue.attach(w.peer, windowMax, !first);
  }
  w.settle();
  assert.deepEqual([w.queue.count, w.queue.bytes], [0, 0]);
  const firsts = [...new Set(w.peer.delivered)];
  for (const topic of newest.keys()) {
    const of = firsts.filter((payload) => topicOf.get(payload) === topic).map((payload) => Number(payload.slice(1)));
    if ((whenFull === "latest-per-topic" && limits.maxAgeMs === Number.POSITIVE_INFINITY) || !undone)
      assert.deepEqual(
        of,
        [...of].sort((a, b) => a - b),
        `${topic} in order`,
      );
    if (whenFull === "latest-per-topic" && limits.maxAgeMs === Number.POSITIVE_INFINITY)
      assert.ok(firsts.includes(newest.get(topic) as string), `the latest of ${topic}`);
  }
  for (const [payload, qos] of qosOf) {
    if (qos === 2) assert.ok(w.peer.delivered.filter((m) => m === payload).length <= 1, `${payload} came twice`);
  }
}

/** Messages and bytes that the log has for the queue. */
function recount(w: World): [number, number] {
  let count = 0;
  let bytes = 0;
  const onBacklog = (m: { seq: number; size: number }): boolean => {
    if (w.queue.needs(m.seq)) {
      count++;
      bytes += m.size;
    }
    return true;
  };
  for (let from = 0; from <= w.store.lastSeq; ) from = w.store.read(w.queue.id, from, 1e9, { onBacklog });
  return [count, bytes];
}
