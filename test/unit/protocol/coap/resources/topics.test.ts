/** The request layer: paths, identity, publishing, reading. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { mediaTypeOf } from "../../../../../src/core/plain-publish.ts";
import { NO_SUBSCRIBERS, STORED_LATER } from "../../../../../src/core/router.ts";
import { LOGIN_BYTES_MAX } from "../../../../../src/protocol/coap/shared.ts";
import { IMPLEMENTATION_SPECIFIC_ERROR } from "../../../../../src/wire/mqtt/codes.ts";
import { responseOf } from "../../../../support/coap-messages.ts";
import { hex } from "../../../wire/coap/vectors.ts";
import { Harness, principalOf } from "../harness.ts";

const number = (value: Buffer | undefined): number =>
  value === undefined ? -1 : value.readUIntBE(0, value.length || 1);
const optionUint = (value: Buffer | undefined): number =>
  value === undefined ? -1 : value.length === 0 ? 0 : number(value);

test("a value that is there is 5.03 with Max-Age while the store that has it has failed, and DELETE does not say that it is gone", () => {
  const h = new Harness();
  h.retain("a", "value");
  h.health = "failed";
  h.outcome = IMPLEMENTATION_SPECIFIC_ERROR;
  for (const code of ["GET", "DELETE"] as const) {
    const refused = h.ask({ code }, "/ps/a");
    assert.deepEqual([refused.code, refused.options.get("Max-Age")?.toString("hex")], ["5.03", "0a"]);
  }
  assert.equal(h.ask({}, "/ps/b").code, "4.04");
  assert.equal(h.ask({ code: "DELETE" }, "/ps/b").code, "2.02");
});

test("PUT and POST /ps/{topic} and /mqtt/publish/{topic} publish; a CON at QoS 1, a NON at QoS 0", () => {
  const h = new Harness();
  for (const path of ["/ps/a/b", "/mqtt/publish/a/b"]) {
    for (const code of ["PUT", "POST"]) {
      for (const confirmable of [true, false]) {
        assert.equal(h.ask({ code, confirmable, payload: Buffer.from("21.5") }, path).code, "2.04");
        const { topic, payload, qos, retain, expirySeconds } = h.published.pop()!;
        assert.deepEqual([topic, payload, qos, retain, expirySeconds], ["a/b", "21.5", confirmable ? 1 : 0, false, -1]);
      }
    }
  }
});

test("the query sets qos, retain and expiry; other arguments are passed over", () => {
  const h = new Harness();
  h.ask({ code: "PUT" }, "/ps/a?qos=2&retain=true&expiry=60&clientid=x&flag&=y");
  const { qos, retain, expirySeconds, message } = h.published[0]!;
  assert.deepEqual([qos, retain, expirySeconds], [2, true, 60]);
  assert.equal(message.expiresMs, message.acceptedMs + 60_000);
  h.ask({ code: "PUT" }, "/ps/a?qos=0&retain=0");
  assert.deepEqual([h.published[1]?.qos, h.published[1]?.retain], [0, false]);
});

for (const query of ["qos=3", "qos=", "qos=1x", "retain=maybe", "expiry=-1", "expiry=1.5", "expiry=4294967296"]) {
  test(`a publish with ?${query} is 4.00 with words and reaches nobody`, () => {
    const h = new Harness();
    const response = h.ask({ code: "PUT" }, `/ps/a?${query}`);
    assert.equal(response.code, "4.00");
    assert.match(response.payload, /qos|retain|expiry/);
    assert.equal(h.published.length, 0);
  });
}

test("path segments become topic levels as they stand, empty ones and encoded slashes included", () => {
  const h = new Harness();
  for (const [path, topic] of [
    ["/ps/%C3%A9t%C3%A9/1", "été/1"],
    ["/ps//a", "/a"],
    ["/ps/a/", "a/"],
    ["/ps/a%2Fb", "a/b"],
  ] as const) {
    h.ask({ code: "PUT" }, path);
    assert.equal(h.published.at(-1)?.topic, topic);
  }
});

for (const [title, path] of [
  ["a wildcard", "/ps/a/%2B"],
  ["#", "/ps/%23"],
  ["U+0000", "/ps/a%00"],
  ["$SYS", "/ps/$SYS/x"],
  ["an empty topic", "/ps/"],
  ["65 bytes where 64 are allowed", `/ps/${"a".repeat(65)}`],
  ["9 levels where 8 are allowed", "/ps/1/2/3/4/5/6/7/8/9"],
] as const) {
  test(`publishing to ${title} is 4.00 with words`, () => {
    const h = new Harness();
    const response = h.ask({ code: "PUT" }, path);
    assert.equal(response.code, "4.00");
    assert.ok(response.payload.length > 10);
    assert.equal(h.published.length, 0);
  });
}

test("a topic of 64 bytes and one of 8 levels are taken", () => {
  const h = new Harness();
  assert.equal(h.ask({ code: "PUT" }, `/ps/${"a".repeat(64)}`).code, "2.04");
  assert.equal(h.ask({ code: "PUT" }, "/ps/1/2/3/4/5/6/7/8").code, "2.04");
});

test("RFC 7252 section 5.9.2.9: a payload over the limit is 4.13 with Size1; one of exactly the limit is taken", () => {
  const h = new Harness();
  const response = h.ask({ code: "PUT", payload: Buffer.alloc(2049, 1) }, "/ps/a");
  assert.equal(response.code, "4.13");
  assert.equal(optionUint(response.options.get("Size1")), 2048);
  assert.equal(h.published.length, 0);
  assert.equal(h.ask({ code: "PUT", payload: Buffer.alloc(2048, 1) }, "/ps/a").code, "2.04");
});

test("Content-Format becomes the MQTT 5 content type; one without a media type as RFC 8075 has it", () => {
  const h = new Harness();
  for (const [format, mediaType] of [
    [hex(""), "text/plain; charset=utf-8"],
    [hex("32"), "application/json"],
    [hex("3c"), "application/cbor"],
    [hex("2a"), "application/octet-stream"],
    [hex("ea60"), "application/coap-payload;cf=60000"],
  ] as const) {
    h.ask({ code: "PUT", options: [{ name: "Content-Format", value: format }] }, "/ps/a");
    assert.equal(mediaTypeOf(h.published.at(-1)!.message), mediaType);
  }
});

test("nobody subscribed is 2.04 as well", () => {
  const h = new Harness();
  h.outcome = NO_SUBSCRIBERS;
  assert.equal(h.ask({ code: "PUT" }, "/ps/a").code, "2.04");
});

test("a refusal is 5.03 with Max-Age, at once and when the store says so later", () => {
  for (const reason of [0x97, 0x83]) {
    const h = new Harness();
    h.outcome = reason;
    const refused = h.ask({ code: "PUT" }, "/ps/a");
    assert.deepEqual([refused.code, optionUint(refused.options.get("Max-Age"))], ["5.03", 10]);
    h.outcome = STORED_LATER;
    assert.equal(h.request({ code: "PUT" }, "/ps/a").length, 0);
    h.waiters[0]?.onStored(0, reason);
    assert.equal(responseOf(h.port.sent.at(-1)!.bytes).code, "5.03");
  }
});

test("GET /ps/{topic} gives the retained value with ETag, Content-Format and the Max-Age that is left", () => {
  const h = new Harness();
  assert.equal(h.ask({}, "/ps/a").code, "4.04");
  h.retain("a", "21.5", "application/json", 30);
  h.clock.advance(10_000);
  const response = h.ask({}, "/ps/a");
  assert.deepEqual([response.code, response.payload], ["2.05", "21.5"]);
  assert.equal(optionUint(response.options.get("Content-Format")), 50);
  assert.equal(optionUint(response.options.get("Max-Age")), 20);
  assert.equal(response.options.get("ETag")?.length, 8);
  assert.equal(response.options.has("Block2"), false);
});

test("an empty value and one without a content type have their answers", () => {
  const h = new Harness();
  h.retain("a", "x");
  const response = h.ask({}, "/ps/a");
  assert.deepEqual(
    [response.code, response.options.has("Content-Format"), response.options.has("Max-Age")],
    ["2.05", false, false],
  );
});

test("RFC 7252 section 5.10.6: a GET with the current ETag is 2.03 without payload, another ETag is 2.05", () => {
  const h = new Harness();
  h.retain("a", "one");
  const etag = h.ask({}, "/ps/a").options.get("ETag")!;
  const known = h.ask(
    {
      options: [
        { name: "ETag", value: hex("00") },
        { name: "ETag", value: etag },
      ],
    },
    "/ps/a",
  );
  assert.deepEqual([known.code, known.payload], ["2.03", ""]);
  assert.deepEqual(known.options.get("ETag"), etag);
  h.retain("a", "two");
  assert.equal(h.ask({ options: [{ name: "ETag", value: etag }] }, "/ps/a").code, "2.05");
});

test("RFC 7252 section 5.10.4: an Accept that is not the value's format is 4.06", () => {
  const h = new Harness();
  h.retain("json", "1", "application/json");
  h.retain("bytes", "1");
  const accept = (format: string) => [{ name: "Accept", value: hex(format) }];
  assert.equal(h.ask({ options: accept("32") }, "/ps/json").code, "2.05");
  assert.equal(h.ask({ options: accept("3c") }, "/ps/json").code, "4.06");
  assert.equal(h.ask({ options: accept("2a") }, "/ps/bytes").code, "2.05");
  assert.equal(h.ask({ options: accept("") }, "/ps/bytes").code, "4.06");
});

test("RFC 7959 section 2.4: a value of 2,500 bytes comes in blocks that together are the value, with one ETag", () => {
  const h = new Harness();
  const value = Buffer.from(Array.from({ length: 2500 }, (_, i) => 97 + (i % 26)));
  h.retain("big", value);
  for (const szx of [0, 2, 6]) {
    let got = "";
    const etags = new Set<string>();
    for (let num = 0; ; num++) {
      const block = Buffer.alloc(3);
      block.writeUIntBE(num * 16 + szx, 0, 3);
      const options = num === 0 && szx === 6 ? [] : [{ name: "Block2", value: block }];
      const response = h.ask({ options }, "/ps/big");
      assert.equal(response.code, "2.05");
      const block2 = optionUint(response.options.get("Block2"));
      assert.deepEqual([block2 >> 4, block2 & 7], [num, szx]);
      assert.equal(response.options.has("Size2"), num === 0);
      etags.add(response.options.get("ETag")!.toString("hex"));
      got += response.payload;
      if ((block2 & 8) === 0) break;
      assert.equal(response.payload.length, 16 << szx);
    }
    assert.equal(got, value.toString());
    assert.equal(etags.size, 1);
  }
});

test("a block behind the end is 4.00; 1,024 bytes go in one piece, 1,025 in two", () => {
  const h = new Harness();
  h.retain("a", Buffer.alloc(1024, 0x61));
  h.retain("b", Buffer.alloc(1025, 0x61));
  assert.equal(h.ask({}, "/ps/a").options.has("Block2"), false);
  assert.equal(optionUint(h.ask({}, "/ps/b").options.get("Block2")), 8 + 6);
  assert.equal(h.ask({ options: [{ name: "Block2", value: hex("16") }] }, "/ps/b").payload, "a");
  assert.equal(h.ask({ options: [{ name: "Block2", value: hex("26") }] }, "/ps/b").code, "4.00");
});

test("DELETE clears the retained value: 2.02 once it is settled, and 2.02 when there was none", () => {
  const h = new Harness();
  assert.equal(h.ask({ code: "DELETE" }, "/ps/a").code, "2.02");
  assert.equal(h.published.length, 0);
  h.retain("a", "x");
  h.outcome = STORED_LATER;
  assert.equal(h.request({ code: "DELETE" }, "/ps/a").length, 0);
  const { topic, payload, qos, retain } = h.published[0]!;
  assert.deepEqual([topic, payload, qos, retain], ["a", "", 1, true]);
  h.waiters[0]?.onStored(0, 0);
  assert.equal(responseOf(h.port.sent.at(-1)!.bytes).code, "2.02");
});

test("rights: 4.03 for reading, publishing and clearing; nothing is published", () => {
  const h = new Harness();
  h.retain("a", "x");
  h.readable = false;
  h.writable = false;
  for (const code of ["GET", "PUT", "POST", "DELETE"]) assert.equal(h.ask({ code }, "/ps/a").code, "4.03");
  assert.equal(h.published.length, 0);
});

test("who asks: clientid, username, password and their aliases from the query, a default client id, the loopback address", () => {
  const h = new Harness({ anonymous: "loopback" });
  h.request({ code: "PUT" }, "/ps/a?clientid=c1&username=u1&password=secret", "127.0.0.1", 4711);
  h.request({ code: "PUT" }, "/ps/a?client_id=c2&u=u2&p=secret", "127.9.9.9", 1);
  h.request({ code: "PUT" }, "/ps/a?authorization=secret", "192.0.2.7", 5000);
  h.request({ code: "PUT" }, "/ps/a", "::1", 2);
  assert.deepEqual(
    h.logins.map((l) => [l.clientId, l.userName, l.password?.toString() ?? null, l.loopback, l.anonymous]),
    [
      ["c1", "u1", "secret", true, "loopback"],
      ["c2", "u2", "secret", true, "loopback"],
      ["coap:192.0.2.7:5000", null, "secret", false, "loopback"],
      ["coap:[::1]:2", null, null, true, "loopback"],
    ],
  );
});

test("a wrong password is 4.01; health and discovery ask nobody", () => {
  const h = new Harness();
  assert.equal(h.ask({ code: "PUT" }, "/ps/a?u=x&p=wrong").code, "4.01");
  assert.equal(h.ask({}, "/ps/a?u=x&p=wrong").code, "4.01");
  assert.equal(h.published.length, 0);
  h.logins.length = 0;
  assert.equal(h.ask({}, "/health?p=wrong").code, "2.05");
  assert.equal(h.ask({}, "/.well-known/core").code, "2.05");
  assert.equal(h.logins.length, 0);
});

test("a login that takes its time keeps the request: acknowledged after 1 s, published with its own payload after", () => {
  const h = new Harness();
  h.loginsWait = true;
  h.request({ code: "PUT", payload: Buffer.from("first"), token: hex("01") }, "/ps/a?u=x&p=secret");
  h.request({ code: "PUT", payload: Buffer.from("second"), token: hex("02") }, "/ps/b?u=y&p=secret");
  h.advance(1100);
  assert.deepEqual(
    h.take().map((r) => [r.type, r.code]),
    [
      ["ACK", "0.00"],
      ["ACK", "0.00"],
    ],
  );
  h.loginWaiters[1]?.onLogin(principalOf(h.logins[1]!), 0);
  h.loginWaiters[0]?.onLogin(null, 0x86);
  assert.deepEqual(
    h.published.map((p) => [p.topic, p.payload]),
    [["b", "second"]],
  );
  const [first, ...others] = h.take();
  assert.deepEqual([first?.type, first?.code, first?.token, others.length], ["CON", "2.04", "02", 0]);
  h.acknowledge(first);
  assert.deepEqual(
    h.take().map((r) => [r.type, r.code, r.token]),
    [["CON", "4.01", "01"]],
  );
});

test("requests kept for logins are bounded in bytes: beyond it 5.03, and the late login publishes nothing", () => {
  const h = new Harness();
  h.loginsWait = true;
  const payload = Buffer.alloc(2000, 1);
  let refusals = 0;
  for (let i = 0; i < 200; i++) {
    refusals += h.request({ code: "PUT", payload }, "/ps/a?u=x&p=secret", `192.0.2.${i % 2}`).length;
  }
  const kept = 200 - refusals;
  assert.ok(kept * payload.length <= LOGIN_BYTES_MAX && kept * payload.length > LOGIN_BYTES_MAX / 2, `${kept}`);
  assert.equal(responseOf(h.port.sent[0]!.bytes).code, "5.03");
  assert.equal(h.counters.counter("coap.logins_refused").value, refusals);
  for (const [i, waiter] of h.loginWaiters.entries()) waiter.onLogin(principalOf(h.logins[i]!), 0);
  assert.equal(h.published.length, 200 - refusals);
  h.loginsWait = false;
  assert.equal(h.ask({ code: "PUT", payload }, "/ps/a?u=x&p=secret").code, "2.04");
});

test("too many logins (server busy) is 5.03, not 4.01", () => {
  const h = new Harness();
  h.loginsWait = true;
  h.request({ code: "PUT" }, "/ps/a?u=x&p=secret");
  h.loginWaiters[0]?.onLogin(null, 0x89);
  assert.equal(h.take()[0]?.code, "5.03");
});

test("unknown paths are 4.04, under /mqtt 4.00 as with EMQX and FluxMQ, unknown methods 4.05, both without a login", () => {
  const h = new Harness();
  for (const path of ["/", "/nothing", "/health/x", "/.well-known"]) {
    assert.equal(h.ask({}, path).code, "4.04", path);
  }
  for (const path of ["/mqtt", "/mqtt/publish", "/mqtt/subscribe/a", "/mqtt/connection/x"]) {
    for (const code of ["GET", "POST"]) assert.equal(h.ask({ code }, path).code, "4.00", path);
  }
  for (const [code, path] of [
    ["POST", "/health"],
    ["PUT", "/.well-known/core"],
    ["GET", "/mqtt/publish/a"],
    ["DELETE", "/mqtt/publish/a"],
    ["GET", "/mqtt/connection"],
    ["PATCH", "/ps/a"],
    ["iPATCH", "/ps/a"],
    ["0.31", "/ps/a"],
  ] as const) {
    assert.equal(h.ask({ code }, path).code, "4.05", `${code} ${path}`);
  }
  assert.equal(h.logins.length, 0);
});

test("RFC 7252 section 5.4.1: an unknown critical option is 4.02 for a CON and silence for a NON; elective ones pass", () => {
  const h = new Harness();
  const unknown = [{ name: "2051", value: hex("") }];
  assert.equal(h.ask({ code: "PUT", options: unknown }, "/ps/a").code, "4.02");
  assert.equal(h.request({ code: "PUT", options: unknown, confirmable: false }, "/ps/a").length, 0);
  for (const name of ["If-Match", "If-None-Match", "Block1"]) {
    assert.equal(h.ask({ options: [{ name, value: hex("") }] }, "/health").code, "4.02", name);
  }
  assert.equal(h.published.length, 0);
  assert.equal(h.ask({ code: "GET", options: [{ name: "Observe", value: hex("") }] }, "/health").code, "2.05");
});

test("RFC 7252 section 5.10.2: a proxy request is 5.05", () => {
  const h = new Harness();
  assert.equal(h.ask({ options: [{ name: "Proxy-Uri", value: Buffer.from("coap://x/") }] }, "/health").code, "5.05");
});

test("/health is 2.05 healthy, says why it is degraded, and is 5.03 when the store has failed", () => {
  const h = new Harness();
  assert.deepEqual([h.ask({}, "/health").code, h.ask({}, "/health").payload], ["2.05", "healthy"]);
  h.health = "full";
  assert.match(h.ask({}, "/health").payload, /full/);
  h.health = "failed";
  assert.equal(h.ask({}, "/health").code, "5.03");
});

test("/.well-known/core lists the resources in link format", () => {
  const h = new Harness();
  const response = h.ask({}, "/.well-known/core");
  assert.equal(optionUint(response.options.get("Content-Format")), 40);
  for (const path of ["</ps>", "</mqtt/publish>", "</health>"]) assert.ok(response.payload.includes(path));
});

test("replies go back to the pool: 5,000 requests of every kind leave nothing under way", () => {
  const h = new Harness();
  h.retain("a", "x");
  for (let i = 0; i < 5000; i++) {
    h.outcome = i % 3 === 0 ? STORED_LATER : 0;
    h.loginsWait = i % 5 === 0;
    h.request(
      { code: ["GET", "PUT", "DELETE", "0.31"][i % 4]!, confirmable: i % 2 === 0 },
      i % 7 === 0 ? "/x" : "/ps/a",
    );
    for (const waiter of h.loginWaiters.splice(0)) waiter.onLogin({ name: "", clientId: "" }, 0);
    for (const waiter of h.waiters.splice(0)) waiter.onStored(0, i % 2 === 0 ? 0 : 0x97);
  }
  assert.equal(h.counters.get("coap.busy"), 0);
  h.advance(300_000);
  assert.equal(h.wheel.armed, 0);
});
