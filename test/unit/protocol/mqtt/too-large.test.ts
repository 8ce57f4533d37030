import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Session } from "../../../../src/core/session.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  bytes,
  CONNACK,
  field,
  type Packet,
  PUBCOMP,
  PUBLISH,
  PUBREL,
  packet,
  properties,
  publish,
  readAck,
  readPublish,
  SUBSCRIBE,
  subscribe,
  u16,
  u32,
} from "../../../support/mqtt-packets.ts";

const KEPT = { clean: false, expirySeconds: 600 } as const;

/** A PUBLISH to `topic/x` that is `size` bytes long as its receiver of 5.0 gets it, `extra` of them properties for it. */
function payloadFor(size: number, qos: number, extra: number): string {
  // Fixed Header of two bytes up to 129.
  const head = (size > 129 ? 3 : 2) + 2 + 7 + (qos > 0 ? 2 : 0) + 1 + extra;
  return "x".repeat(size - head);
}

function got(peer: HubPeer): Packet[] {
  return peer.take().filter(({ type }) => type === PUBLISH);
}

function queueOf(hub: Hub): Session["queue"] {
  const session = [...hub.registry.sessions()].find(({ clientId }) => clientId === "s");
  assert.ok(session !== undefined);
  return session.queue;
}

function wireBytes({ body }: Packet): number {
  return body.length + (body.length > 127 ? 3 : 2);
}

/** Subscribes with a Subscription Identifier of one byte. */
function subscribeAs(id: number, filter: string, qos: number): Buffer {
  return packet(SUBSCRIBE, 2, u16(1), properties(5, 0x0b, id), bytes(field(filter), qos));
}

