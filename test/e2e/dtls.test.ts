// Sessions of a running gateway: reload, limits, restarts, a flood of strangers, and a machine without the addon.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { ROOT, RUN_FLAGS } from "../../scripts/root.mjs";
import { CoapsPeer, psk, requireDtls } from "../support/coaps-peer.ts";
import { dtlsCount, dtlsHome, statusOf } from "../support/dtls-home.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, LAUNCHER, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { LossyUdp } from "../support/lossy-udp.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { Authority } from "../unit/transport/fixture.ts";

const noDtls = requireDtls();

test("SIGHUP: the new key gets in, the old one does not, who was taken away is let go, and a bad file changes nothing", {
  skip: noDtls,
}, async (t) => {
  const { gateway, folder } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, { "psk.txt": "a:1\nb:2\n" });
  const port = gateway.port("coap");
  using stays = await CoapsPeer.open(port, psk("a", "1"));
  using goes = await CoapsPeer.open(port, psk("b", "2"));
  assert.equal((await goes.ask("/health")).code, "2.05");

  writeFileSync(join(folder, "psk.txt"), "a:1\nb\nc:\n");
  const refused = await sluice(["reload", "--config", gateway.configFile]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stdout + refused.stderr, /psk\.txt:2: has no colon[\s\S]*psk\.txt:3: has an empty key/);
  assert.equal((await goes.ask("/health")).code, "2.05");

  writeFileSync(join(folder, "psk.txt"), "a:1\nc:3\n");
  gateway.signal("SIGHUP");
  await eventually("who is gone hears goodbye", () => goes.closed === null);
  await eventually("it is told", () => /reloaded applied=".*DTLS keys and certificates/.test(gateway.stderr));
  assert.equal((await stays.ask("/health")).code, "2.05");
  using added = await CoapsPeer.open(port, psk("c", "3"));
  assert.equal((await added.ask("/health")).code, "2.05");
  await assert.rejects(CoapsPeer.open(port, psk("b", "2")));
  assert.equal(await dtlsCount(gateway, "sessions"), 2);
});

test("certificates are exchanged by a reload, for new handshakes", { skip: noDtls }, async (t) => {
  const [before, after] = [new Authority(t), new Authority(t)];
  const { gateway, folder } = await dtlsHome(t, { cert: "gw.crt", key: "gw.key" }, {}, files(before.issue("gateway")));
  const trusting = ({ ca }: Authority) => CoapsPeer.open(gateway.port("coap"), { ca: readFileSync(ca) });
  using old = await trusting(before);
  for (const [name, text] of Object.entries(files(after.issue("gateway")))) writeFileSync(join(folder, name), text);
  assert.equal((await sluice(["reload", "--config", gateway.configFile])).code, 0);
  using fresh = await trusting(after);
  assert.equal((await fresh.ask("/health")).code, "2.05");
  assert.equal((await old.ask("/health")).code, "2.05", "what was open goes on");
  await assert.rejects(trusting(before), /certificate|verify/);
});

function files({ cert, key }: { cert: string; key: string }): Record<string, string> {
  return { "gw.crt": readFileSync(cert, "utf8"), "gw.key": readFileSync(key, "utf8") };
}

test("max_sessions: the longest idle gives way, who is in use does not", { skip: noDtls }, async (t) => {
  const dtls = { psk_file: "psk.txt", max_sessions: 2, idle_timeout: "1s" };
  const { gateway } = await dtlsHome(t, dtls, {}, { "psk.txt": "a:1\n" });
  const port = gateway.port("coap");
  using idle = await CoapsPeer.open(port, psk("a", "1"));
  using busy = await CoapsPeer.open(port, psk("a", "1"));
  const timer = setInterval(() => busy.send("/health"), 200);
  t.after(() => clearInterval(timer));
  // Its ClientHello finds no room until the first has been idle for long enough; it repeats it meanwhile.
  using late = await CoapsPeer.open(port, psk("a", "1"), { handshakeTimeoutMs: 30_000 });
  assert.equal((await late.ask("/health")).code, "2.05");
  await eventually("goodbye", () => idle.closed === null);
  assert.equal(busy.closed, undefined);
  assert.equal(await dtlsCount(gateway, "evicted"), 1);
  assert.equal(await dtlsCount(gateway, "sessions"), 2);
});

