import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { type TestContext, test } from "node:test";
import { type ClientOptions, WebSocket } from "ws";
import type { Listener } from "../../../src/transport/listener.ts";
import { listenWs, type WsListenOptions } from "../../../src/transport/ws.ts";
import { eventually } from "../../support/eventually.ts";
import { Authority, bench, client, Door, drip, portOf } from "./fixture.ts";

async function listening(t: TestContext, options: Partial<WsListenOptions> = {}, limits = {}) {
  const made = bench(t, { outputBytes: 64 * 1024 * 1024, ...limits });
  const door = new Door();
  const listener = await listenWs(
    {
      transport: made.transport,
      index: 0,
      type: "ws",
      host: "127.0.0.1",
      port: 0,
      path: "/mqtt",
      origins: null,
      messageBytesMax: 100_000,
      tls: null,
      ...options,
    },
    door.accept,
  );
  made.listeners.push(listener);
  return { ...made, listener, door };
}

function dial(t: TestContext, listener: Listener, options: ClientOptions = {}, path = "/mqtt", protocols = ["mqtt"]) {
  const scheme = options.ca === undefined ? "ws" : "wss";
  const ws = new WebSocket(`${scheme}://localhost:${portOf(listener)}${path}`, protocols, { family: 4, ...options });
  ws.on("error", () => {});
  t.after(() => ws.terminate());
  return ws;
}

/** The status that the upgrade was refused with. */
async function refusal(ws: WebSocket): Promise<number> {
  const [, response] = await once(ws, "unexpected-response");
  response.resume();
  ws.terminate();
  return response.statusCode;
}

test("messages go both ways in binary frames, with mqtt as the subprotocol and no compression", async (t) => {
  const { listener, door, counters } = await listening(t);
  const ws = dial(t, listener, {}, "/mqtt?x=1", ["mqttv3.1", "mqtt"]);
  await once(ws, "open");
  assert.equal(ws.protocol, "mqtt");
  assert.equal(ws.extensions, "");
  const peer = await door.link();
  assert.equal(peer.link.loopback, true);
  assert.match(peer.link.remote, /^127\.0\.0\.1:\d+$/);
  ws.send(Buffer.from("hel"), { fin: false });
  ws.send(Buffer.from("lo"));
  await peer.until(() => peer.text() === "hello");
  peer.link.output.append(Buffer.from("wel"), 0, 3);
  peer.link.output.append(Buffer.from("come"), 0, 4);
  const [data, isBinary] = await once(ws, "message");
  assert.equal(String(data), "welcome");
  assert.equal(isBinary, true);
  ws.close();
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.closed, null);
  assert.equal(counters.get("transport.connections"), 0);
});

test("a wrong path, a foreign page and a missing subprotocol are refused and counted", async (t) => {
  const { listener, door, counters } = await listening(t, { origins: ["https://panel.local"] });
  assert.equal(await refusal(dial(t, listener, {}, "/")), 404);
  assert.equal(await refusal(dial(t, listener, { origin: "https://evil.example" })), 403);
  assert.equal(await refusal(dial(t, listener, {}, "/mqtt", ["mqttv3.1"])), 400);
  assert.equal(await refusal(dial(t, listener, {}, "/mqtt", [])), 400);
  assert.equal(door.links.length, 0);
  assert.deepEqual(
    ["ws_path", "ws_origin", "ws_subprotocol"].map((reason) => counters.get(`transport.refused.${reason}`)),
    [1, 1, 2],
  );
  await once(dial(t, listener, { origin: "https://panel.local" }), "open");
  await once(dial(t, listener), "open");
});

test("[MQTT5-6.0.0-1] a text frame closes with 1003", async (t) => {
  const { listener, door, counters } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  const peer = await door.link();
  ws.send("text");
  const [code] = await once(ws, "close");
  assert.equal(code, 1003);
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.closed, "text frame");
  assert.equal(peer.received, 0);
  assert.equal(counters.get("transport.refused.text_frame"), 1);
});

test("a message beyond the limit closes with 1009, one at the limit does not", async (t) => {
  const { listener, door } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  const peer = await door.link();
  ws.send(Buffer.alloc(100_000));
  await peer.until(() => peer.received === 100_000);
  ws.send(Buffer.alloc(100_001));
  const [code] = await once(ws, "close");
  assert.equal(code, 1009);
  await peer.until(() => peer.closes === 1);
  assert.notEqual(peer.closed, null);
});

test("a message in 64 frames is taken, one in more closes with 1008: ws keeps an object for each", async (t) => {
  const { listener, door } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  const peer = await door.link();
  const inFrames = (count: number): void => {
    for (let i = 1; i <= count; i++) ws.send("x", { binary: true, fin: i === count });
  };
  inFrames(64);
  await peer.until(() => peer.received === 64);
  inFrames(65);
  const [code] = await once(ws, "close");
  assert.equal(code, 1008);
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.received, 64);
});

