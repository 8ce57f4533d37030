import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { Listener } from "../../../src/transport/listener.ts";
import { listenTls } from "../../../src/transport/tls.ts";
import { eventually } from "../../support/eventually.ts";
import { Authority, bench, client, Door, drip, portOf, readToEnd } from "./fixture.ts";

interface Files {
  cert: string;
  key: string;
  clientCa: string | null;
}

async function listening(t: TestContext, tls: Files, limits = {}) {
  const made = bench(t, limits);
  const door = new Door();
  const { transport } = made;
  const options = { transport, index: 1, type: "mqtt", host: "127.0.0.1", port: 0, tls };
  const listener = await listenTls(options, door.accept);
  made.listeners.push(listener);
  return { ...made, listener, door };
}

function dial(t: TestContext, listener: Listener, options: ConnectionOptions): TLSSocket {
  const socket = connect({ host: "127.0.0.1", port: portOf(listener), servername: "localhost", ...options });
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  return socket;
}

/** `once` would reject with the error that comes first. */
function closed(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

async function peerName(socket: TLSSocket): Promise<string> {
  await once(socket, "secureConnect");
  return String(socket.getPeerCertificate().subject.CN);
}

test("bytes go both ways over TLS, large ones too, and the output's memory comes back", async (t) => {
  const authority = new Authority(t);
  const { listener, door, counters } = await listening(t, { ...authority.issue("gw"), clientCa: null });
  const socket = dial(t, listener, { ca: readFileSync(authority.ca) });
  socket.write("hello");
  const peer = await door.link();
  await peer.until(() => peer.text() === "hello");
  assert.equal(peer.link.certificateName, null);
  assert.equal(peer.link.loopback, true);
  const packet = Buffer.alloc(1000, 5);
  for (let i = 0; i < 500; i++) peer.link.output.append(packet, 0, packet.length);
  await peer.until(() => peer.drains > 0);
  peer.link.end();
  assert.equal((await readToEnd(socket)).length, 500_000);
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.closed, null);
  assert.equal(counters.get("transport.output_bytes"), 0);
  assert.equal(counters.get("transport.connections"), 0);
});

test("with client_ca a client must show a certificate, and its CN is the link's certificateName", async (t) => {
  const authority = new Authority(t);
  const stranger = new Authority(t, "stranger");
  const clientCa = authority.ca;
  const { listener, door, counters } = await listening(t, { ...authority.issue("gw"), clientCa });
  const ca = readFileSync(authority.ca);
  const device = authority.issue("device-7");
  dial(t, listener, { ca, cert: readFileSync(device.cert), key: readFileSync(device.key) });
  const peer = await door.link();
  assert.equal(peer.link.certificateName, "device-7");

  const forged = stranger.issue("device-7");
  for (const options of [{}, { cert: readFileSync(forged.cert), key: readFileSync(forged.key) }]) {
    const refused = dial(t, listener, { ca, ...options });
    await closed(refused);
  }
  assert.equal(door.links.length, 1);
  assert.equal(counters.get("transport.refused.tls_handshake"), 2);
});