test("a restarted gateway, a client that lost its power, and a NAT that forgot: a new handshake puts it right", {
  skip: noDtls,
}, async (t) => {
  const dtls = { psk_file: "psk.txt", max_sessions: 4, idle_timeout: "1s" };
  const { gateway } = await dtlsHome(t, dtls, {}, { "psk.txt": "a:1\n" });
  const port = gateway.port("coap");
  const listeners = [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "coap", bind: `127.0.0.1:${port}`, dtls },
  ];
  const before = await CoapsPeer.open(port, psk("a", "1"));
  assert.equal((await before.ask("/health")).code, "2.05");
  gateway.configure({ listeners });
  await gateway.end("SIGKILL");
  await gateway.start();
  before.send("/health");
  await eventually("it is for no session", async () => (await dtlsCount(gateway, "dropped.unknown")) === 1);
  const { localPort } = before.client;
  before.vanish();

  const after = await CoapsPeer.open(port, psk("a", "1"), { localPort });
  assert.equal((await after.ask("/health")).code, "2.05");
  after.vanish();
  using again = await CoapsPeer.open(port, psk("a", "1"), { localPort });
  assert.equal((await again.ask("/health")).code, "2.05");
  assert.deepEqual([await dtlsCount(gateway, "replaced"), await dtlsCount(gateway, "sessions")], [1, 1]);

  using nat = await LossyUdp.open(port);
  using behind = await CoapsPeer.open(nat.port, psk("a", "1"));
  assert.equal((await behind.ask("/health")).code, "2.05");
  nat.rebind();
  behind.send("/health");
  await eventually("from another port it is nobody", async () => (await dtlsCount(gateway, "dropped.unknown")) === 2);
  using anew = await CoapsPeer.open(nat.port, psk("a", "1"));
  assert.equal((await anew.ask("/health")).code, "2.05");
  assert.equal(await dtlsCount(gateway, "sessions"), 3);
  using fourth = await CoapsPeer.open(port, psk("a", "1"));
  using fifth = await CoapsPeer.open(port, psk("a", "1"), { handshakeTimeoutMs: 30_000 });
  assert.equal((await fifth.ask("/health")).code, "2.05");
  assert.equal(fourth.closed, undefined);
  assert.ok((await dtlsCount(gateway, "evicted")) >= 1, "what nobody uses any more gave way");
  await gateway.end();
  assert.equal(fifth.closed, null, "at the end of the gateway its clients hear goodbye");
});

test("an observation ends with its session: who comes next from the same port hears nothing of it", {
  skip: noDtls,
}, async (t) => {
  const { gateway } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, { "psk.txt": "a:1\nb:2\n" });
  const port = gateway.port("coap");
  await using mqtt = await MqttCollector.open(gateway.port(), "none");
  const publish = (value: string) => mqtt.client.publishAsync("secret", value, { qos: 1, retain: true });
  await publish("one");
  const first = await CoapsPeer.open(port, psk("a", "1"));
  const observe = { options: [{ name: "Observe" as const, value: Buffer.alloc(0) }] };
  assert.equal((await first.ask("/ps/secret", observe)).payload, "one");
  await publish("two");
  await eventually("it is notified", () => first.received.some(({ payload }) => payload === "two"));
  const { localPort } = first.client;
  first.vanish();
  using second = await CoapsPeer.open(port, psk("b", "2"), { localPort });
  await publish("three");
  assert.equal((await second.ask("/health")).code, "2.05");
  assert.deepEqual(
    second.received.map(({ payload }) => payload),
    ["healthy"],
  );
});

test("a hundred clients at once, as after a power cut: all get in, at the rate of handshakes", {
  skip: noDtls,
}, async (t) => {
  const { gateway } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, { "psk.txt": "a:1\n" });
  const port = gateway.port("coap");
  const all = await Promise.all(
    Array.from({ length: 100 }, () => CoapsPeer.open(port, psk("a", "1"), { handshakeTimeoutMs: 60_000 })),
  );
  assert.equal(await dtlsCount(gateway, "sessions"), 100);
  assert.ok((await dtlsCount(gateway, "deferred")) > 0, "some waited their turn");
  assert.equal(await dtlsCount(gateway, "failed"), 0);
  for (const peer of all) peer[Symbol.dispose]();
});

test("two listeners with keys of their own, IPv6, and data that outlives a session", { skip: noDtls }, async (t) => {
  const { gateway } = await dtlsHome(
    t,
    [{ psk_file: "one" }, { psk_file: "two" }],
    {},
    { one: "a:1\n", two: "a:2\n" },
    { host: "[::1]" },
  );
  const [one, two] = [gateway.port("coap", 0), gateway.port("coap", 1)];
  const host = "::1";
  {
    using first = await CoapsPeer.open(one, psk("a", "1"), { host });
    assert.equal((await first.ask("/ps/x?retain=true", { code: "PUT", payload: Buffer.from("here") })).code, "2.01");
  }
  using second = await CoapsPeer.open(two, psk("a", "2"), { host });
  assert.equal((await second.ask("/ps/x")).payload, "here");
  await assert.rejects(CoapsPeer.open(one, psk("a", "2"), { host, handshakeTimeoutMs: 1500 }));
  assert.equal(await dtlsCount(gateway, "sessions"), 1, "of both listeners together");
});

