import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  bytes,
  field,
  type Packet,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  properties,
  publish,
  readAck,
  readPublish,
  SUBACK,
  subscribe,
  UNSUBACK,
  UNSUBSCRIBE,
  u16,
  u32,
} from "../../../support/mqtt-packets.ts";

const KEPT = { version: 5, clean: false, expirySeconds: 600 } as const;

function of(type: number, packets: readonly Packet[]): Packet[] {
  return packets.filter((found) => found.type === type);
}

/** A session that keeps what is published to `topic`, its client away. */
function absentSubscriber(hub: Hub, topic: string, version: 4 | 5 = 5): void {
  const peer = hub.connect({ ...KEPT, version, clientId: "absent" });
  peer.send(subscribe(version, 1, [topic, 2]));
  hub.settle();
  peer.drop();
}

describe("acknowledgements", () => {
  test("a burst of PUBRELs from a client that knows no Receive Maximum waits for the store", () => {
    const hub = new Hub();
    const peer = hub.connect({ ...KEPT, version: 4, clientId: "a" });
    const ids = Array.from({ length: 3000 }, (_, i) => i + 1);
    for (const packetId of ids) {
      peer.send(publish(4, { topic: "t", qos: 2, packetId }));
      if (packetId % 500 === 0) hub.settle();
    }
    assert.equal(of(PUBREC, peer.take()).length, 3000);
    peer.send(...ids.map((packetId) => ack(PUBREL, packetId)));
    assert.equal(peer.closed, false);
    for (let i = 0; i < 10; i++) hub.settle();
    assert.deepEqual(
      of(PUBCOMP, peer.take()).map((found) => readAck(found)),
      ids.map((packetId) => ({ packetId, reason: 0 })),
    );
    assert.equal(peer.paused, false);
  });

  test("SUBSCRIBEs that wait for the store are held, not an error", () => {
    const hub = new Hub();
    const peer = hub.connect({ ...KEPT, clientId: "a" });
    peer.send(...Array.from({ length: 2500 }, (_, i) => subscribe(5, i + 1, ["t", 0])));
    assert.equal(peer.closed, false);
    for (let i = 0; i < 50; i++) hub.settle();
    assert.equal(of(SUBACK, peer.take()).length, 2500);
  });

  test("a QoS 2 message that the disk refused after its publisher left counts as new when it comes again", () => {
    const hub = new Hub();
    absentSubscriber(hub, "t");
    const first = hub.connect({ ...KEPT, clientId: "a" });
    first.send(publish(5, { topic: "t", qos: 2, packetId: 7 }));
    first.drop();
    hub.store.withdraw();
    const again = hub.connect({ ...KEPT, clientId: "a" });
    again.send(publish(5, { topic: "t", qos: 2, packetId: 7, dup: true }));
    hub.settle();
    assert.deepEqual(readAck(of(PUBREC, again.take())[0] as Packet), { packetId: 7, reason: 0 });
    assert.equal(hub.store.rows.length, 1);
  });

  test("a repeated QoS 2 PUBLISH whose first copy the disk refuses is refused too", () => {
    const hub = new Hub();
    absentSubscriber(hub, "t");
    const first = hub.connect({ ...KEPT, clientId: "a" });
    first.send(publish(5, { topic: "t", qos: 2, packetId: 7 }));
    first.drop();
    const again = hub.connect({ ...KEPT, clientId: "a" });
    again.send(publish(5, { topic: "t", qos: 2, packetId: 7, dup: true }));
    hub.store.withdraw();
    hub.settle();
    assert.deepEqual(readAck(of(PUBREC, again.take())[0] as Packet), { packetId: 7, reason: 0x97 });
    assert.equal(hub.store.rows.length, 0);
  });

  test("[MQTT5-4.3.3-4] a QoS 2 PUBLISH that a failed disk may have gets no negative PUBREC, which would free its packet id", () => {
    const hub = new Hub();
    const peer = hub.connect({ ...KEPT, clientId: "a" });
    peer.send(publish(5, { topic: "t", qos: 2, packetId: 7 }));
    hub.store.fail();
    assert.deepEqual(of(PUBREC, peer.take()), []);
    assert.equal(peer.closed, true);
    const again = hub.connect({ ...KEPT, clientId: "a" });
    again.send(publish(5, { topic: "t", qos: 2, packetId: 7, dup: true }));
    hub.store.fail();
    assert.deepEqual(of(PUBREC, again.take()), []);
  });

  test("[MQTT5-4.3.3-4] one that a read-only disk rolled back does: sent again under the same id it counts as new", () => {
    const hub = new Hub();
    const reader = hub.connect({ ...KEPT, clientId: "reader" });
    reader.send(subscribe(5, 1, ["t", 2]));
    hub.settle();
    const peer = hub.connect({ ...KEPT, clientId: "a" });
    peer.send(publish(5, { topic: "t", qos: 2, packetId: 7 }));
    hub.store.withdraw(0x83);
    assert.equal(of(PUBREC, peer.take())[0]?.body[2], 0x83);
    assert.equal(peer.closed, false);
    reader.take();
    peer.send(publish(5, { topic: "t", qos: 2, packetId: 7 }));
    hub.settle();
    assert.deepEqual(of(PUBREC, peer.take())[0]?.body, bytes(u16(7)));
    assert.equal(of(PUBLISH, reader.take()).length, 1);
  });

  test("[MQTT5-4.3.3-11] PUBREL again on the next connection waits for the store as the first did: a crash must not bring the id back", () => {
    const hub = new Hub();
    const first = hub.connect({ ...KEPT, clientId: "a" });
    first.send(publish(5, { topic: "t", qos: 2, packetId: 7 }));
    hub.settle();
    first.send(ack(PUBREL, 7));
    first.drop();
    const again = hub.connect({ ...KEPT, clientId: "a" });
    again.send(ack(PUBREL, 7));
    assert.deepEqual(of(PUBCOMP, again.take()), []);
    hub.settle();
    assert.deepEqual(readAck(of(PUBCOMP, again.take())[0] as Packet), { packetId: 7, reason: 0x92 });
  });

  test("UNSUBACK for a session that outlives its connection waits for the store", () => {
    const hub = new Hub();
    const peer = hub.connect({ ...KEPT, clientId: "a" });
    peer.send(subscribe(5, 1, ["t", 1]));
    hub.settle();
    peer.take();
    peer.send(packet(UNSUBSCRIBE, 2, u16(2), properties(5), field("t")));
    assert.deepEqual(of(UNSUBACK, peer.take()), []);
    hub.settle();
    assert.deepEqual(of(UNSUBACK, peer.take())[0]?.body, bytes(u16(2), 0, 0));
  });

  test("UNSUBACK of a clean session does not, and a failed store says so", () => {
    const hub = new Hub();
    const clean = hub.connect({ version: 4, clientId: "c" });
    clean.send(packet(UNSUBSCRIBE, 2, u16(2), field("t")));
    assert.deepEqual(of(UNSUBACK, clean.take())[0]?.body, bytes(u16(2)));
    const kept = hub.connect({ ...KEPT, clientId: "a" });
    kept.send(subscribe(5, 1, ["t", 1]));
    hub.settle();
    kept.take();
    kept.send(packet(UNSUBSCRIBE, 2, u16(2), properties(5), field("t")));
    hub.store.fail();
    assert.deepEqual(of(UNSUBACK, kept.take())[0]?.body, bytes(u16(2), 0, 0x83));
  });

  test("a release that the store failed to keep is not confirmed, and may be asked for again", () => {
    const hub = new Hub();
    const peer = hub.connect({ ...KEPT, clientId: "a" });
    peer.send(publish(5, { topic: "t", qos: 2, packetId: 7 }));
    hub.settle();
    peer.take();
    peer.send(ack(PUBREL, 7));
    hub.store.fail();
    assert.deepEqual(of(PUBCOMP, peer.take()), []);
    assert.equal(peer.closed, true);
    const again = hub.connect({ ...KEPT, clientId: "a" });
    again.send(ack(PUBREL, 7));
    hub.settle();
    assert.deepEqual(readAck(of(PUBCOMP, again.take())[0] as Packet), { packetId: 7, reason: 0 });
  });

  test("a message that the subscriber refuses with PUBACK is in the ledger", () => {
    const hub = new Hub();
    const peer = hub.connect({ ...KEPT, clientId: "a" });
    peer.send(subscribe(5, 1, ["t", 1]));
    peer.send(publish(5, { topic: "t", qos: 1, packetId: 2 }));
    const { packetId } = readPublish(5, of(PUBLISH, peer.take())[0] as Packet);
    peer.send(packet(PUBACK, 0, u16(packetId), 0x87));
    assert.deepEqual(
      hub.ledger.entries().map(({ cause, topic }) => [cause, topic]),
      [["refused", "t"]],
    );
  });
});

