// 3.3.2.3 The properties of PUBLISH, and 3.3.4 what they mean for its delivery. 5.0 only.
import assert from "node:assert/strict";
import {
  ack,
  bytes,
  connect,
  field,
  type Packet,
  type Part,
  type Property,
  PUBACK,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  properties,
  publish,
  readConnack,
  readPublish,
  readPublishProperties,
  SUBSCRIBE,
  u16,
  varint,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import {
  assertClosed,
  assertEachCloses,
  forVersions,
  type Product,
  product,
  settled,
  unique,
  untilNow,
} from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const TOPIC_ALIAS_INVALID = 0x94;
const RECEIVE_MAXIMUM_EXCEEDED = 0x93;

const PAYLOAD_FORMAT = 0x01;
const CONTENT_TYPE = 0x03;
const RESPONSE_TOPIC = 0x08;
const CORRELATION_DATA = 0x09;
const SUBSCRIPTION_ID = 0x0b;
const TOPIC_ALIAS_MAXIMUM = 0x22;
const TOPIC_ALIAS = 0x23;
const USER_PROPERTY = 0x26;

const ALIASES = 5;

const sluice = product({ limits: { topic_aliases: ALIASES, receive_maximum: 4 } });

type Test = Parameters<Product["connected"]>[0];

async function published(raw: RawMqtt): Promise<Packet[]> {
  return (await untilNow(raw)).filter(({ type }) => type === PUBLISH);
}

/** Live, retained and after a time away: the three ways that a message takes. @returns its properties on each */
async function waysOf(t: Test, qos: number, ...sent: Part[]): Promise<Property[][]> {
  const topic = unique("ways");
  const away = { clientId: unique("away"), clean: false, expirySeconds: 600 };
  const sleeper = await sluice.connected(t, 5, away);
  await sleeper.subscribe(5, topic, 2);
  sleeper.socket.destroy();
  const online = await sluice.connected(t, 5);
  await online.subscribe(5, topic, 2);
  const publisher = await sluice.connected(t, 5);
  publisher.send(publish(5, { topic, payload: "p", qos, retain: true, packetId: 1 }, ...sent));
  if (qos > 0) assert.equal((await publisher.next()).type, qos === 1 ? PUBACK : PUBREC);
  await settled(publisher);
  const late = await sluice.connected(t, 5);
  await late.subscribe(5, topic, 2);
  const receivers = qos === 0 ? [online, late] : [online, late, await sluice.connected(t, 5, away)];
  const out: Property[][] = [];
  for (const raw of receivers) {
    const message = await raw.next();
    assert.equal(readPublish(5, message).payload, "p");
    out.push(readPublishProperties(message));
  }
  return out;
}

const UNALTERED: readonly (readonly [ids: readonly string[], what: string, sent: Part, read: readonly Property[]])[] = [
  [["3.3.2-4"], "Payload Format Indicator 0", bytes(PAYLOAD_FORMAT, 0), [[PAYLOAD_FORMAT, 0]]],
  [["3.3.2-4"], "Payload Format Indicator 1", bytes(PAYLOAD_FORMAT, 1), [[PAYLOAD_FORMAT, 1]]],
  [["3.3.2-15"], "Response Topic", bytes(RESPONSE_TOPIC, field("re/é")), [[RESPONSE_TOPIC, "re/é"]]],
  [["3.3.2-16"], "Correlation Data", bytes(CORRELATION_DATA, field("\0\u0001")), [[CORRELATION_DATA, "\0\u0001"]]],
  [["3.3.2-20"], "Content Type", bytes(CONTENT_TYPE, field("text/plain; é")), [[CONTENT_TYPE, "text/plain; é"]]],
  [["3.3.2-20"], "an empty Content Type", bytes(CONTENT_TYPE, field("")), [[CONTENT_TYPE, ""]]],
];

for (const [ids, what, sent, read] of UNALTERED) {
  forVersions({ 5: ids }, `${what} arrives as it was, live, retained and after a time away`, async (_, t) => {
    for (const qos of [0, 1, 2]) for (const got of await waysOf(t, qos, sent)) assert.deepEqual(got, read);
  });
}

forVersions(
  { 5: ["3.3.2-17", "3.3.2-18"] },
  "User Properties arrive all, as they were and in their order, the same name again and again",
  async (_, t) => {
    const pairs = [
      ["b", "1"],
      ["a", "2"],
      ["b", "1"],
      ["", ""],
      ["é", "😀".repeat(50)],
      ["a", "1"],
    ] as const;
    const sent = pairs.map(([name, value]) => bytes(USER_PROPERTY, field(name), field(value)));
    for (const qos of [0, 1]) {
      for (const got of await waysOf(t, qos, ...sent.slice(0, 3), bytes(CONTENT_TYPE, field("t")), ...sent.slice(3))) {
        assert.deepEqual(
          got.filter(([id]) => id === USER_PROPERTY).map(([, pair]) => pair),
          pairs,
        );
        assert.deepEqual(
          got.filter(([id]) => id !== USER_PROPERTY),
          [[CONTENT_TYPE, "t"]],
        );
      }
    }
  },
);

forVersions(
  { 5: ["3.3.2-13", "3.3.2-19"] },
  "a Response Topic or Content Type that is not UTF-8 closes",
  async (v, t) => {
    const wrong = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x61, 0]].flatMap((bad) =>
      [RESPONSE_TOPIC, CONTENT_TYPE].map((id) => publish(5, { topic: "a" }, bytes(id, field(Buffer.from(bad))))),
    );
    await assertEachCloses(sluice, t, v, MALFORMED, wrong);
  },
);

