// RFC 7252 sections 5.1 to 5.3 and 5.8: what methods do, and which response belongs to which request.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DELETE,
  FETCH,
  type Fields,
  GET,
  IPATCH,
  message,
  NON,
  Option,
  optionOf,
  optionsOf,
  PATCH,
  POST,
  PUT,
  uri,
} from "./bytes.ts";
import { get, product, put, read, unique } from "./harness.ts";

const gateway = product({
  listeners: [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "coap", bind: "127.0.0.1:0", rate: 1_000_000 },
    { type: "coap", bind: "[::1]:0", rate: 1_000_000 },
  ],
});

test("[RFC7252-5.1-1] [RFC7252-5.5-2] a GET only retrieves: with a payload, with a query that publishes, nothing changes", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("safe");
  const subscriber = await gateway.subscriber(t, `${topic}/#`);
  await gateway.retain(`${topic}/value`, "before");
  await subscriber.take(1);
  for (const type of [0, NON]) {
    const answer = await raw.ask({ ...get(`/ps/${topic}/value?retain=true&qos=1`), type, payload: "after" });
    assert.deepEqual([answer.code, answer.payload.toString()], ["2.05", "before"]);
  }
  assert.equal(await read(raw, `/ps/${topic}/value`), "before");
  assert.equal((await raw.ask(put(`/ps/${topic}/end`, "end"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(1)).map(({ payload }) => payload),
    ["end"],
  );
});

test("[RFC7252-5.1-2] [RFC7252-5.8.4-1] PUT and DELETE are idempotent: doing them again leaves the same state and gives the same answer", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("idempotent");
  for (let i = 0; i < 3; i++) {
    const { code } = await raw.ask(put(`/ps/${topic}?retain=true`, "value"));
    assert.match(code, /^2\.0[14]$/);
    assert.equal(await read(raw, `/ps/${topic}`), "value");
  }
  for (let i = 0; i < 3; i++) {
    assert.equal((await raw.ask({ code: DELETE, options: uri(`/ps/${topic}`) })).code, "2.02");
    assert.equal((await raw.ask(get(`/ps/${topic}`))).code, "4.04");
  }
});

test("[RFC7252-5.2.3-1] a NON is answered by a NON, a failure like a success", async (t) => {
  const raw = await gateway.open(t);
  for (const [fields, code] of [
    [get("/health"), "2.05"],
    [get("/nowhere"), "4.04"],
    [{ ...get("/health"), code: DELETE }, "4.05"],
    [put(`/ps/${unique("non")}`, "x"), "2.04"],
    [put(`/ps/${unique("non")}?qos=9`, "x"), "4.00"],
  ] as const) {
    const answer = await raw.ask({ ...fields, type: NON });
    assert.deepEqual([answer.type, answer.code], ["NON", code]);
  }
});

/** Requests for each kind of response, so that none forgets the token. */
const KINDS: Readonly<Record<string, Fields>> = {
  "2.05": get("/health"),
  "2.04": put("/ps/token/kind", "x"),
  "2.02": { code: DELETE, options: uri("/ps/token/none") },
  "4.00": put("/ps/token/kind?qos=9", "x"),
  "4.02": get("/health", [9, ""]),
  "4.04": get("/nowhere"),
  "4.05": { ...get("/health"), code: POST },
  "5.05": { options: [[Option.ProxyUri, "coap://other/"]] },
};

for (const [code, fields] of Object.entries(KINDS)) {
  test(`[RFC7252-5.3.1-1] [RFC7252-5.3.1-2] the token comes back in a ${code}, whatever its bytes`, async (t) => {
    const raw = await gateway.open(t);
    const tokens = ["", "00", "ff", "0000", "00000000000000ff", "ffffffffffffffff", "f0", "0102030405060708"];
    for (const token of tokens.map((hex) => Buffer.from(hex, "hex"))) {
      const answer = await raw.ask({ ...fields, token });
      assert.deepEqual([answer.code, answer.token], [code, token.toString("hex")]);
    }
  });
}

test("[RFC7252-5.3.1-2] one token for several requests: each gets its own answer", async (t) => {
  const raw = await gateway.open(t);
  const token = "same";
  const ids = [
    raw.request({ ...get("/health"), token }),
    raw.request({ ...get("/nowhere"), token }),
    raw.request({ ...get("/health"), token, code: POST }),
  ];
  const answers = await raw.untilNow();
  assert.deepEqual(
    answers.map(({ id, code, token }) => [id, code, token]),
    ids.map((id, i) => [id, ["2.05", "4.04", "4.05"][i], Buffer.from(token).toString("hex")]),
  );
});

for (const [host, nth] of [
  ["127.0.0.1", 0],
  ["::1", 1],
] as const) {
  test(`[RFC7252-5.3.2-1] responses come from the address and port that was asked (${host})`, async (t) => {
    const port = gateway.gateway.port("coap", nth);
    const raw = await gateway.open(t, port, host);
    for (const type of [0, NON]) {
      assert.equal((await raw.ask({ ...get("/health"), type })).code, "2.05");
      assert.deepEqual([raw.from?.address, raw.from?.port], [host, port]);
    }
  });
}

