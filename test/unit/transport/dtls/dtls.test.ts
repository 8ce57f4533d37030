import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { DtlsServerConfig } from "../../../../src/config/coap-listener.ts";
import type { DatagramPort } from "../../../../src/core/ports.ts";
import type { DtlsAddon } from "../../../../src/native/dtls/binding.ts";
import { listenDtls } from "../../../../src/transport/dtls/dtls.ts";
import { eventually } from "../../../support/eventually.ts";
import { Authority, bench, temporaryDirectory } from "../fixture.ts";
import { clientHello, cookieOf, data, fakeAddon, finished, keyExchange, record } from "./fake.ts";

const DTLS: DtlsServerConfig = {
  pskFile: null,
  cert: null,
  key: null,
  clientCa: null,
  maxSessions: 16,
  idleTimeoutMs: 600_000,
  handshakeTimeoutMs: 15_000,
  mtu: 1200,
};

interface Said {
  text: string;
  identity: string | null;
}

async function opened(t: TestContext, dtls: Partial<DtlsServerConfig>, addon = fakeAddon()) {
  const made = bench(t);
  const listen = { transport: made.transport, index: 4, type: "coap", host: "127.0.0.1", port: 0 };
  const secure = await listenDtls({ ...listen, dtls: { ...DTLS, ...dtls } }, addon);
  made.listeners.push(secure.listener);
  const port: DatagramPort = secure;
  const said: Said[] = [];
  const gone: number[] = [];
  port.handler = {
    onDatagram: (bytes, _address, _port, identity) => said.push({ text: String(bytes), identity }),
    onPeerGone: (_address, from) => gone.push(from),
  };
  return { ...made, secure, port, said, gone, addon, context: addon.contexts[0]! };
}

async function device(t: TestContext): Promise<Socket> {
  const socket = createSocket("udp4");
  t.after(() => socket.close());
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}

function pskFile(t: TestContext, text: string): { pskFile: string } {
  const file = join(temporaryDirectory(t), "psk.txt");
  writeFileSync(file, text);
  return { pskFile: file };
}

/** Handshakes by what the fake finds in the record. */
function handshake(port: DatagramPort, socket: Socket, exchange: Buffer): void {
  const from = `127.0.0.1 ${socket.address().port}`;
  for (const datagram of [clientHello("random", cookieOf(from)), exchange, finished()])
    socket.send(datagram, port.port, "127.0.0.1");
}

test("a port with keys: the handler gets the name that psk_file has for the identity", async (t) => {
  const { port, said, secure, addon, counters } = await opened(t, pskFile(t, "m1:k1\nm2:hex:00ff:anna\n"));
  assert.deepEqual(
    addon.contexts[0]?.options.psk?.map(({ identity, key }) => [String(identity), Buffer.from(key).toString("hex")]),
    [
      ["m1", "6b31"],
      ["m2", "00ff"],
    ],
  );
  assert.equal(addon.contexts[0]?.options.requireClientCert, false);
  const [one, two] = [await device(t), await device(t)];
  handshake(port, one, keyExchange("m1"));
  handshake(port, two, keyExchange("m2"));
  one.send(data("hello"), port.port, "127.0.0.1");
  two.send(data("salut"), port.port, "127.0.0.1");
  await eventually("both are heard", () => said.length === 2);
  assert.deepEqual(said, [
    { text: "hello", identity: "m1" },
    { text: "salut", identity: "anna" },
  ]);
  const answers: string[] = [];
  one.on("message", (bytes) => answers.push(String(bytes)));
  assert.ok(port.send(Buffer.from("-answer-"), 1, 7, "127.0.0.1", one.address().port));
  await eventually("the answer comes", () => answers.includes("sealed answer"));
  assert.equal(counters.get("dtls.sessions"), 2);
  assert.equal(secure.listener.address, `127.0.0.1:${port.port}`);
});

test("what a datagram holds follows from mtu, and its peers' addresses are verified", async (t) => {
  const { port } = await opened(t, { ...pskFile(t, "a:b"), mtu: 256 });
  assert.deepEqual([port.maxPayload, port.peersVerified], [256 - 13 - 8 - 16, true]);
});

test("client certificates are named by CN, else by the first DNS, URI or mail name, else refused", async (t) => {
  const authority = new Authority(t);
  const issue = (...subject: [string, string?]) =>
    new X509Certificate(readFileSync(authority.issue(...subject).cert)).raw.toString("base64");
  const { port, said, counters } = await opened(t, pskFile(t, "a:b"));
  const certificates = [
    issue("boiler"),
    issue("", "IP:10.0.0.7,URI:urn:dev:1,DNS:x"),
    issue("", "email:a@b.example"),
    issue("", "IP:10.0.0.7"),
  ];
  for (const certificate of certificates) {
    const socket = await device(t);
    handshake(port, socket, record(22, 0, `certificate=${certificate}`));
    socket.send(data("x"), port.port, "127.0.0.1");
  }
  await eventually("three are heard, one is refused", () => said.length === 3 && counters.get("dtls.failed") === 1);
  assert.deepEqual(
    said.map(({ identity }) => identity),
    ["boiler", "urn:dev:1", "a@b.example"],
  );
  assert.equal(counters.get("dtls.failed.certificate-without-name"), 1);
});

test("who shows neither key nor certificate has no name", async (t) => {
  const { cert, key } = new Authority(t).issue("gateway");
  const { port, said, context } = await opened(t, { cert, key });
  assert.equal(String(context.options.cert), readFileSync(cert, "utf8"));
  const socket = await device(t);
  handshake(port, socket, record(22, 0, "hello"));
  socket.send(data("x"), port.port, "127.0.0.1");
  await eventually("it is heard", () => said.length === 1);
  assert.equal(said[0]?.identity, null);
});

