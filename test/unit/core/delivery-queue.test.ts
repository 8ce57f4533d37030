import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { SPAN_MAX } from "../../../src/core/packet-ids.ts";
import { LIMITS, Peer, World } from "../../support/queue-world.ts";

describe("a queue whose peer keeps up", () => {
  test("sends a QoS 1 message at once and elides it when the answer comes before the commit", () => {
    const w = new World();
    w.queue.attach(w.peer, 8, false);
    w.publish(1);
    assert.deepEqual(w.peer.delivered, ["m0"]);
    w.peer.answer(w.queue, 0);
    assert.equal(w.queue.count, 0);
    assert.equal(w.store.elided, 1);
  });

  test("holds a QoS 2 message until it is durable", () => {
    const w = new World();
    w.queue.attach(w.peer, 8, false);
    w.publish(2);
    assert.deepEqual(w.peer.delivered, []);
    w.store.commit();
    assert.deepEqual(w.peer.delivered, []);
    w.store.sync();
    assert.deepEqual(w.peer.delivered, ["m0"]);
  });

  test("sends PUBREL only when the PUBREC is stored", () => {
    const w = new World();
    w.queue.attach(w.peer, 8, false);
    w.publish(2);
    w.store.commit();
    w.store.sync();
    w.peer.answer(w.queue, 0);
    assert.equal(w.peer.owed.length, 0);
    w.store.commit();
    assert.equal(w.peer.owed.length, 0);
    w.store.sync();
    assert.deepEqual(w.peer.owed, [{ kind: "pubrel", packetId: 1, qos: 2 }]);
  });

  test("keeps at most the window in flight and goes on with each answer", () => {
    const w = new World();
    w.queue.attach(w.peer, 2, false);
    for (let i = 0; i < 5; i++) w.publish(1);
    assert.equal(w.peer.owed.length, 2);
    assert.equal(w.queue.inFlight, 2);
    w.peer.answer(w.queue, 1);
    assert.deepEqual(w.peer.delivered, ["m0", "m1", "m2"]);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m1", "m2", "m3", "m4"]);
    assert.equal(w.queue.bytes, 0);
  });
});

