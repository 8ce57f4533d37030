// 3.3 PUBLISH: what the specifications say without a number. Properties that are wrong, topic aliases, answers, limits.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  ack,
  bytes,
  field,
  type Packet,
  type Part,
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
  readPublishProperties,
  u16,
  u32,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const NOT_AUTHORIZED = 0x87;
const NO_MATCHING_SUBSCRIBERS = 0x10;
const PAYLOAD_FORMAT_INVALID = 0x99;

/** Each property that a client may send in PUBLISH once. */
const ONCE: readonly (readonly [name: string, property: Buffer])[] = [
  ["Payload Format Indicator", bytes(0x01, 1)],
  ["Message Expiry Interval", bytes(0x02, u32(60))],
  ["Content Type", bytes(0x03, field("text"))],
  ["Response Topic", bytes(0x08, field("re"))],
  ["Correlation Data", bytes(0x09, field("42"))],
  ["Topic Alias", bytes(0x23, u16(1))],
];

/** Properties of other packets. */
const FOREIGN: readonly (readonly [name: string, property: Buffer])[] = [
  ["Session Expiry Interval", bytes(0x11, u32(1))],
  ["Assigned Client Identifier", bytes(0x12, field("a"))],
  ["Server Keep Alive", bytes(0x13, u16(1))],
  ["Authentication Method", bytes(0x15, field("a"))],
  ["Authentication Data", bytes(0x16, field("a"))],
  ["Request Problem Information", bytes(0x17, 1)],
  ["Will Delay Interval", bytes(0x18, u32(1))],
  ["Request Response Information", bytes(0x19, 1)],
  ["Response Information", bytes(0x1a, field("a"))],
  ["Server Reference", bytes(0x1c, field("a"))],
  ["Reason String", bytes(0x1f, field("a"))],
  ["Receive Maximum", bytes(0x21, u16(1))],
  ["Topic Alias Maximum", bytes(0x22, u16(1))],
  ["Maximum QoS", bytes(0x24, 1)],
  ["Retain Available", bytes(0x25, 1)],
  ["Maximum Packet Size", bytes(0x27, u32(100))],
  ["Wildcard Subscription Available", bytes(0x28, 1)],
  ["Subscription Identifier Available", bytes(0x29, 1)],
  ["Shared Subscription Available", bytes(0x2a, 1)],
];

const sluice = product((folder) => {
  writeFileSync(join(folder, "acl"), "topic readwrite #\ntopic deny secret/#\n");
  return {
    auth: { anonymous: "loopback", acl_file: join(folder, "acl") },
    limits: { validate_utf8_payload: true, topic_aliases: 3, retained_messages: 2 },
  };
});

/** The answer's reason; a QoS 2 exchange is completed. */
async function reasonOf(raw: RawMqtt, qos: number, topic: string, ...sent: Part[]): Promise<number> {
  raw.send(publish(5, { topic, qos, packetId: 9, payload: "p" }, ...sent));
  const answer = await raw.next();
  assert.equal(answer.type, qos === 1 ? PUBACK : PUBREC);
  const { packetId, reason } = readAck(answer);
  assert.equal(packetId, 9);
  if (qos === 2 && reason < 0x80) {
    raw.send(ack(PUBREL, 9));
    assert.deepEqual([(await raw.next()).type, reason], [PUBCOMP, reason]);
  }
  return reason;
}

for (const [name, property] of ONCE) {
  forVersions({ 5: [] }, `section 3.3.2.3: ${name} once is taken, twice closes with 0x82`, async (version, t) => {
    const client = await sluice.connected(t, version);
    client.send(publish(version, { topic: "a" }, property));
    assert.deepEqual(await untilNow(client), []);
    const wrong = [0, 1, 2].map((qos) => publish(version, { topic: "a", qos, packetId: 1 }, property, property));
    await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
  });
}

forVersions({ 5: [] }, "section 2.2.2.2: a property of another packet in PUBLISH closes with 0x81", async (v, t) => {
  const wrong = FOREIGN.map(([, property]) => publish(v, { topic: "a" }, property));
  await assertEachCloses(sluice, t, v, MALFORMED, wrong);
});