describe("delivery", () => {
  /** PUBLISH with a Message Expiry Interval. */
  function expiring(topic: string, seconds: number, qos: number, retain: boolean): Buffer {
    const flags = (qos << 1) | (retain ? 1 : 0);
    return packet(PUBLISH, flags, field(topic), qos > 0 ? u16(9) : "", properties(5, bytes(0x02, u32(seconds))), "p");
  }

  /** The Message Expiry Interval of the only property there is. */
  function expiryOf(peer: HubPeer, topic: string, qos: number): number {
    const { body } = of(PUBLISH, peer.take())[0] as Packet;
    const at = 2 + topic.length + (qos > 0 ? 2 : 0);
    assert.equal(body[at], 5);
    return body.readUInt32BE(at + 2);
  }

  test("[MQTT5-3.3.2-6] the time a message waited is taken off its Message Expiry Interval", () => {
    const hub = new Hub();
    absentSubscriber(hub, "t");
    hub.connect({ version: 5, clientId: "p" }).send(expiring("t", 100, 1, false));
    hub.settle();
    hub.advance(40_000);
    assert.equal(expiryOf(hub.connect({ ...KEPT, clientId: "absent" }), "t", 1), 60);
  });

  test("[MQTT5-3.3.2-6] also for a retained value", () => {
    const hub = new Hub();
    hub.connect({ version: 5, clientId: "p" }).send(expiring("t", 100, 0, true));
    hub.advance(40_000);
    const peer = hub.connect({ version: 5, clientId: "s" });
    peer.send(subscribe(5, 1, ["t", 0]));
    assert.equal(expiryOf(peer, "t", 0), 60);
  });

  test("a filter subscribed again and again while nothing is read asks for its retained values once", () => {
    const hub = new Hub();
    const publisher = hub.connect({ version: 4, clientId: "p" });
    for (let i = 0; i < 50; i++) publisher.send(publish(4, { topic: `r/${i}`, payload: "v", retain: true }));
    const peer = hub.connect({ version: 4, clientId: "s" });
    peer.blocked = true;
    for (let i = 1; i <= 100; i++) peer.send(subscribe(4, i, ["r/#", 0]));
    peer.blocked = false;
    peer.handler.onDrain();
    hub.turn();
    const topics = of(PUBLISH, peer.take()).map((found) => readPublish(4, found).topic);
    assert.equal(topics.length, 50);
    assert.equal(new Set(topics).size, 50);
  });

  test("retained values of a filter that is unsubscribed do not follow", () => {
    const hub = new Hub();
    hub.connect({ version: 4, clientId: "p" }).send(publish(4, { topic: "r", payload: "v", retain: true }));
    const peer = hub.connect({ version: 4, clientId: "s" });
    peer.blocked = true;
    peer.send(subscribe(4, 1, ["r", 0]), packet(UNSUBSCRIBE, 2, u16(2), field("r")));
    peer.blocked = false;
    peer.handler.onDrain();
    assert.deepEqual(of(PUBLISH, peer.take()), []);
  });
});