describe("a queue whose peer is away", () => {
  test("[MQTT311-4.4.0-1] [MQTT5-4.4.0-1] sends what was in flight again with its packet id and DUP, then the rest", () => {
    const w = new World();
    w.queue.attach(w.peer, 2, false);
    for (let i = 0; i < 4; i++) w.publish(1);
    w.store.commit();
    const ids = w.peer.owed.map(({ packetId }) => packetId);
    w.queue.detach();
    w.peer.owed = [];
    w.publish(1);
    w.queue.attach(w.peer, 2, true);
    assert.deepEqual(
      w.peer.owed.map(({ packetId }) => packetId),
      ids,
    );
    assert.equal(w.peer.dups, 2);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m1", "m0", "m1", "m2", "m3", "m4"]);
  });

  test("[MQTT311-3.3.1-1] [MQTT5-3.3.1-1] DUP is 1 for whatever may have been sent before a crash, however far it had got", () => {
    const w = new World();
    w.queue.attach(w.peer, 2, false);
    for (let i = 0; i < 40; i++) w.publish(1);
    w.store.commit();
    // The store knows the messages, but none of the answers.
    for (let i = 0; i < 38; i++) w.peer.answer(w.queue, 0);
    assert.equal(w.peer.delivered.length, 40);
    w.crash();
    w.peer.owed = [];
    w.queue.attach(w.peer, 64, true);
    while (w.due.length > 0) w.turn();
    assert.equal(w.peer.dups, 40);
    w.publish(1);
    w.settle();
    assert.equal(w.peer.dups, 40, "what came after the restart is sent for the first time");
  });

  test("a lower Receive Maximum after the reconnect bounds what is sent again", () => {
    const w = new World();
    w.queue.attach(w.peer, 8, false);
    for (let i = 0; i < 6; i++) w.publish(1);
    w.store.commit();
    w.queue.detach();
    w.peer.owed = [];
    w.queue.attach(w.peer, 1, true);
    assert.equal(w.peer.owed.length, 1);
    w.settle();
    assert.equal(w.queue.count, 0);
    assert.deepEqual(new Set(w.peer.delivered).size, 6);
  });

  test("[MQTT5-4.4.0-1] a message that was sent and then refused by the disk keeps its place: those behind it their packet ids", () => {
    const w = new World();
    w.queue.attach(w.peer, 8, false);
    w.publish(1);
    w.store.withdraw();
    w.publish(2);
    w.store.commit();
    w.store.sync();
    assert.deepEqual(
      w.peer.owed.map(({ packetId }) => packetId),
      [1, 2],
    );
    w.crash();
    w.peer.owed = [];
    w.queue.attach(w.peer, 8, true);
    assert.deepEqual(
      w.peer.owed.map(({ packetId }) => packetId),
      [2],
    );
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m1"]);
  });

  test("the oldest message, passed by as many as may be, is sent again all the same", () => {
    const w = new World();
    w.queue.attach(w.peer, 8, false);
    for (let i = 0; i < SPAN_MAX; i++) {
      w.publish(1);
      if (i > 0) w.peer.answer(w.queue, 1);
    }
    w.publish(1);
    w.store.commit();
    assert.equal(w.peer.delivered.length, SPAN_MAX, "the next one waits for it");
    w.queue.detach();
    w.peer.owed = [];
    w.queue.attach(w.peer, 8, true);
    w.settle();
    assert.deepEqual(w.peer.delivered.slice(SPAN_MAX), ["m0", `m${SPAN_MAX}`]);
    assert.equal(w.queue.count, 0);
  });

  test("a peer without its session gets what it did not take, and not what it acknowledged with PUBREC", () => {
    const w = new World();
    w.queue.attach(w.peer, 8, false);
    for (let i = 0; i < 3; i++) w.publish(2);
    w.store.commit();
    w.store.sync();
    w.peer.answer(w.queue, 1);
    w.queue.detach();
    w.peer = new Peer();
    w.queue.attach(w.peer, 8, false);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m2"]);
    assert.equal(w.peer.dups, 0);
    assert.equal(w.queue.count, 0);
  });

  test("drop-newest: the queue's limit refuses the newest", () => {
    const w = new World({ ...LIMITS, messages: 3 });
    for (let i = 0; i < 5; i++) w.publish(1);
    w.queue.attach(w.peer, 8, false);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m1", "m2"]);
  });

  test("drop-oldest: the queue's limit drops the oldest that is not in flight, and the ledger says so", () => {
    const w = new World({ ...LIMITS, messages: 3, whenFull: "drop-oldest" });
    w.queue.attach(w.peer, 1, false);
    w.publish(1);
    w.queue.detach();
    w.peer.owed = [];
    for (let i = 0; i < 9; i++) w.publish(1);
    assert.equal(w.queue.count, 3);
    w.store.commit();
    w.crash();
    w.queue.attach(w.peer, 1, true);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m0", "m0", "m8", "m9"]);
    assert.equal(w.ledger.entries()[0]?.count, 7);
  });

  test("a limit that was made much smaller is reached in turns", () => {
    const w = new World({ ...LIMITS, whenFull: "drop-oldest" });
    for (let i = 0; i < 200; i++) w.publish(1);
    w.store.commit();
    w.limits = { ...w.limits, messages: 10 };
    w.crash();
    w.publish(1);
    assert.ok(w.queue.count > 10 && w.queue.count < 200, "a few slices at once");
    for (let n = 0; n < 100; n++) w.turn();
    assert.equal(w.queue.count, 10);
  });

  test("an expired message is not delivered", () => {
    const w = new World();
    w.publish(1, 2000);
    w.publish(1);
    w.wallMs = 3000;
    w.queue.attach(w.peer, 8, false);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m1"]);
    assert.equal(w.ledger.entries()[0]?.cause, "expired");
  });

  test("what the disk refused is not delivered later and not counted", () => {
    const w = new World();
    w.publish(1);
    w.store.withdraw();
    assert.equal(w.queue.count, 0);
    w.publish(1);
    w.queue.attach(w.peer, 8, false);
    w.settle();
    assert.deepEqual(w.peer.delivered, ["m1"]);
    assert.equal(w.queue.bytes, 0);
  });
});

