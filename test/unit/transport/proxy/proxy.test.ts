import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { ProxyConfig } from "../../../../src/config/uplink-urls.ts";
import { createDial, type DialError, type DialTarget } from "../../../../src/transport/dialer.ts";
import { listenTcp } from "../../../../src/transport/tcp.ts";
import { listenTls } from "../../../../src/transport/tls.ts";
import { listenWs } from "../../../../src/transport/ws.ts";
import { httpProxy, scriptedProxy, socksProxy, type TestProxy } from "../../../support/proxies.ts";
import { Authority, type Bench, bench, Door, portOf, Recorder } from "../fixture.ts";

const KINDS = [
  ["http", httpProxy],
  ["socks5", socksProxy],
] as const;

const NO_TLS = { ca: null, cert: null, key: null, alpn: [], servername: null };

function dialled(made: Bench, target: Partial<DialTarget> & { port: number }): Promise<Recorder | string> {
  const dial = createDial(made.transport);
  return new Promise((resolve) => {
    dial(
      { host: "cloud.example", tls: null, timeoutMs: 5000, ...target },
      (link) => resolve(new Recorder(link)),
      (error) => resolve(error.message),
    );
  });
}

function by(kind: ProxyConfig["kind"], proxy: TestProxy, options: Partial<ProxyConfig> = {}): ProxyConfig {
  return { kind, host: "127.0.0.1", port: proxy.port, username: null, passwordFile: null, ...options };
}

function closing(t: TestContext, proxy: TestProxy): TestProxy {
  t.after(() => proxy.close());
  return proxy;
}

async function echo(here: Recorder, door: Door): Promise<void> {
  const there = await door.link();
  here.link.output.append(Buffer.from("ping"), 0, 4);
  await there.until(() => there.text() === "ping");
  there.link.output.append(Buffer.from("pong"), 0, 4);
  await here.until(() => here.text() === "pong");
}