test("TLS 1.1 is refused, 1.2 and 1.3 are not", async (t) => {
  const authority = new Authority(t);
  const { listener, door } = await listening(t, { ...authority.issue("gw"), clientCa: null });
  const ca = readFileSync(authority.ca);
  const old = dial(t, listener, { ca, minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" });
  await closed(old);
  assert.equal(door.links.length, 0);
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const socket = dial(t, listener, { ca, minVersion: version, maxVersion: version });
    await once(socket, "secureConnect");
    assert.equal(socket.getProtocol(), version);
  }
});

test("plain bytes at a TLS listener are counted and closed", async (t) => {
  const authority = new Authority(t);
  const { listener, counters } = await listening(t, { ...authority.issue("gw"), clientCa: null });
  const { connect: connectPlain } = await import("node:net");
  const socket = connectPlain(portOf(listener), "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  socket.end("GET / HTTP/1.0\r\n\r\n");
  socket.resume();
  await once(socket, "close");
  assert.equal(counters.get("transport.refused.tls_handshake"), 1);
  assert.equal(counters.get("transport.connections"), 0);
});

test("a handshake that comes byte by byte is closed after connect_timeout, and counted", async (t) => {
  const authority = new Authority(t);
  const limits = { connectTimeoutMs: 300 };
  const { listener, counters } = await listening(t, { ...authority.issue("gw"), clientCa: null }, limits);
  // A record of 512 bytes that has a ClientHello of 508.
  const begin = Buffer.from("16030102000100" + "01fc0303", "hex");
  const sent = await drip(await client(t, listener), begin);
  assert.ok(sent < 500, `${sent} bytes`);
  assert.equal(counters.get("transport.refused.tls_timeout"), 1);
  await eventually("it is gone", () => counters.get("transport.connections") === 0);
});

test("handshakes beyond their rate wait and then succeed", async (t) => {
  const authority = new Authority(t);
  const files = { ...authority.issue("gw"), clientCa: null };
  const { listener, door, counters } = await listening(t, files, { handshakesPerSecond: 20 });
  const ca = readFileSync(authority.ca);
  const sockets = Array.from({ length: 12 }, () => dial(t, listener, { ca }));
  await Promise.all(sockets.map((socket) => once(socket, "secureConnect")));
  await door.link(11);
  assert.ok(counters.get("transport.deferred") >= 1);
  assert.equal(counters.get("transport.waiting"), 0);
});

test("reload exchanges certificates for those who come, not for those who are there", async (t) => {
  const authority = new Authority(t);
  const first = authority.issue("first");
  const { listener, door } = await listening(t, { ...first, clientCa: null });
  const ca = readFileSync(authority.ca);
  const before = dial(t, listener, { ca });
  assert.equal(await peerName(before), "first");
  listener.reload?.({ ...authority.issue("second"), clientCa: null })();
  assert.equal(await peerName(dial(t, listener, { ca })), "second");
  before.write("still here");
  const peer = await door.link();
  await peer.until(() => peer.text() === "still here");
});

test("a reload that fails says why and keeps what was good", async (t) => {
  const authority = new Authority(t);
  const good = { ...authority.issue("good"), clientCa: null };
  const other = authority.issue("other");
  const { listener } = await listening(t, good);
  const ca = readFileSync(authority.ca);
  const missing = join(authority.directory, "none.key");
  assert.throws(() => listener.reload?.({ ...good, key: missing }), {
    name: "ListenerError",
    message: `listener 1: key ${missing}: cannot be read: ENOENT`,
  });
  assert.throws(
    () => listener.reload?.({ ...good, key: other.key }),
    (error: Error) => error.message.startsWith(`listener 1: key ${other.key} does not belong to cert ${good.cert}`),
  );
  assert.throws(() => listener.reload?.({ ...good, clientCa: authority.ca }), /client_ca: .* needs a restart/);
  assert.equal(await peerName(dial(t, listener, { ca })), "good");
});

test("files that cannot be used are named, with the reason", async (t) => {
  const authority = new Authority(t);
  const good = { ...authority.issue("gw"), clientCa: null };
  const binary = join(authority.directory, "binary.pem");
  writeFileSync(binary, Buffer.from([0x30, 0x82, 1, 2]));
  const broken = join(authority.directory, "broken.pem");
  writeFileSync(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  const cases: [Files, RegExp][] = [
    [{ ...good, cert: "/nowhere/gw.pem" }, /^listener 1: cert \/nowhere\/gw\.pem: cannot be read: ENOENT$/],
    [{ ...good, cert: binary }, /^listener 1: cert .*binary\.pem: is not in PEM format$/],
    [{ ...good, cert: broken }, /^listener 1: cert .*broken\.pem: .+/],
    [{ ...good, key: good.cert }, /^listener 1: key .*gw\.crt: .+/],
    [{ ...good, clientCa: broken }, /^listener 1: client_ca .*broken\.pem: .+/],
    [{ ...good, clientCa: good.key }, /^listener 1: client_ca .*gw\.key: holds no certificate$/],
  ];
  if (process.getuid?.() !== 0) {
    const locked = join(authority.directory, "locked.key");
    copyFileSync(good.key, locked);
    chmodSync(locked, 0);
    cases.push([{ ...good, key: locked }, /^listener 1: key .*locked\.key: cannot be read: EACCES$/]);
  }
  for (const [files, message] of cases) await assert.rejects(listening(t, files), { name: "ListenerError", message });
});
