// 3.2 CONNACK, and 3.1.2.11: what a 5.0 client's CONNECT asks of the server.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { passwordLine } from "../../../src/core/password-file.ts";
import {
  ack,
  CONNACK,
  CONNECT,
  type ConnectFields,
  connect,
  disconnect,
  field,
  type Packet,
  PUBACK,
  PUBLISH,
  packet,
  pingreq,
  publish,
  readConnack,
  readPublish,
  readPublishProperties,
  readSuback,
  subscribe,
  u16,
  u32,
  type Version,
} from "../../support/mqtt-packets.ts";
import { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertClosed, forVersions, product, settled, unique, untilNow } from "./harness.ts";

const BAD_AUTHENTICATION_METHOD = 0x8c;
const PACKET_TOO_LARGE = 0x95;
const RETAIN_NOT_SUPPORTED = 0x9a;
const QOS_NOT_SUPPORTED = 0x9b;
/** Of MQTT 5.0 table 3-1. */
const CONNECT_REASONS = [
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
  0x9c, 0x9d, 0x9f,
];

const MAXIMUM_PACKET_SIZE = 0x27;
const MAXIMUM_QOS = 0x24;
const RETAIN_AVAILABLE = 0x25;
const RESPONSE_INFORMATION = 0x1a;
const TOPIC_ALIAS = 0x23;

/** The second listener takes no QoS 2 and nothing retained. */
const LESS = 1;

const sluice = product(async (folder) => {
  writeFileSync(join(folder, "passwd"), `${await passwordLine("user", Buffer.from("secret"), 100)}\n`);
  return {
    listeners: [
      { type: "mqtt", bind: "127.0.0.1:0" },
      { type: "mqtt", bind: "127.0.0.1:0", max_qos: 1, retain_available: false },
    ],
    auth: { anonymous: "loopback", password_file: join(folder, "passwd") },
  };
});

const WRONG_LOGIN = { user: "user", password: "wrong" };

async function openLess(t: { after(fn: () => void): void }): Promise<RawMqtt> {
  const raw = await RawMqtt.open(sluice.gateway.port("mqtt", LESS));
  t.after(() => raw.socket.destroy());
  return raw;
}

/** CONNECTs that each fail for another reason; in 3.1.1 those for which there is a return code. */
function refused(version: Version, clientId: string): Buffer[] {
  const out = [
    connect({ version, clientId, ...WRONG_LOGIN }),
    connect({ version, clientId: "x".repeat(2000) }),
    packet(CONNECT, 0, field("MQTT"), version === 4 ? 3 : 6, 2, u16(60), version === 4 ? "" : 0, field(clientId)),
  ];
  if (version === 5) {
    out.push(
      packet(CONNECT, 0, field("MQTT"), 5, 3, u16(60), 0, field(clientId)),
      connect({ version, clientId, properties: [0x15, field("UNKNOWN")] }),
      connect({ version, clientId, properties: [0x21, u16(0)] }),
      connect({ version, clientId, will: { topic: "a/#", payload: "", qos: 0, retain: false } }),
    );
  }
  return out;
}

forVersions(
  { 4: ["3.2.0-1"], 5: ["3.2.0-1", "3.2.0-2"] },
  "CONNACK is the first packet, also when messages wait, and the only one of its kind",
  async (version, t) => {
    const fields: ConnectFields = { version, clientId: unique("first"), clean: false, expirySeconds: 600 };
    const topic = unique("first");
    const sleeper = await sluice.connected(t, version, fields);
    await sleeper.subscribe(version, topic, 1);
    sleeper.send(disconnect());
    await sleeper.end();
    const publisher = await sluice.connected(t, version);
    for (let packetId = 1; packetId <= 3; packetId++) publisher.send(publish(version, { topic, qos: 1, packetId }));
    for (let i = 0; i < 3; i++) assert.equal((await publisher.next()).type, PUBACK);
    const client = await sluice.open(t);
    client.send(connect(fields), pingreq(), subscribe(version, 7, [unique("more"), 0]));
    const came = [...(await untilNow(client)), ...(await untilNow(client))];
    const types = came.map(({ type }) => type);
    assert.equal(types[0], CONNACK);
    assert.equal(types.filter((type) => type === CONNACK).length, 1);
    assert.equal(types.filter((type) => type === PUBLISH).length, 3);
  },
);