forVersions({ 5: ["3.3.2-14"] }, "a Response Topic with a wildcard closes", async (version, t) => {
  const wrong = ["+", "#", "a/+", "a/#/b"].map((topic) =>
    publish(5, { topic: "a" }, bytes(RESPONSE_TOPIC, field(topic))),
  );
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
});

/** A PUBLISH by an alias; with a topic it sets it. */
function aliased(alias: number, topic: string, payload: string): Buffer {
  return packet(PUBLISH, 0, field(topic), properties(5, TOPIC_ALIAS, u16(alias)), payload);
}

forVersions(
  { 5: ["3.3.2-12", "3.3.2-7"] },
  "the gateway takes every alias from 1 to its maximum, lets it be set anew, and forgets it with the connection",
  async (version, t) => {
    const probe = await sluice.open(t);
    probe.send(connect({ version, clientId: unique("alias") }));
    const announced = readConnack(await probe.next()).properties.find(([id]) => id === TOPIC_ALIAS_MAXIMUM);
    assert.deepEqual(announced, [TOPIC_ALIAS_MAXIMUM, ALIASES]);
    const base = unique("alias");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, `${base}/#`, 0);
    const fields = { clientId: unique("alias"), clean: false, expirySeconds: 600 };
    const client = await sluice.connected(t, version, fields);
    const expected: string[][] = [];
    for (const round of ["x", "y"]) {
      for (let alias = 1; alias <= ALIASES; alias++) {
        client.send(aliased(alias, `${base}/${round}/${alias}`, "set"), aliased(alias, "", "used"));
        expected.push([`${base}/${round}/${alias}`, "set"], [`${base}/${round}/${alias}`, "used"]);
      }
    }
    await settled(client);
    const came = (await published(watcher)).map((packet) => readPublish(5, packet));
    assert.deepEqual(
      came.map(({ topic, payload }) => [topic, payload]),
      expected,
    );
    // Aliases are the connection's own: another one does not know them, nor does the same client's next.
    client.socket.destroy();
    const others = [await sluice.connected(t, version), await sluice.connected(t, version, fields)];
    for (const other of others) {
      other.send(aliased(1, "", "unknown"));
      const reason = await other.end();
      assert.equal(reason === PROTOCOL_ERROR || reason === TOPIC_ALIAS_INVALID, true);
    }
    assert.deepEqual(await published(watcher), []);
  },
);

