import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, get, request } from "node:http";
import { get as getTls } from "node:https";
import { type TestContext, test } from "node:test";
import { type HttpListenOptions, listenHttp, type OnRequest } from "../../../src/transport/http.ts";
import { certificateName } from "../../../src/transport/peer-certificate.ts";
import { Authority, bench, client, portOf, readToEnd } from "./fixture.ts";

async function listening(t: TestContext, options: Partial<HttpListenOptions> = {}, limits = {}, onRequest?: OnRequest) {
  const made = bench(t, limits);
  const { transport } = made;
  const listener = await listenHttp(
    { transport, index: 0, type: "http", host: "127.0.0.1", port: 0, tls: null, ...options },
    onRequest ?? ((_request, response) => response.end("hello")),
  );
  made.listeners.push(listener);
  return { ...made, listener };
}

async function bodyOf(response: NodeJS.ReadableStream): Promise<string> {
  let body = "";
  for await (const chunk of response) body += chunk;
  return body;
}

test("requests and their bodies reach the callback, several on one connection", async (t) => {
  const { listener, counters } = await listening(t, {}, {}, (req, response) => {
    bodyOf(req).then((body) => response.end(`${req.method} ${req.url} ${body} ${req.socket.remoteAddress}`));
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  for (const body of ["one", "two"]) {
    const outgoing = request({ port: portOf(listener), host: "127.0.0.1", method: "PUT", path: "/topics/a", agent });
    outgoing.end(body);
    const [response] = await once(outgoing, "response");
    assert.equal(await bodyOf(response), `PUT /topics/a ${body} 127.0.0.1`);
  }
  assert.equal(counters.get("transport.accepted"), 1);
});

test("a connection that sends no headers, or half of them, is closed at the deadline", async (t) => {
  const deadlines = { headersMs: 200, requestMs: 400, keepAliveMs: 15_000 };
  const { listener, counters } = await listening(t, { deadlines });
  for (let round = 0; round < 2; round++) {
    const silent = await client(t, listener);
    const half = await client(t, listener);
    half.write("GET / HTTP/1.1\r\nHost: x\r\n");
    const [, answer] = await Promise.all([readToEnd(silent), readToEnd(half)]);
    assert.match(String(answer), /^HTTP\/1\.1 408 /);
    assert.equal(counters.get("transport.connections"), 0, "nobody is there, and the deadlines rest");
  }
});

test("headers beyond 8 KiB and requests that are none get an answer and are closed", async (t) => {
  const { listener } = await listening(t);
  const large = await client(t, listener);
  large.write(`GET / HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(9000)}\r\n\r\n`);
  assert.match(String(await readToEnd(large)), /^HTTP\/1\.1 431 /);
  const garbage = await client(t, listener);
  garbage.write("\x10\x0c\x00\x04MQTT\r\n\r\n");
  assert.match(String(await readToEnd(garbage)), /^HTTP\/1\.1 400 /);
});

test("connections pass admission", async (t) => {
  const { listener, counters } = await listening(t, {}, { maxConnections: 1 });
  await client(t, listener);
  const refused = await client(t, listener);
  await readToEnd(refused);
  assert.equal(counters.get("transport.refused.max_connections"), 1);
});

test("over TLS the client certificate's name is there", async (t) => {
  const authority = new Authority(t);
  const tls = { ...authority.issue("gw"), clientCa: authority.ca };
  const { listener } = await listening(t, { tls }, {}, (req, response) => response.end(certificateName(req.socket)));
  const device = authority.issue("panel");
  const [ca, cert, key] = [authority.ca, device.cert, device.key].map((path) => readFileSync(path));
  const outgoing = getTls({ port: portOf(listener), host: "localhost", family: 4, ca, cert, key, agent: false });
  const [response] = await once(outgoing, "response");
  assert.equal(await bodyOf(response), "panel");
});

test("when it closes, idle connections go and a request under way is answered", async (t) => {
  let answer = () => {};
  let asked = () => {};
  const underWay = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const { listener } = await listening(t, {}, {}, (req, response) => {
    if (req.url === "/at-once") response.end("now");
    else answer = () => response.end("late");
    if (req.url === "/later") asked();
  });
  const idle = await client(t, listener);
  idle.write("GET /at-once HTTP/1.1\r\nHost: x\r\n\r\n");
  await once(idle, "data");
  const outgoing = get({ port: portOf(listener), host: "127.0.0.1", path: "/later", agent: new Agent() });
  await underWay;
  await listener.close();
  await readToEnd(idle);
  answer();
  const [response] = await once(outgoing, "response");
  assert.equal(await bodyOf(response), "late");
});