test("[RFC7252-5.3.2-2] in a piggybacked response both Message ID and token are the request's", async (t) => {
  const raw = await gateway.open(t);
  const asked = Array.from({ length: 50 }, (_, i) => ({ id: (i * 1021) & 0xffff, token: Buffer.from([i, 255 - i]) }));
  for (const { id, token } of asked) raw.send(message({ ...get("/health"), id, token }));
  const answers = await raw.untilNow();
  assert.deepEqual(
    answers.map(({ type, id, token }) => [type, id, token]),
    asked.map(({ id, token }) => ["ACK", id, token.toString("hex")]),
  );
});

test("[RFC7252-5.8-1] an unknown method is a piggybacked 4.05, on every resource", async (t) => {
  const raw = await gateway.open(t);
  for (const path of ["/health", "/.well-known/core", `/ps/${unique("method")}`, "/mqtt/publish/a"]) {
    for (const code of [PATCH, IPATCH, 8, 9, 15, 16, 30, 31]) {
      const answer = await raw.ask({ code, options: uri(path), payload: "x" });
      assert.deepEqual([answer.type, answer.code], ["ACK", "4.05"], `${path} 0.${code}`);
    }
  }
});

test("[RFC7252-5.8-1] a known method that the resource does not have is a piggybacked 4.05", async (t) => {
  const raw = await gateway.open(t);
  for (const [path, codes] of [
    ["/health", [POST, PUT, DELETE, FETCH]],
    ["/.well-known/core", [POST, PUT, DELETE, FETCH]],
    ["/mqtt/publish/a", [GET, DELETE, FETCH]],
  ] as const) {
    for (const code of codes) {
      const answer = await raw.ask({ code, options: uri(path) });
      assert.deepEqual([answer.type, answer.code], ["ACK", "4.05"], `${path} 0.0${code}`);
    }
  }
});

test("RFC 8132 section 2: a FETCH of a topic in its payload is safe, and gives what a GET of the path gives", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("fetch");
  await gateway.retain(topic, "value", "text/plain");
  const fields: Fields = { code: FETCH, options: [...uri("/ps"), [Option.ContentFormat, 0]], payload: topic };
  for (const type of [0, NON]) {
    const answer = await raw.ask({ ...fields, type });
    assert.deepEqual([answer.code, answer.payload.toString()], ["2.05", "value"]);
  }
  const tag = optionOf(await raw.ask(fields), Option.ETag)!;
  const valid = await raw.ask({ ...fields, options: [...fields.options!, [Option.ETag, tag]] });
  assert.equal(valid.code, "2.03");
});

test("[RFC7252-5.8.1-1] a GET that goes well is 2.05, or 2.03 for a value that the client has", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("get");
  await gateway.retain(topic, "value");
  const first = await raw.ask(get(`/ps/${topic}`));
  assert.equal(first.code, "2.05");
  const second = await raw.ask(get(`/ps/${topic}`, [Option.ETag, optionOf(first, Option.ETag)!]));
  assert.equal(second.code, "2.03");
});

test("[RFC7252-5.8.2-1] a POST that makes a value where none was is 2.01 with its location, which is the path that was asked", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("made");
  const fields = { ...put(`/ps/${topic}/a/b?retain=true`, "value"), code: POST };
  const answer = await raw.ask(fields);
  assert.equal(answer.code, "2.01");
  assert.deepEqual(optionsOf(answer, Option.LocationPath).map(String), ["ps", topic, "a", "b"]);
  assert.equal(await read(raw, `/ps/${topic}/a/b`), "value");
  assert.equal((await raw.ask(fields)).code, "2.04", "the next one changes it");
});

test("section 5.8.3: a PUT that makes a value where none was is 2.01", async (t) => {
  const raw = await gateway.open(t);
  const path = `/ps/${unique("made")}?retain=true`;
  assert.equal((await raw.ask(put(path, "value"))).code, "2.01");
  assert.equal((await raw.ask(put(path, "value"))).code, "2.04");
});

test("[RFC7252-5.8.2-2] a POST that makes no resource of its own is 2.04, and its payload was processed", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("post");
  const subscriber = await gateway.subscriber(t, topic);
  for (const path of [`/ps/${topic}`, `/mqtt/publish/${topic}`]) {
    assert.equal((await raw.ask({ code: POST, options: uri(path), payload: path })).code, "2.04");
    assert.equal((await subscriber.take(1))[0]?.payload, path);
  }
});

test("[RFC7252-5.8.3-1] a PUT on a value that is there is 2.04 and replaces it", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("put");
  await gateway.retain(topic, "before");
  assert.equal((await raw.ask(put(`/ps/${topic}?retain=true`, "after"))).code, "2.04");
  assert.equal(await read(raw, `/ps/${topic}`), "after");
});

test("[RFC7252-5.8.3-2] a PUT that cannot be done says so with an error code, and changes nothing", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("refused");
  await gateway.retain(topic, "before");
  assert.equal((await raw.ask(put(`/ps/${topic}?retain=true&qos=9`, "after"))).code, "4.00");
  assert.equal((await raw.ask(put("/ps/wild/+/card", "x"))).code, "4.00");
  assert.equal(await read(raw, `/ps/${topic}`), "before");
});