forVersions({ 5: ["3.3.2-8", "3.3.2-9"] }, "alias 0, and one above the maximum, close", async (version, t) => {
  const wrong = [0, ALIASES + 1, 65_535].map((alias) => aliased(alias, "a", "x"));
  await assertEachCloses(sluice, t, version, TOPIC_ALIAS_INVALID, wrong);
});

forVersions(
  { 5: ["3.3.2-11", "3.3.2-8", "3.3.2-7"] },
  "the gateway's aliases are from 1 to the client's maximum, and set anew on each connection",
  async (version, t) => {
    const base = unique("out");
    const fields = {
      clientId: unique("out"),
      clean: false,
      expirySeconds: 600,
      properties: [TOPIC_ALIAS_MAXIMUM, u16(2)],
    };
    const publisher = await sluice.connected(t, version);
    for (let connection = 0; connection < 2; connection++) {
      const client = await sluice.connected(t, version, fields);
      if (connection === 0) await client.subscribe(version, `${base}/#`, 0);
      for (let i = 0; i < 4; i++)
        for (const name of ["a", "b", "c"]) publisher.send(publish(5, { topic: `${base}/${name}`, payload: name }));
      await settled(publisher);
      const names = new Map<number, string>();
      const came = await published(client);
      assert.equal(came.length, 12);
      for (const packet of came) {
        const { topic, payload } = readPublish(5, packet);
        const alias = readPublishProperties(packet).find(([id]) => id === TOPIC_ALIAS)?.[1] as number | undefined;
        assert.equal(alias === undefined || (alias >= 1 && alias <= 2), true, `alias ${alias}`);
        if (topic !== "" && alias !== undefined) names.set(alias, topic);
        assert.equal(topic === "" ? names.get(alias ?? 0) : topic, `${base}/${payload}`);
      }
      client.socket.destroy();
    }
  },
);

/** A SUBSCRIBE with a Subscription Identifier. */
function subscribeAs(id: number, packetId: number, ...filters: [string, number][]): Buffer {
  const entries = filters.map(([filter, options]) => bytes(field(filter), options));
  return packet(SUBSCRIBE, 2, u16(packetId), properties(5, SUBSCRIPTION_ID, varint(id)), ...entries);
}

function idsOf(packet: Packet): number[] {
  return readPublishProperties(packet)
    .filter(([id]) => id === SUBSCRIPTION_ID)
    .map(([, value]) => value as number)
    .sort((a, b) => a - b);
}

forVersions(
  { 5: ["3.3.4-3", "3.3.4-4"] },
  "one copy with the identifiers of all subscriptions that matched, live, retained and after a time away",
  async (version, t) => {
    const base = unique("ids");
    const fields = { clientId: unique("ids"), clean: false, expirySeconds: 600 };
    const client = await sluice.connected(t, version, fields);
    const other = await sluice.connected(t, version);
    await other.subscribe(version, `${base}/#`, 1);
    client.send(subscribeAs(1, 1, [`${base}/#`, 1]), subscribeAs(268_435_455, 2, [`${base}/a`, 2], [`${base}/b`, 0]));
    client.send(subscribeAs(128, 3, [`${base}/+`, 0]));
    await client.subscribe(version, `${base}/a/#`, 0); // without an identifier
    await settled(client);
    const publisher = await sluice.connected(t, version);
    const publishAll = async (): Promise<void> => {
      for (const [i, name] of ["a", "b", "c/d"].entries()) {
        publisher.send(publish(5, { topic: `${base}/${name}`, payload: name, qos: 1, packetId: i + 1 }));
        assert.equal((await publisher.next()).type, PUBACK);
      }
    };
    const expected = [
      ["a", [1, 128, 268_435_455]],
      ["b", [1, 128, 268_435_455]],
      ["c/d", [1]],
    ];
    await publishAll();
    const live = await published(client);
    assert.deepEqual(
      live.map((packet) => [readPublish(5, packet).payload, idsOf(packet)]),
      expected,
    );
    for (const packet of await published(other)) assert.deepEqual(idsOf(packet), []);
    for (const packet of live) client.send(ack(PUBACK, readPublish(5, packet).packetId));
    await settled(client);
    client.socket.destroy();
    await publishAll();
    const back = await sluice.connected(t, version, fields);
    const later: unknown[] = [];
    while (later.length < 3) {
      const packet = await back.next();
      later.push([readPublish(5, packet).payload, idsOf(packet)]);
    }
    assert.deepEqual(later, expected);
    // What a subscription brings of the retained messages has its identifier.
    publisher.send(publish(5, { topic: `${base}/kept`, payload: "kept", retain: true }));
    await settled(publisher);
    const late = await sluice.connected(t, version);
    late.send(subscribeAs(77, 1, [`${base}/kept`, 0]));
    assert.deepEqual((await published(late)).map(idsOf), [[77]]);
  },
);

