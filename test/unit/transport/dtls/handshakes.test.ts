// DTLS with the real addon: our listener and our client, over UDP on loopback.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { DtlsServerConfig } from "../../../../src/config/coap-listener.ts";
import { type DtlsAddon, type DtlsOptions, loadDtls } from "../../../../src/native/dtls/binding.ts";
import { connectDtls, type DtlsClient } from "../../../../src/transport/dtls/client.ts";
import { listenDtls } from "../../../../src/transport/dtls/dtls.ts";
import { eventually } from "../../../support/eventually.ts";
import { LossyUdp } from "../../../support/lossy-udp.ts";
import { requireThat } from "../../../support/peers.ts";
import { Authority, type Bench, bench, temporaryDirectory } from "../fixture.ts";

const addon = loadDtls();
const RETRANSMIT_MS = 100;
const skip = requireThat(typeof addon !== "string", String(addon));

const DTLS: DtlsServerConfig = {
  pskFile: null,
  cert: null,
  key: null,
  clientCa: null,
  maxSessions: 64,
  idleTimeoutMs: 600_000,
  handshakeTimeoutMs: 15_000,
  mtu: 1200,
};

interface Said {
  text: string;
  identity: string | null;
}

async function opened(t: TestContext, dtls: Partial<DtlsServerConfig>, host = "127.0.0.1", by?: DtlsAddon) {
  const made = bench(t);
  const { transport } = made;
  const options = { transport, index: 4, type: "coap", host, port: 0, dtls: { ...DTLS, ...dtls } };
  const port = await listenDtls(options, by);
  made.listeners.push(port.listener);
  const said: Said[] = [];
  port.handler = {
    onDatagram: (bytes, address, from, identity) => {
      said.push({ text: String(bytes), identity });
      port.send(bytes, 0, bytes.length, address, from);
    },
  };
  return { ...made, port, said };
}

interface Connected {
  client: DtlsClient;
  heard: string[];
  closed: (string | null)[];
}

async function connected(
  t: TestContext,
  { wheel }: Bench,
  port: number,
  credentials: Omit<DtlsOptions, "role">,
  more: {
    host?: string;
    serverName?: string;
    localPort?: number;
    resume?: Uint8Array;
    handshakeTimeoutMs?: number;
  } = {},
): Promise<Connected> {
  const heard: string[] = [];
  const closed: (string | null)[] = [];
  const client = await connectDtls(
    { host: "127.0.0.1", port, wheel, credentials, ...more },
    { onData: (bytes) => heard.push(String(bytes)), onClose: (error) => closed.push(error) },
  );
  t.after(() => client.close());
  return { client, heard, closed };
}

async function echo({ client, heard }: Connected, text: string): Promise<void> {
  client.send(Buffer.from(text));
  await eventually(`${text} comes back`, () => heard.at(-1) === text);
}

function pskFile(t: TestContext, text: string): { pskFile: string } {
  const file = join(temporaryDirectory(t), "psk.txt");
  writeFileSync(file, text);
  return { pskFile: file };
}

const psk = (identity: string, key: string | Buffer) => ({
  psk: [{ identity: Buffer.from(identity), key: Buffer.from(key) }],
});

/** The addon with a shorter time until the first retransmission, for a path that loses much. */
function impatient({ DtlsContext, ...rest }: DtlsAddon): DtlsAddon {
  class Impatient extends DtlsContext {
    constructor(options: DtlsOptions) {
      super({ ...options, retransmitMs: RETRANSMIT_MS });
    }
  }
  return { ...rest, DtlsContext: Impatient };
}

/** OpenSSL's objects of this process: clients have theirs here, too. */
const live = () => (addon as DtlsAddon).live().sessions;

