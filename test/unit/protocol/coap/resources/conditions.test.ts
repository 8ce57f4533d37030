/** If-Match and If-None-Match on the retained value, 2.01 and 2.04, DELETE and an empty payload. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hex } from "../../../wire/coap/vectors.ts";
import { sendBlock, textOf } from "../blocks/uploading.ts";
import { Harness } from "../harness.ts";

const ifMatch = (...tags: Buffer[]) => tags.map((value) => ({ name: "If-Match" as const, value }));
const ifNoneMatch = [{ name: "If-None-Match" as const, value: hex("") }];

function etagOf(h: Harness, path: string): Buffer {
  return h.ask({}, path).options.get("ETag") as Buffer;
}

test("RFC 7252 section 5.10.8.1: If-Match is met by one of its ETags, or by any value when empty; else 4.12", () => {
  for (const code of ["PUT", "POST", "DELETE", "GET", "FETCH"]) {
    const h = new Harness();
    h.retain("a", "x");
    const etag = etagOf(h, "/ps/a");
    const code2 = (options: ReturnType<typeof ifMatch>, path = "/ps/a") => h.ask({ code, options }, path).code;
    assert.equal(code2(ifMatch(hex("00"), hex("0102030405060708"))), "4.12", code);
    assert.equal(code2(ifMatch(hex("")), "/ps/none"), "4.12", code);
    assert.equal(h.published.length, 0);
    for (const tags of [[etag], [hex("00"), etag], [hex("")]]) assert.match(code2(ifMatch(...tags)), /^2/, code);
  }
});

test("RFC 7252 section 5.10.8.2: If-None-Match is met where there is no value; else 4.12", () => {
  for (const code of ["PUT", "POST", "DELETE"]) {
    const h = new Harness();
    assert.match(h.ask({ code, options: ifNoneMatch }, "/ps/a").code, /^2/);
    h.published.length = 0;
    h.retain("a", "x");
    assert.equal(h.ask({ code, options: ifNoneMatch }, "/ps/a").code, "4.12");
    assert.equal(h.published.length, 0);
  }
});

test("a value that has expired is none for a condition", () => {
  const h = new Harness();
  h.retain("a", "x");
  h.retainedValues.delete("a");
  assert.equal(h.ask({ code: "PUT", options: ifMatch(hex("")) }, "/ps/a").code, "4.12");
});

test("conditions on a payload in blocks are looked at with each of them", () => {
  const h = new Harness();
  h.retain("a", "x");
  const etag = etagOf(h, "/ps/a");
  const payload = textOf(40);
  const send = (num: number, tag: Buffer) =>
    h.ask(
      {
        code: "PUT",
        options: [...ifMatch(tag), { name: "Block1", value: hex(num === 2 ? "20" : num === 1 ? "18" : "08") }],
        payload: payload.subarray(num * 16, num * 16 + 16),
      },
      "/ps/a",
    ).code;
  assert.equal(send(0, hex("00")), "4.12");
  assert.deepEqual([send(0, etag), send(1, etag), send(2, etag)], ["2.31", "2.31", "2.04"]);
  assert.deepEqual([send(0, etag), send(1, etag)], ["2.31", "2.31"]);
  h.retain("a", "y");
  assert.equal(send(2, etag), "4.12", "another value came in between");
  assert.equal(h.published.length, 1);
});

test("who may not read a topic may not ask about its value by a condition either: 4.03", () => {
  const h = new Harness();
  h.readable = false;
  assert.equal(h.ask({ code: "PUT", options: ifMatch(hex("")) }, "/ps/a").code, "4.03");
  assert.equal(h.ask({ code: "PUT", options: ifNoneMatch }, "/ps/a").code, "4.03");
  assert.equal(h.ask({ code: "PUT" }, "/ps/a").code, "2.04");
});

test("RFC 7252 sections 5.8.2 and 5.8.3: 2.01 where a retained value is made, 2.04 where one is replaced, cleared or not kept", () => {
  const h = new Harness();
  const put = (path: string, payload = "x", code = "PUT") => h.ask({ code, payload: Buffer.from(payload) }, path);
  assert.equal(put("/ps/a").code, "2.04");
  assert.equal(put("/ps/a?retain=true").code, "2.01");
  assert.equal(put("/ps/a?retain=true", "").code, "2.04", "nothing was there to be cleared");
  h.retain("a", "x");
  assert.equal(put("/ps/a?retain=true").code, "2.04");
  assert.equal(put("/ps/a?retain=true", "").code, "2.04");
  assert.equal(put("/ps/b?retain=0").code, "2.04");
  const [last] = sendBlock(h, textOf(9), { num: 0, more: false, path: "/ps/b?retain=1" });
  assert.equal(last?.code, "2.01");
});

test("a POST that makes a value says where it is; a PUT made it where it was asked to", () => {
  const h = new Harness();
  // The harness gives the last of repeated options.
  const post = h.ask({ code: "POST", payload: Buffer.from("x") }, "/mqtt/publish/hall/1?retain=true");
  assert.deepEqual([post.code, post.options.get("Location-Path")?.toString()], ["2.01", "1"]);
  const put = h.ask({ code: "PUT", payload: Buffer.from("x") }, "/ps/hall/1?retain=true");
  assert.deepEqual([put.code, put.options.has("Location-Path")], ["2.01", false]);
});

test("an empty payload with retain clears the value: it is published as one", () => {
  const h = new Harness();
  h.retain("a", "x");
  h.ask({ code: "PUT" }, "/ps/a?retain=true");
  const { topic, payload, retain } = h.published[0]!;
  assert.deepEqual([topic, payload, retain], ["a", "", true]);
});

test("text/plain that is not UTF-8 is taken as it is", () => {
  const h = new Harness();
  const payload = hex("ff00fe80");
  const response = h.ask({ code: "PUT", payload, options: [{ name: "Content-Format", value: hex("") }] }, "/ps/a");
  assert.equal(response.code, "2.04");
  assert.deepEqual(h.published[0]?.message.payload, payload);
});

test("RFC 8132: PATCH and iPATCH are 4.05 with words", () => {
  const h = new Harness();
  for (const code of ["PATCH", "iPATCH"]) {
    const response = h.ask({ code, payload: Buffer.from("{}") }, "/ps/a");
    assert.deepEqual([response.code, response.payload], ["4.05", "a message is published whole, by PUT or POST"]);
  }
});
