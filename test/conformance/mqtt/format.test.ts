// 2 Packet format: flags of the fixed header, packet identifiers, property lengths.
import assert from "node:assert/strict";
import {
  AUTH,
  ack,
  bytes,
  CONNACK,
  CONNECT,
  DISCONNECT,
  disconnect,
  field,
  type Packet,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  pingreq,
  properties,
  publish,
  readAck,
  readConnack,
  readPublish,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  UNSUBACK,
  UNSUBSCRIBE,
  u16,
  type Version,
} from "../../support/mqtt-packets.ts";
import { assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;

const sluice = product();

/** A packet of each type that a client sends, but for its flags. */
function withFlags(version: Version, type: number, flags: number): Buffer {
  const bodies: Record<number, Buffer> = {
    [CONNECT]: bytes(field("MQTT"), version, 2, u16(60), properties(version), field(unique("flags"))),
    [PUBACK]: u16(1),
    [PUBREC]: u16(1),
    [PUBREL]: u16(1),
    [PUBCOMP]: u16(1),
    [SUBSCRIBE]: bytes(u16(1), properties(version), field("a"), 0),
    [UNSUBSCRIBE]: bytes(u16(1), properties(version), field("a")),
  };
  return packet(type, flags, bodies[type] ?? "");
}

const FLAGS: readonly (readonly [type: number, name: string, right: number])[] = [
  [PUBACK, "PUBACK", 0],
  [PUBREC, "PUBREC", 0],
  [PUBREL, "PUBREL", 2],
  [PUBCOMP, "PUBCOMP", 0],
  [SUBSCRIBE, "SUBSCRIBE", 2],
  [UNSUBSCRIBE, "UNSUBSCRIBE", 2],
  [PINGREQ, "PINGREQ", 0],
  [DISCONNECT, "DISCONNECT", 0],
];

for (const [type, name, right] of FLAGS) {
  forVersions({ 4: ["2.2.2-2"], 5: ["2.1.3-1"] }, `${name} with any other flags closes`, async (version, t) => {
    const others = Array.from({ length: 16 }, (_, flags) => flags).filter((flags) => flags !== right);
    const wrong = others.map((flags) => withFlags(version, type, flags));
    await assertEachCloses(sluice, t, version, MALFORMED, wrong);
  });
}

forVersions({ 4: ["2.2.2-2"], 5: ["2.1.3-1"] }, "CONNECT with flags is refused", async (version, t) => {
  for (let flags = 1; flags < 16; flags++) {
    const client = await sluice.open(t);
    client.send(withFlags(version, CONNECT, flags));
    await client.end();
    const answers = client.packets.map((packet) => [packet.type, readConnack(packet).reason]);
    assert.deepEqual(answers, version === 4 ? [] : [[CONNACK, MALFORMED]]);
  }
});

forVersions({ 4: ["2.2.2-2"], 5: ["2.1.3-1"] }, "packet types that no client sends close", async (version, t) => {
  const reserved = version === 4 ? [0, AUTH] : [0];
  for (const type of [...reserved, CONNACK, SUBACK, UNSUBACK, PINGRESP]) {
    const client = await sluice.connected(t, version);
    client.send(packet(type, 0, u16(1)));
    const reason = await client.end();
    if (version === 5) assert.equal(reason === MALFORMED || reason === PROTOCOL_ERROR, true);
  }
});

/** One of each packet that a server sends to a client, and what it owes for them. */
async function everyAnswer(version: Version, send: (...packets: Buffer[]) => void, next: () => Promise<Packet>) {
  const topic = unique("every");
  const seen: Packet[] = [];
  const exchange = async (sent: Buffer, answers: number): Promise<void> => {
    send(sent);
    for (let i = 0; i < answers; i++) seen.push(await next());
  };
  await exchange(subscribe(version, 9, [topic, 2]), 1);
  await exchange(publish(version, { topic, qos: 1, packetId: 10 }), 2);
  await exchange(publish(version, { topic, qos: 2, packetId: 11 }), 2);
  await exchange(ack(PUBREL, 11), 1);
  const qos2 = seen.find(({ type, flags }) => type === PUBLISH && (flags & 6) === 4) as Packet;
  await exchange(ack(PUBREC, readPublish(version, qos2).packetId), 1);
  await exchange(packet(UNSUBSCRIBE, 2, u16(12), properties(version), field(topic)), 1);
  await exchange(pingreq(), 1);
  return seen;
}

forVersions(
  { 4: ["2.2.2-1", "2.3.1-6", "2.3.1-7"], 5: ["2.1.3-1", "2.2.1-5", "2.2.1-6"] },
  "every answer has the flags of its type and the packet identifier of its question",
  async (version, t) => {
    const client = await sluice.connected(t, version);
    const seen = await everyAnswer(version, client.send.bind(client), client.next.bind(client));
    const wanted: readonly (readonly [type: number, flags: number, packetId: number | null])[] = [
      [SUBACK, 0, 9],
      [PUBACK, 0, 10],
      [PUBREC, 0, 11],
      [PUBCOMP, 0, 11],
      [UNSUBACK, 0, 12],
      [PINGRESP, 0, null],
    ];
    for (const [type, flags, packetId] of wanted) {
      const found = seen.filter((packet) => packet.type === type);
      assert.deepEqual(
        found.map((packet) => [packet.flags, packetId === null ? null : readAck(packet).packetId]),
        [[flags, packetId]],
      );
    }
    const sent = seen.filter(({ type }) => type === PUBLISH).map((packet) => readPublish(version, packet));
    assert.deepEqual(sent.map(({ qos, dup, retain }) => [qos, dup, retain]).sort(), [
      [1, false, false],
      [2, false, false],
    ]);
    const pubrel = seen.find(({ type }) => type === PUBREL) as Packet;
    assert.equal(pubrel.flags, 2);
    assert.equal(readAck(pubrel).packetId, sent.find(({ qos }) => qos === 2)?.packetId);
    assert.equal(seen.length, wanted.length + 3);
  },
);

forVersions({ 4: ["2.3.1-1"], 5: ["2.2.1-3"] }, "packet identifier 0 closes, and so does none", async (version, t) => {
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, [
    publish(version, { topic: "a", qos: 1, packetId: 0 }),
    publish(version, { topic: "a", qos: 2, packetId: 0 }),
    subscribe(version, 0, ["a", 0]),
    packet(UNSUBSCRIBE, 2, u16(0), properties(version), field("a")),
  ]);
  const none = [packet(PUBLISH, 2, field("a")), packet(SUBSCRIBE, 2, 0), packet(UNSUBSCRIBE, 2, "")];
  await assertEachCloses(sluice, t, version, MALFORMED, none);
});

