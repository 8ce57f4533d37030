// 3.15 AUTH and 4.12 enhanced authentication, with a SCRAM-SHA-256 client by hand (RFC 5802, RFC 7677).
import assert from "node:assert/strict";
import { createHash, createHmac, pbkdf2Sync } from "node:crypto";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { sluice as command } from "../../support/gateway-process.ts";
import {
  AUTH,
  bytes,
  CONNACK,
  connect,
  DISCONNECT,
  field,
  type Packet,
  type Part,
  type Property,
  packet,
  pingreq,
  properties,
  publish,
  readConnack,
  readProperties,
  subscribe,
  u32,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const METHOD = "SCRAM-SHA-256";
const AUTHENTICATION_METHOD = 0x15;
const AUTHENTICATION_DATA = 0x16;
const REASON_STRING = 0x1f;
const USER_PROPERTY = 0x26;
/** MQTT 5.0 table 3-15. */
const SUCCESS = 0x00;
const CONTINUE = 0x18;
const RE_AUTHENTICATE = 0x19;

const sluice = product(async (folder) => {
  const file = join(folder, "passwd");
  const { code, stderr } = await command(["passwd", file, "user", "--stdin"], "secret\n");
  assert.equal(code, 0, stderr);
  return { auth: { anonymous: "loopback", password_file: file } };
});

/** The client's side of one exchange. */
class Scram {
  readonly first: string;
  readonly #bare: string;
  readonly #password: string;

  constructor(user: string, password: string) {
    this.#bare = `n=${user},r=${unique("nonce")}`;
    this.first = `n,,${this.#bare}`;
    this.#password = password;
  }

  final(serverFirst: string): string {
    const [nonce = "", salt = "", iterations = ""] = serverFirst.split(",").map((part) => part.slice(2));
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, "base64"), Number(iterations), 32, "sha256");
    const key = createHmac("sha256", salted).update("Client Key").digest();
    const stored = createHash("sha256").update(key).digest();
    const bare = `c=biws,r=${nonce}`;
    const signature = createHmac("sha256", stored).update(`${this.#bare},${serverFirst},${bare}`).digest();
    const proof = Buffer.from(key.map((byte, i) => byte ^ (signature[i] as number)));
    return `${bare},p=${proof.toString("base64")}`;
  }
}

function authentication(data: string, method = METHOD): Part[] {
  return [AUTHENTICATION_METHOD, field(method), AUTHENTICATION_DATA, field(data)];
}

function auth(reason: number, data: string, method = METHOD): Buffer {
  return packet(AUTH, 0, reason, properties(5, ...authentication(data, method)));
}

/** Reason and properties of an AUTH. */
function readAuth({ type, body }: Packet): { reason: number; method: unknown; data: string; all: Property[] } {
  assert.equal(type, AUTH);
  const all = body.length > 1 ? readProperties(body, 1) : [];
  const of = (id: number): unknown => all.find(([property]) => property === id)?.[1];
  return { reason: body[0] ?? 0, method: of(AUTHENTICATION_METHOD), data: String(of(AUTHENTICATION_DATA)), all };
}

/** A CONNECT with the method. @returns the gateway's first AUTH */
async function begin(t: TestContext, scram: Scram, ...more: Part[]) {
  const raw = await sluice.open(t);
  raw.send(connect({ version: 5, clientId: unique("scram"), properties: [...authentication(scram.first), ...more] }));
  return { raw, challenge: readAuth(await raw.next()) };
}

/** A client that has authenticated. */
async function authenticated(t: TestContext): Promise<RawMqtt> {
  const scram = new Scram("user", "secret");
  const { raw, challenge } = await begin(t, scram);
  raw.send(auth(CONTINUE, scram.final(challenge.data)));
  assert.equal(readConnack(await raw.next()).reason, 0);
  return raw;
}

/** Its reason in a CONNACK or DISCONNECT from 0x80, after which it closes. */
async function refusalOf(raw: RawMqtt): Promise<number> {
  const last = await raw.next();
  await raw.end();
  assert.deepEqual(raw.packets, []);
  const reason = (last.type === CONNACK ? last.body[1] : last.type === DISCONNECT ? last.body[0] : 0) ?? 0;
  assert.equal(reason >= 0x80, true, `packet ${last.type}`);
  return reason;
}

forVersions(
  { 5: ["4.12.0-2", "4.12.0-5", "3.15.2-1"] },
  "the gateway asks with AUTH 0x18, accepts with CONNACK, and names the method of CONNECT in both",
  async (_, t) => {
    const scram = new Scram("user", "secret");
    const { raw, challenge } = await begin(t, scram);
    assert.deepEqual([challenge.reason, challenge.method], [CONTINUE, METHOD]);
    raw.send(auth(CONTINUE, scram.final(challenge.data)));
    const answer = await raw.next();
    assert.equal(answer.type, CONNACK);
    const { reason, properties: sent } = readConnack(answer);
    assert.equal(reason, 0);
    assert.deepEqual(
      sent.filter(([id]) => id === AUTHENTICATION_METHOD),
      [[AUTHENTICATION_METHOD, METHOD]],
    );
    assert.deepEqual(await untilNow(raw), []);
  },
);

forVersions({ 5: ["4.12.0-4"] }, "a wrong proof, an unknown user and nonsense are refused", async (_, t) => {
  const wrong = new Scram("user", "wrong");
  const { raw, challenge } = await begin(t, wrong);
  raw.send(auth(CONTINUE, wrong.final(challenge.data)));
  assert.equal(await refusalOf(raw), 0x86);
  for (const first of [new Scram("nobody", "x").first, "nonsense", ""]) {
    const other = await sluice.open(t);
    other.send(connect({ version: 5, clientId: unique("scram"), properties: authentication(first) }));
    assert.equal([0x87, 0x8c].includes(await refusalOf(other)), true);
  }
});

