// QoS 1 and 2 to sessions that end with their connection, from frame to frame: see src/core/live-queue.ts.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { Hub, type HubPeer, LIMITS } from "../../../support/mqtt-hub.ts";
import {
  bytes,
  type Packet,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  publish,
  readAck,
  readPublish,
  subscribe,
  u16,
  type Version,
} from "../../../support/mqtt-packets.ts";

/** A subscriber by the book that answers when it is told to. */
class Subscriber {
  readonly peer: HubPeer;
  readonly version: Version;
  readonly got: string[] = [];
  /** Answers it owes, in order. */
  readonly owed: Buffer[] = [];
  readonly ids = new Set<number>();

  constructor(hub: Hub, version: Version, receiveMaximum: number | null) {
    this.version = version;
    const properties = receiveMaximum === null ? undefined : bytes(0x21, u16(receiveMaximum));
    this.peer = hub.connect({ version, clientId: "s", ...(properties && { properties: [properties] }) });
    this.peer.send(subscribe(version, 1, ["t/#", 2]));
    this.peer.take();
  }

  take(): void {
    for (const found of this.peer.take()) {
      if (found.type === PUBLISH) this.#onPublish(found);
      else if (found.type === PUBREL) this.owed.push(packet(PUBCOMP, 0, u16(readAck(found).packetId)));
    }
  }

  #onPublish(found: Packet): void {
    const { payload, packetId, qos, dup, topic } = readPublish(this.version, found);
    assert.ok(qos > 0 && !dup && topic === "t/x");
    assert.ok(!this.ids.has(packetId), `${packetId} is not in use`);
    this.ids.add(packetId);
    this.got.push(payload);
    this.owed.push(packet(qos === 1 ? PUBACK : PUBREC, 0, u16(packetId)));
  }

  /** Sends the answers `[from, from + count)` of those it owes, in one chunk. */
  answer(from: number, count: number): void {
    const answers = this.owed.splice(from, count);
    for (const answer of answers) {
      if ((answer[0] as number) >> 4 !== PUBREC) this.ids.delete(answer.readUInt16BE(2));
    }
    if (answers.length > 0) this.peer.send(Buffer.concat(answers));
    this.take();
  }
}