forVersions(
  { 4: ["3.2.2-4", "3.2.2-5"], 5: ["3.2.2-1", "3.2.2-6", "3.2.2-7", "3.2.2-8", "4.13.2-1"] },
  "a refusal names a listed reason, has Session Present 0 although there is a session, and closes",
  async (version, t) => {
    const clientId = unique("refused");
    const kept = await sluice.connected(t, version, { clientId, clean: false, expirySeconds: 600 });
    kept.send(disconnect());
    await kept.end();
    for (const wrong of refused(version, clientId)) {
      const client = await sluice.open(t);
      client.send(wrong);
      const answer = await client.next();
      assert.equal(answer.type, CONNACK);
      assert.equal(answer.body[0], 0);
      const { reason } = readConnack(answer);
      if (version === 4) assert.equal(reason >= 1 && reason <= 5, true);
      else assert.equal(reason >= 0x80 && CONNECT_REASONS.includes(reason), true, `reason ${reason}`);
      await client.end();
      assert.deepEqual(client.packets, []);
    }
  },
);

forVersions({ 4: ["3.2.2-6"] }, "a refusal without a return code closes without CONNACK", async (version, t) => {
  const will = { topic: "w", payload: "", qos: 2, retain: false };
  for (const wrong of [{ will }, { will: { ...will, qos: 0, topic: "$SYS/w" } }]) {
    const client = await openLess(t);
    client.send(connect({ version, clientId: unique("silent"), ...wrong }));
    await client.end();
    assert.deepEqual(client.packets, []);
  }
});

forVersions({ 5: ["3.2.2-1"] }, "the flags of an accepting CONNACK are Session Present alone", async (version, t) => {
  const clientId = unique("flags");
  for (const present of [0, 1]) {
    const client = await sluice.open(t);
    client.send(connect({ version, clientId, clean: false, expirySeconds: 600 }));
    assert.equal((await client.next()).body[0], present);
    client.send(disconnect());
    await client.end();
  }
});

forVersions(
  { 5: ["3.2.2-9", "3.2.2-10"] },
  "a listener without QoS 2 says so, takes SUBSCRIBE with QoS 2, and closes on a QoS 2 PUBLISH",
  async (version, t) => {
    const client = await openLess(t);
    client.send(connect({ version, clientId: unique("less") }));
    const { properties } = readConnack(await client.next());
    assert.deepEqual(
      properties.filter(([id]) => id === MAXIMUM_QOS || id === RETAIN_AVAILABLE),
      [
        [MAXIMUM_QOS, 1],
        [RETAIN_AVAILABLE, 0],
      ],
    );
    client.send(subscribe(version, 1, ["a", 0], ["b", 1], ["c", 2]));
    assert.deepEqual(readSuback(version, await client.next()), [0, 1, 1]);
    client.send(publish(version, { topic: "a", qos: 2, packetId: 1 }));
    await assertClosed(client, version, QOS_NOT_SUPPORTED);
  },
);

for (const [id, what, will, reason] of [
  ["3.2.2-12", "a will with a QoS that is not taken", { qos: 2, retain: false }, QOS_NOT_SUPPORTED],
  ["3.2.2-13", "a retained will where nothing is retained", { qos: 0, retain: true }, RETAIN_NOT_SUPPORTED],
] as const) {
  forVersions({ 5: [id] }, `${what} is refused`, async (version, t) => {
    const client = await openLess(t);
    client.send(connect({ version, clientId: unique("will"), will: { topic: "w", payload: "", ...will } }));
    assert.equal(readConnack(await client.next()).reason, reason);
    await client.end();
  });
}

forVersions({ 5: ["4.12.0-1"] }, "an Authentication Method that nobody knows is refused", async (version, t) => {
  const client = await sluice.open(t);
  client.send(connect({ version, clientId: unique("method"), properties: [0x15, field("UNKNOWN")] }));
  assert.equal(readConnack(await client.next()).reason, BAD_AUTHENTICATION_METHOD);
  await client.end();
});