test("60,000 ClientHellos without a cookie leave RSS flat, no session, and the door open", {
  skip: noDtls,
}, async (t) => {
  // As it runs on a board: V8 is to keep little garbage.
  const { gateway } = await dtlsHome(t, { psk_file: "psk.txt" }, {}, { "psk.txt": "a:1\n" }, { command: [LAUNCHER] });
  const port = gateway.port("coap");
  {
    using warm = await CoapsPeer.open(port, psk("a", "1"));
    assert.equal((await warm.ask("/health")).code, "2.05");
  }
  const hello = clientHello();
  const sockets = Array.from({ length: 8 }, () => createSocket({ type: "udp4", recvBufferSize: 1 << 21 }));
  let answers = 0;
  for (const socket of sockets) {
    socket.on("message", () => {
      answers++;
    });
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
  }
  t.after(() => {
    for (const socket of sockets) socket.close();
  });
  const flood = async (hellos: number): Promise<void> => {
    const before = answers;
    for (let sent = 0; sent < hellos; ) {
      for (let i = 0; i < 40; i++, sent++) {
        hello.writeUInt32BE(sent, 28); // another random: another client
        sockets[sent % sockets.length]?.send(Buffer.from(hello), port, "127.0.0.1");
      }
      // What the kernel's buffers cannot hold would not reach the gateway.
      await eventually("it keeps up", () => answers - before >= sent - 400, 30_000);
    }
  };
  await flood(40_000); // until then V8's heap grows to its working size, 6 MB
  const before = memoryOf(gateway.pid).rssBytes;
  await flood(60_000);
  const growth = memoryOf(gateway.pid).rssBytes - before;
  const { counters } = await statusOf(gateway);
  assert.deepEqual([counters["dtls.sessions"], counters["dtls.half_open"]], [0, 0]);
  assert.ok((counters["dtls.cookies_sent"] ?? 0) >= 68_000, `${counters["dtls.cookies_sent"]}`);
  assert.ok(growth < 4e6, `RSS grew by ${growth} bytes`);
  t.diagnostic(`RSS ${before} + ${growth} bytes, ${answers} answers`);
  using after = await CoapsPeer.open(port, psk("a", "1"));
  assert.equal((await after.ask("/health")).code, "2.05");
});

/** One fragment, DTLS 1.2, one suite (PSK with AES-128-CCM-8), without cookie and extensions. */
function clientHello(): Buffer {
  const hello = Buffer.alloc(13 + 12 + 44);
  hello.set([22, 0xfe, 0xfd]);
  hello.writeUInt16BE(56, 11);
  hello.set([1, 0, 0, 44], 13);
  hello.set([0, 0, 44], 22);
  hello.set([0xfe, 0xfd], 25);
  hello.set([0, 0, 0, 2, 0xc0, 0xa8, 1, 0], 59);
  return hello;
}

test("without the addon the DTLS listener alone is refused, and check, status and the log say why", {
  skip: noDtls,
}, async (t) => {
  const copy = temporaryFolder();
  t.after(() => copy[Symbol.dispose]());
  for (const part of ["sluice.mjs", "chunks"])
    cpSync(join(ROOT, "build", part), join(copy.path, part), { recursive: true });
  cpSync(join(ROOT, "package.json"), join(copy.path, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(copy.path, "node_modules"));
  const command = [process.execPath, ...RUN_FLAGS, join(copy.path, "sluice.mjs")];
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "psk.txt"), "a:1\n");
  const listeners = [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "coap", bind: "127.0.0.1:0" },
    { type: "coap", bind: "127.0.0.1:5684", dtls: { psk_file: "psk.txt" } },
  ];
  await using gateway = new GatewayProcess(folder.path, { listeners }, {}, command);
  await gateway.start();
  assert.deepEqual(
    gateway.listeners.map(({ type }) => type),
    ["mqtt", "coap"],
  );
  const reason = /listener 2 \(coap 127\.0\.0\.1:5684\): the DTLS addon is not built/;
  assert.equal(gateway.stderr.match(/listener-refused/g)?.length, 1);
  assert.match(gateway.stderr, reason);
  const refused = (await statusOf(gateway)).listeners[2];
  assert.deepEqual([refused?.type, refused?.address], ["coap", "127.0.0.1:5684"]);
  assert.match(refused?.refused ?? "", reason);
  const text = (await sluice(["status", "--config", gateway.configFile])).stdout;
  assert.match(text, /listener +coap 127\.0\.0\.1:5684 refused: listener 2/);
  const child = spawn(process.execPath, [join(copy.path, "sluice.mjs"), "check", "--config", gateway.configFile]);
  let checked = "";
  child.stdout.on("data", (bytes: Buffer) => {
    checked += bytes;
  });
  const [code] = await once(child, "close");
  assert.equal(code, 0);
  assert.match(checked, /note: listeners\[2\]\.dtls: this listener will be refused.* the DTLS addon is not built/);
  assert.match(checked, /dtls: sessions in OpenSSL +18 MiB .*besides memory_limit/);
  assert.equal(await gateway.end(), 0);
});
