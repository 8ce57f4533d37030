import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { createDial, type DialTarget } from "../../../src/transport/dialer.ts";
import { listenTcp } from "../../../src/transport/tcp.ts";
import { listenTls } from "../../../src/transport/tls.ts";
import { Authority, type Bench, bench, Door, portOf, Recorder } from "./fixture.ts";

const NO_TLS = { ca: null, cert: null, key: null, alpn: [], servername: null };

/** Settles as the dial does: a recorder on the link, or the error's message. */
function dialled(made: Bench, target: Partial<DialTarget> & { port: number }): Promise<Recorder | string> {
  const dial = createDial(made.transport);
  return new Promise((resolve) => {
    dial(
      { host: "127.0.0.1", tls: null, timeoutMs: 5000, ...target },
      (link) => resolve(new Recorder(link)),
      (error) => resolve(error.message),
    );
  });
}

async function linked(made: Bench, target: Partial<DialTarget> & { port: number }): Promise<Recorder> {
  const result = await dialled(made, target);
  assert.ok(result instanceof Recorder, String(result));
  return result;
}

async function tcpListener(t: TestContext) {
  const made = bench(t);
  const door = new Door();
  const { transport } = made;
  const listener = await listenTcp({ transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0 }, door.accept);
  made.listeners.push(listener);
  return { made, door, port: portOf(listener) };
}

/** Accepts and says nothing. */
async function silentServer(t: TestContext) {
  const accepted: (() => void)[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    accepted.push(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const destroy of accepted) destroy();
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test("a link to a name over TCP carries bytes both ways", async (t) => {
  const { made, door, port } = await tcpListener(t);
  const here = await linked(made, { host: "localhost", port });
  const there = await door.link();
  here.link.output.append(Buffer.from("ping"), 0, 4);
  await there.until(() => there.text() === "ping");
  there.link.output.append(Buffer.from("pong"), 0, 4);
  await here.until(() => here.text() === "pong");
  assert.equal(here.link.remote, `127.0.0.1:${port}`);
  here.link.end();
  await Promise.all([here.until(() => here.closes === 1), there.until(() => there.closes === 1)]);
  assert.deepEqual([here.closed, there.closed], [null, null]);
});

test("it leaves from bindAddress", async (t) => {
  const { made, door, port } = await tcpListener(t);
  await linked(made, { port, bindAddress: "127.0.0.9" });
  assert.equal((await door.link()).link.remoteAddress, "127.0.0.9");
  assert.equal(
    await dialled(made, { host: "127.0.0.1", port, bindAddress: "::1" }),
    `127.0.0.1:${port}: no address that ::1 can reach`,
  );
});

test("a refused connection and an unknown name are told in words", async (t) => {
  const made = bench(t);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  server.close();
  await once(server, "close");
  assert.equal(await dialled(made, { port }), `127.0.0.1:${port}: connection refused (ECONNREFUSED)`);
  const unknown = await dialled(made, { host: "nowhere.invalid", port });
  assert.match(
    String(unknown),
    /^nowhere\.invalid:\d+: (name not found \(ENOTFOUND\)|name server does not answer \(EAI_AGAIN\))$/,
  );
});

test("a timeout says where it was, and only one callback comes", async (t) => {
  const made = bench(t);
  const port = await silentServer(t);
  const error = await dialled(made, { port, tls: NO_TLS, timeoutMs: 100 });
  assert.equal(error, `127.0.0.1:${port}: timed out after 100 ms, in the TLS handshake`);
});

test("after cancel neither callback comes", async (t) => {
  const { made, port } = await tcpListener(t);
  let calls = 0;
  const count = () => {
    calls++;
  };
  const dial = createDial(made.transport);
  const silent = await silentServer(t);
  const dialling = [
    dial({ host: "127.0.0.1", port, tls: null, timeoutMs: 50 }, count, count),
    dial({ host: "localhost", port, tls: null, timeoutMs: 50 }, count, count),
    dial({ host: "127.0.0.1", port: silent, tls: NO_TLS, timeoutMs: 50 }, count, count),
  ];
  for (const one of dialling) {
    one.cancel();
    one.cancel();
  }
  // The next dial's look-up waits for the cancelled ones'.
  await linked(made, { host: "localhost", port });
  await dialled(made, { port: silent, tls: NO_TLS, timeoutMs: 100 });
  assert.equal(calls, 0);
});

test("a server whose certificate cannot be verified is not talked to, and the reason is told", async (t) => {
  const authority = new Authority(t);
  const stranger = new Authority(t, "stranger");
  const made = bench(t);
  const door = new Door();
  const { transport } = made;
  const common = { transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0 };
  const tls = { ...authority.issue("cloud", "DNS:cloud.example"), clientCa: authority.ca };
  const listener = await listenTls({ ...common, tls }, door.accept);
  made.listeners.push(listener);
  const port = portOf(listener);
  const device = authority.issue("gw-17");
  const ours = { ...NO_TLS, ca: authority.ca, ...device };

  const untrusted = await dialled(made, { port, tls: { ...ours, ca: stranger.ca, servername: "cloud.example" } });
  assert.match(String(untrusted), new RegExp(`^127\\.0\\.0\\.1:${port}: the certificate's issuer is not trusted`));
  const misnamed = await dialled(made, { port, tls: ours });
  assert.match(String(misnamed), /IP: 127\.0\.0\.1 is not in the cert's list: {2}\(ERR_TLS_CERT_ALTNAME_INVALID\)$/);
  const unreadable = await dialled(made, { port, tls: { ...ours, ca: "/nowhere/ca.pem" } });
  assert.equal(unreadable, `127.0.0.1:${port}: tls: ca /nowhere/ca.pem: cannot be read: ENOENT`);

  const here = await linked(made, { port, tls: { ...ours, servername: "cloud.example" } });
  const there = await door.link(door.links.length);
  assert.equal(there.link.certificateName, "gw-17");
  here.link.output.append(Buffer.from("ping"), 0, 4);
  await there.until(() => there.text() === "ping");
});

test("without the client certificate that the server wants, the link closes with the server's reason", async (t) => {
  const authority = new Authority(t);
  const made = bench(t);
  const { transport } = made;
  const tls = { ...authority.issue("cloud"), clientCa: authority.ca };
  const options = { transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0, tls };
  const listener = await listenTls(options, new Door().accept);
  made.listeners.push(listener);
  const here = await linked(made, { port: portOf(listener), tls: { ...NO_TLS, ca: authority.ca } });
  await here.until(() => here.closes === 1);
  assert.match(here.closed ?? "", /certificate required/);
});