forVersions(
  { 5: ["4.12.0-3", "3.15.2-1"] },
  "a client that answers the challenge with another reason than 0x18 is refused",
  async (_, t) => {
    for (const reason of [SUCCESS, RE_AUTHENTICATE, 0x01, 0x80]) {
      const scram = new Scram("user", "secret");
      const { raw, challenge } = await begin(t, scram);
      raw.send(auth(reason, scram.final(challenge.data)));
      await refusalOf(raw);
    }
  },
);

forVersions({ 5: ["4.12.0-5"] }, "a client that answers with another method is refused", async (_, t) => {
  for (const method of ["SCRAM-SHA-1", ""]) {
    const scram = new Scram("user", "secret");
    const { raw, challenge } = await begin(t, scram);
    raw.send(auth(CONTINUE, scram.final(challenge.data), method));
    await refusalOf(raw);
  }
});

forVersions(
  { 5: ["3.1.2-30"] },
  "a client that sends anything but AUTH and DISCONNECT before its CONNACK is refused, and none of it has an effect",
  async (version, t) => {
    const topic = unique("early");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 0);
    for (const early of [publish(5, { topic }), subscribe(5, 1, ["a", 0]), pingreq()]) {
      const { raw } = await begin(t, new Scram("user", "secret"));
      raw.send(early);
      await refusalOf(raw);
    }
    const { raw } = await begin(t, new Scram("user", "secret"));
    raw.send(packet(DISCONNECT, 0));
    await raw.end();
    assert.deepEqual(await untilNow(watcher), []);
  },
);

forVersions(
  { 5: ["4.12.0-6"] },
  "a client without a method gets neither AUTH nor a method in its CONNACK",
  async (version, t) => {
    for (const login of [{}, { user: "user", password: "secret" }]) {
      const raw = await sluice.open(t);
      raw.send(connect({ version, clientId: unique("plain"), ...login }));
      const answer = await raw.next();
      assert.equal(answer.type, CONNACK);
      const { reason, properties: sent } = readConnack(answer);
      assert.equal(reason, 0);
      assert.deepEqual(
        sent.filter(([id]) => id === AUTHENTICATION_METHOD || id === AUTHENTICATION_DATA),
        [],
      );
      assert.deepEqual(await untilNow(raw), []);
    }
  },
);

forVersions(
  { 5: ["4.12.1-1", "4.12.0-5", "3.15.2-1"] },
  "a client may authenticate again by the same method, while all else goes on",
  async (version, t) => {
    const raw = await authenticated(t);
    const topic = unique("again");
    await raw.subscribe(version, topic, 0);
    for (let i = 0; i < 2; i++) {
      const scram = new Scram("user", "secret");
      raw.send(auth(RE_AUTHENTICATE, scram.first));
      const challenge = readAuth(await raw.next());
      assert.deepEqual([challenge.reason, challenge.method], [CONTINUE, METHOD]);
      raw.send(publish(5, { topic }));
      assert.equal((await untilNow(raw)).length, 1);
      raw.send(auth(CONTINUE, scram.final(challenge.data)));
      const done = readAuth(await raw.next());
      assert.deepEqual([done.reason, done.method], [SUCCESS, METHOD]);
    }
    raw.send(auth(RE_AUTHENTICATE, new Scram("user", "secret").first, "SCRAM-SHA-1"));
    await refusalOf(raw);
  },
);

forVersions({ 5: ["4.12.1-2"] }, "when that fails the connection closes with the reason", async (_, t) => {
  const wrong = new Scram("user", "wrong");
  const raw = await authenticated(t);
  raw.send(auth(RE_AUTHENTICATE, wrong.first));
  raw.send(auth(CONTINUE, wrong.final(readAuth(await raw.next()).data)));
  assert.equal(await refusalOf(raw), 0x87);
  const other = await authenticated(t);
  other.send(auth(RE_AUTHENTICATE, new Scram("nobody", "x").first));
  await refusalOf(other);
});

forVersions(
  { 5: ["3.15.2-2", "3.15.2-3"] },
  "an AUTH has no words, and is never larger than the client takes",
  async (_, t) => {
    for (const limit of [30, 60, 90, 120, 200]) {
      const raw = await sluice.open(t);
      const more = [0x27, u32(limit)];
      const data = authentication(new Scram("user", "secret").first);
      raw.send(connect({ version: 5, clientId: unique("scram"), properties: [...data, ...more] }));
      const came = await raw.next().catch(() => null);
      if (came === null) continue; // not even the challenge fits
      assert.equal(came.body.length + 2 <= limit, true);
      const { all } = readAuth(came);
      assert.deepEqual(
        all.filter(([id]) => id === REASON_STRING || id === USER_PROPERTY),
        [],
      );
    }
  },
);

forVersions({ 5: ["3.15.1-1"] }, "AUTH with any flag is malformed, with a method and without", async (version, t) => {
  const body = bytes(RE_AUTHENTICATE, properties(5, ...authentication(new Scram("user", "secret").first)));
  const wrong = Array.from({ length: 15 }, (_, i) => packet(AUTH, i + 1, body));
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
  const raw = await authenticated(t);
  raw.send(packet(AUTH, 2, body));
  assert.equal(await refusalOf(raw), MALFORMED);
});