forVersions({ 5: [] }, "section 3.3.2.3.5: a Response Topic is a topic name: none at all closes", async (v, t) => {
  await assertEachCloses(sluice, t, v, PROTOCOL_ERROR, [publish(v, { topic: "a" }, 0x08, u16(0))]);
});

forVersions({ 5: [] }, "section 3.3.2.3.2: a Payload Format Indicator above 1 closes", async (version, t) => {
  const wrong = [2, 0x7f, 0xff].map((value) => publish(version, { topic: "a" }, bytes(0x01, value)));
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
});

forVersions(
  { 5: [] },
  "section 3.3.2.3.2: 0x99 answers text that is none, at QoS 0 in DISCONNECT; it reaches nobody",
  async (v, t) => {
    const topic = unique("text");
    const client = await sluice.connected(t, v);
    await client.subscribe(v, topic, 2);
    const publisher = await sluice.connected(t, v);
    const wrong = packet(PUBLISH, 0, field(topic), properties(v, 0x01, 1), 0xff);
    await assertEachCloses(sluice, t, v, PAYLOAD_FORMAT_INVALID, [wrong]);
    for (const bad of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
      for (const qos of [1, 2]) {
        publisher.send(packet(PUBLISH, qos << 1, field(topic), u16(3), properties(v, 0x01, 1), bad));
        assert.deepEqual(readAck(await publisher.next()), { packetId: 3, reason: PAYLOAD_FORMAT_INVALID });
      }
    }
    assert.deepEqual(await untilNow(client), []);
    // The same bytes are nobody's fault when they are not called text.
    publisher.send(packet(PUBLISH, 2, field(topic), u16(4), properties(v, 0x01, 0), 0xff));
    assert.deepEqual(readAck(await publisher.next()), { packetId: 4, reason: 0 });
    assert.equal((await untilNow(client)).length, 1);
  },
);

forVersions(
  { 5: [] },
  "section 3.4.2.1: 0x10 on PUBACK and PUBREC exactly while no subscription matches",
  async (v, t) => {
    const topic = unique("match");
    const publisher = await sluice.connected(t, v);
    const expect = async (reason: number): Promise<void> => {
      for (const qos of [1, 2]) assert.equal(await reasonOf(publisher, qos, topic), reason);
    };
    await expect(NO_MATCHING_SUBSCRIBERS);
    const client = await sluice.connected(t, v);
    await client.subscribe(v, `${topic}/#`, 0);
    await expect(0);
    client.send(packet(10, 2, u16(2), 0, field(`${topic}/#`)));
    await untilNow(client);
    await expect(NO_MATCHING_SUBSCRIBERS);
  },
);

forVersions(
  { 5: [] },
  "section 3.3.2.3.4: no topic name, and an alias that is not set, close with 0x82",
  async (v, t) => {
    const wrong = [0, 1, 2].flatMap((qos) => [
      publish(v, { topic: "", qos, packetId: 1 }),
      publish(v, { topic: "", qos, packetId: 1 }, 0x23, u16(2)),
    ]);
    await assertEachCloses(sluice, t, v, PROTOCOL_ERROR, wrong);
  },
);

forVersions(
  { 5: [] },
  "section 3.3.2.3.4: an alias set by a message that was refused, or that nobody gets, is set all the same",
  async (v, t) => {
    const secret = `secret/${unique("x")}`;
    const open = unique("open");
    const client = await sluice.connected(t, v);
    for (const qos of [1, 2]) {
      assert.equal(await reasonOf(client, qos, secret, 0x23, u16(1)), NOT_AUTHORIZED);
      assert.equal(await reasonOf(client, qos, "", 0x23, u16(1)), NOT_AUTHORIZED);
      assert.equal(await reasonOf(client, qos, open, 0x23, u16(1)), NO_MATCHING_SUBSCRIBERS);
      assert.equal(await reasonOf(client, qos, "", 0x23, u16(1)), NO_MATCHING_SUBSCRIBERS);
    }
  },
);

