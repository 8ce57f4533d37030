// 3.8 to 3.11, SUBSCRIBE to UNSUBACK: what the specifications say without a number. Properties, retained messages and
// Retain Handling where subscriptions overlap or are made anew, options that live as long as the session.
import assert from "node:assert/strict";
import {
  ack,
  bytes,
  disconnect,
  field,
  type Packet,
  type Part,
  PUBACK,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Publish,
  packet,
  properties,
  publish,
  readPublish,
  readPublishProperties,
  readSuback,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  UNSUBACK,
  UNSUBSCRIBE,
  u16,
  u32,
  type Version,
  varint,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, type Product, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const QUOTA_EXCEEDED = 0x97;
const TOPIC_FILTER_INVALID = 0x8f;
const NO_SUBSCRIPTION_EXISTED = 0x11;

const NO_LOCAL = 0x04;
const AS_PUBLISHED = 0x08;
const IF_NEW = 0x10;
const NEVER = 0x20;

const MOST = 4;
const sluice = product({ limits: { subscriptions_per_client: MOST } });

type Test = Parameters<Product["connected"]>[0];

/** A SUBSCRIBE with properties. */
function subscribeWith(sent: Part[], ...filters: [filter: string, options: number][]): Buffer {
  const entries = filters.map(([filter, options]) => bytes(field(filter), options));
  return packet(SUBSCRIBE, 2, u16(1), properties(5, ...sent), ...entries);
}

function idsOf(packet: Packet): number[] {
  const ids = readPublishProperties(packet).filter(([id]) => id === 0x0b);
  return ids.map(([, value]) => value as number).sort((a, b) => a - b);
}

async function arrivals(raw: RawMqtt): Promise<Packet[]> {
  return (await untilNow(raw)).filter(({ type }) => type === PUBLISH);
}

async function messages(raw: RawMqtt, version: Version): Promise<Publish[]> {
  return (await arrivals(raw)).map((packet) => readPublish(version, packet));
}

/** Publishes on a connection of its own and waits until the gateway has it. */
async function publishOne(t: Test, version: Version, message: Partial<Publish> & { topic: string }): Promise<void> {
  const raw = await sluice.connected(t, version);
  raw.send(publish(version, { packetId: 1, ...message }));
  const { qos = 0 } = message;
  if (qos > 0) assert.equal((await raw.next()).type, qos === 1 ? PUBACK : PUBREC);
  if (qos === 2) raw.send(ack(PUBREL, 1));
  await untilNow(raw);
  raw.socket.destroy();
}

forVersions({ 5: [] }, "section 3.8.2.1.2: Subscription Identifiers from 1 to 268 435 455 are taken", async (v, t) => {
  for (const id of [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455]) {
    const topic = unique("id");
    const client = await sluice.connected(t, v);
    client.send(subscribeWith([0x0b, varint(id)], [topic, 0]), publish(v, { topic }));
    assert.deepEqual((await arrivals(client)).map(idsOf), [[id]]);
  }
});

forVersions({ 5: [] }, "section 3.8.2.1.2: Subscription Identifier 0, or twice, closes with 0x82", async (v, t) => {
  const wrong = [
    [0x0b, 0],
    [0x0b, 1, 0x0b, 1],
    [0x0b, 1, 0x0b, 2],
  ];
  const packets = wrong.map((sent) => subscribeWith(sent, ["a", 0]));
  await assertEachCloses(sluice, t, v, PROTOCOL_ERROR, packets);
});

forVersions(
  { 5: [] },
  "sections 1.5.5, 2.2.2.2: an identifier of five bytes, and a property of another packet, close with 0x81",
  async (version, t) => {
    const wrong = [
      [0x0b, 0xff, 0xff, 0xff, 0xff, 0x01],
      [0x0b, 0x81, 0x00],
      [0x01, 1],
      [0x1f, 0, 1, 0x61],
      [0x23, 0, 1],
      [0x7f, 0],
    ].map((sent) => subscribeWith(sent, ["a", 0]));
    const ofUnsubscribe = [
      [0x0b, 1],
      [0x1f, 0, 1, 0x61],
    ].map((sent) => packet(UNSUBSCRIBE, 2, u16(1), properties(5, ...sent), field("a")));
    await assertEachCloses(sluice, t, version, MALFORMED, [...wrong, ...ofUnsubscribe]);
  },
);

forVersions({ 5: [] }, "sections 3.8.2.1.3, 3.10.2.1.2: User Properties are taken, again and again", async (v, t) => {
  const user = bytes(0x26, field("a"), field("b"));
  const client = await sluice.connected(t, v);
  client.send(subscribeWith([user, 0x0b, 5, user, user], ["a", 1]));
  assert.deepEqual(readSuback(v, await client.next()), [1]);
  client.send(packet(UNSUBSCRIBE, 2, u16(2), properties(v, user, user), field("a")));
  assert.deepEqual((await client.next()).body, bytes(u16(2), 0, 0));
});

forVersions({ 5: [] }, "section 3.8.3.1: Retain Handling 3, and QoS 3, close with 0x82", async (version, t) => {
  const wrong = [0x30, 0x31, 0x3c, 0x03, 0x0b, 0x23].map((options) => subscribe(version, 1, ["a", options]));
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
});

forVersions(
  { 4: [], 5: [] },
  "sections 4.7.1, 4.7.3: filters that break the rules of wildcards, or are empty, close SUBSCRIBE and UNSUBSCRIBE",
  async (version, t) => {
    const bad = ["", "a#", "#/a", "a/#/b", "a+", "+a", "a/b+", "##", "++"];
    const wrong = bad.flatMap((filter) => [
      subscribe(version, 1, ["fine", 0], [filter, 0]),
      packet(UNSUBSCRIBE, 2, u16(1), properties(version), field(filter)),
    ]);
    await assertEachCloses(sluice, t, version, TOPIC_FILTER_INVALID, wrong);
  },
);

forVersions(
  { 4: [], 5: [] },
  "section 3.3.1.3: each subscription that overlaps brings the retained messages that it matches, at its own QoS",
  async (version, t) => {
    const base = unique("overlap");
    await publishOne(t, version, { topic: `${base}/a`, payload: "a", qos: 2, retain: true });
    await publishOne(t, version, { topic: `${base}/b`, payload: "b", qos: 1, retain: true });
    const client = await sluice.connected(t, version);
    client.send(subscribe(version, 1, [`${base}/#`, 1], [`${base}/a`, 2], [`${base}/+`, 0]));
    const came = (await messages(client, version)).map(({ payload, qos, retain }) => `${payload} ${qos} ${retain}`);
    assert.deepEqual(came.sort(), ["a 0 true", "a 1 true", "a 2 true", "b 0 true", "b 1 true"]);
    // Live there is one copy, and it says that it is live.
    await publishOne(t, version, { topic: `${base}/a`, payload: "live", qos: 2, retain: true });
    const live = (await messages(client, version)).map(({ payload, qos, retain }) => [payload, qos, retain]);
    assert.deepEqual(live, [["live", 2, false]]);
  },
);

forVersions(
  { 5: [] },
  "section 3.8.4: a subscription made anew goes by the Retain Handling of the new one, whatever the old one had",
  async (version, t) => {
    const topic = unique("anew");
    await publishOne(t, version, { topic, payload: "kept", retain: true });
    for (const [first, then, count] of [
      [NEVER, 0, 1],
      [NEVER, IF_NEW, 0],
      [0, IF_NEW, 0],
      [0, NEVER, 0],
      [IF_NEW, 0, 1],
    ] as const) {
      const client = await sluice.connected(t, version);
      client.send(subscribe(version, 1, [topic, first]));
      await messages(client, version);
      client.send(subscribe(version, 2, [topic, then]));
      assert.equal((await messages(client, version)).length, count, `${first} then ${then}`);
    }
  },
);

forVersions(
  { 5: [] },
  "section 3.8.3.1: with Retain Handling 1 a resumed session has its subscription, an ended one makes it new",
  async (version, t) => {
    const topic = unique("resumed");
    await publishOne(t, version, { topic, payload: "kept", retain: true });
    const fields = { clientId: unique("resumed"), clean: false, expirySeconds: 600 };
    const counts: number[] = [];
    for (const clean of [true, false, true]) {
      const client = await sluice.connected(t, version, { ...fields, clean });
      client.send(subscribe(version, 1, [topic, IF_NEW]));
      counts.push((await messages(client, version)).length);
      client.send(disconnect());
      await client.end();
    }
    assert.deepEqual(counts, [1, 0, 1]);
  },
);

forVersions(
  { 4: [] },
  "section 3.8.4: a resumed session that subscribes again gets the retained messages again",
  async (v, t) => {
    const topic = unique("resumed");
    await publishOne(t, v, { topic, payload: "kept", qos: 1, retain: true });
    const fields = { clientId: unique("resumed"), clean: false };
    for (const again of [true, true, false]) {
      const client = await sluice.connected(t, v, fields);
      if (again) client.send(subscribe(v, 1, [topic, 0]));
      assert.equal((await messages(client, v)).length, again ? 1 : 0);
      client.send(disconnect());
      await client.end();
    }
  },
);

forVersions(
  { 5: [] },
  "section 3.8.3.1: a shared subscription brings no retained messages, with any Retain Handling",
  async (version, t) => {
    const topic = unique("shared");
    await publishOne(t, version, { topic, payload: "kept", retain: true });
    for (const handling of [0, IF_NEW]) {
      const client = await sluice.connected(t, version);
      client.send(subscribe(version, 1, [`$share/${unique("g")}/${topic}`, handling]));
      assert.deepEqual(await messages(client, version), []);
    }
  },
);

forVersions(
  { 5: [] },
  "sections 3.1.2.11.2, 4.1: No Local, Retain As Published, QoS and Subscription Identifier come back with the session",
  async (version, t) => {
    const base = unique("options");
    const fields = { clientId: unique("options"), clean: false, expirySeconds: 600 };
    const first = await sluice.connected(t, version, fields);
    first.send(subscribeWith([0x0b, varint(300)], [`${base}/l`, 1 | NO_LOCAL | AS_PUBLISHED]));
    first.send(subscribe(version, 2, [`${base}/o`, 1]));
    await untilNow(first);
    // Once while it is away, once when it is back.
    first.send(disconnect());
    await first.end();
    const expected = [
      [`${base}/l`, "other", true, [300]],
      [`${base}/o`, "other", false, []],
    ];
    const publishBoth = async (): Promise<void> => {
      for (const name of ["l", "o"])
        await publishOne(t, version, { topic: `${base}/${name}`, payload: "other", qos: 2, retain: true });
    };
    await publishBoth();
    const back = await sluice.connected(t, version, fields);
    for (let round = 0; round < 2; round++) {
      const came: Packet[] = [];
      while (came.length < 2) came.push(await back.next());
      const seen = came.map((packet) => {
        const { topic, payload, retain, packetId } = readPublish(version, packet);
        back.send(ack(PUBACK, packetId));
        return [topic, payload, retain, idsOf(packet)];
      });
      assert.deepEqual(seen, expected);
      if (round === 0) await publishBoth();
    }
    back.send(publish(version, { topic: `${base}/l`, payload: "own" }));
    assert.deepEqual(await messages(back, version), []);
  },
);

forVersions(
  { 5: [] },
  "section 3.8.3.1: No Local is one subscription's: another one that matches brings the client's own message",
  async (version, t) => {
    const base = unique("local");
    const client = await sluice.connected(t, version);
    client.send(subscribeWith([0x0b, 1], [`${base}/a`, 2 | NO_LOCAL]));
    client.send(subscribeWith([0x0b, 2], [`${base}/+`, 0]));
    client.send(publish(version, { topic: `${base}/a`, payload: "own", qos: 1, packetId: 3 }));
    const own = await arrivals(client);
    assert.deepEqual([own.length, own.every((packet) => idsOf(packet).includes(2))], [1, true]);
    await publishOne(t, version, { topic: `${base}/a`, payload: "other", qos: 1 });
    const other = (await arrivals(client)).map((packet) => [readPublish(version, packet).qos, idsOf(packet)]);
    assert.deepEqual(other, [[1, [1, 2]]]);
  },
);

forVersions(
  { 5: ["3.8.3-3"] },
  "No Local holds for the client's own will, too, also while it is away",
  async (v, t) => {
    const topic = unique("will");
    const will = { topic, payload: "gone", qos: 1, retain: false };
    const fields = { clientId: unique("will"), clean: false, expirySeconds: 600 };
    const other = await sluice.connected(t, v);
    await other.subscribe(v, topic, 0);
    const client = await sluice.connected(t, v, { ...fields, will });
    client.send(subscribe(v, 1, [topic, 1 | NO_LOCAL]));
    await untilNow(client);
    client.socket.destroy();
    assert.equal(readPublish(v, await other.next()).payload, "gone");
    const back = await sluice.connected(t, v, fields);
    assert.deepEqual(await messages(back, v), []);
  },
);

forVersions(
  { 5: ["3.3.4-5", "3.3.4-3"] },
  "a shared and an ordinary subscription bring a copy each, with the identifier of its own",
  async (version, t) => {
    const topic = unique("copies");
    const client = await sluice.connected(t, version);
    client.send(subscribeWith([0x0b, 1], [topic, 1]), subscribeWith([0x0b, 2], [`$share/${topic}/${topic}`, 1]));
    client.send(subscribeWith([0x0b, 3], [`${topic}/#`, 0]));
    await untilNow(client);
    await publishOne(t, version, { topic, payload: "x", qos: 1 });
    const came: Packet[] = [];
    while (came.length < 2) came.push(await client.next());
    assert.deepEqual([...came, ...(await arrivals(client))].map(idsOf).sort(), [[1, 3], [2]]);
  },
);

forVersions(
  { 4: [], 5: [] },
  "section 3.9.3: a filter too many gets 0x97, before 5.0 0x80; the others are granted, and one given back makes room",
  async (version, t) => {
    const base = unique("quota");
    const failed = version === 5 ? QUOTA_EXCEEDED : 0x80;
    const client = await sluice.connected(t, version);
    const all = Array.from({ length: MOST + 1 }, (_, i): [string, number] => [`${base}/${i}`, i % 3]);
    client.send(subscribe(version, 1, ...all, [`${base}/0`, 2]));
    assert.deepEqual(readSuback(version, await client.next()), [0, 1, 2, 0, failed, 2]);
    await publishOne(t, version, { topic: `${base}/${MOST}` });
    assert.deepEqual(await messages(client, version), []);
    client.send(packet(UNSUBSCRIBE, 2, u16(2), properties(version), field(`${base}/1`)));
    assert.equal((await client.next()).type, UNSUBACK);
    client.send(subscribe(version, 3, [`${base}/${MOST}`, 1]));
    const suback = await client.next();
    assert.deepEqual([suback.type, readSuback(version, suback)], [SUBACK, [1]]);
  },
);

forVersions({ 5: [] }, "section 3.11.3: a shared and an ordinary filter are not the same: 0x11", async (v, t) => {
  const topic = unique("same");
  const client = await sluice.connected(t, v);
  client.send(subscribe(v, 1, [topic, 0], [`$share/g/${topic}`, 0]));
  await client.next();
  const filters = [`$share/h/${topic}`, `$share/g/${topic}`, `$share/g/${topic}`, topic, topic];
  client.send(packet(UNSUBSCRIBE, 2, u16(2), properties(v), ...filters.map(field)));
  const none = NO_SUBSCRIPTION_EXISTED;
  assert.deepEqual((await client.next()).body, bytes(u16(2), 0, none, 0, none, 0, none));
});

forVersions(
  { 5: [] },
  "section 3.3.2.3.3: an expired retained message is not sent to new subscriptions, one with time left has what is left",
  async (version, t) => {
    const topic = unique("expiry");
    const raw = await sluice.connected(t, version);
    raw.send(publish(version, { topic: `${topic}/0`, payload: "gone", retain: true }, 0x02, u32(0)));
    raw.send(publish(version, { topic: `${topic}/1`, payload: "there", retain: true }, 0x02, u32(1000)));
    await untilNow(raw);
    raw.send(subscribe(version, 1, [`${topic}/#`, 0]));
    const came = await arrivals(raw);
    assert.deepEqual(
      came.map((packet) => readPublish(version, packet).payload),
      ["there"],
    );
    const [[id, left] = [0, 0]] = readPublishProperties(came[0] as Packet);
    assert.equal(id === 0x02 && (left === 1000 || left === 999), true, `${id} ${left}`);
  },
);
