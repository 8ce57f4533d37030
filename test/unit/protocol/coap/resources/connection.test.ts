/** `/mqtt/connection`: a password once, then a token. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNECTIONS_MAX } from "../../../../../src/protocol/coap/connection/connection-table.ts";
import { type Response, responseOf } from "../../../../support/coap-messages.ts";
import { Harness } from "../harness.ts";

const CREDENTIALS = "username=alice&password=secret";

function open(h: Harness, clientId: string, query = CREDENTIALS): Response {
  return h.ask({ code: "POST" }, `/mqtt/connection?clientid=${clientId}&${query}`);
}

test("POST gives a token, which stands for the password from then on; nobody is asked again", () => {
  const h = new Harness();
  const created = open(h, "c1");
  assert.deepEqual([created.code, created.options.get("Content-Format")?.length], ["2.01", 0]);
  assert.match(created.payload, /^[A-Za-z0-9_-]{16}$/);
  assert.deepEqual(
    h.logins.map((login) => [login.clientId, login.userName, login.password?.toString()]),
    [["c1", "alice", "secret"]],
  );
  h.retain("a", "21.5");
  const token = `clientid=c1&token=${created.payload}`;
  assert.equal(h.ask({ code: "PUT", payload: Buffer.from("x") }, `/ps/a?${token}`).code, "2.04");
  assert.equal(h.ask({ code: "POST" }, `/mqtt/publish/a?${token}`).code, "2.04");
  assert.equal(h.ask({}, `/ps/a?${token}`).payload, "21.5");
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?${token}`).code, "2.04");
  assert.equal(h.ask({ code: "DELETE" }, `/mqtt/connection?${token}`).code, "2.02");
  assert.equal(h.logins.length, 1);
  for (const [code, path] of [
    ["PUT", "/ps/a"],
    ["GET", "/ps/a"],
    ["PUT", "/mqtt/connection"],
    ["DELETE", "/mqtt/connection"],
  ] as const) {
    assert.equal(h.ask({ code }, `${path}?${token}`).code, "4.01", `${code} ${path} after the goodbye`);
  }
  assert.equal(h.published.length, 2);
});

test("the token works from any address and port, and keeps the connection as a heartbeat does", () => {
  const h = new Harness();
  const { payload } = open(h, "c1");
  for (const [i, address] of ["198.51.100.1", "198.51.100.2", "2001:db8::7"].entries()) {
    h.advance(44_000);
    const [response] = h.request({ code: "PUT" }, `/ps/a?clientid=c1&token=${payload}`, address, 1000 + i);
    assert.equal(response?.code, "2.04");
    h.advance(44_000);
    const [heartbeat] = h.request({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${payload}`, address, 2000 + i);
    assert.equal(heartbeat?.code, "2.04");
  }
  h.advance(46_000);
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${payload}`).code, "4.01");
});

test("the listener's heartbeat is what counts", () => {
  const h = new Harness({ heartbeatMs: 2000 });
  const { payload } = open(h, "c1");
  h.advance(2900);
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${payload}`).code, "2.04");
  h.advance(3100);
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${payload}`).code, "4.01");
});

test("a second POST takes over: the first token is worth nothing; a wrong password takes over nothing", () => {
  const h = new Harness();
  const first = open(h, "c1").payload;
  assert.equal(open(h, "c1", "username=alice&password=wrong").code, "4.01");
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${first}`).code, "2.04");
  const second = open(h, "c1").payload;
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${first}`).code, "4.01");
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${second}`).code, "2.04");
  assert.equal(open(h, "c1", "username=bob&password=secret").code, "4.03", "the client id is another user's");
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${second}`).code, "2.04");
});

test("a repeated POST gets the same token again", () => {
  const h = new Harness();
  const [first] = h.request({ code: "POST", messageId: 7 }, "/mqtt/connection?clientid=c1");
  const [again] = h.request({ code: "POST", messageId: 7 }, "/mqtt/connection?clientid=c1");
  assert.deepEqual([again?.code, again?.payload], ["2.01", first?.payload]);
  assert.equal(h.shared.connections.size, 1);
});

test("what is missing is 4.00 with words", () => {
  const h = new Harness();
  for (const [code, query, words] of [
    ["POST", "", /clientid/],
    ["POST", "?clientid=", /clientid/],
    ["PUT", "?clientid=c1", /token/],
    ["DELETE", "?clientid=c1", /token/],
    ["PUT", "?token=x", /clientid/],
    ["PUT", "?clientid=c1&token=x&token=y", /twice/],
    ["POST", "?clientid=c1&client_id=c2", /twice/],
  ] as const) {
    const response = h.ask({ code }, `/mqtt/connection${query}`);
    assert.equal(response.code, "4.00", `${code} ${query}`);
    assert.match(response.payload, words);
  }
  assert.equal(h.shared.connections.size, 0);
});

test("a token is no password, and beside a token no password is looked at", () => {
  const h = new Harness();
  assert.equal(h.ask({ code: "PUT" }, "/ps/a?clientid=c1&username=alice&token=secret").code, "4.01");
  assert.equal(h.ask({ code: "PUT" }, `/ps/a?clientid=c1&token=x&${CREDENTIALS}`).code, "4.01");
  assert.equal(h.logins.length, 0);
  const { payload } = open(h, "c1");
  const response = h.ask({ code: "PUT" }, `/ps/a?clientid=c1&token=${payload}&username=bob&password=wrong`);
  assert.equal(response.code, "2.04", "the connection is alice's, and that is who publishes");
});

test("over DTLS the identity is who it is: a token of another identity, or of none, is 4.01", () => {
  const h = new Harness();
  h.identity = "valve";
  const { payload } = open(h, "c1", "");
  assert.equal(h.logins[0]?.certificateName, "valve");
  const path = `/ps/a?clientid=c1&token=${payload}`;
  assert.equal(h.ask({ code: "PUT" }, path).code, "2.04");
  h.identity = "pump";
  assert.equal(h.ask({ code: "PUT" }, path).code, "4.01");
  h.identity = null;
  assert.equal(h.ask({ code: "PUT" }, path).code, "4.01");
  h.identity = "valve";
  assert.equal(h.ask({ code: "PUT" }, path).code, "2.04");
});

test("a full table is 5.03 with Max-Age, and the connections in it go on", () => {
  const h = new Harness();
  const tokens = Array.from({ length: CONNECTIONS_MAX }, (_, i) => open(h, `c${i}`).payload);
  const refused = open(h, "late");
  assert.deepEqual([refused.code, refused.options.get("Max-Age")?.readUInt8()], ["5.03", 10]);
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c3&token=${tokens[3]}`).code, "2.04");
});

test("a login that takes its time opens the connection when it is done", () => {
  const h = new Harness();
  h.loginsWait = true;
  assert.equal(h.request({ code: "POST" }, `/mqtt/connection?clientid=c1&${CREDENTIALS}`).length, 0);
  h.loginWaiters[0]?.onLogin({ name: "alice", clientId: "c1" }, 0);
  const created = responseOf(h.port.sent.at(-1)!.bytes);
  assert.equal(created.code, "2.01");
  assert.equal(h.ask({ code: "PUT" }, `/mqtt/connection?clientid=c1&token=${created.payload}`).code, "2.04");
});