forVersions(
  { 4: ["2.3.1-4"], 5: ["2.2.1-4"] },
  "the gateway's packet identifiers are never 0 and never in use: one stays unacknowledged while 500 come and go",
  async (version, t) => {
    const client = await sluice.connected(t, version);
    const topic = unique("ids");
    await client.subscribe(version, topic, 1);
    client.send(publish(version, { topic, qos: 1, packetId: 1 }));
    const take = async (): Promise<number> => {
      for (;;) {
        const packet = await client.next();
        if (packet.type === PUBLISH) return readPublish(version, packet).packetId;
      }
    };
    // The first stays unacknowledged while others come and go.
    const held = await take();
    assert.notEqual(held, 0);
    const inUse = new Set([held]);
    for (let round = 0; round < 50; round++) {
      for (let i = 0; i < 10; i++) client.send(publish(version, { topic, qos: 1, packetId: 2 + i }));
      const ids: number[] = [];
      for (let i = 0; i < 10; i++) {
        const id = await take();
        assert.equal(id > 0 && !inUse.has(id), true, `packet identifier ${id}`);
        inUse.add(id);
        ids.push(id);
      }
      for (const id of ids) {
        client.send(ack(PUBACK, id));
        inUse.delete(id);
      }
    }
  },
);

forVersions({ 4: ["2.3.1-5"], 5: ["2.2.1-2"] }, "a QoS 0 PUBLISH has no packet identifier", async (version, t) => {
  const client = await sluice.connected(t, version);
  const topic = unique("bare");
  await client.subscribe(version, topic, 2);
  client.send(publish(version, { topic, payload: "payload" }));
  const [message] = await untilNow(client);
  assert.deepEqual(message?.body, bytes(field(topic), properties(version), "payload"));
});

forVersions({ 5: ["2.2.2-1"] }, "no properties leave as a Property Length of 0", async (version, t) => {
  const client = await sluice.connected(t, version);
  const topic = unique("none");
  client.send(subscribe(version, 7, [topic, 0]));
  assert.deepEqual((await client.next()).body, bytes(u16(7), 0, 0));
  client.send(publish(version, { topic, payload: "p" }));
  assert.deepEqual((await client.next()).body, bytes(field(topic), 0, "p"));
  client.send(packet(UNSUBSCRIBE, 2, u16(8), 0, field(topic)));
  assert.deepEqual((await client.next()).body, bytes(u16(8), 0, 0));
});

forVersions({ 5: ["2.2.2-1"] }, "a packet that lacks its Property Length is malformed", async (version, t) => {
  const wrong = [packet(PUBLISH, 0, field("a")), packet(SUBSCRIBE, 2, u16(1)), packet(UNSUBSCRIBE, 2, u16(1))];
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions({ 4: ["2.3.1-7"], 5: ["2.2.1-6"] }, "SUBACK and UNSUBACK keep the largest id too", async (version, t) => {
  const client = await sluice.connected(t, version);
  client.send(
    subscribe(version, 65_535, ["a", 0]),
    packet(UNSUBSCRIBE, 2, u16(65_534), properties(version), field("a")),
  );
  assert.equal(readAck(await client.next()).packetId, 65_535);
  assert.equal(readAck(await client.next()).packetId, 65_534);
  client.send(disconnect());
  await client.end();
});