test("shared keys of text and bytes: data goes both ways under the name in psk_file", { skip }, async (t) => {
  const made = await opened(t, pskFile(t, "meter:s3cret\nhex:ff4142:hex:00010000ff:boiler\n"));
  const text = await connected(t, made, made.port.port, psk("meter", "s3cret"));
  await echo(text, "hello");
  const binary = await connected(t, made, made.port.port, {
    psk: [{ identity: Buffer.from("ff4142", "hex"), key: Buffer.from("00010000ff", "hex") }],
  });
  await echo(binary, "salut");
  assert.deepEqual(made.said, [
    { text: "hello", identity: "meter" },
    { text: "salut", identity: "boiler" },
  ]);
  assert.match(text.client.session.cipher, /^PSK-/);
  const before = live();
  text.client.close();
  await eventually("the gateway hears goodbye", () => made.counters.get("dtls.sessions") === 1);
  assert.equal(live(), before - 2, "ours and the client's");
});

test("a wrong key and an unknown identity are told apart, and leave nothing behind", { skip }, async (t) => {
  const made = await opened(t, { ...pskFile(t, "meter:s3cret\n"), handshakeTimeoutMs: 1000 });
  const before = live();
  const wrong = connected(t, made, made.port.port, psk("meter", "another"), { handshakeTimeoutMs: 3000 });
  await assert.rejects(wrong, /no handshake within its time|bad record mac|decrypt/);
  await assert.rejects(connected(t, made, made.port.port, psk("nobody", "s3cret")), /identity|alert/);
  await eventually("both are given up", () => made.counters.get("dtls.failed") === 2);
  assert.equal(made.counters.get("dtls.failed.wrong-key"), 1);
  assert.equal(made.counters.get("dtls.failed.unknown-identity"), 1);
  assert.equal(made.counters.get("dtls.half_open") + made.counters.get("dtls.sessions"), 0);
  assert.equal(live(), before);
  const lines = made.logged.filter((line) => line.includes("dtls-handshake-failed"));
  assert.match(lines.join("\n"), /cause=wrong-key .*identity=meter/);
  assert.match(lines.join("\n"), /cause=unknown-identity .*identity=nobody/);
});

test("certificates: the server's is proven, a client's gives its name, a missing or foreign one is told", {
  skip,
}, async (t) => {
  const authority = new Authority(t);
  const { cert, key } = authority.issue("gateway");
  const made = await opened(t, { cert, key, clientCa: authority.ca });
  const ca = readFileSync(authority.ca);
  const ours = ({ cert, key }: { cert: string; key: string }) => ({
    ca,
    cert: readFileSync(cert),
    key: readFileSync(key),
  });
  const good = await connected(t, made, made.port.port, ours(authority.issue("boiler")), { serverName: "localhost" });
  await echo(good, "hello");
  assert.deepEqual(made.said, [{ text: "hello", identity: "boiler" }]);
  assert.match(good.client.session.cipher, /^ECDHE-ECDSA-/);
  const fail = async (credentials: Omit<DtlsOptions, "role">, cause: string) => {
    const count = `dtls.failed.${cause}`;
    // A client may take its handshake for complete before it hears of our refusal.
    const client = await connected(t, made, made.port.port, credentials, { serverName: "localhost" }).catch(() => null);
    if (client !== null) await eventually("it hears of it", () => client.closed.length === 1);
    await eventually(cause, () => made.counters.get(count) === 1);
  };
  await fail({ ca }, "no-certificate");
  await fail(ours(new Authority(t, "other").issue("boiler")), "certificate-not-trusted");
  await fail(
    { ...ours(authority.issue("boiler")), ca: readFileSync(new Authority(t, "third").ca) },
    "our-certificate-refused",
  );
  await fail(psk("meter", "k"), "no-common-cipher");
  assert.equal(made.counters.get("dtls.failed"), 4);
  assert.equal(made.counters.get("dtls.half_open"), 0);
});

