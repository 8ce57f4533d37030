// 3.1 CONNECT: protocol, flags, payload; what is refused and how.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { passwordLine } from "../../../src/core/password-file.ts";
import {
  bytes,
  CONNACK,
  CONNECT,
  connect,
  DISCONNECT,
  disconnect,
  field,
  type Packet,
  PINGRESP,
  packet,
  pingreq,
  properties,
  publish,
  readConnack,
  readPublish,
  subscribe,
  u16,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertClosed, assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const UNSUPPORTED_VERSION = 0x84;
const CLIENT_ID_NOT_VALID = 0x85;
const SESSION_TAKEN_OVER = 0x8e;

const PASSWORD = "the password";

const sluice = product(async (folder) => {
  writeFileSync(join(folder, "passwd"), `${await passwordLine("user", Buffer.from(PASSWORD), 100)}\n`);
  return { auth: { anonymous: "loopback", password_file: join(folder, "passwd") } };
});

/** Sends the bytes on a new connection and waits for its end. @returns what came: at most a CONNACK */
async function refusalOf(raw: RawMqtt, ...packets: Buffer[]): Promise<Packet | undefined> {
  raw.send(...packets);
  await raw.end();
  assert.equal(raw.packets.length <= 1, true);
  return raw.packets[0];
}

/** A CONNECT put together by hand: name, level, flags, and the payload's fields. */
function handMade(version: Version, flags: number, ...payload: Buffer[]): Buffer {
  return packet(CONNECT, 0, field("MQTT"), version, flags, u16(60), properties(version), ...payload);
}

const WILL = (version: Version): Buffer => bytes(properties(version), field("w"), field("m"));

const REASON_STRING = 0x1f;

/** It closes: without a word in 3.1.1 [MQTT311-3.1.4-1], with this reason in 5.0. */
async function assertRefused(raw: RawMqtt, version: Version, reason: number, ...packets: Buffer[]): Promise<void> {
  const answer = await refusalOf(raw, ...packets);
  if (version === 4) assert.equal(answer, undefined);
  else {
    assert.equal(answer?.type, CONNACK);
    const { sessionPresent, reason: told, properties: found } = readConnack(answer as Packet);
    assert.deepEqual([sessionPresent, told], [false, reason]);
    assert.deepEqual(
      found.map(([id]) => id),
      [REASON_STRING],
    );
  }
}

forVersions({ 4: ["3.1.0-1"], 5: ["3.1.0-1"] }, "anything before CONNECT closes without an answer", async (v, t) => {
  const first = [
    pingreq(),
    publish(v, { topic: "a" }),
    subscribe(v, 1, ["a", 0]),
    disconnect(),
    packet(CONNACK, 0, 0, 0),
  ];
  for (const packet of first) assert.equal(await refusalOf(await sluice.open(t), packet), undefined);
});

forVersions({ 4: ["3.1.0-2"], 5: ["3.1.0-2"] }, "a second CONNECT closes", async (version, t) => {
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, [
    connect({ version, clientId: unique("again") }),
    connect({ version: version === 4 ? 5 : 4, clientId: unique("again") }),
  ]);
});

forVersions({ 4: ["3.1.2-1"], 5: ["3.1.2-1"] }, "another protocol name closes without an answer", async (v, t) => {
  for (const name of ["MQTt", "mqtt", "MQT", "MQTTT", "", "HTTP"]) {
    const wrong = packet(CONNECT, 0, field(name), v, 2, u16(60), properties(v), field("c"));
    assert.equal(await refusalOf(await sluice.open(t), wrong), undefined);
  }
});

forVersions({ 4: ["3.1.2-2"] }, "levels 0 to 3 get return code 1 and are closed", async (_, t) => {
  for (let level = 0; level < 4; level++) {
    const wrong = packet(CONNECT, 0, field("MQTT"), level, 2, u16(60), field("c"));
    assert.deepEqual((await refusalOf(await sluice.open(t), wrong))?.body, Buffer.from([0, 1]));
  }
});

forVersions({ 5: ["3.1.2-2"] }, "versions from 6 get a CONNACK with 0x84 and are closed", async (version, t) => {
  for (const level of [6, 7, 100, 127]) {
    const wrong = packet(CONNECT, 0, field("MQTT"), level, 2, u16(60), 0, field("c"));
    await assertRefused(await sluice.open(t), version, UNSUPPORTED_VERSION, wrong);
  }
});

forVersions({ 4: ["3.1.2-3"], 5: ["3.1.2-3"] }, "the reserved flag of CONNECT closes", async (version, t) => {
  for (const flags of [0x01, 0x03]) {
    await assertRefused(await sluice.open(t), version, MALFORMED, handMade(version, flags, field("c")));
  }
});