forVersions(
  { 5: [] },
  "section 3.3.2.3.4: a retained message by alias is kept under its topic, without the alias",
  async (v, t) => {
    const topic = unique("kept");
    const publisher = await sluice.connected(t, v);
    publisher.send(publish(v, { topic }, 0x23, u16(3)));
    publisher.send(publish(v, { topic: "", payload: "kept", retain: true }, 0x23, u16(3)));
    await untilNow(publisher);
    const late = await sluice.connected(t, v);
    await late.subscribe(v, topic, 0);
    const [kept] = (await untilNow(late)) as [Packet];
    assert.deepEqual(
      [readPublish(v, kept).topic, readPublish(v, kept).payload, readPublishProperties(kept)],
      [topic, "kept", []],
    );
    publisher.send(publish(v, { topic: "", retain: true }, 0x23, u16(3)));
    await untilNow(publisher);
    const later = await sluice.connected(t, v);
    await later.subscribe(v, topic, 0);
    assert.deepEqual(await untilNow(later), []);
  },
);

forVersions(
  { 5: [] },
  "section 3.4.2.1: 0x97 says that there is no room for one more retained message; an old one can still be replaced",
  async (v, t) => {
    const base = unique("quota");
    const publisher = await sluice.connected(t, v);
    const keep = async (name: string, payload: string, qos: number): Promise<number> => {
      publisher.send(publish(v, { topic: `${base}/${name}`, payload, qos, retain: true, packetId: 5 }));
      const { reason } = readAck(await publisher.next());
      if (qos === 2 && reason < 0x80) {
        publisher.send(ack(PUBREL, 5));
        await publisher.next();
      }
      return reason;
    };
    // What is kept has a use though nobody subscribes now: 0x00, not 0x10.
    assert.deepEqual([await keep("1", "x", 1), await keep("2", "x", 2)], [0, 0]);
    assert.deepEqual([await keep("3", "x", 1), await keep("3", "x", 2)], [0x97, 0x97]);
    assert.deepEqual([await keep("2", "y", 1), await keep("1", "", 2), await keep("3", "x", 1)], [0, 0, 0]);
    for (const name of ["2", "3"]) await keep(name, "", 1);
  },
);

forVersions(
  { 5: [] },
  "sections 3.3.2.1, 3.3.2.3: a Property Length beyond the packet, or too short for its last property, closes with 0x81",
  async (v, t) => {
    const wrong = [
      packet(PUBLISH, 0, field("a"), 5, 0x01, 1),
      packet(PUBLISH, 0, field("a"), 1, 0x01, 1),
      packet(PUBLISH, 0, field("a"), 3, 0x02, u32(1)),
      packet(PUBLISH, 0, field("a"), [0xff, 0xff, 0xff, 0xff, 0x01]),
      packet(PUBLISH, 2, field("a"), 0),
    ];
    await assertEachCloses(sluice, t, v, MALFORMED, wrong);
  },
);

forVersions(
  { 4: [], 5: [] },
  "section 3.3.3: a payload may have no bytes, or any bytes; 3.1.1's first byte is not taken for a Property Length",
  async (version, t) => {
    const topic = unique("any");
    const client = await sluice.connected(t, version);
    await client.subscribe(version, topic, 2);
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const bodies = [Buffer.alloc(0), Buffer.from([0]), Buffer.from([0xff, 0xff]), all];
    const expected: Buffer[] = [];
    for (const body of bodies) {
      for (const qos of [0, 1, 2]) {
        client.send(packet(PUBLISH, qos << 1, field(topic), qos > 0 ? u16(8) : "", properties(version), body));
        if (qos === 2) client.send(ack(PUBREL, 8));
        expected.push(body);
      }
    }
    const came = (await untilNow(client)).filter(({ type }) => type === PUBLISH);
    const payloads = came.map(({ flags, body }) => {
      const at = 2 + body.readUInt16BE(0) + (flags & 6 ? 2 : 0);
      if (version === 5) assert.deepEqual(readProperties(body, at), []);
      return body.subarray(version === 5 ? at + 1 : at);
    });
    assert.deepEqual(payloads.map((p) => p.toString("hex")).sort(), expected.map((p) => p.toString("hex")).sort());
  },
);