test("[MQTT5-3.3.2-5] expired retained values make room for new ones, in memory and in the store", () => {
  const hub = new Hub();
  const peer = hub.connect({ version: 5, clientId: "p" });
  const expiry = properties(5, bytes(0x02, u32(10)));
  for (let i = 0; i < 10_000; i++) peer.send(packet(PUBLISH, 1, field(`r/${i}`), expiry, "v"));
  peer.send(publish(5, { topic: "new", qos: 1, packetId: 1, retain: true, payload: "v" }));
  hub.settle();
  assert.deepEqual(readAck(of(PUBACK, peer.take())[0] as Packet), { packetId: 1, reason: 0x97 });
  hub.advance(11_000);
  peer.send(publish(5, { topic: "new", qos: 1, packetId: 2, retain: true, payload: "v" }));
  hub.settle();
  assert.deepEqual(readAck(of(PUBACK, peer.take())[0] as Packet), { packetId: 2, reason: 0 });
  assert.ok(hub.retained.count < 10_000);
  assert.equal(hub.store.getRetained("r/0"), null);
});

describe("the end of a link", () => {
  test("is counted by the system's code; what a peer can choose names no counter", () => {
    const hub = new Hub();
    const closed = (): string[] => [...hub.counters.names()].filter((name) => name.startsWith("mqtt.closed."));
    for (const error of ["connection reset by peer (ECONNRESET)", "invalid frame (WS_ERR_INVALID_CLOSE_CODE)", null])
      hub.connect({ version: 4, clientId: "a" }).handler.onClose(error);
    for (let code = 3000; code < 3100; code++)
      hub.connect({ version: 4, clientId: "a" }).handler.onClose(`connection lost (${code})`);
    assert.deepEqual(closed(), [
      "mqtt.closed.ECONNRESET",
      "mqtt.closed.WS_ERR_INVALID_CLOSE_CODE",
      "mqtt.closed.closed-by-peer",
      "mqtt.closed.connection-lost",
    ]);
    assert.equal(hub.counters.get("mqtt.closed.connection-lost"), 100);
  });
});