const PAYLOADS: readonly (readonly [
  ids: { 4: readonly string[]; 5?: readonly string[] },
  what: string,
  flags: number,
  payload: (version: Version) => readonly Buffer[],
])[] = [
  [{ 4: ["3.1.2-9"], 5: ["3.1.2-9"] }, "a Will Flag without a will", 0x06, () => [field("c")]],
  [
    { 4: ["3.1.2-9"], 5: ["3.1.2-9"] },
    "a Will Flag with a topic only",
    0x06,
    (v) => [field("c"), properties(v), field("w")],
  ],
  [{ 4: ["3.1.2-11"] }, "a will without its flag", 0x02, (v) => [field("c"), WILL(v)]],
  [{ 4: ["3.1.2-11", "3.1.2-13"], 5: ["3.1.2-11"] }, "Will QoS 1 without a will", 0x0a, () => [field("c")]],
  [{ 4: ["3.1.2-13"], 5: ["3.1.2-11"] }, "Will QoS 2 without a will", 0x12, () => [field("c")]],
  [{ 4: ["3.1.2-14"], 5: ["3.1.2-12"] }, "Will QoS 3", 0x1e, (v) => [field("c"), WILL(v)]],
  [{ 4: ["3.1.2-15"], 5: ["3.1.2-13"] }, "Will Retain without a will", 0x22, () => [field("c")]],
  [{ 4: ["3.1.2-18"], 5: ["3.1.2-16"] }, "a user name without its flag", 0x02, () => [field("c"), field("u")]],
  [{ 4: ["3.1.2-19"], 5: ["3.1.2-17"] }, "a User Name Flag without a user name", 0x82, () => [field("c")]],
  [
    { 4: ["3.1.2-20"], 5: ["3.1.2-18"] },
    "a password without its flag",
    0x82,
    () => [field("c"), field("u"), field("p")],
  ],
  [{ 4: ["3.1.2-21"], 5: ["3.1.2-19"] }, "a Password Flag without a password", 0xc2, () => [field("c"), field("u")]],
  [{ 4: ["3.1.2-22"] }, "a Password Flag without the User Name Flag", 0x42, () => [field("c"), field("p")]],
  [{ 4: ["3.1.3-3"], 5: ["3.1.3-3"] }, "no client id", 0x02, () => []],
  [{ 4: ["3.1.3-3"], 5: ["3.1.3-3"] }, "half a client id", 0x02, () => [u16(2), Buffer.from("c")]],
  [{ 4: ["3.1.3-4"], 5: ["3.1.3-4"] }, "a client id that is not UTF-8", 0x02, () => [field(Buffer.from([0xff]))]],
  [
    { 4: ["3.1.3-10"], 5: ["3.1.3-11"] },
    "a will topic that is not UTF-8",
    0x06,
    (v) => [field("c"), properties(v), field(Buffer.from([0xc0, 0xaf])), field("m")],
  ],
  [
    { 4: ["3.1.3-11"], 5: ["3.1.3-12"] },
    "a user name that is not UTF-8",
    0x82,
    () => [field("c"), field(Buffer.from([0xed, 0xa0, 0x80]))],
  ],
  [{ 4: ["3.1.4-1"], 5: ["3.1.4-1"] }, "bytes after the last field", 0x02, () => [field("c"), Buffer.from("x")]],
];

for (const [ids, what, flags, payload] of PAYLOADS) {
  forVersions(ids, `${what} closes`, async (version, t) => {
    await assertRefused(await sluice.open(t), version, MALFORMED, handMade(version, flags, ...payload(version)));
  });
}

forVersions(
  { 4: ["3.1.4-1"], 5: ["3.1.4-1"] },
  "a CONNECT cut anywhere and closed is no client",
  async (version, t) => {
    const whole = connect({
      version,
      clientId: "cut",
      user: "u",
      will: { topic: "w", payload: "m", qos: 1, retain: false },
    });
    for (let length = 10; length < whole.length; length++) {
      // The same bytes as a packet of that length: its fields end too early.
      const cut = packet(CONNECT, 0, whole.subarray(2, length));
      await assertRefused(await sluice.open(t), version, MALFORMED, cut);
    }
  },
);

forVersions(
  { 4: ["3.1.3-1"], 5: ["3.1.3-1"] },
  "client id, will and user name are read in their order",
  async (version, t) => {
    const topic = unique("order");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 0);
    const will = bytes(properties(version), field(topic), field("the will"));
    const swapped = await sluice.open(t);
    swapped.send(handMade(version, 0xc6, field(unique("order")), will, field(PASSWORD), field("user")));
    assert.notEqual(readConnack(await swapped.next()).reason, 0);
    await swapped.end();
    const client = await sluice.open(t);
    client.send(handMade(version, 0xc6, field(unique("order")), will, field("user"), field(PASSWORD)));
    assert.equal(readConnack(await client.next()).reason, 0);
    client.socket.destroy();
    assert.equal(readPublish(version, await watcher.next()).payload, "the will");
    assert.deepEqual(await untilNow(watcher), []);
  },
);

