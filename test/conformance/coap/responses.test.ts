// RFC 7252 sections 5.5 to 5.9: payloads, freshness, validation, and what each response code comes with.
import assert from "node:assert/strict";
import { isUtf8 } from "node:buffer";
import { test } from "node:test";
import { IMPLEMENTATION_SPECIFIC_ERROR, QUOTA_EXCEEDED } from "../../../src/wire/mqtt/codes.ts";
import { Harness } from "../../unit/protocol/coap/harness.ts";
import { DELETE, type Fields, GET, message, Option, optionOf, POST, PUT, readMessage, uintOf, uri } from "./bytes.ts";
import { get, holdToRules, product, put, read, unique } from "./harness.ts";

const PAYLOAD_MAX = 2048;
const gateway = product({ limits: { max_packet_bytes: PAYLOAD_MAX } });

test("[RFC7252-5.5-1] [RFC7252-5.9.1.3-1] [RFC7252-5.9.1.3-2] a 2.03 has the ETag that it validates, and no payload", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("valid");
  await gateway.retain(topic, "value", "text/plain");
  const tag = optionOf(await raw.ask(get(`/ps/${topic}`)), Option.ETag)!;
  const valid = await raw.ask(get(`/ps/${topic}`, [Option.ETag, tag]));
  assert.deepEqual([valid.code, valid.payload.length], ["2.03", 0]);
  assert.deepEqual(optionOf(valid, Option.ETag), tag);
  await gateway.retain(topic, "other", "text/plain");
  const changed = await raw.ask(get(`/ps/${topic}`, [Option.ETag, tag]));
  assert.deepEqual([changed.code, changed.payload.toString()], ["2.05", "other"]);
  assert.notDeepEqual(optionOf(changed, Option.ETag), tag);
});

test("[RFC7252-5.5-2] a payload where a method has none is ignored: GET and DELETE", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("payload");
  await gateway.retain(topic, "value");
  const big = Buffer.alloc(1000, "x");
  assert.equal((await raw.ask({ ...get("/health"), payload: big })).code, "2.05");
  assert.equal((await raw.ask({ ...get(`/ps/${topic}`), payload: big })).payload.toString(), "value");
  assert.equal((await raw.ask({ code: DELETE, options: uri(`/ps/${topic}`), payload: big })).code, "2.02");
  assert.equal((await raw.ask(get(`/ps/${topic}`))).code, "4.04");
});

/** One request for each error that a client can cause. */
const ERRORS: Readonly<Record<string, Fields>> = {
  "4.00": put("/ps/error?qos=9", "x"),
  "4.02": get("/health", [9, ""]),
  "4.04": get("/nowhere"),
  "4.05": { code: PUT, options: uri("/health") },
  "4.06": get("/health", [Option.Accept, 60]),
  "4.13": put("/ps/error", Buffer.alloc(PAYLOAD_MAX + 1)),
  "5.05": { code: GET, options: [[Option.ProxyUri, "coap://other/"]] },
};

for (const [code, fields] of Object.entries(ERRORS)) {
  test(`[RFC7252-5.5.2-1] [RFC7252-5.9.2-1] a ${code} comes with words in UTF-8, without Content-Format`, async (t) => {
    const raw = await gateway.open(t);
    const answer = await raw.ask(fields);
    assert.equal(answer.code, code);
    assert.ok(answer.payload.length > 0 && isUtf8(answer.payload));
    assert.match(answer.payload.toString(), /^[ -~]+$/, "brief and readable");
    assert.equal(optionOf(answer, Option.ContentFormat), undefined);
  });
}

test("[RFC7252-5.6.1-1] what is not to be cached says Max-Age 0: the health of the moment", async (t) => {
  const raw = await gateway.open(t);
  assert.equal(uintOf(await raw.ask(get("/health")), Option.MaxAge), 0);
});

test("[RFC7252-5.9.2.9-1] a 4.13 says in Size1 how much is taken, and that much is taken", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("size");
  for (const code of [PUT, POST]) {
    const fields = { code, options: uri(`/ps/${topic}?retain=true`) };
    const large = await raw.ask({ ...fields, payload: Buffer.alloc(PAYLOAD_MAX + 1, "x") });
    assert.equal(large.code, "4.13");
    assert.equal(uintOf(large, Option.Size1), PAYLOAD_MAX);
    const fits = await raw.ask({ ...fields, payload: Buffer.alloc(PAYLOAD_MAX, "x") });
    assert.match(fits.code, /^2\.0[14]$/);
    assert.equal((await read(raw, `/ps/${topic}`)).length, PAYLOAD_MAX);
  }
});

test("a value without a Content-Format is served without one, and Accept of bytes (42) takes it", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("formatless");
  await gateway.retain(topic, "value");
  const answer = await raw.ask(get(`/ps/${topic}`));
  assert.equal(optionOf(answer, Option.ContentFormat), undefined);
  assert.equal((await raw.ask(get(`/ps/${topic}`, [Option.Accept, 42]))).code, "2.05");
});

test("[RFC7252-5.9.3-1] a 5.03 comes with words, and says in Max-Age when to try again: a full receiver, a failed store", () => {
  const h = new Harness();
  const put = message({ code: PUT, id: 1, token: "t", options: uri("/ps/a"), payload: "x" });
  const answers = [QUOTA_EXCEEDED, IMPLEMENTATION_SPECIFIC_ERROR].map((outcome, i) => {
    h.outcome = outcome;
    put.writeUInt16BE(i, 2);
    h.receive(put);
    return readMessage(h.port.sent.splice(0)[0]!.bytes);
  });
  for (const answer of answers) {
    holdToRules(answer);
    assert.equal(answer.code, "5.03");
    assert.ok((uintOf(answer, Option.MaxAge) ?? 0) > 0);
    assert.match(answer.payload.toString(), /^[ -~]+$/);
  }
});
