// Test whether SCRAM-SHA-256 holds through the product's doors, with packets by hand: what each fault is answered with,
// re-authentication after a reload, files without SCRAM entries, and many slow clients at once.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ScramClient } from "../../src/core/scram.ts";
import { EXCHANGES_MAX } from "../../src/protocol/mqtt/auth-exchanges.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import {
  AUTH,
  bytes,
  CONNACK,
  connect,
  DISCONNECT,
  field,
  type Packet,
  PINGRESP,
  packet,
  pingreq,
  properties,
  publish,
  readProperties,
} from "../support/mqtt-packets.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const METHOD = "SCRAM-SHA-256";
const CONTINUE = 0x18;
const AGAIN = 0x19;
// Of mosquitto_passwd 2.0.11, for the password "secret".
const OLD =
  "old:$7$101$DxoP8JYqywFFK8md$CkLwNxWvk+/K/Nbx8szaprsJeJzJrEoaRWRf8ixHu8qCQ/qLE5sxX7l8QDBceHw6Tfz0h+d2FRJQK73c3V3k7g==\n";
/** More than have a place at a time. */
const STORM = EXCHANGES_MAX + 26;

const folder = temporaryFolder();
const passwords = join(folder.path, "passwd");
const gateway = new GatewayProcess(folder.path, {
  listeners: [{ type: "mqtt", bind: "127.0.0.1:0", anonymous: "never" }],
  auth: { password_file: passwords },
  limits: { handshakes_per_second: 1000, connections_per_address: 200 },
});

before(async () => {
  writeFileSync(passwords, OLD, { mode: 0o600 });
  await setPassword("meter", "sécret, =");
  await gateway.start();
});

after(async () => {
  await gateway[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

async function setPassword(user: string, password: string): Promise<void> {
  const { code, stderr } = await sluice(["passwd", "--stdin", passwords, user], `${password}\n`);
  assert.equal(code, 0, stderr);
}

let reloads = 0;

async function reload(): Promise<void> {
  reloads++;
  gateway.signal("SIGHUP");
  await eventually("the reload", () => gateway.stderr.split(" reloaded ").length > reloads);
}

function authentication(data: string): Buffer {
  return bytes(0x15, field(METHOD), 0x16, field(data));
}

function auth(reason: number, data: string): Buffer {
  return packet(AUTH, 0, reason, properties(5, authentication(data)));
}

function dataIn({ type, body }: Packet): string {
  return String(readProperties(body, type === CONNACK ? 2 : 1).find(([id]) => id === 0x16)?.[1] ?? "");
}

/** A connection whose CONNECT has gone out with the client's first message. */
async function begin(client: ScramClient, clientId: string, user?: string): Promise<RawMqtt> {
  const raw = await RawMqtt.open(gateway.port());
  const name = user === undefined ? {} : { user };
  raw.send(connect({ version: 5, clientId, properties: [authentication(client.first)], ...name }));
  return raw;
}

async function login(user: string, password: string, connectUser?: string) {
  const client = new ScramClient(user, password, `nonce-${user}`);
  const raw = await begin(client, user, connectUser);
  const challenge = await raw.next();
  if (challenge.type !== AUTH) return { raw, client, connack: challenge };
  raw.send(auth(CONTINUE, client.final(dataIn(challenge), 10_000) ?? ""));
  return { raw, client, connack: await raw.next() };
}

test("a password of sluice passwd comes in by SCRAM-SHA-256, and the gateway proves that it knows it", async () => {
  const { raw, client, connack } = await login("meter", "sécret, =", "meter");
  assert.deepEqual([connack.type, connack.body[1]], [CONNACK, 0]);
  assert.ok(client.verifies(dataIn(connack)));
  raw.socket.destroy();
});

test("a user of an old file, with a line of Mosquitto's alone, comes in by password, and by SCRAM gets 0x8C", async () => {
  const raw = await RawMqtt.connected(gateway.port(), { version: 5, clientId: "old", user: "old", password: "secret" });
  raw.socket.destroy();
  assert.equal((await login("old", "secret")).connack.body[1], 0x8c);
});

test("a wrong password is 0x86, another User Name in CONNECT 0x87", async () => {
  assert.equal((await login("meter", "wrong")).connack.body[1], 0x86);
  assert.equal((await login("meter", "sécret, =", "old")).connack.body[1], 0x87);
});

test("[MQTT5-3.1.2-30] a PUBLISH before the CONNACK ends it with 0x82", async () => {
  const raw = await begin(new ScramClient("meter", "x", "n"), "early");
  raw.send(publish(5, { topic: "t" }));
  assert.equal((await raw.next()).type, AUTH);
  const connack = await raw.next();
  assert.deepEqual([connack.type, connack.body[1]], [CONNACK, 0x82]);
  await raw.end();
});

test("[MQTT5-4.12.1-2] a re-authentication after a reload is held to the new password", async () => {
  await setPassword("pump", "one");
  await reload();
  const { raw, connack } = await login("pump", "one");
  assert.equal(connack.body[1], 0);
  await setPassword("pump", "two");
  await reload();
  raw.send(pingreq());
  assert.equal((await raw.next()).type, PINGRESP, "a reload ends nobody");
  for (const [password, type, reason] of [
    ["two", AUTH, 0],
    ["one", DISCONNECT, 0x87],
  ] as const) {
    const client = new ScramClient("pump", password, "again");
    raw.send(auth(AGAIN, client.first));
    raw.send(auth(CONTINUE, client.final(dataIn(await raw.next()), 10_000) ?? ""));
    const last = await raw.next();
    assert.deepEqual([last.type, last.body[0]], [type, reason], password);
  }
  await raw.end();
});

test(`${STORM} clients that take their time over the key all come in`, async () => {
  const clients = Array.from({ length: STORM }, (_, i) => new ScramClient("meter", "sécret, =", `nonce-${i}`));
  const links = await Promise.all(clients.map((client, i) => begin(client, `meter-${i}`)));
  // Nobody answers before every place is taken.
  await eventually("the challenges", () => links.filter(({ packets }) => packets.length > 0).length >= EXCHANGES_MAX);
  const reasons = await Promise.all(
    links.map(async (raw, i) => {
      const challenge = await raw.next();
      raw.send(auth(CONTINUE, (clients[i] as ScramClient).final(dataIn(challenge), 10_000) ?? ""));
      return (await raw.next()).body[1];
    }),
  );
  assert.deepEqual(new Set(reasons), new Set([0]));
  for (const raw of links) raw.socket.destroy();
});