forVersions({ 4: ["3.1.3-5"], 5: ["3.1.3-5"] }, "client ids of 1 to 23 letters and digits", async (version, t) => {
  const ids = ["a", "Z", "0", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ"];
  for (const clientId of ids) assert.deepEqual(await untilNow(await sluice.connected(t, version, { clientId })), []);
  // And what a server may take: more bytes, other characters.
  for (const clientId of ["x".repeat(200), "é/ #+$"]) await sluice.connected(t, version, { clientId });
});

forVersions({ 4: ["3.1.3-6"] }, "an empty client id with Clean Session is a client of its own", async (version, t) => {
  const [one, other] = [
    await sluice.connected(t, version, { clientId: "" }),
    await sluice.connected(t, version, { clientId: "" }),
  ];
  assert.deepEqual(await untilNow(one), []);
  assert.deepEqual(await untilNow(other), []);
});

forVersions(
  { 5: ["3.1.3-6", "3.1.3-7", "3.2.2-16"] },
  "an empty client id gets one that no other session has, in CONNACK, and its session is there under it",
  async (version, t) => {
    const seen = new Set<string>();
    for (let i = 0; i < 5; i++) {
      const client = await sluice.open(t);
      client.send(connect({ version, clientId: "", expirySeconds: 60 }));
      const { reason, properties } = readConnack(await client.next());
      const assigned = properties.find(([id]) => id === 0x12)?.[1] as string;
      assert.equal(reason, 0);
      assert.equal(assigned.length > 0 && !seen.has(assigned), true);
      seen.add(assigned);
      client.send(disconnect());
      await client.end();
      const back = await sluice.open(t);
      back.send(connect({ version, clientId: assigned, clean: false, expirySeconds: 60 }));
      assert.equal(readConnack(await back.next()).sessionPresent, true);
      back.send(packet(DISCONNECT, 0, 0, properties5ExpiryZero()));
      await back.end();
    }
  },
);

function properties5ExpiryZero(): Buffer {
  return properties(5, 0x11, [0, 0, 0, 0]);
}

forVersions({ 4: ["3.1.3-8"] }, "an empty client id without Clean Session gets return code 2", async (version, t) => {
  const answer = await refusalOf(await sluice.open(t), connect({ version, clientId: "", clean: false }));
  assert.deepEqual(answer?.body, Buffer.from([0, 2]));
});

forVersions({ 4: ["3.1.3-9"], 5: ["3.1.3-8"] }, "a client id longer than the limit is refused", async (version, t) => {
  const answer = await refusalOf(await sluice.open(t), connect({ version, clientId: "x".repeat(2000) }));
  assert.equal(answer !== undefined && readConnack(answer).reason, version === 4 ? 2 : CLIENT_ID_NOT_VALID);
});

forVersions(
  { 4: ["3.1.4-2"], 5: ["3.1.4-3"] },
  "the client that has the client id is disconnected when it comes again",
  async (version, t) => {
    const clientId = unique("twice");
    const old = await sluice.connected(t, version, { clientId });
    const young = await sluice.connected(t, version, { clientId });
    await assertClosed(old, version, SESSION_TAKEN_OVER);
    assert.deepEqual(await untilNow(young), []);
  },
);

forVersions({ 4: ["3.1.4-4"], 5: ["3.1.4-5"] }, "a valid CONNECT is answered by CONNACK with 0", async (version, t) => {
  const client = await sluice.open(t);
  // What follows at once is taken too, and after it.
  client.send(connect({ version, clientId: unique("valid") }), pingreq());
  const answer = await client.next();
  assert.equal(answer.type, CONNACK);
  assert.equal(readConnack(answer).reason, 0);
  assert.equal((await client.next()).type, PINGRESP);
});

forVersions(
  { 4: ["3.1.4-5"], 5: ["3.1.4-6"] },
  "what follows a refused CONNECT in the same bytes is not processed",
  async (version, t) => {
    const topic = unique("refused");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 0);
    const refused = [
      connect({ version, clientId: "x".repeat(2000) }),
      connect({ version, clientId: unique("refused"), user: "nobody", password: "wrong" }),
    ];
    for (const packet of refused) {
      const client = await sluice.open(t);
      const answer = await refusalOf(client, packet, publish(version, { topic }), pingreq());
      assert.equal(answer?.type, CONNACK);
    }
    assert.deepEqual(await untilNow(watcher), []);
  },
);

forVersions({ 5: ["3.1.4-2"] }, "a failed login is told and closed", async (version, t) => {
  const wrong = connect({ version, clientId: unique("login"), user: "nobody", password: "wrong" });
  const answer = await refusalOf(await sluice.open(t), wrong);
  assert.equal([0x86, 0x87].includes(answer === undefined ? 0 : readConnack(answer).reason), true);
});
