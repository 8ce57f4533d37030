// 3.8 SUBSCRIBE and 3.9 SUBACK.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  ack,
  bytes,
  field,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  properties,
  publish,
  readPublish,
  readSuback,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  u16,
  u32,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, type Product, product, settled, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const NOT_AUTHORIZED = 0x87;
const TOPIC_FILTER_INVALID = 0x8f;
/** What a filter that is too long gets. */
const FAILED: Readonly<Record<Version, number>> = { 4: 0x80, 5: TOPIC_FILTER_INVALID };
const SUBACK_REASONS = [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];

const sluice = product((folder) => {
  writeFileSync(join(folder, "acl"), "topic readwrite #\ntopic deny secret/#\n");
  return { auth: { anonymous: "loopback", acl_file: join(folder, "acl") } };
});

const TOO_LONG = "x/".repeat(300);

function payloads(version: Version, packets: readonly { type: number; flags: number; body: Buffer }[]): string[] {
  return packets.filter(({ type }) => type === PUBLISH).map((packet) => readPublish(version, packet).payload);
}

/** Publishes a retained message and waits until the gateway has it. */
async function retain(t: Parameters<Product["connected"]>[0], version: Version, topic: string, payload: string) {
  const raw = await sluice.connected(t, version);
  raw.send(publish(version, { topic, payload, retain: true }));
  await settled(raw);
  return raw;
}

forVersions(
  { 4: ["3.8.1-1"], 5: ["3.8.1-1"] },
  "SUBSCRIBE with any flags but 0010 closes, and subscribes nothing",
  async (version, t) => {
    const others = Array.from({ length: 16 }, (_, flags) => flags).filter((flags) => flags !== 2);
    const body = bytes(u16(1), properties(version), field("a"), 0);
    await assertEachCloses(
      sluice,
      t,
      version,
      MALFORMED,
      others.map((flags) => packet(SUBSCRIBE, flags, body)),
    );
  },
);