test("a ticket resumes a session with its identity; a reload of the keys voids it", { skip }, async (t) => {
  const keys = pskFile(t, "meter:s3cret\n");
  const made = await opened(t, keys);
  const first = await connected(t, made, made.port.port, psk("meter", "s3cret"));
  await echo(first, "one");
  const ticket = first.client.session.resumption();
  assert.ok(ticket !== null);
  const second = await connected(t, made, made.port.port, psk("meter", "s3cret"), { resume: ticket });
  await echo(second, "two");
  assert.ok(second.client.session.resumed);
  assert.deepEqual(made.said[1], { text: "two", identity: "meter" });
  assert.equal(made.counters.get("dtls.resumed"), 1);
  writeFileSync(keys.pskFile, "other:s3cret\n");
  made.port.listener.reread?.().apply();
  await eventually("both hear goodbye", () => first.closed.length === 1 && second.closed.length === 1);
  assert.deepEqual([...first.closed, ...second.closed], [null, null]);
  await assert.rejects(connected(t, made, made.port.port, psk("meter", "s3cret"), { resume: ticket }));
  assert.equal(made.counters.get("dtls.sessions"), 0);
});

test("a client that lost its power comes again from its port: a new session, the old one gone", { skip }, async (t) => {
  const made = await opened(t, pskFile(t, "meter:s3cret\n"));
  const first = await connected(t, made, made.port.port, psk("meter", "s3cret"));
  await echo(first, "one");
  const localPort = first.client.localPort;
  first.client.vanish();
  const second = await connected(t, made, made.port.port, psk("meter", "s3cret"), { localPort });
  await echo(second, "two");
  assert.deepEqual([made.counters.get("dtls.replaced"), made.counters.get("dtls.sessions")], [1, 1]);
});

test("records are as large as mtu allows, and no larger", { skip }, async (t) => {
  const made = await opened(t, { ...pskFile(t, "meter:s3cret\n"), mtu: 256 });
  const one = await connected(t, made, made.port.port, psk("meter", "s3cret"));
  await echo(one, "x".repeat(made.port.maxPayload));
  assert.ok(one.client.session.payloadMax > made.port.maxPayload);
  one.client.send(Buffer.alloc(made.port.maxPayload + 40, "y"));
  await eventually("its echo is refused", () => made.counters.get("dtls.dropped.too_large") === 1);
  await echo(one, "still here");
});

test("20 of 20 handshakes are complete with a fifth of all datagrams lost each way", { skip }, async (t) => {
  const authority = new Authority(t);
  const { cert, key } = authority.issue("gateway");
  const made = await opened(
    t,
    { cert, key, clientCa: authority.ca, handshakeTimeoutMs: 60_000 },
    "127.0.0.1",
    impatient(addon as DtlsAddon),
  );
  using lossy = await LossyUdp.open(made.port.port, { seed: 7, up: { lose: 0.2 }, down: { lose: 0.2 } });
  const boiler = authority.issue("boiler");
  const credentials = {
    ca: readFileSync(authority.ca),
    cert: readFileSync(boiler.cert),
    key: readFileSync(boiler.key),
    retransmitMs: RETRANSMIT_MS,
  };
  const more = { serverName: "localhost", handshakeTimeoutMs: 60_000 };
  const all = await Promise.all(Array.from({ length: 20 }, () => connected(t, made, lossy.port, credentials, more)));
  await eventually("all are open here, too", () => made.counters.get("dtls.handshakes") >= 20);
  assert.ok(lossy.tally.up.lost > 10 && lossy.tally.down.lost > 10, JSON.stringify(lossy.tally));
  lossy.setWeather({});
  for (const [i, one] of all.entries()) await echo(one, `client ${i}`);
});

test("IPv6 and a port of both kinds", { skip }, async (t) => {
  const made = await opened(t, pskFile(t, "meter:s3cret\n"), "::");
  await echo(await connected(t, made, made.port.port, psk("meter", "s3cret"), { host: "::1" }), "six");
  await echo(await connected(t, made, made.port.port, psk("meter", "s3cret")), "four");
});

test("nobody there: the client says so at its deadline", { skip }, async (t) => {
  const made = await opened(t, pskFile(t, "meter:s3cret\n"));
  const { port } = made.port;
  await made.port.listener.close();
  await assert.rejects(connected(t, made, port, psk("meter", "s3cret"), { handshakeTimeoutMs: 300 }), /./);
});

