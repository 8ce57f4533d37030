// 3.3 PUBLISH: flags, topic name, retained messages, the answer.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  ack,
  type ConnectFields,
  field,
  PUBACK,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Publish,
  packet,
  properties,
  publish,
  readAck,
  readPublish,
  subscribe,
  u16,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, type Product, product, settled, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const NOT_AUTHORIZED = 0x87;
const TOPIC_NAME_INVALID = 0x90;

/** Subscription options of 5.0. */
const RETAIN_AS_PUBLISHED = 0x08;
const RETAIN_IF_NEW = 0x10;
const RETAIN_NEVER = 0x20;

const sluice = product((folder) => {
  writeFileSync(join(folder, "acl"), "topic readwrite #\ntopic deny secret/#\n");
  return { auth: { anonymous: "loopback", acl_file: join(folder, "acl") } };
});

type Test = Parameters<Product["connected"]>[0];

/** Messages that came by now. */
async function messages(raw: RawMqtt, version: Version): Promise<Publish[]> {
  return (await untilNow(raw)).filter(({ type }) => type === PUBLISH).map((packet) => readPublish(version, packet));
}

/** Publishes and waits for what the gateway answers. */
async function publishTo(raw: RawMqtt, version: Version, message: Partial<Publish> & { topic: string }): Promise<void> {
  raw.send(publish(version, { packetId: 1, ...message }));
  const { qos = 0 } = message;
  if (qos > 0) assert.equal((await raw.next()).type, qos === 1 ? PUBACK : PUBREC);
  if (qos === 2) raw.send(ack(PUBREL, 1));
  await untilNow(raw);
}

/** What a new subscriber gets: [payload, QoS, RETAIN]. */
async function retainedOn(
  t: Test,
  version: Version,
  filter: string,
  options = 2,
): Promise<[string, number, boolean][]> {
  const raw = await sluice.connected(t, version);
  await raw.subscribe(version, filter, options);
  const came = (await messages(raw, version)).map(({ payload, qos, retain }) => [payload, qos, retain]);
  raw.socket.destroy();
  return came as [string, number, boolean][];
}

forVersions(
  { 4: ["3.3.1-1", "3.3.1-3"], 5: ["3.3.1-1", "3.3.1-3"] },
  "DUP is 1 exactly when the gateway sends again, whatever the publisher's was",
  async (version, t) => {
    const topic = unique("dup");
    const fields: Partial<ConnectFields> = { clientId: unique("dup"), clean: false, expirySeconds: 600 };
    const client = await sluice.connected(t, version, fields);
    await client.subscribe(version, topic, 2);
    const publisher = await sluice.connected(t, version);
    for (const [qos, dup] of [
      [1, true],
      [1, false],
      [2, true],
      [2, false],
    ] as const)
      publisher.send(publish(version, { topic, qos, dup, packetId: 10 * qos + Number(dup) }));
    for (let i = 0; i < 4; i++) await publisher.next();
    const first: Publish[] = [];
    while (first.length < 4) first.push(readPublish(version, await client.next()));
    assert.equal(
      first.some(({ dup }) => dup),
      false,
    );
    client.socket.destroy();
    const back = await sluice.connected(t, version, fields);
    for (let i = 0; i < 4; i++) assert.equal(readPublish(version, await back.next()).dup, true);
  },
);

forVersions({ 4: ["3.3.1-2"], 5: ["3.3.1-2"] }, "DUP at QoS 0 closes, and never comes", async (version, t) => {
  const wrong = packet(PUBLISH, 8, field("a"), properties(version), "x");
  await assertEachCloses(sluice, t, version, MALFORMED, [wrong]);
  const topic = unique("dup");
  const client = await sluice.connected(t, version);
  await client.subscribe(version, topic, 0);
  const publisher = await sluice.connected(t, version);
  await publishTo(publisher, version, { topic, qos: 1, dup: true });
  assert.equal((await messages(client, version))[0]?.dup, false);
});