test("a reload takes over all files or none, and ends the sessions of who is not what it was", async (t) => {
  const authority = new Authority(t);
  const { cert, key } = authority.issue("gateway");
  const clientCa = join(authority.directory, "clients.crt");
  writeFileSync(clientCa, readFileSync(authority.ca));
  const keys = pskFile(t, "stays:k\ngoes:k\nnew-key:k\nnew-name:k\n");
  let broken = false;
  const addon = fakeAddon(() => {
    if (broken) throw new Error("key values mismatch");
  });
  const { secure, port, gone, counters, context, logged } = await opened(t, { ...keys, cert, key, clientCa }, addon);
  const sockets = new Map<string, number>();
  const certificate = new X509Certificate(readFileSync(cert)).raw.toString("base64");
  for (const name of ["stays", "goes", "new-key", "new-name", "by-certificate"]) {
    const socket = await device(t);
    sockets.set(name, socket.address().port);
    handshake(port, socket, name.startsWith("by") ? record(22, 0, `certificate=${certificate}`) : keyExchange(name));
  }
  await eventually("five sessions", () => counters.get("dtls.sessions") === 5);
  const reread = () => secure.listener.reread!();

  writeFileSync(keys.pskFile, "stays:k\nbad line\n:x\n");
  assert.throws(reread, {
    name: "ListenerError",
    message: /listener 4: psk_file .*psk.txt:2: has no colon[\s\S]*psk.txt:3: has an empty identity/,
  });
  writeFileSync(keys.pskFile, "stays:k\nnew-key:other\nnew-name:k:somebody\nadded:k\n");
  broken = true;
  assert.throws(reread, { message: "listener 4: dtls: key values mismatch" });
  broken = false;
  assert.deepEqual([context.updates.length, counters.get("dtls.sessions")], [0, 5]);

  const { what, apply } = reread();
  assert.equal(what, "DTLS keys and certificates");
  assert.equal(context.updates.length, 0);
  apply();
  assert.equal(context.updates[0]?.psk?.length, 4);
  assert.deepEqual(new Set(gone), new Set(["goes", "new-key", "new-name"].map((name) => sockets.get(name))));
  assert.equal(counters.get("dtls.sessions"), 2);
  assert.match(logged.join("\n"), /dtls-sessions-closed .*sessions=3/);

  writeFileSync(clientCa, readFileSync(new Authority(t, "other").ca));
  reread().apply();
  assert.equal(gone.at(-1), sockets.get("by-certificate"));
  assert.equal(counters.get("dtls.sessions"), 1);
  assert.equal(addon.contexts.filter(({ freed }) => !freed).length, 1, "those made to judge are gone");
});

test("an identity taken away while its handshake was under way does not get in", async (t) => {
  const keys = pskFile(t, "stays:k\ngoes:k\n");
  const { secure, port, counters, context } = await opened(t, keys);
  const socket = await device(t);
  const from = `127.0.0.1 ${socket.address().port}`;
  socket.send(clientHello("random", cookieOf(from)), port.port, "127.0.0.1");
  socket.send(keyExchange("goes"), port.port, "127.0.0.1");
  await eventually("it is under way", () => context.sessions[0]?.identity !== null && context.live === 1);
  writeFileSync(keys.pskFile, "stays:k\ngoes:k\nadded:k\n");
  secure.listener.reread!().apply();
  assert.equal(counters.get("dtls.half_open"), 1, "nobody is gone, so all go on");
  writeFileSync(keys.pskFile, "stays:k\nadded:k\n");
  secure.listener.reread!().apply();
  assert.equal(counters.get("dtls.half_open"), 0);
  socket.send(finished(), port.port, "127.0.0.1");
  await eventually("it is for nobody", () => counters.get("dtls.dropped.unknown") === 1);
  assert.deepEqual([counters.get("dtls.sessions"), context.live], [0, 0]);
});

test("an identity that the addon knows and the file does not is refused", async (t) => {
  const { port, counters } = await opened(t, pskFile(t, "a:k\n"));
  handshake(port, await device(t), keyExchange("b"));
  await eventually("it is refused", () => counters.get("dtls.failed.unknown-identity") === 1);
  assert.equal(counters.get("dtls.sessions"), 0);
});

test("what cannot be opened leaves nothing behind and is said with the listener's place", async (t) => {
  await assert.rejects(opened(t, { pskFile: "/none" }), {
    message: "listener 4: psk_file: cannot read /none: no such file",
  });
  const { port } = await opened(t, pskFile(t, "a:b"));
  const addon = fakeAddon();
  const { transport } = bench(t);
  const options = { transport, index: 5, type: "coap", host: "127.0.0.1", port: port.port };
  await assert.rejects(listenDtls({ ...options, dtls: { ...DTLS, ...pskFile(t, "a:b") } }, addon as DtlsAddon), {
    message: `listener 5 (coap 127.0.0.1:${port.port}): address in use`,
  });
  assert.deepEqual(
    addon.contexts.map(({ freed }) => freed),
    [true],
  );
});

test("a closed port says goodbye to its sessions and frees everything", async (t) => {
  const { port, secure, context, counters } = await opened(t, pskFile(t, "a:b"));
  const socket = await device(t);
  const heard: string[] = [];
  socket.on("message", (bytes) => heard.push(String(bytes)));
  handshake(port, socket, keyExchange("a"));
  await eventually("a session", () => counters.get("dtls.sessions") === 1);
  await secure.listener.close();
  await eventually("goodbye", () => heard.includes("goodbye"));
  assert.deepEqual([context.live, context.freed, counters.get("dtls.sessions")], [0, true, 0]);
  port.close();
});
