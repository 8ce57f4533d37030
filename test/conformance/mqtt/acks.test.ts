// 3.4 PUBACK, 3.5 PUBREC, 3.6 PUBREL, 3.7 PUBCOMP: their reasons, their sizes, what a peer may send in them.
import assert from "node:assert/strict";
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
  readProperties,
  readPublish,
  u16,
  u32,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const REASON_STRING = 0x1f;
const USER_PROPERTY = 0x26;

/** MQTT 5.0 tables 3-4, 3-5, 3-6, 3-7. */
const REASONS: Readonly<Record<number, readonly number[]>> = {
  [PUBACK]: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [PUBREC]: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  [PUBREL]: [0x00, 0x92],
  [PUBCOMP]: [0x00, 0x92],
};

const sluice = product({ limits: { validate_utf8_payload: true } });

/** Sends what the gateway refuses, accepts and does not know. @returns its answers by type */
async function provoke(client: RawMqtt): Promise<Map<number, Packet[]>> {
  const topic = unique("heard");
  await client.subscribe(5, topic, 0);
  for (const qos of [1, 2]) {
    client.send(publish(5, { topic: "$SYS/mine", qos, packetId: 10 + qos })); // not allowed
    client.send(publish(5, { topic: unique("nobody"), qos, packetId: 20 + qos })); // nobody matches
    client.send(publish(5, { topic, qos, packetId: 30 + qos })); // taken
    // Not the text that it says it is.
    client.send(packet(PUBLISH, qos << 1, field(topic), u16(40 + qos), properties(5, 0x01, 1), [0xff]));
  }
  client.send(ack(PUBREL, 32), ack(PUBREL, 999), ack(PUBREC, 998), ack(PUBCOMP, 997), ack(PUBACK, 996));
  const answers = new Map<number, Packet[]>();
  for (const packet of await untilNow(client)) answers.set(packet.type, [...(answers.get(packet.type) ?? []), packet]);
  return answers;
}

forVersions(
  { 5: ["3.4.2-1", "3.5.2-1", "3.6.2-1", "3.7.2-1"] },
  "every PUBACK, PUBREC, PUBREL and PUBCOMP has a reason that is listed for it",
  async (version, t) => {
    const answers = await provoke(await sluice.connected(t, version));
    const reasonsOf = (type: number): number[] => (answers.get(type) ?? []).map((packet) => readAck(packet).reason);
    for (const [type, listed] of Object.entries(REASONS))
      for (const reason of reasonsOf(Number(type))) assert.equal(listed.includes(reason), true, `${type}: ${reason}`);
    assert.deepEqual(reasonsOf(PUBACK), [0x87, 0x10, 0x00, 0x99]);
    assert.deepEqual(reasonsOf(PUBREC), [0x87, 0x10, 0x00, 0x99]);
    assert.deepEqual(reasonsOf(PUBREL), [0x92]);
    assert.deepEqual(reasonsOf(PUBCOMP), [0x00, 0x92]);
  },
);

forVersions(
  {
    5: ["3.4.2-2", "3.4.2-3", "3.5.2-2", "3.5.2-3", "3.6.2-2", "3.6.2-3", "3.7.2-2", "3.7.2-3"],
  },
  "their words go out where they fit in Maximum Packet Size, and are left out where they do not",
  async (version, t) => {
    const worded = new Map<number, number[]>();
    for (const limit of [500, 60, 30]) {
      const client = await sluice.connected(t, version, { properties: [0x27, u32(limit)] });
      const answers = await provoke(client);
      let words = 0;
      for (const packet of [PUBACK, PUBREC, PUBREL, PUBCOMP].flatMap((type) => answers.get(type) ?? [])) {
        assert.equal(packet.body.length + 2 <= limit, true, `${packet.body.length + 2} B where ${limit} B are taken`);
        const sent = packet.body.length > 3 ? readProperties(packet.body, 3) : [];
        words += sent.filter(([id]) => id === REASON_STRING || id === USER_PROPERTY).length;
        // With or without words the reason is there.
        assert.equal(REASONS[packet.type]?.includes(readAck(packet).reason), true);
      }
      worded.set(limit, [words]);
    }
    assert.equal((worded.get(500)?.[0] ?? 0) > 0, true);
    assert.equal((worded.get(30)?.[0] ?? 0) < (worded.get(500)?.[0] ?? 0), true);
  },
);

forVersions({ 4: ["3.6.1-1"], 5: ["3.6.1-1"] }, "PUBREL with any flags but 0010 closes", async (version, t) => {
  const others = Array.from({ length: 16 }, (_, flags) => flags).filter((flags) => flags !== 2);
  await assertEachCloses(
    sluice,
    t,
    version,
    MALFORMED,
    others.map((flags) => packet(PUBREL, flags, u16(1))),
  );
});

forVersions(
  { 5: ["3.4.2-1", "3.5.2-1", "3.6.2-1", "3.7.2-1"] },
  "a client's acknowledgement with a reason that is not listed for it closes",
  async (version, t) => {
    const wrong = Object.keys(REASONS).flatMap((type) =>
      [0x01, 0x81, 0x8d].map((reason) => packet(Number(type), Number(type) === PUBREL ? 2 : 0, u16(1), reason)),
    );
    await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
  },
);

forVersions(
  { 5: ["3.4.2-1", "3.5.2-1"] },
  "a client's acknowledgement may be short, or have a reason, words and User Properties",
  async (version, t) => {
    const topic = unique("forms");
    const client = await sluice.connected(t, version);
    await client.subscribe(version, topic, 2);
    const forms = [
      [],
      [0x00],
      [0x10],
      [0x80],
      [0x00, 0x00],
      [0x83, properties(5, REASON_STRING, field("why"), USER_PROPERTY, field("a"), field("b"))],
    ];
    for (const [i, form] of forms.entries()) {
      client.send(publish(version, { topic, payload: `${i}`, qos: 1, packetId: 1 }));
      const came = [await client.next(), await client.next()].find(({ type }) => type === PUBLISH) as Packet;
      const { payload, packetId } = readPublish(version, came);
      assert.equal(payload, `${i}`);
      client.send(packet(PUBACK, 0, u16(packetId), ...form.map((part) => bytes(part))));
    }
    assert.deepEqual(await untilNow(client), []);
  },
);