test("bytes of a message that is not whole are told, and none once it is handed on", async (t) => {
  const { listener, door } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  const peer = await door.link();
  const told: number[] = [];
  peer.link.held = { hold: (bytes) => void told.push(bytes) };
  ws.send("x".repeat(1000), { binary: true, fin: false });
  await eventually("the first part", () => told.at(-1) === 1000);
  ws.send("x".repeat(500), { binary: true, fin: false });
  await eventually("the second", () => told.at(-1) === 1500);
  ws.send("x", { binary: true, fin: true });
  await peer.until(() => peer.received === 1501);
  assert.equal(told.at(-1), 0);
});

test("a slow reader gets every byte in order; end sends the rest and closes with 1000", async (t) => {
  const { listener, door, counters } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  ws.pause();
  const peer = await door.link();
  const [sent, got] = [createHash("sha256"), createHash("sha256")];
  for (let i = 0; peer.link.output.pendingBytes < 1_500_000; i++) {
    const packet = Buffer.alloc(1 + ((i * 7919) % 30_000), i);
    peer.link.output.append(packet, 0, packet.length);
    sent.update(packet);
    if (i % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  peer.link.end();
  ws.on("message", (data: Buffer) => got.update(data));
  ws.resume();
  const [code] = await once(ws, "close");
  assert.equal(code, 1000);
  assert.equal(got.digest("hex"), sent.digest("hex"));
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.closed, null);
  assert.equal(counters.get("transport.output_bytes"), 0);
});

test("answers to pings do not hold up the output", async (t) => {
  const { listener, door } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  ws.pause();
  const peer = await door.link();
  const { output } = peer.link;
  const packet = Buffer.alloc(60_000, 1);
  let sent = 0;
  for (; output.pendingBytes < 500_000; sent += packet.length) {
    output.append(packet, 0, packet.length);
    output.flush();
  }
  const pinged = new Promise((resolve) => ws.once("pong", resolve));
  ws.ping();
  ws.send(Buffer.from("behind the ping"));
  await peer.until(() => peer.received > 0);
  let received = 0;
  ws.on("message", (data: Buffer) => {
    received += data.length;
  });
  ws.resume();
  await pinged;
  await peer.until(() => output.pendingBytes === 0);
  output.append(packet, 0, packet.length);
  while (received < sent + packet.length) await once(ws, "message");
  assert.equal(received, sent + packet.length);
});

test("who pings and never reads is closed (by ws, beyond 60 answers that wait)", async (t) => {
  const { listener, door } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  ws.pause();
  const peer = await door.link();
  const payload = Buffer.alloc(125);
  while (peer.closes === 0) {
    for (let i = 0; i < 1000; i++) ws.ping(payload);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(peer.closed, "connection lost (1006)");
});

test("a paused link delivers nothing until it is resumed", async (t) => {
  const { listener, door } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  const peer = await door.link();
  peer.link.pause();
  ws.send(Buffer.from("one"));
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(peer.received, 0);
  peer.link.resume();
  await peer.until(() => peer.text() === "one");
});

test("a lost connection is told in words, once", async (t) => {
  const { listener, door } = await listening(t);
  const ws = dial(t, listener);
  await once(ws, "open");
  const peer = await door.link();
  ws.terminate();
  await peer.until(() => peer.closes === 1);
  assert.match(peer.closed ?? "", /connection lost \(1006\)|ECONNRESET/);
});

test("over TLS it is wss, with the client certificate's CN", async (t) => {
  const authority = new Authority(t);
  const { listener, door } = await listening(t, { tls: { ...authority.issue("gw"), clientCa: authority.ca } });
  const device = authority.issue("panel");
  const [ca, cert, key] = [authority.ca, device.cert, device.key].map((path) => readFileSync(path));
  const ws = dial(t, listener, { ca: ca as Buffer, cert: cert as Buffer, key: key as Buffer });
  await once(ws, "open");
  const peer = await door.link();
  assert.equal(peer.link.certificateName, "panel");
  const packet = Buffer.alloc(300_000, 1);
  peer.link.output.append(packet, 0, packet.length);
  let received = 0;
  while (received < packet.length) received += (await once(ws, "message"))[0].length;
  listener.reload?.({ ...authority.issue("renewed"), clientCa: authority.ca })();
});

test("a request that asks for no upgrade is told what this is", async (t) => {
  const { listener } = await listening(t);
  const [response] = await once(get({ port: portOf(listener), host: "127.0.0.1", path: "/mqtt" }), "response");
  response.resume();
  assert.equal(response.statusCode, 426);
});

test("an upgrade that comes byte by byte is closed after connect_timeout, and counted", async (t) => {
  const { listener, counters } = await listening(t, {}, { connectTimeoutMs: 300 });
  const sent = await drip(await client(t, listener), "GET /mqtt HTTP/1.1\r\nHost: gateway\r\nX-Slow: ");
  assert.ok(sent < 500, `${sent} bytes`);
  assert.equal(counters.get("transport.refused.ws_timeout"), 1);
  await eventually("it is gone", () => counters.get("transport.connections") === 0);
});
