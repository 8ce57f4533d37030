// 4.8.2 Shared subscriptions.
import assert from "node:assert/strict";
import { eventually } from "../../support/eventually.ts";
import {
  ack,
  DISCONNECT,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Publish,
  packet,
  properties,
  publish,
  readPublish,
  readSuback,
  SUBACK,
  subscribe,
  u16,
  u32,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, type Product, product, settled, unique, untilNow } from "./harness.ts";

const TOPIC_FILTER_INVALID = 0x8f;

const sluice = product();

type Test = Parameters<Product["connected"]>[0];

async function messages(raw: RawMqtt): Promise<Publish[]> {
  return (await untilNow(raw)).filter(({ type }) => type === PUBLISH).map((packet) => readPublish(5, packet));
}

/** A member of the group, in a session that stays. */
async function member(t: Test, group: string, topic: string, qos: number) {
  const fields = { clientId: unique("member"), clean: false, expirySeconds: 600 };
  const raw = await sluice.connected(t, 5, fields);
  await raw.subscribe(5, `$share/${group}/${topic}`, qos);
  return { raw, fields };
}

async function publishOne(t: Test, topic: string, payload: string, qos: number): Promise<void> {
  const raw = await sluice.connected(t, 5);
  raw.send(publish(5, { topic, payload, qos, packetId: 1 }));
  if (qos > 0) assert.equal((await raw.next()).type, qos === 1 ? PUBACK : PUBREC);
  if (qos === 2) raw.send(ack(PUBREL, 1));
  await settled(raw);
  raw.socket.destroy();
}

/** Which of the members got the message: a group gives it on once it is stored. */
async function receiverOf(members: readonly RawMqtt[]): Promise<[index: number, message: Publish]> {
  await eventually("the message", () => members.some(({ packets }) => packets.some(({ type }) => type === PUBLISH)));
  const came = await Promise.all(members.map((raw) => messages(raw)));
  const got = came.flatMap((list, i) => list.map((message): [number, Publish] => [i, message]));
  assert.equal(got.length, 1);
  return got[0] as [number, Publish];
}

forVersions(
  { 5: ["4.8.2-1", "4.8.2-2"] },
  "a filter that begins like a shared one needs a share name without wildcards, a / and a filter",
  async (version, t) => {
    const filters = [
      "$share/",
      "$share/g",
      "$share/g/",
      "$share//a",
      "$share/+/a",
      "$share/#/a",
      "$share/g+/a",
      "$share/g#/a",
      "$share/#",
      "$share/g/a#",
      "$share/g/+a",
    ];
    const wrong = filters.map((filter) => subscribe(5, 1, [filter, 0]));
    await assertEachCloses(sluice, t, version, TOPIC_FILTER_INVALID, wrong);
    const client = await sluice.connected(t, version);
    client.send(subscribe(5, 1, ["$share/g/a", 0], ["$share/g//", 1], ["$share/é/#", 2], ["$share/g/$share/g/a", 0]));
    const suback = await client.next();
    assert.deepEqual([suback.type, readSuback(5, suback)], [SUBACK, [0, 1, 2, 0]]);
  },
);

forVersions(
  { 5: ["4.8.2-3"] },
  "each message goes to one member of each group, at no more than the QoS granted to it, and to ordinary subscribers too",
  async (version, t) => {
    const topic = unique("shared");
    const group = unique("group");
    const granted = [0, 1, 2];
    const members = await Promise.all(granted.map(async (qos) => (await member(t, group, topic, qos)).raw));
    const other = (await member(t, unique("group"), topic, 1)).raw;
    const plain = await sluice.connected(t, version);
    await plain.subscribe(5, topic, 0);
    const seen = new Set<number>();
    for (let i = 0; i < 12; i++) {
      await publishOne(t, topic, `${i}`, 2);
      const [who, message] = await receiverOf(members);
      seen.add(who);
      assert.deepEqual([message.payload, message.qos], [`${i}`, granted[who]]);
      if (message.qos === 1) members[who]?.send(ack(PUBACK, message.packetId));
      if (message.qos === 2) members[who]?.send(ack(PUBREC, message.packetId), ack(PUBCOMP, message.packetId));
    }
    assert.equal(seen.size, 3);
    assert.deepEqual(
      (await messages(plain)).map(({ payload }) => payload),
      Array.from({ length: 12 }, (_, i) => `${i}`),
    );
    for (let i = 0; i < 12; i++) assert.equal(readPublish(5, await other.next()).payload, `${i}`);
  },
);

forVersions(
  { 5: ["4.8.2-4"] },
  "a QoS 2 delivery that breaks is completed with the same member when it is back, and goes to no other",
  async (version, t) => {
    const topic = unique("shared");
    const group = unique("group");
    const members = [await member(t, group, topic, 2), await member(t, group, topic, 2)];
    await publishOne(t, topic, "once", 2);
    const [who, { packetId }] = await receiverOf(members.map(({ raw }) => raw));
    const chosen = members[who] as (typeof members)[0];
    const other = members[1 - who] as (typeof members)[0];
    chosen.raw.socket.destroy();
    const back = await sluice.connected(t, version, chosen.fields);
    const again = readPublish(5, await back.next());
    assert.deepEqual([again.payload, again.packetId, again.dup], ["once", packetId, true]);
    back.send(ack(PUBREC, packetId));
    assert.equal((await back.next()).type, PUBREL);
    back.socket.destroy();
    const last = await sluice.connected(t, version, chosen.fields);
    assert.equal((await last.next()).type, PUBREL);
    last.send(ack(PUBCOMP, packetId));
    await publishOne(t, topic, "next", 1);
    assert.equal((await receiverOf([last, other.raw]))[1].payload, "next");
  },
);

forVersions({ 5: ["4.8.2-5"] }, "when its session ends instead, nobody else gets the QoS 2 message", async (_, t) => {
  const topic = unique("shared");
  const group = unique("group");
  const members = [await member(t, group, topic, 2), await member(t, group, topic, 2)];
  await publishOne(t, topic, "begun", 2);
  const [who] = await receiverOf(members.map(({ raw }) => raw));
  const chosen = members[who] as (typeof members)[0];
  const other = members[1 - who] as (typeof members)[0];
  // It leaves, and its session with it.
  chosen.raw.send(packet(DISCONNECT, 0, 0, properties(5, 0x11, u32(0))));
  await chosen.raw.end();
  await publishOne(t, topic, "next", 1);
  assert.equal((await receiverOf([other.raw]))[1].payload, "next");
});

forVersions({ 5: ["4.8.2-6"] }, "a message that a member refuses goes to no other", async (_, t) => {
  for (const qos of [1, 2]) {
    const topic = unique("shared");
    const group = unique("group");
    const members = [(await member(t, group, topic, 2)).raw, (await member(t, group, topic, 2)).raw];
    await publishOne(t, topic, "refused", qos);
    const [who, { packetId }] = await receiverOf(members);
    members[who]?.send(packet(qos === 1 ? PUBACK : PUBREC, 0, u16(packetId), 0x80));
    for (const raw of [...members, ...members]) assert.deepEqual(await messages(raw), []);
    await publishOne(t, topic, "next", qos);
    assert.equal((await receiverOf(members))[1].payload, "next");
  }
});