forVersions(
  { 5: ["3.1.2-24", "3.1.2-25"] },
  "a message larger than the client's Maximum Packet Size is dropped, at each QoS, and takes no place in flight",
  async (version, t) => {
    const topic = unique("size");
    const limit = 100;
    const small = await sluice.connected(t, version, {
      properties: [MAXIMUM_PACKET_SIZE, u32(limit), 0x21, u16(1)], // and Receive Maximum 1
    });
    const large = await sluice.connected(t, version);
    for (const client of [small, large]) await client.subscribe(version, topic, 2);
    const overhead = { 0: 2 + 2 + topic.length + 1, 1: 2 + 2 + topic.length + 2 + 1, 2: 2 + 2 + topic.length + 2 + 1 };
    for (const qos of [0, 1, 2] as const) {
      const fits = "x".repeat(limit - overhead[qos]);
      for (const payload of [`${fits}y`, "z".repeat(5000), fits]) {
        large.send(publish(version, { topic, payload, qos, packetId: 1 }));
        const acknowledged = (await untilNow(large)).filter(({ type }) => type === PUBLISH);
        const [own] = acknowledged.map((packet) => readPublish(version, packet));
        assert.equal(own?.payload, payload);
        if (qos > 0) large.send(ack(qos === 1 ? PUBACK : 5, own?.packetId ?? 0));
        if (qos === 2) large.send(ack(7, own?.packetId ?? 0), ack(6, 1));
        await settled(large);
      }
      const came = (await untilNow(small)).filter(({ type }) => type === PUBLISH);
      assert.deepEqual(
        came.map((packet) => readPublish(version, packet).payload),
        [fits],
      );
      const [message] = came;
      assert.equal(message?.body.length, limit - 2);
      const { packetId } = readPublish(version, message as Packet);
      if (qos === 1) small.send(ack(PUBACK, packetId));
      if (qos === 2) small.send(ack(5, packetId), ack(7, packetId));
      await settled(small);
    }
  },
);

forVersions({ 5: ["3.1.2-24"] }, "and so is one from 3.1.1, which leaves larger than it came", async (version, t) => {
  const topic = unique("size");
  const client = await sluice.connected(t, version, { properties: [MAXIMUM_PACKET_SIZE, u32(100)] });
  await client.subscribe(version, topic, 0);
  const publisher = await sluice.connected(t, 4);
  const fits = "x".repeat(100 - 2 - 2 - topic.length - 1);
  for (const payload of [`${fits}y`, fits]) publisher.send(publish(4, { topic, payload }));
  await settled(publisher);
  assert.deepEqual(
    (await untilNow(client)).map((packet) => readPublish(version, packet).payload),
    [fits],
  );
});

forVersions(
  { 5: ["3.1.2-24", "3.1.2-25"] },
  "a message that waited for a client that came back smaller",
  async (v, t) => {
    const fields: ConnectFields = { version: v, clientId: unique("shrunk"), clean: false, expirySeconds: 600 };
    const topic = unique("shrunk");
    const first = await sluice.connected(t, v, fields);
    await first.subscribe(v, topic, 1);
    first.send(disconnect());
    await first.end();
    const publisher = await sluice.connected(t, v);
    publisher.send(publish(v, { topic, payload: "x".repeat(500), qos: 1, packetId: 1 }));
    publisher.send(publish(v, { topic, payload: "small", qos: 1, packetId: 2 }));
    await settled(publisher);
    const back = await sluice.open(t);
    back.send(connect({ ...fields, properties: [MAXIMUM_PACKET_SIZE, u32(100), 0x21, u16(1)] }));
    assert.equal(readConnack(await back.next()).sessionPresent, true);
    assert.equal(readPublish(v, await back.next()).payload, "small");
  },
);

forVersions(
  { 5: ["3.1.2-24", "3.2.2-19", "3.2.2-20", "3.14.2-3", "3.14.2-4"] },
  "no CONNACK and no DISCONNECT is larger than the client takes, whatever it takes",
  async (version, t) => {
    for (let limit = 1; limit < 80; limit += limit < 30 ? 1 : 7) {
      const properties = [MAXIMUM_PACKET_SIZE, u32(limit)];
      const sizes = async (send: Buffer[]): Promise<void> => {
        const client = await sluice.open(t);
        let received = 0;
        client.socket.on("data", (chunk: Buffer) => {
          received = Math.max(received, chunk.length);
        });
        client.send(...send);
        await client.end();
        const largest = Math.max(0, ...client.packets.map(({ body }) => body.length + 2));
        assert.equal(largest <= limit, true, `a packet of ${largest} B where ${limit} B are taken`);
      };
      const clientId = unique("tiny");
      await Promise.all([
        sizes([connect({ version, clientId, properties, ...WRONG_LOGIN })]),
        sizes([connect({ version, clientId: "", properties }), packet(0, 0)]),
      ]);
    }
  },
);