for (const [kind, start] of KINDS) {
  test(`${kind}: bytes go through, and the proxy is given the name, which resolves nowhere else`, async (t) => {
    const made = bench(t);
    const door = new Door();
    const common = { transport: made.transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0 };
    const listener = await listenTcp(common, door.accept);
    made.listeners.push(listener);
    const port = portOf(listener);
    const proxy = closing(t, await start());
    const here = await dialled(made, { port, proxy: by(kind, proxy) });
    assert(here instanceof Recorder, String(here));
    await echo(here, door);
    assert.deepEqual(proxy.asked, [`cloud.example:${port}`]);
  });

  test(`${kind}: TLS and a WebSocket go through; the certificate is the server's`, async (t) => {
    const made = bench(t);
    const authority = new Authority(t);
    const tls = { ...authority.issue("cloud", "DNS:cloud.example"), clientCa: null };
    const common = { transport: made.transport, index: 0, host: "127.0.0.1", port: 0, tls };
    const doors = [new Door(), new Door()] as const;
    const secure = await listenTls({ ...common, type: "mqtt" }, doors[0].accept);
    const web = await listenWs(
      { ...common, type: "ws", path: "/mqtt", origins: null, messageBytesMax: 1000 },
      doors[1].accept,
    );
    made.listeners.push(secure, web);
    const proxy = closing(t, await start());
    const target = { proxy: by(kind, proxy), tls: { ...NO_TLS, ca: authority.ca } };
    const overTls = await dialled(made, { ...target, port: portOf(secure) });
    assert(overTls instanceof Recorder, String(overTls));
    await echo(overTls, doors[0]);
    const overWs = await dialled(made, { ...target, port: portOf(web), webSocketPath: "/mqtt" });
    assert(overWs instanceof Recorder, String(overWs));
    await echo(overWs, doors[1]);
    const wrongPath = await dialled(made, { ...target, port: portOf(web), webSocketPath: "/elsewhere" });
    assert.match(String(wrongPath), /the server has no WebSocket under this path \(404\)$/);
    const wrongName = await dialled(made, { ...target, host: "other.example", port: portOf(secure) });
    assert.match(String(wrongName), /^other\.example:\d+: .*cloud\.example/);
  });

  test(`${kind}: user and password, the file read anew for each connection`, async (t) => {
    const made = bench(t);
    const door = new Door();
    const common = { transport: made.transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0 };
    const listener = await listenTcp(common, door.accept);
    made.listeners.push(listener);
    const port = portOf(listener);
    const folder = mkdtempSync(join(tmpdir(), "proxy-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const passwordFile = join(folder, "pw");
    const proxy = closing(t, await start({ login: "gw:grün" }));
    const where = `cloud.example:${port}: proxy 127.0.0.1:${proxy.port}`;
    const wanted = String(await dialled(made, { port, proxy: by(kind, proxy) }));
    assert(wanted.startsWith(`${where}: it wants a user name and password`), wanted);
    const withFile = by(kind, proxy, { username: "gw", passwordFile });
    assert.match(String(await dialled(made, { port, proxy: withFile })), /proxy_password_file .*pw: no such file/);
    writeFileSync(passwordFile, "wrong\n");
    const refused = String(await dialled(made, { port, proxy: withFile }));
    assert(refused.startsWith(`${where}: it refuses the user name or password`), refused);
    writeFileSync(passwordFile, "grün\n");
    const here = await dialled(made, { port, proxy: withFile });
    assert(here instanceof Recorder, String(here));
    assert.equal(proxy.asked.at(-1), `cloud.example:${port} as gw:grün`);
  });

  test(`${kind}: a server that refuses the proxy, a proxy that is not there`, async (t) => {
    const made = bench(t);
    const proxy = closing(t, await start());
    const gone = await start();
    await gone.close();
    const refused = String(await dialled(made, { port: gone.port, proxy: by(kind, proxy) }));
    assert.match(
      refused,
      kind === "http" ? /it does not reach the server \(502/ : /the server refused its connection$/,
    );
    assert.equal(
      await dialled(made, { port: 1883, proxy: by(kind, gone) }),
      `cloud.example:1883: proxy 127.0.0.1:${gone.port}: connection refused (ECONNREFUSED)`,
    );
  });

  test(`${kind}: a proxy that says nothing is given up after the deadline; cancelled, it is let go`, async (t) => {
    const made = bench(t);
    const proxy = closing(t, await scriptedProxy(""));
    assert.equal(
      await dialled(made, { port: 1883, proxy: by(kind, proxy), timeoutMs: 300 }),
      `cloud.example:1883: proxy 127.0.0.1:${proxy.port}: timed out after 300 ms, waiting for its answer`,
    );
    let calls = 0;
    const dial = createDial(made.transport);
    const target = { host: "cloud.example", port: 1883, tls: null, timeoutMs: 5000, proxy: by(kind, proxy) };
    dial(
      target,
      () => calls++,
      () => calls++,
    ).cancel();
    await dialled(made, { port: 1883, proxy: by(kind, proxy), timeoutMs: 100 });
    assert.equal(calls, 0);
  });
}

const HTTP_ANSWERS: readonly (readonly [string, boolean, RegExp])[] = [
  ["HTTP/1.1 403 Filtered\r\n\r\n", true, /it does not allow connections to this server or port \(403 Filtered\)$/],
  ["HTTP/1.1 401 Unauthorized\r\n\r\n", true, /it wants a user name and password \(401 Unauthorized\)$/],
  ["HTTP/1.1 500 Unable to connect\r\n\r\n", true, /it does not reach the server \(500 Unable to connect\)$/],
  ["HTTP/1.1 504 \r\n\r\n", true, /it does not reach the server \(504\)$/],
  ["HTTP/1.1 400 Bad Request\r\n\r\n", true, /it refuses the connection \(400 Bad Request\)$/],
  ["SSH-2.0-OpenSSH_9.2\r\n", false, /it does not answer as HTTP proxies do \(HPE_/],
  ["\x05\xff", false, /it does not answer as HTTP proxies do \(HPE_/],
  [`HTTP/1.1 200 OK\r\nX: ${"x".repeat(100_000)}`, false, /its answer is too long$/],
  ["", true, /closed the connection without an answer$/],
  ["HTTP/1.1 200 OK\r\n", true, /closed the connection without an answer$/],
];

test("an HTTP proxy that refuses, answers garbage, never ends its header or closes: each in words", async (t) => {
  const made = bench(t);
  for (const [answer, closes, words] of HTTP_ANSWERS) {
    const proxy = closing(t, await scriptedProxy(Buffer.from(answer, "latin1"), closes));
    assert.match(String(await dialled(made, { port: 1883, proxy: by("http", proxy) })), words);
  }
});

test("a server that the proxy does not reach counts as not reached, a proxy that refuses us does not", async (t) => {
  const made = bench(t);
  const unreached = async (kind: ProxyConfig["kind"], answer: string): Promise<boolean> => {
    const proxy = closing(t, await scriptedProxy(Buffer.from(answer, "latin1"), true));
    return new Promise((resolve) => {
      const target = { host: "cloud.example", port: 1883, tls: null, timeoutMs: 5000, proxy: by(kind, proxy) };
      createDial(made.transport)(
        target,
        () => assert.fail(),
        (error) => resolve((error as DialError).unreached),
      );
    });
  };
  for (const status of [500, 502, 503, 504]) assert(await unreached("http", `HTTP/1.1 ${status} No\r\n\r\n`));
  for (const status of [400, 401, 403, 407]) assert(!(await unreached("http", `HTTP/1.1 ${status} No\r\n\r\n`)));
  const reply = (code: number): string => `\x05\x00\x05${String.fromCharCode(code)}\0\x01${"\0".repeat(6)}`;
  for (const code of [1, 3, 4, 5, 6]) assert(await unreached("socks5", reply(code)));
  for (const code of [2, 7, 8]) assert(!(await unreached("socks5", reply(code))));
});

test("a header of an HTTP proxy that trickles for ever ends with the deadline", async (t) => {
  const made = bench(t);
  const proxy = closing(t, await scriptedProxy("HTTP/1.1 200 OK\r\nX: y\r\n"));
  const words = String(await dialled(made, { port: 1883, proxy: by("http", proxy), timeoutMs: 300 }));
  assert.match(words, /timed out after 300 ms, waiting for its answer$/);
});

const SOCKS_ANSWERS: readonly (readonly [number[], boolean, RegExp])[] = [
  [[5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0], false, /it failed \(general failure\)$/],
  [[5, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0], false, /it does not allow connections to this server or port$/],
  [[5, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0], false, /network unreachable$/],
  [[5, 0, 5, 4, 0, 1, 0, 0, 0, 0, 0, 0], false, /host unreachable, or its name not found$/],
  [[5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0], false, /the server refused its connection$/],
  [[5, 0, 5, 6, 0, 1, 0, 0, 0, 0, 0, 0], false, /too many hops$/],
  [[5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0], false, /it does not know how to connect$/],
  [[5, 0, 5, 8, 0, 1, 0, 0, 0, 0, 0, 0], false, /it does not take names or addresses of this kind$/],
  [[5, 0, 5, 99, 0, 1, 0, 0, 0, 0, 0, 0], false, /it refuses the connection$/],
  [[5, 0xff], false, /it wants a user name and password$/],
  [[5, 0x42], false, /it does not answer as SOCKS 5 does$/],
  [[4, 90, 0, 0, 0, 0, 0, 0], false, /it does not answer as SOCKS 5 does$/],
  [[...Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")], true, /it does not answer as SOCKS 5 does$/],
  [[], true, /closed the connection without an answer$|closed by peer$/],
  [[5, 0], true, /closed the connection without an answer$|closed by peer$/],
];

test("a SOCKS proxy's reply codes, garbage and silence: each in words", async (t) => {
  const made = bench(t);
  for (const [answer, closes, words] of SOCKS_ANSWERS) {
    const proxy = closing(t, await scriptedProxy(Buffer.from(answer), closes));
    assert.match(String(await dialled(made, { port: 1883, proxy: by("socks5", proxy) })), words, answer.join(" "));
  }
});