describe("wills", () => {
  test("a will may not speak for the gateway under $SYS, nor be deeper than limits.topic_levels", () => {
    const hub = new Hub();
    for (const topic of ["$SYS/broker/uptime", "a/".repeat(30)]) {
      const will = { topic, payload: "x", qos: 0, retain: true };
      const peer = hub.connect({ version: 5, clientId: "a", will });
      assert.deepEqual([...(peer.take()[0] as Packet).body.subarray(0, 2)], [0, 0x90]);
      assert.equal(peer.closed, true);
    }
    assert.equal(hub.retained.count, 0);
  });

  test("wills are bounded together: who has no room for his is refused with 0x97", () => {
    const hub = new Hub();
    const will = { topic: "w", payload: "x".repeat(60_000), qos: 0, retain: false };
    const answers = Array.from({ length: 60 }, (_, i) => {
      const peer = hub.connect({ version: 5, clientId: `a${i}`, will });
      return { peer, reason: (peer.take()[0] as Packet).body[1] };
    });
    const taken = answers.filter(({ reason }) => reason === 0);
    assert.ok(taken.length > 0 && taken.length < 60, `${taken.length}`);
    assert.ok(answers.every(({ reason }) => reason === 0 || reason === 0x97));
    // Sent or not, its room is free when the connection is gone.
    for (const { peer } of taken) peer.drop();
    assert.equal((hub.connect({ version: 5, clientId: "b", will }).take()[0] as Packet).body[1], 0);
  });
});