describe("[MQTT5-3.1.2-24] the peer's Maximum Packet Size", () => {
  for (const size of [60, 128, 131, 200])
    for (const qos of [0, 1, 2])
      for (const way of ["live", "kept", "queued", "retained"] as const)
        test(`a ${way} message at QoS ${qos} of exactly ${size} bytes comes, one of one more does not and counts as delivered`, () => {
          const hub = new Hub();
          const fields = {
            ...(way === "live" || way === "retained" ? {} : KEPT),
            version: 5,
            clientId: "s",
            properties: [0x27, u32(size)],
          } as const;
          const publisher = hub.connect({ version: 5, clientId: "p" });
          let peer = hub.connect(fields);
          const filter = subscribe(5, 1, ["topic/#", qos]);
          if (way !== "retained") peer.send(filter);
          hub.settle();
          peer.take();
          if (way === "queued") peer.drop();
          const retain = way === "retained";
          let id = 0;
          const send = (bytes: number): void => {
            const payload = payloadFor(bytes, qos, 0);
            if (retain) peer.drop();
            publisher.send(publish(5, { topic: "topic/x", qos, packetId: ++id, payload, retain }));
            hub.settle();
            if (way === "queued" || retain) peer = hub.connect(fields);
            if (retain) peer.send(filter);
            hub.settle();
          };
          send(size);
          // QoS 0 is not kept for who is away.
          const expected = way === "queued" && qos === 0 ? [] : [size];
          assert.deepEqual(got(peer).map(wireBytes), expected);
          const inFlight = retain ? 0 : queueOf(hub).inFlight;
          if (way === "queued") peer.drop();
          send(size + 1);
          const dropped = expected.length;
          assert.deepEqual(
            got(peer).filter((found) => !readPublish(5, found).dup),
            [],
          );
          assert.equal(peer.closed, false);
          assert.equal(hub.counters.counter("mqtt.publish.too_large").value, dropped);
          assert.equal(hub.counters.counter("drops.too-large").value, dropped);
          assert.equal(queueOf(hub).inFlight, inFlight, "it takes no place in the window");
          assert.equal(queueOf(hub).count, inFlight);
          if (dropped === 0) return;
          const { receiver, topic, cause } = hub.ledger.entries().at(-1) ?? {};
          assert.deepEqual([receiver, topic, cause], ["session:s", "topic/x", "too-large"]);
        });

  test("one that was sent at QoS 2 before, when the peer took more, is released: the peer may know its id", () => {
    const hub = new Hub();
    const before = hub.connect({ ...KEPT, version: 5, clientId: "s" });
    before.send(subscribe(5, 1, ["#", 2]));
    hub.settle();
    const publisher = hub.connect({ version: 5, clientId: "p" });
    publisher.send(publish(5, { topic: "t", qos: 2, packetId: 1, payload: "x".repeat(100) }));
    hub.settle();
    const { packetId } = readPublish(5, got(before)[0] as Packet);
    before.drop();
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "s", properties: [0x27, u32(50)] });
    hub.settle();
    const came = peer.take();
    assert.deepEqual(
      came.map(({ type }) => type),
      [CONNACK, PUBREL],
    );
    assert.equal(readAck(came[1] as Packet).packetId, packetId);
    assert.equal(hub.counters.counter("drops.too-large").value, 1);
    peer.send(ack(PUBCOMP, packetId));
    assert.deepEqual([queueOf(hub).count, queueOf(hub).inFlight], [0, 0]);
  });

  test("other receivers of the same message get it", () => {
    const hub = new Hub();
    const small = hub.connect({ version: 5, clientId: "small", properties: [0x27, u32(40)] });
    const large = hub.connect({ version: 5, clientId: "large" });
    for (const peer of [small, large]) peer.send(subscribe(5, 1, ["#", 1]));
    hub
      .connect({ version: 5, clientId: "p" })
      .send(publish(5, { topic: "t", qos: 1, packetId: 1, payload: "x".repeat(40) }));
    assert.equal(got(small).length, 0);
    assert.equal(got(large).length, 1);
  });

  test("what a member of a shared subscription does not take counts as delivered, and its place is free again", () => {
    for (const qos of [1, 2]) {
      const hub = new Hub();
      const peer = hub.connect({ ...KEPT, version: 5, clientId: "s", properties: [0x27, u32(60), 0x21, 0, 1] });
      peer.send(subscribe(5, 1, ["$share/g/topic/#", qos]));
      hub.settle();
      const publisher = hub.connect({ version: 5, clientId: "p" });
      for (const [i, size] of [61, 100, 60].entries()) {
        const payload = payloadFor(size, qos, 0);
        publisher.send(publish(5, { topic: "topic/x", qos, packetId: i + 1, payload }));
        hub.settle();
      }
      hub.settle();
      assert.deepEqual(got(peer).map(wireBytes), [60]);
      assert.equal(hub.counters.counter("drops.too-large").value, 2);
    }
  });

  test("the bytes of a Subscription Identifier count", () => {
    for (const [size, comes] of [
      [60, true],
      [61, false],
    ] as const) {
      const hub = new Hub();
      const peer = hub.connect({ version: 5, clientId: "s", properties: [0x27, u32(60)] });
      peer.send(subscribeAs(5, "#", 0));
      peer.take();
      hub
        .connect({ version: 5, clientId: "p" })
        .send(publish(5, { topic: "topic/x", payload: payloadFor(size, 0, 2) }));
      assert.equal(got(peer).length, comes ? 1 : 0);
    }
  });

  test("the bytes of a Topic Alias count: a message that fits without it has none, one that fits with it alone comes", () => {
    const hub = new Hub();
    const peer = hub.connect({ version: 5, clientId: "s", properties: [0x27, u32(60), 0x22, 0, 4] });
    peer.send(subscribe(5, 1, ["#", 0]));
    peer.take();
    const publisher = hub.connect({ version: 5, clientId: "p" });
    const sizes = (size: number): number[] => {
      publisher.send(publish(5, { topic: "topic/x", payload: payloadFor(size, 0, 0) }));
      return got(peer).map(wireBytes);
    };
    assert.deepEqual(sizes(58), [58], "no room for the alias");
    assert.deepEqual(sizes(57), [60], "topic and alias");
    // From now on the alias stands for the topic: four bytes less.
    assert.deepEqual(sizes(64), [60]);
    assert.deepEqual(sizes(65), []);
  });
});