forVersions({ 4: ["3.8.3-1"], 5: ["3.8.3-1"] }, "a filter that is not UTF-8 closes", async (version, t) => {
  const bad = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x61, 0x00]].map((list) => field(Buffer.from(list)));
  const wrong = bad.map((filter) => packet(SUBSCRIBE, 2, u16(1), properties(version), field("a"), 0, filter, 0));
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions({ 4: ["3.8.3-3"], 5: ["3.8.3-2"] }, "no filter closes; half of one too", async (version, t) => {
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, [subscribe(version, 1)]);
  const half = [field("a"), bytes(u16(5), "a"), bytes(field("a"), 0, field("b"))];
  const wrong = half.map((filter) => packet(SUBSCRIBE, 2, u16(1), properties(version), filter));
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions({ 4: ["3.8.3-4"], 5: ["3.8.3-5"] }, "reserved bits of the options close", async (version, t) => {
  const options = version === 4 ? [3, 4, 8, 16, 32, 64, 128, 0xfc] : [64, 128, 0xc0];
  await assertEachCloses(
    sluice,
    t,
    version,
    MALFORMED,
    options.map((option) => subscribe(version, 1, ["a", option])),
  );
});

forVersions({ 5: ["3.8.3-5"] }, "QoS 3 and Retain Handling 3 are refused", async (version, t) => {
  for (const option of [3, 0x30]) {
    const client = await sluice.connected(t, version);
    client.send(subscribe(version, 1, ["a", option]));
    assert.equal([MALFORMED, PROTOCOL_ERROR].includes((await client.end()) ?? 0), true);
  }
});

forVersions(
  { 5: ["3.8.3-3"] },
  "No Local: what was published under the client's own id does not come, all else does",
  async (version, t) => {
    const topic = unique("local");
    const client = await sluice.connected(t, version);
    client.send(subscribe(version, 1, [topic, 0x04 | 1]));
    await client.next();
    const other = await sluice.connected(t, version);
    for (const [raw, payload] of [
      [client, "own"],
      [other, "other"],
    ] as const) {
      raw.send(publish(version, { topic, payload, qos: 1, packetId: 1 }));
      await settled(raw);
    }
    assert.deepEqual(payloads(version, await untilNow(client)), ["other"]);
    // Without it, its own comes too.
    client.send(subscribe(version, 2, [topic, 1]), publish(version, { topic, payload: "own" }));
    assert.deepEqual(payloads(version, await untilNow(client)), ["own"]);
  },
);

forVersions({ 5: ["3.8.3-4"] }, "No Local on a shared subscription closes", async (version, t) => {
  const wrong = [
    subscribe(version, 1, ["$share/group/a", 0x04]),
    subscribe(version, 1, ["a", 0], ["$share/g/#", 0x05]),
  ];
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
});

forVersions(
  {
    4: ["3.8.4-1", "3.8.4-2", "3.8.4-4", "3.8.4-5", "3.9.3-1", "3.9.3-2"],
    5: ["3.8.4-1", "3.8.4-2", "3.8.4-5", "3.8.4-6", "3.8.4-7", "3.9.3-1", "3.9.3-2"],
  },
  "one SUBACK for each SUBSCRIBE, with its identifier and a code for each filter in their order: granted, or failed",
  async (version, t) => {
    const client = await sluice.connected(t, version);
    const base = unique("many");
    const secret: [string, number] = [`secret/${base}`, 1];
    const asked: [string, number][] = [
      [`${base}/0`, 0],
      [TOO_LONG, 1],
      [`${base}/2`, 2],
      secret,
      [`${base}/1`, 1],
      [`${base}/0`, 1],
    ];
    client.send(subscribe(version, 0x1234, ...asked), subscribe(version, 2, [`${base}/+`, 0]));
    const first = await client.next();
    const codes = readSuback(version, first);
    assert.deepEqual([first.type, first.body.readUInt16BE(0)], [SUBACK, 0x1234]);
    assert.deepEqual(codes, [0, FAILED[version], 2, version === 4 ? 0x80 : NOT_AUTHORIZED, 1, 1]);
    for (const code of codes) assert.equal((version === 4 ? [0, 1, 2, 0x80] : SUBACK_REASONS).includes(code), true);
    const second = await client.next();
    assert.deepEqual([second.type, second.body.readUInt16BE(0), readSuback(version, second)], [SUBACK, 2, [0]]);
    // As if each had come alone: each of them has its effect, the last one of two for the same filter holds.
    const publisher = await sluice.connected(t, version);
    for (const i of [0, 1, 2])
      publisher.send(publish(version, { topic: `${base}/${i}`, payload: `${i}`, qos: 2, packetId: 5 + i }));
    publisher.send(publish(version, { topic: secret[0], qos: 0 }));
    await settled(publisher);
    const qosOf = new Map<string, number>();
    for (const came of await untilNow(client)) {
      const { payload, qos } = readPublish(version, came);
      qosOf.set(payload, Math.max(qos, qosOf.get(payload) ?? 0));
    }
    assert.deepEqual([...qosOf].sort(), [
      ["0", 1],
      ["1", 1],
      ["2", 2],
    ]);
  },
);

forVersions(
  { 4: ["3.8.4-6"], 5: ["3.8.4-8"] },
  "messages come at the lower of their QoS and the one granted",
  async (version, t) => {
    const publisher = await sluice.connected(t, version);
    for (const granted of [0, 1, 2]) {
      const topic = unique("lower");
      const client = await sluice.connected(t, version);
      await client.subscribe(version, topic, granted);
      for (const qos of [0, 1, 2]) {
        publisher.send(publish(version, { topic, payload: `${qos}`, qos, packetId: 1 }));
        if (qos === 2) publisher.send(ack(PUBREL, 1));
      }
      await settled(publisher);
      const came = (await untilNow(client)).map((packet) => readPublish(version, packet));
      assert.deepEqual(
        came.map(({ payload, qos }) => [Number(payload), qos]),
        [0, 1, 2].map((qos) => [qos, Math.min(qos, granted)]),
      );
    }
  },
);

forVersions(
  { 4: ["3.8.4-3"], 5: ["3.8.4-3", "3.8.4-4"] },
  "the same filter again replaces the subscription: one copy at the new QoS, retained messages again",
  async (version, t) => {
    const topic = unique("again");
    const publisher = await retain(t, version, topic, "kept");
    const client = await sluice.connected(t, version);
    for (const qos of [2, 0, 1]) {
      client.send(subscribe(version, 1, [topic, qos]));
      const suback = await client.next();
      assert.deepEqual([suback.type, readSuback(version, suback)], [SUBACK, [qos]]);
      const [kept] = (await untilNow(client)).map((packet) => readPublish(version, packet));
      assert.deepEqual([kept?.payload, kept?.retain], ["kept", true]);
      publisher.send(publish(version, { topic, payload: "live", qos: 2, packetId: 3 }), ack(PUBREL, 3));
      await settled(publisher);
      const live = (await untilNow(client)).map((packet) => readPublish(version, packet));
      assert.deepEqual(
        live.map(({ payload, qos: came, retain: flag }) => [payload, came, flag]),
        [["live", qos, false]],
      );
    }
    publisher.send(publish(version, { topic, retain: true }));
    await settled(publisher);
  },
);

/** Counts the messages that come, and acknowledges them. */
async function takeAll(raw: RawMqtt, version: Version, count: number): Promise<string[]> {
  const out: string[] = [];
  while (out.length < count) {
    const next = await raw.next();
    if (next.type === PUBREL) raw.send(ack(PUBCOMP, next.body.readUInt16BE(0)));
    if (next.type !== PUBLISH) continue;
    const { payload, qos, packetId } = readPublish(version, next);
    if (qos > 0) raw.send(ack(qos === 1 ? PUBACK : PUBREC, packetId));
    out.push(payload);
  }
  return out;
}

forVersions(
  { 4: ["3.8.4-3"], 5: ["3.8.4-4"] },
  "no message is lost, and none comes twice, while a subscription is replaced over and over",
  async (version, t) => {
    const topic = unique("flow");
    const client = await sluice.connected(t, version);
    await client.subscribe(version, topic, 1);
    const publisher = await sluice.connected(t, version);
    const count = 200;
    for (let i = 0; i < count; i++) {
      publisher.send(publish(version, { topic, payload: `${i}`, qos: 1, packetId: i + 1 }));
      if (i % 10 === 0) client.send(subscribe(version, 2 + i, [topic, 1 + (i % 20 === 0 ? 1 : 0)]));
    }
    assert.deepEqual(
      await takeAll(client, version, count),
      Array.from({ length: count }, (_, i) => `${i}`),
    );
    assert.deepEqual(payloads(version, await untilNow(client)), []);
  },
);

forVersions(
  { 5: ["3.9.2-1", "3.9.2-2"] },
  "a SUBACK that says why stays within Maximum Packet Size: the words go first",
  async (version, t) => {
    const wrong = subscribe(version, 1, [TOO_LONG, 0]);
    const sizes: number[] = [];
    for (const limit of [1000, 60, 40, 35]) {
      const client = await sluice.connected(t, version, { properties: [0x27, u32(limit)] });
      client.send(wrong);
      const suback = await client.next();
      assert.deepEqual([suback.type, readSuback(version, suback)], [SUBACK, [TOPIC_FILTER_INVALID]]);
      assert.equal(suback.body.length + 2 <= limit, true);
      sizes.push(suback.body.length);
    }
    // With words where they fit; bare it is identifier, Property Length and one code.
    assert.equal((sizes[0] ?? 0) > 4, true);
    assert.equal(sizes.at(-1), 4);
  },
);