forVersions({ 4: ["3.3.1-4"], 5: ["3.3.1-4"] }, "QoS 3 closes", async (version, t) => {
  const wrong = [6, 7, 14, 15].map((flags) => packet(PUBLISH, flags, field("a"), u16(1), properties(version), "x"));
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions(
  { 4: ["3.3.1-5", "3.3.1-6", "3.3.1-8"], 5: ["3.3.1-5", "3.3.1-9"] },
  "the last retained message of each topic, with its QoS, comes to later subscribers with RETAIN 1",
  async (version, t) => {
    const base = unique("kept");
    const publisher = await sluice.connected(t, version);
    for (const qos of [0, 1, 2]) {
      const topic = `${base}/${qos}`;
      await publishTo(publisher, version, { topic, payload: "old", qos: 2 - qos, retain: true });
      await publishTo(publisher, version, { topic, payload: `new ${qos}`, qos, retain: true });
    }
    await publishTo(publisher, version, { topic: `${base}/none`, payload: "live only" });
    assert.deepEqual((await retainedOn(t, version, `${base}/#`)).sort(), [
      ["new 0", 0, true],
      ["new 1", 1, true],
      ["new 2", 2, true],
    ]);
    assert.deepEqual(await retainedOn(t, version, `${base}/2`, 1), [["new 2", 1, true]]);
    assert.deepEqual(await retainedOn(t, version, `${base}/none`), []);
  },
);

forVersions({ 4: ["3.3.1-7"], 5: ["3.3.1-5"] }, "a retained QoS 0 message takes the old one's place", async (v, t) => {
  const topic = unique("kept");
  const publisher = await sluice.connected(t, v);
  await publishTo(publisher, v, { topic, payload: "old", qos: 1, retain: true });
  await publishTo(publisher, v, { topic, payload: "new", qos: 0, retain: true });
  assert.deepEqual(await retainedOn(t, v, topic), [["new", 0, true]]);
});

forVersions(
  { 4: ["3.3.1-9"], 5: ["3.3.1-12"] },
  "an established subscription gets RETAIN 0, whatever it was published with",
  async (version, t) => {
    const topic = unique("live");
    const client = await sluice.connected(t, version);
    await client.subscribe(version, topic, 2);
    const publisher = await sluice.connected(t, version);
    for (const qos of [0, 1, 2]) await publishTo(publisher, version, { topic, payload: "x", qos, retain: true });
    assert.deepEqual(
      (await messages(client, version)).map(({ retain }) => retain),
      [false, false, false],
    );
  },
);

forVersions(
  { 4: ["3.3.1-10", "3.3.1-11"], 5: ["3.3.1-6", "3.3.1-7"] },
  "a retained message without payload is delivered, removes the one of its topic, and is not kept itself",
  async (version, t) => {
    const base = unique("gone");
    const publisher = await sluice.connected(t, version);
    const client = await sluice.connected(t, version);
    for (const qos of [0, 1, 2]) {
      const topic = `${base}/${qos}`;
      await publishTo(publisher, version, { topic, payload: "kept", qos: 1, retain: true });
      await client.subscribe(version, topic, 2);
      await messages(client, version);
      await publishTo(publisher, version, { topic, qos, retain: true });
      const came = await messages(client, version);
      assert.deepEqual(
        came.map(({ payload, retain }) => [payload, retain]),
        [["", false]],
      );
      // A topic that had none does not get an empty one.
      await publishTo(publisher, version, { topic: `${topic}/never`, qos, retain: true });
    }
    assert.deepEqual(await retainedOn(t, version, `${base}/#`), []);
  },
);

forVersions(
  { 4: ["3.3.1-12"], 5: ["3.3.1-8"] },
  "without RETAIN nothing retained is stored, replaced or removed",
  async (version, t) => {
    const topic = unique("kept");
    const publisher = await sluice.connected(t, version);
    await publishTo(publisher, version, { topic: `${topic}/none`, payload: "live", qos: 1 });
    await publishTo(publisher, version, { topic, payload: "kept", qos: 1, retain: true });
    await publishTo(publisher, version, { topic, payload: "live", qos: 1 });
    await publishTo(publisher, version, { topic, payload: "", qos: 2 });
    assert.deepEqual(await retainedOn(t, version, `${topic}/#`), [["kept", 1, true]]);
  },
);

forVersions(
  { 5: ["3.3.1-9", "3.3.1-10", "3.3.1-11"] },
  "Retain Handling: 0 sends at each SUBSCRIBE, 1 at a new subscription only, 2 never",
  async (version, t) => {
    const topic = unique("handling");
    const publisher = await sluice.connected(t, version);
    await publishTo(publisher, version, { topic, payload: "kept", qos: 1, retain: true });
    for (const [handling, counts] of [
      [0, [1, 1, 1]],
      [RETAIN_IF_NEW, [1, 0, 1]],
      [RETAIN_NEVER, [0, 0, 0]],
    ] as const) {
      const client = await sluice.connected(t, version);
      const came: number[] = [];
      for (let i = 0; i < 3; i++) {
        if (i === 2) client.send(packet(10, 2, u16(9), 0, field(topic)));
        client.send(subscribe(version, i + 1, [topic, 1 | handling]));
        came.push((await messages(client, version)).length);
      }
      assert.deepEqual(came, counts);
    }
    // Each filter of a SUBSCRIBE on its own.
    const client = await sluice.connected(t, version);
    client.send(subscribe(version, 1, [topic, RETAIN_NEVER], [`${topic}/#`, RETAIN_IF_NEW]));
    assert.equal((await messages(client, version)).length, 1);
  },
);

forVersions(
  { 5: ["3.3.1-12", "3.3.1-13"] },
  "Retain As Published: RETAIN comes as it was published, without it as 0; a retained message has 1 either way",
  async (version, t) => {
    const topic = unique("published");
    const publisher = await sluice.connected(t, version);
    const clients: [RawMqtt, boolean][] = [];
    for (const asPublished of [true, false]) {
      const client = await sluice.connected(t, version);
      client.send(subscribe(version, 1, [topic, 1 | (asPublished ? RETAIN_AS_PUBLISHED : 0)]));
      await client.next();
      clients.push([client, asPublished]);
    }
    await publishTo(publisher, version, { topic, payload: "1", qos: 1, retain: true });
    await publishTo(publisher, version, { topic, payload: "2", qos: 1 });
    for (const [client, asPublished] of clients) {
      const came = (await messages(client, version)).map(({ payload, retain }) => [payload, retain]);
      assert.deepEqual(came, [
        ["1", asPublished],
        ["2", false],
      ]);
    }
    for (const options of [0, RETAIN_AS_PUBLISHED])
      assert.deepEqual(await retainedOn(t, version, topic, options), [["1", 0, true]]);
  },
);

forVersions(
  { 4: ["3.3.2-1"], 5: ["3.3.2-1"] },
  "no topic name, half of one, or one that is not UTF-8 closes",
  async (v, t) => {
    await assertEachCloses(sluice, t, v, MALFORMED, [
      packet(PUBLISH, 0, ""),
      packet(PUBLISH, 0, 0),
      packet(PUBLISH, 0, u16(5), "a"),
      packet(PUBLISH, 0, field(Buffer.from([0xff])), properties(v)),
    ]);
    const reason = v === 4 ? TOPIC_NAME_INVALID : PROTOCOL_ERROR;
    await assertEachCloses(sluice, t, v, reason, [packet(PUBLISH, 0, field(""), properties(v), "x")]);
  },
);

forVersions({ 4: ["3.3.2-2"], 5: ["3.3.2-2"] }, "a wildcard in the topic name closes, at every QoS", async (v, t) => {
  const wrong = [0, 1, 2].flatMap((qos) =>
    ["+", "#", "a/+", "a/#", "a+"].map((topic) => publish(v, { topic, qos, packetId: 1 })),
  );
  await assertEachCloses(sluice, t, v, TOPIC_NAME_INVALID, wrong);
});

forVersions(
  { 4: ["3.3.2-3"], 5: ["3.3.2-3"] },
  "what comes has the topic name that it was published with, which the filter matches",
  async (version, t) => {
    const base = unique("name");
    const client = await sluice.connected(t, version);
    await client.subscribe(version, `${base}/+/x`, 0);
    await client.subscribe(version, `${base}/deep/#`, 0);
    const publisher = await sluice.connected(t, version);
    for (const name of ["a/x", "a/y", "deep", "deep/1/2", "b/x/c", "/x", "deepest"])
      publisher.send(publish(version, { topic: `${base}/${name}` }));
    await settled(publisher);
    const names = (await messages(client, version)).map(({ topic }) => topic.slice(base.length + 1));
    assert.deepEqual(names, ["a/x", "deep", "deep/1/2", "/x"]);
  },
);

forVersions(
  { 4: ["3.3.4-1"], 5: ["3.3.4-1"] },
  "the answer is that of the QoS: none, PUBACK, PUBREC",
  async (version, t) => {
    const client = await sluice.connected(t, version);
    const topic = unique("answer");
    for (let packetId = 1; packetId <= 3; packetId++)
      for (const qos of [0, 1, 2]) client.send(publish(version, { topic, qos, packetId: packetId + 10 * qos }));
    const answers = (await untilNow(client)).map((packet) => [packet.type, readAck(packet).packetId]);
    assert.deepEqual(
      answers,
      [11, 21, 12, 22, 13, 23].map((id) => [id < 20 ? PUBACK : PUBREC, id]),
    );
  },
);

forVersions(
  { 4: ["3.3.5-2"], 5: ["3.3.4-1"] },
  "a PUBLISH that is not allowed reaches nobody and is answered: in 3.1.1 as if it were taken, in 5.0 with 0x87",
  async (version, t) => {
    const topic = `secret/${unique("x")}`;
    const client = await sluice.connected(t, version);
    await client.subscribe(version, "#", 0);
    await messages(client, version);
    const publisher = await sluice.connected(t, version);
    for (const qos of [1, 2]) {
      publisher.send(publish(version, { topic, qos, packetId: qos }));
      const answer = await publisher.next();
      assert.equal(answer.type, qos === 1 ? PUBACK : PUBREC);
      assert.deepEqual(readAck(answer), { packetId: qos, reason: version === 4 ? 0 : NOT_AUTHORIZED });
    }
    assert.deepEqual(await untilNow(publisher), []);
    assert.deepEqual(await messages(client, version), []);
  },
);

forVersions(
  { 4: ["3.3.5-1"], 5: ["3.3.4-2"] },
  "overlapping subscriptions: the message comes at the highest of their QoS, in whatever order they were made",
  async (version, t) => {
    const base = unique("overlap");
    const filters: [string, number][] = [
      [`${base}/#`, 0],
      [`${base}/+`, 2],
      [`${base}/a`, 1],
    ];
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 0, 2],
    ]) {
      const client = await sluice.connected(t, version);
      for (const i of order) await client.subscribe(version, ...(filters[i] as [string, number]));
      const publisher = await sluice.connected(t, version);
      for (const qos of [0, 1, 2]) await publishTo(publisher, version, { topic: `${base}/a`, payload: `${qos}`, qos });
      const came = await messages(client, version);
      for (const qos of [0, 1, 2]) {
        const copies = came.filter(({ payload }) => payload === `${qos}`);
        assert.equal(Math.max(...copies.map((copy) => copy.qos)), qos);
        assert.equal(copies.length, 1);
      }
    }
  },
);