forVersions({ 5: ["3.1.2-24"] }, "nor is a SUBACK or UNSUBACK: the connection closes instead", async (version, t) => {
  const filters = Array.from({ length: 60 }, () => unique("f"));
  const asked = filters.map((filter) => [filter, 0] as [string, number]);
  for (const wrong of [subscribe(version, 1, ...asked), packet(10, 2, u16(1), 0, ...filters.map(field))]) {
    const client = await sluice.connected(t, version, { properties: [MAXIMUM_PACKET_SIZE, u32(60)] });
    client.send(wrong);
    await assertClosed(client, version, PACKET_TOO_LARGE);
    const roomy = await sluice.connected(t, version, { properties: [MAXIMUM_PACKET_SIZE, u32(70)] });
    roomy.send(wrong);
    assert.equal((await untilNow(roomy)).length, 1);
  }
});

forVersions({ 5: ["3.1.2-28"] }, "CONNACK has no Response Information", async (version, t) => {
  for (const properties of [[], [0x19, 0]]) {
    const client = await sluice.open(t);
    client.send(connect({ version, clientId: unique("info"), properties }));
    const answer = readConnack(await client.next());
    assert.deepEqual(
      answer.properties.filter(([id]) => id === RESPONSE_INFORMATION),
      [],
    );
  }
});

forVersions(
  { 5: ["3.1.2-26", "3.1.2-27"] },
  "the gateway's aliases stay within the client's Topic Alias Maximum; without one there are none",
  async (version, t) => {
    const publisher = await sluice.connected(t, version);
    for (const maximum of [null, 0, 1, 3]) {
      const properties = maximum === null ? [] : [0x22, u16(maximum)];
      const client = await sluice.connected(t, version, { properties });
      const topics = Array.from({ length: 6 }, () => unique("alias"));
      for (const topic of topics) await client.subscribe(version, topic, 0);
      for (let round = 0; round < 3; round++) for (const topic of topics) publisher.send(publish(version, { topic }));
      await settled(publisher);
      const names = new Map<number, string>();
      const came: string[] = [];
      for (const packet of await untilNow(client)) {
        const alias = readPublishProperties(packet).find(([id]) => id === TOPIC_ALIAS)?.[1] as number | undefined;
        let { topic } = readPublish(version, packet);
        if (alias !== undefined) {
          assert.equal(alias >= 1 && alias <= (maximum ?? 0), true, `alias ${alias} of ${maximum}`);
          if (topic === "") topic = names.get(alias) ?? "unknown";
          else names.set(alias, topic);
        }
        came.push(topic);
      }
      assert.deepEqual(came, [...topics, ...topics, ...topics]);
    }
  },
);

forVersions(
  { 5: ["3.1.2-29"] },
  "with Request Problem Information 0 no acknowledgement has a Reason String or User Properties",
  async (version, t) => {
    const client = await sluice.connected(t, version, { properties: [0x17, 0] });
    const topic = unique("problem");
    // Each of these is refused, or nobody's: the answers that would have something to say.
    client.send(publish(version, { topic: "$SYS/mine", qos: 1, packetId: 1 }));
    client.send(publish(version, { topic: "$SYS/mine", qos: 2, packetId: 2 }));
    client.send(ack(6, 99), ack(5, 98));
    client.send(subscribe(version, 3, [`${"x/".repeat(300)}x`, 0], [topic, 0]));
    client.send(packet(10, 2, u16(4), 0, field("never")));
    const answers = await untilNow(client);
    assert.deepEqual(
      answers.map(({ type }) => type).sort((a, b) => a - b),
      [4, 5, 6, 7, 9, 11],
    );
    for (const { type, body } of answers) {
      const at = type >= 9 ? 2 : 3;
      if (body.length > at) assert.equal(body[at], 0, `packet ${type} has properties`);
    }
  },
);