describe("QoS 1 and 2 to a session that ends with its connection", () => {
  for (const version of [4, 5] as const)
    for (const from of [4, 5] as const)
      for (let seed = 1; seed <= 10; seed++)
        test(`come once and in order over changes between window and queue, MQTT ${from} to ${version} (seed ${seed})`, () => {
          const random = seededRandom(seed * 8 + version + from);
          const windowMax = 2 + Math.floor(random() * 20);
          const hub = new Hub(undefined, version === 4 ? { inflight: windowMax } : {});
          const subscriber = new Subscriber(hub, version, version === 5 ? windowMax : null);
          const publisher = hub.connect({ version: from, clientId: "p" });
          publisher.take();
          const sent: string[] = [];
          let acknowledged = 0;
          for (let step = 0; step < 300; step++) {
            const what = random();
            if (what < 0.4) {
              const burst: Buffer[] = [];
              for (let n = Math.floor(random() * 12); n >= 0; n--) {
                const payload = `m${sent.length}${"x".repeat(random() < 0.05 ? 5000 : 0)}`;
                sent.push(payload);
                burst.push(publish(from, { topic: "t/x", qos: 1, packetId: (sent.length % 65_535) + 1, payload }));
              }
              publisher.send(Buffer.concat(burst));
              const acks = publisher.take().filter(({ type }) => type === PUBACK);
              assert.deepEqual(
                acks.map((ack) => readAck(ack).packetId),
                burst.map((_, i) => acknowledged + i + 2),
              );
              acknowledged += burst.length;
            } else if (what < 0.9) {
              subscriber.answer(
                random() < 0.8 ? 0 : Math.floor(random() * subscriber.owed.length),
                Math.floor(random() * 12),
              );
            } else {
              subscriber.peer.blocked = !subscriber.peer.blocked;
              if (!subscriber.peer.blocked) subscriber.peer.handler.onDrain();
            }
            subscriber.take();
            assert.ok(subscriber.ids.size <= windowMax, "its Receive Maximum, or limits.inflight");
            assert.equal(hub.registry.inFlight, subscriber.ids.size);
          }
          subscriber.peer.blocked = false;
          subscriber.peer.handler.onDrain();
          subscriber.take();
          while (subscriber.owed.length > 0) subscriber.answer(0, 50);
          assert.deepEqual(subscriber.got, sent);
          assert.equal(hub.registry.inFlight, 0);
          assert.equal(hub.counters.get("drops.queue-full"), 0);
        });

  test("inflight: unless it is given, a session that nothing is kept for has a window of its own", () => {
    const hub = new Hub();
    const subscriber = new Subscriber(hub, 4, null);
    const publisher = hub.connect({ version: 4, clientId: "p" });
    for (let i = 0; i < LIMITS.inflightLive + 5; i++)
      publisher.send(publish(4, { topic: "t/x", qos: 1, packetId: 1 + i, payload: `${i}` }));
    subscriber.take();
    assert.equal(subscriber.got.length, LIMITS.inflightLive);
    assert.ok(LIMITS.inflightLive > 10 * LIMITS.inflight);
  });

  test("a peer that never answers is bounded: its window, then its queue, then its messages are dropped and counted", () => {
    const hub = new Hub(undefined, { inflight: 4 });
    const subscriber = new Subscriber(hub, 4, null);
    const publisher = hub.connect({ version: 4, clientId: "p" });
    const count = 2000;
    for (let i = 0; i < count; i++)
      publisher.send(publish(4, { topic: "t/x", qos: 1, packetId: 1 + i, payload: "x".repeat(1000) }));
    subscriber.take();
    assert.equal(subscriber.got.length, 4);
    const queue = [...hub.registry.sessions()].find(({ clientId }) => clientId === "s")?.queue;
    assert.ok(queue !== undefined && queue.bytes <= 1 << 20);
    assert.equal(queue.count + hub.counters.get("drops.queue-full"), count);
    subscriber.peer.drop();
    assert.equal(
      hub.counters.get("drops.session-ended"),
      queue.count === 0 ? count - hub.counters.get("drops.queue-full") : -1,
    );
    assert.equal(hub.registry.inFlight, 0);
  });

  test("what waits for it reaches it though a durable receiver's answer spares the log the message", () => {
    const hub = new Hub(undefined, { inflight: 1 });
    const subscriber = new Subscriber(hub, 4, null);
    const durable = hub.connect({ version: 4, clientId: "d", clean: false });
    durable.send(subscribe(4, 1, ["t/#", 1]));
    durable.take();
    const publisher = hub.connect({ version: 4, clientId: "p" });
    for (let i = 0; i < 3; i++) {
      publisher.send(publish(4, { topic: "t/x", qos: 1, packetId: 1 + i, payload: `${i}` }));
      for (const found of durable.take()) durable.send(packet(PUBACK, 0, u16(readPublish(4, found).packetId)));
    }
    assert.equal(hub.store.elided, 3);
    subscriber.take();
    while (subscriber.owed.length > 0) subscriber.answer(0, 1);
    assert.deepEqual(subscriber.got, ["0", "1", "2"]);
  });

  test("a takeover ends what was under way, and the new connection's packet ids begin anew", () => {
    const hub = new Hub();
    const first = new Subscriber(hub, 4, null);
    const publisher = hub.connect({ version: 4, clientId: "p" });
    for (let i = 0; i < 3; i++) publisher.send(publish(4, { topic: "t/x", qos: 1, packetId: 1 + i, payload: `${i}` }));
    first.take();
    assert.equal(hub.registry.inFlight, 3);
    const second = new Subscriber(hub, 4, null);
    assert.equal(hub.registry.inFlight, 0);
    assert.equal(hub.counters.get("drops.session-ended"), 3);
    publisher.send(publish(4, { topic: "t/x", qos: 1, packetId: 9, payload: "new" }));
    second.take();
    assert.deepEqual([second.got, [...second.ids]], [["new"], [1]]);
  });
});
