import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { type TestContext, test } from "node:test";
import { mediaTypeOf } from "../../../../src/core/plain-publish.ts";
import { NO_SUBSCRIBERS, STORED_LATER } from "../../../../src/core/router.ts";
import type { HttpListenerOptions } from "../../../../src/protocol/http/parts.ts";
import { Harness } from "./harness.ts";

async function open(t: TestContext, options?: HttpListenerOptions): Promise<Harness> {
  const harness = await Harness.open(options);
  t.after(() => harness.close());
  return harness;
}

const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString("base64")}` });
const json = (fields: object) => JSON.stringify(fields);

test("PUT and POST /topics/{topic} publish the body at QoS 1: 204", async (t) => {
  const h = await open(t);
  for (const method of ["PUT", "POST"]) {
    const answer = await h.ask(method, "/topics/a/b", "21.5", { "content-type": "text/plain" });
    assert.deepEqual([answer.status, answer.body], [204, ""]);
    const { topic, payload, qos, retain, expirySeconds, message } = h.published.pop()!;
    assert.deepEqual([topic, payload.toString(), qos, retain, expirySeconds], ["a/b", "21.5", 1, false, -1]);
    assert.equal(mediaTypeOf(message), "text/plain");
  }
});

test("the query sets qos, retain and expiry; other keys are passed over", async (t) => {
  const h = await open(t);
  await h.ask("PUT", "/topics/a?qos=2&retain=true&expiry=60&x=y");
  const { qos, retain, expirySeconds, payload, message } = h.published[0]!;
  assert.deepEqual([qos, retain, expirySeconds, payload.length], [2, true, 60, 0]);
  assert.equal(mediaTypeOf(message), null);
});

test("a payload that is not text arrives byte for byte, in one chunk or many", async (t) => {
  const h = await open(t);
  const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => i & 0xff));
  await h.ask("PUT", "/topics/a", bytes);
  await h.ask("PUT", "/topics/a", bytes, { "transfer-encoding": "chunked" });
  assert.deepEqual(h.published[0]?.payload, bytes);
  assert.deepEqual(h.published[1]?.payload, bytes);
});

test("the path is percent-decoded, empty levels stay", async (t) => {
  const h = await open(t);
  for (const [path, topic] of [
    ["/topics/%C3%A9t%C3%A9/1", "été/1"],
    ["/topics//a/", "/a/"],
    ["/topics/a%2Fb%20c", "a/b c"],
  ] as const) {
    assert.equal((await h.ask("PUT", path)).status, 204);
    assert.equal(h.published.at(-1)?.topic, topic);
  }
});

for (const [title, path, error] of [
  ["no topic", "/topics/", "topic-invalid"],
  ["a wildcard", "/topics/a/%23", "topic-invalid"],
  ["a plus sign", "/topics/+", "topic-invalid"],
  ["U+0000", "/topics/a%00", "topic-invalid"],
  ["$SYS", "/topics/$SYS/a", "topic-invalid"],
  ["broken percent-encoding", "/topics/a%", "topic-invalid"],
  ["bytes that are not UTF-8", "/topics/%ff", "topic-invalid"],
  ["65 bytes of topic", `/topics/${"a".repeat(65)}`, "topic-invalid"],
  ["9 levels", "/topics/1/2/3/4/5/6/7/8/9", "topic-invalid"],
  ["qos 3", "/topics/a?qos=3", "query-invalid"],
  ["an empty qos", "/topics/a?qos=", "query-invalid"],
  ["a strange retain", "/topics/a?retain=perhaps", "query-invalid"],
  ["a negative expiry", "/topics/a?expiry=-1", "query-invalid"],
] as const) {
  test(`PUT with ${title} is 400 ${error} with words`, async (t) => {
    const h = await open(t);
    const answer = await h.ask("PUT", path, "x");
    assert.equal(answer.status, 400);
    assert.equal(answer.json()["error"], error);
    assert.ok(String(answer.json()["detail"]).length > 10);
    assert.equal(h.published.length, 0);
  });
}

test("204 comes only when the store has it; 507 or 503 with Retry-After when it has not", async (t) => {
  const h = await open(t);
  h.outcome = STORED_LATER;
  for (const [reason, status, error] of [
    [0, 204, null],
    [0x97, 507, "full"],
    [0x83, 503, "store-failed"],
  ] as const) {
    let answered = false;
    const asked = h.ask("PUT", "/topics/a", "x").then((answer) => {
      answered = true;
      return answer;
    });
    await h.until(() => h.waiters.length > 0);
    await h.ask("GET", "/health"); // a whole exchange later
    assert.equal(answered, false);
    h.waiters.pop()?.onStored(0, reason);
    const answer = await asked;
    assert.equal(answer.status, status);
    if (error === null) continue;
    assert.equal(answer.json()["error"], error);
    assert.equal(answer.headers["retry-after"], "10");
  }
});

test("a refusal by the router is 507 or 503 at once; nobody subscribed is 204", async (t) => {
  const h = await open(t);
  h.outcome = 0x97;
  assert.equal((await h.ask("PUT", "/topics/a")).status, 507);
  h.outcome = 0x83;
  assert.equal((await h.ask("PUT", "/topics/a")).status, 503);
  h.outcome = NO_SUBSCRIBERS;
  assert.equal((await h.ask("PUT", "/topics/a")).status, 204);
});

test("a client that is gone before the store answers does no harm", async (t) => {
  const h = await open(t);
  h.outcome = STORED_LATER;
  const socket = connect(h.port, "127.0.0.1");
  socket.write("PUT /topics/a HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx");
  await h.until(() => h.waiters.length > 0);
  const connection = once(h.server, "connection");
  socket.destroy();
  await h.ask("GET", "/health");
  await connection;
  h.waiters[0]?.onStored(0, 0);
  assert.equal((await h.ask("GET", "/health")).status, 200);
});

test("a body of exactly the limit is taken, one byte more is 413, announced or not", async (t) => {
  const h = await open(t);
  assert.equal((await h.ask("PUT", "/topics/a", Buffer.alloc(4096))).status, 204);
  assert.equal((await h.ask("PUT", "/topics/a", Buffer.alloc(4097))).status, 413);
  const chunked = { "transfer-encoding": "chunked" };
  assert.equal((await h.ask("PUT", "/topics/a", Buffer.alloc(4097), chunked)).json()["error"], "body-too-large");
  assert.equal((await h.ask("PUT", "/topics/a", Buffer.alloc(1_000_000), chunked)).status, 413);
  assert.equal(h.published.length, 1);
});

test("bodies together are bounded: beyond it 503, and room again when their senders are gone", async (t) => {
  const h = await open(t);
  const half = `PUT /topics/a HTTP/1.1\r\nhost: x\r\ncontent-length: 4096\r\n\r\n${"x".repeat(4095)}`;
  const sockets = [];
  for (let i = 0; i < 256; i++) {
    const socket = connect(h.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(half);
    sockets.push(socket);
  }
  let status = 204;
  for (let i = 0; i < 500 && status === 204; i++) status = (await h.ask("PUT", "/topics/a", Buffer.alloc(4096))).status;
  assert.equal(status, 503);
  for (const socket of sockets) socket.destroy();
  for (let i = 0; i < 500 && status === 503; i++) status = (await h.ask("PUT", "/topics/a", Buffer.alloc(4096))).status;
  assert.equal(status, 204);
});

test("GET /topics/{topic} gives the retained value with type and ETag; HEAD the same without it", async (t) => {
  const h = await open(t);
  const none = await h.ask("GET", "/topics/a");
  assert.deepEqual([none.status, none.json()["error"]], [404, "no-retained-value"]);
  h.retain("a", '{"t":21}', "application/json");
  h.retain("b", "x");
  const answer = await h.ask("GET", "/topics/a");
  assert.deepEqual([answer.status, answer.body], [200, '{"t":21}']);
  assert.equal(answer.headers["content-type"], "application/json");
  assert.equal(answer.headers["x-content-type-options"], "nosniff");
  const { etag = "" } = answer.headers;
  assert.match(etag, /^"[0-9a-f]{16}"$/);
  const head = await h.ask("HEAD", "/topics/a");
  assert.deepEqual([head.status, head.body, head.headers["content-length"]], [200, "", "8"]);
  assert.equal((await h.ask("GET", "/topics/b")).headers["content-type"], "application/octet-stream");
  assert.equal((await h.ask("GET", "/topics/a", "", { "if-none-match": `"x", ${etag}` })).status, 304);
  assert.equal((await h.ask("GET", "/topics/b", "", { "if-none-match": etag })).status, 200);
});

test("POST /publish takes FluxMQ's JSON and answers {status: ok}", async (t) => {
  const h = await open(t);
  const payload = Buffer.from([0, 255, 10]).toString("base64");
  const answer = await h.ask("POST", "/publish", json({ topic: "a/b", payload, qos: 2, retain: true, more: 1 }));
  assert.deepEqual([answer.status, answer.json()], [200, { status: "ok" }]);
  const { topic, qos, retain, payload: published } = h.published[0]!;
  assert.deepEqual([topic, qos, retain, [...published]], ["a/b", 2, true, [0, 255, 10]]);
  assert.equal((await h.ask("POST", "/publish", json({ topic: "a" }))).status, 200);
  assert.deepEqual([h.published[1]?.qos, h.published[1]?.retain, h.published[1]?.payload.length], [1, false, 0]);
  h.outcome = 0x97;
  assert.equal((await h.ask("POST", "/publish", json({ topic: "a" }))).status, 507);
});

for (const [body, error] of [
  ["", "body-invalid"],
  ["{", "body-invalid"],
  ["[]", "body-invalid"],
  ["null", "body-invalid"],
  [json({}), "body-invalid"],
  [json({ topic: 1 }), "body-invalid"],
  [json({ topic: "a", payload: "%%%" }), "body-invalid"],
  [json({ topic: "a", payload: "YQ" }), "body-invalid"],
  [json({ topic: "a", payload: 1 }), "body-invalid"],
  [json({ topic: "a", qos: 3 }), "body-invalid"],
  [json({ topic: "a", qos: "1" }), "body-invalid"],
  [json({ topic: "a", retain: 1 }), "body-invalid"],
  [json({ topic: "a/#" }), "topic-invalid"],
] as const) {
  test(`POST /publish with ${body || "nothing"} is 400 ${error}`, async (t) => {
    const h = await open(t);
    const answer = await h.ask("POST", "/publish", body);
    assert.deepEqual([answer.status, answer.json()["error"]], [400, error]);
    assert.equal(h.published.length, 0);
  });
}

test("who asks: HTTP Basic with a colon in the password, FluxMQ's headers, or nobody; loopback is known", async (t) => {
  const h = await open(t, { anonymous: "loopback" });
  assert.equal((await h.ask("PUT", "/topics/a", "", basic("user:sec:ret"))).status, 204);
  await h.ask("PUT", "/topics/a", "", {
    authorization: "Bearer sec:ret",
    "x-fluxmq-username": "u2",
    "x-fluxmq-client-id": "c2",
  });
  await h.ask("PUT", "/topics/a");
  const seen = h.logins.map((l) => [l.userName, l.password?.toString() ?? null, l.loopback, l.anonymous]);
  assert.deepEqual(seen, [
    ["user", "sec:ret", true, "loopback"],
    ["u2", "sec:ret", true, "loopback"],
    [null, null, true, "loopback"],
  ]);
  assert.equal(h.logins[1]?.clientId, "c2");
  assert.match(h.logins[2]?.clientId ?? "", /^http:127\.0\.0\.1:\d+$/);
});

test("a wrong password is 401 with WWW-Authenticate, on every guarded path; health asks nobody", async (t) => {
  const h = await open(t);
  for (const [method, path] of [
    ["GET", "/topics/a"],
    ["PUT", "/topics/a"],
    ["POST", "/publish"],
  ] as const) {
    const answer = await h.ask(method, path, "", basic("user:wrong"));
    assert.equal(answer.status, 401);
    assert.match(answer.headers["www-authenticate"] ?? "", /^Basic realm=/);
    assert.equal(answer.json()["error"], "login-required");
  }
  h.logins.length = 0;
  assert.equal((await h.ask("GET", "/health", "", basic("user:wrong"))).status, 200);
  assert.equal(h.logins.length, 0);
});

test("an authorization that cannot be read is no anonymous login", async (t) => {
  const h = await open(t);
  for (const authorization of ["Basic", "Basic %%%", "Digest x=y", "x"]) {
    assert.equal((await h.ask("PUT", "/topics/a", "", { authorization })).status, 401, authorization);
  }
});

test("rights: 403 for reading and publishing, before the body is read", async (t) => {
  const h = await open(t);
  h.retain("a", "x");
  h.readable = false;
  h.writable = false;
  assert.equal((await h.ask("GET", "/topics/a")).json()["error"], "not-allowed");
  assert.equal((await h.ask("PUT", "/topics/a", Buffer.alloc(100_000))).status, 403);
  assert.equal((await h.ask("POST", "/publish", json({ topic: "a" }))).status, 403);
  assert.equal(h.published.length, 0);
});

test("a login that takes its time: the body waits in the socket, then is published", async (t) => {
  const h = await open(t);
  h.loginsWait = true;
  const asked = h.ask("PUT", "/topics/a", "later", basic("user:sec:ret"));
  await h.until(() => h.loginWaiters.length > 0);
  h.loginWaiters[0]?.onLogin({ name: "user", clientId: "c" }, 0);
  assert.equal((await asked).status, 204);
  assert.equal(h.published[0]?.payload.toString(), "later");
});

test("too many logins (server busy) is 503, not 401", async (t) => {
  const h = await open(t);
  h.loginsWait = true;
  const asked = h.ask("PUT", "/topics/a", "", basic("user:sec:ret"));
  await h.until(() => h.loginWaiters.length > 0);
  h.loginWaiters[0]?.onLogin(null, 0x89);
  assert.equal((await asked).status, 503);
});

test("a page of another site may not publish or read; one of the gateway's own may", async (t) => {
  const h = await open(t);
  assert.equal((await h.ask("POST", "/publish", json({ topic: "a" }), { origin: "http://evil.example" })).status, 403);
  assert.equal((await h.ask("GET", "/topics/a", "", { origin: "null" })).status, 403);
  assert.equal(h.logins.length, 0);
  const own = { host: "gw.local", origin: "http://gw.local" };
  assert.equal((await h.ask("POST", "/publish", json({ topic: "a" }), own)).status, 200);
});

test("a value that is there is 503 while the store that has it has failed", async (t) => {
  const h = await open(t);
  h.retain("a", "value");
  h.health = "failed";
  const hidden = await h.ask("GET", "/topics/a");
  assert.deepEqual([hidden.status, hidden.json()["error"]], [503, "store-failed"]);
  assert.equal((await h.ask("GET", "/topics/b")).status, 404);
});

test("unknown paths are 404, unknown methods 405 with Allow", async (t) => {
  const h = await open(t);
  for (const path of ["/", "/topics", "/publish/", "/health/x", "/nothing"]) {
    assert.equal((await h.ask("GET", path)).json()["error"], "no-such-path", path);
  }
  for (const [method, path, allow] of [
    ["DELETE", "/topics/a", "GET, HEAD, PUT, POST"],
    ["GET", "/publish", "POST"],
    ["POST", "/health", "GET, HEAD"],
    ["OPTIONS", "/topics/a", "GET, HEAD, PUT, POST"],
  ] as const) {
    const answer = await h.ask(method, path);
    assert.deepEqual([answer.status, answer.headers.allow], [405, allow]);
  }
  assert.equal(h.logins.length, 0);
});

test("/health is 200 healthy, says why it is degraded, and is 503 when the store has failed", async (t) => {
  const h = await open(t);
  assert.deepEqual((await h.ask("GET", "/health")).json(), { status: "healthy" });
  h.health = "full";
  const full = await h.ask("GET", "/health");
  assert.deepEqual([full.status, full.json()], [200, { status: "degraded", reason: "store-full" }]);
  h.health = "failed";
  const failed = await h.ask("GET", "/health");
  assert.deepEqual([failed.status, failed.json()], [503, { status: "failed", reason: "store-failed" }]);
  assert.equal((await h.ask("HEAD", "/health")).status, 503);
});