test("datagrams of a handshake, changed, cut, repeated and in any order: nothing throws, nothing stays", {
  skip,
}, async (t) => {
  const made = await opened(t, { ...pskFile(t, "meter:s3cret\n"), handshakeTimeoutMs: 1000, maxSessions: 32 });
  using path = await LossyUdp.open(made.port.port);
  const captured: Buffer[] = [];
  path.fate = (datagram, way) => {
    if (way === "up") captured.push(Buffer.from(datagram));
    return null;
  };
  const before = live();
  const real = await connected(t, made, path.port, psk("meter", "s3cret"));
  await echo(real, "hello");
  real.client.close();
  await eventually("it is gone", () => made.counters.get("dtls.sessions") === 0);
  const random = seededRandom(11);
  const pick = (n: number): number => Math.floor(random() * n);
  const { server } = made.port;
  for (let i = 0; i < 30_000; i++) {
    let datagram = Buffer.from(captured[pick(captured.length)] as Buffer);
    for (let changes = pick(4); changes > 0; changes--) datagram[pick(datagram.length)] = pick(256);
    if (random() < 0.2) datagram = datagram.subarray(0, pick(datagram.length + 1));
    if (random() < 0.1) datagram = Buffer.concat([datagram, captured[pick(captured.length)] as Buffer]);
    // From the address that the cookie was for, and from others.
    server.onDatagram(datagram, "127.0.0.1", 40_000 + pick(4));
  }
  assert.ok(server.sessions.openCount === 0);
  await eventually("handshakes are given up", () => made.counters.get("dtls.half_open") === 0);
  assert.equal(live(), before);
  await echo(await connected(t, made, made.port.port, psk("meter", "s3cret")), "still here");
});

test("an open session survives whatever comes from its address: replays, forgeries, ClientHellos of others", {
  skip,
}, async (t) => {
  const made = await opened(t, { ...pskFile(t, "meter:s3cret\n"), handshakeTimeoutMs: 1000, maxSessions: 8 });
  using path = await LossyUdp.open(made.port.port);
  const captured: Buffer[] = [];
  path.fate = (datagram, way) => {
    if (way === "up") captured.push(Buffer.from(datagram));
    return null;
  };
  const real = await connected(t, made, path.port, psk("meter", "s3cret"));
  const words = Array.from({ length: 5 }, (_, i) => `word ${i}`);
  for (const word of words) await echo(real, word);
  const session = [...made.port.server.sessions.all()][0];
  assert.ok(session !== undefined);
  const random = seededRandom(12);
  const pick = (n: number): number => Math.floor(random() * n);
  for (let i = 0; i < 20_000; i++) {
    const datagram = Buffer.from(captured[pick(captured.length)] as Buffer);
    for (let changes = pick(4); changes > 0; changes--) datagram[pick(datagram.length)] = pick(256);
    made.port.server.onDatagram(datagram, session.address, session.port);
  }
  assert.deepEqual(
    made.said.map(({ text }) => text),
    words,
  );
  await echo(real, "still here");
  assert.equal(session.over, false);
  await eventually("handshakes are given up", () => made.counters.get("dtls.half_open") === 0);
  await echo(real, "and later");
});

test("a cookie is its peer's alone, until the secrets have changed twice", { skip }, () => {
  const { DtlsContext } = addon as DtlsAddon;
  const server = new DtlsContext({ role: "server", ...psk("meter", "s3cret") });
  const client = new DtlsContext({ role: "client", ...psk("meter", "s3cret") });
  const session = client.connect();
  const [here, there] = [Buffer.from("10.0.0.1 5000"), Buffer.from("10.0.0.1 5001")];
  const answer = server.hello(session.takeOutput() as Uint8Array, here) as Uint8Array;
  const cookie = answer.subarray(28, 28 + (answer[27] as number));
  assert.equal(cookie.length, 32);
  assert.deepEqual([server.isCookieOf(here, cookie), server.isCookieOf(there, cookie)], [true, false]);
  assert.equal(server.isCookieOf(here, cookie.subarray(1)), false);
  assert.equal(server.isCookieOf(here, Buffer.alloc(0)), false);
  server.rotate();
  assert.equal(server.isCookieOf(here, cookie), true);
  server.rotate();
  assert.equal(server.isCookieOf(here, cookie), false);
  session.free();
  client.free();
  server.free();
});