describe("a run of random events", () => {
  for (const qos of [1, 2]) {
    for (let seed = 1; seed <= 60; seed++) {
      test(`QoS ${qos}, seed ${seed}: nothing stored is lost${qos === 2 ? ", nothing comes twice" : ""}, order holds`, () => {
        run(qos, seed);
      });
    }
  }
});

/** Publishes, answers in any order, commits, disconnects and crashes at random; the peer keeps its session. */
function run(qos: number, seed: number): void {
  const random = seededRandom(seed);
  const w = new World({ ...LIMITS, windowBytes: 1 + Math.floor(random() * 2000) });
  const stored = new Set<string>();
  let open: string[] = [];
  let online = false;
  let first = true;
  const attach = (): void => {
    w.peer.owed = [];
    w.queue.attach(w.peer, 1 + Math.floor(random() * 8), !first);
    first = false;
    online = true;
  };
  for (let step = 0; step < 600; step++) {
    const dice = random();
    if (dice < 0.35) {
      const payload = w.publish(qos);
      if (payload !== null) open.push(payload);
    } else if (dice < 0.7) {
      if (online) w.peer.answer(w.queue, Math.floor(random() * Math.min(w.peer.owed.length, 6)));
    } else if (dice < 0.85) {
      w.store.commit();
      for (const payload of open) stored.add(payload);
      open = [];
      if (random() < 0.8) w.store.sync();
      w.turn();
    } else if (dice < 0.9) {
      if (online) w.queue.detach();
      online = false;
    } else if (dice < 0.98) {
      if (!online) attach();
    } else {
      // A crash of the gateway: the peer is disconnected, what was not committed is gone (nobody was told it is safe).
      w.crash();
      open = [];
      online = false;
    }
  }
  w.store.commit();
  for (const payload of open) stored.add(payload);
  if (!online) attach();
  w.settle();
  assert.equal(w.queue.count, 0, "everything was acknowledged");
  assert.equal(w.queue.bytes, 0);
  const times = new Map<string, number>();
  for (const payload of w.peer.delivered) times.set(payload, (times.get(payload) ?? 0) + 1);
  for (const payload of stored) assert.ok(times.has(payload), `${payload} was stored and never came`);
  if (qos === 2) for (const [payload, count] of times) assert.equal(count, 1, `${payload} came ${count} times`);
  const firsts = [...times.keys()].map((payload) => Number(payload.slice(1)));
  assert.deepEqual(
    firsts,
    [...firsts].sort((a, b) => a - b),
    "first deliveries are in order",
  );
}

test("queues share the memory of what waits: a queue with a log leaves the rest there, nothing is lost", () => {
  const w = new World({ ...LIMITS, windowBytes: 1e6 });
  w.memory.takeAnyway(w.memory.bytesMax);
  w.queue.attach(w.peer, 1, false);
  for (let i = 0; i < 20; i++) w.publish(1);
  assert.ok(w.memory.used < w.memory.bytesMax + 3 * 200, "one message waits, the rest is in the log");
  assert.equal(w.queue.congested, true);
  w.settle();
  assert.equal(new Set(w.peer.delivered).size, 20);
  assert.equal(w.memory.used, w.memory.bytesMax, "all was given back");
});

test("what the peer refuses is listed with its topic, however long the store takes to find it", () => {
  const w = new World();
  w.publish(1, 0, "plant/a");
  w.store.commit();
  w.crash();
  w.store.learnRows = 4;
  w.queue.attach(w.peer, 8, true);
  for (let n = 0; n < 3; n++) w.turn();
  w.store.learnRows = 1; // stretches of which it knows nothing again
  w.queue.onPuback(w.peer.owed[0]?.packetId as number, 0x87);
  assert.deepEqual(
    w.ledger.entries().map(({ topic, cause }) => [topic, cause]),
    [["plant/a", "refused"]],
  );
});