forVersions({ 5: ["3.3.4-3"] }, "a subscription made anew has its new identifier, or none", async (version, t) => {
  const topic = unique("ids");
  const client = await sluice.connected(t, version);
  for (const [id, expected] of [
    [5, [5]],
    [6, [6]],
    [0, []],
  ] as const) {
    if (id === 0) await client.subscribe(version, topic, 0);
    else client.send(subscribeAs(id, 1, [topic, 0]));
    client.send(publish(5, { topic }));
    assert.deepEqual((await published(client)).map(idsOf), [expected]);
  }
});

forVersions({ 5: ["3.3.4-6"] }, "a client's PUBLISH with a Subscription Identifier closes", async (version, t) => {
  const wrong = [publish(5, { topic: "a" }, bytes(SUBSCRIPTION_ID, 1))];
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
});

forVersions(
  { 5: ["3.3.4-7"] },
  "more open messages than the gateway's Receive Maximum close; QoS 0 and acknowledged ones do not count",
  async (version, t) => {
    const topic = unique("window");
    const client = await sluice.connected(t, version);
    for (let packetId = 1; packetId <= 4; packetId++) {
      client.send(publish(5, { topic, qos: 2, packetId }));
      assert.equal((await client.next()).type, PUBREC);
    }
    for (let i = 0; i < 10; i++) client.send(publish(5, { topic }));
    client.send(ack(PUBREL, 1));
    await client.next();
    client.send(publish(5, { topic, qos: 1, packetId: 9 }));
    assert.equal((await client.next()).type, PUBACK);
    client.send(publish(5, { topic, qos: 2, packetId: 10 }), publish(5, { topic, qos: 2, packetId: 11 }));
    await assertClosed(client, version, RECEIVE_MAXIMUM_EXCEEDED);
  },
);

forVersions(
  { 5: ["3.3.4-9", "3.3.4-10"] },
  "the gateway keeps within the client's Receive Maximum, and lets nothing but PUBLISH wait for it",
  async (version, t) => {
    const topic = unique("window");
    const client = await sluice.connected(t, version, { properties: [0x21, u16(2)] });
    await client.subscribe(version, topic, 2);
    const publisher = await sluice.connected(t, version);
    for (let i = 0; i < 6; i++) {
      publisher.send(publish(5, { topic, payload: `${i}`, qos: 1, packetId: 1 }));
      assert.equal((await publisher.next()).type, PUBACK);
    }
    const open = (await published(client)).map((packet) => readPublish(5, packet));
    assert.equal(open.length, 2);
    // SUBACK, PUBACK, PUBREC, PUBCOMP and PINGRESP come all the same.
    client.send(subscribeAs(1, 5, [unique("more"), 0]), publish(5, { topic: "own", qos: 1, packetId: 6 }));
    client.send(publish(5, { topic: "own", qos: 2, packetId: 7 }), ack(PUBREL, 7));
    const types = (await untilNow(client)).map(({ type }) => type);
    assert.deepEqual(types, [9, PUBACK, PUBREC, 7]);
    const taken: string[] = open.map(({ payload }) => payload);
    for (const { packetId } of open) client.send(ack(PUBACK, packetId));
    while (taken.length < 6) {
      const message = readPublish(5, await client.next());
      taken.push(message.payload);
      client.send(ack(PUBACK, message.packetId));
    }
    assert.deepEqual(taken, ["0", "1", "2", "3", "4", "5"]);
  },
);
