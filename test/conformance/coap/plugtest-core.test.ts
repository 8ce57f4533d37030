// The CoAP plugtests' cases CORE 01 to 23 and 31. What /test, /validate and the like are here: see README.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK,
  DELETE,
  type Fields,
  type Message,
  message,
  NON,
  Option,
  optionOf,
  optionsOf,
  POST,
  PUT,
  uintOf,
  uri,
} from "./bytes.ts";
import type { HandEndpoint } from "./hand-endpoint.ts";
import { get, product, put, read, unique } from "./harness.ts";
import { noSlowProduct, slowProduct } from "./slow-product.ts";

const gateway = product();
const slow = slowProduct();

const TOKEN = Buffer.from("a1b2c3d4", "hex");
const JSON_FORMAT = 50;

/** A response in the ACK of its CON: code, Message ID and token; in a NON of its own, code and token. */
function assertAnswers(answer: Message, request: Fields & { id: number }, codes: readonly string[]): void {
  assert.ok(codes.includes(answer.code), `${answer.code} is none of ${codes}`);
  assert.equal(answer.type, request.type === NON ? "NON" : "ACK");
  if (request.type !== NON) assert.equal(answer.id, request.id);
  assert.equal(answer.token, TOKEN.toString("hex"));
  const described = optionOf(answer, Option.ContentFormat) !== undefined;
  assert.ok(answer.payload.length === 0 || described, "a payload has a Content-Format");
}

async function exchange(raw: HandEndpoint, fields: Fields, codes: readonly string[]): Promise<Message> {
  const request = { ...fields, id: raw.id(), token: TOKEN };
  const answer = await raw.ask(request);
  assertAnswers(answer, request, codes);
  return answer;
}

/** 01 to 04 by CON, 05 to 08 by NON. */
for (const [mode, type, first] of [
  ["CON", 0, 1],
  ["NON", NON, 5],
] as const) {
  const id = (nth: number) => `TD_COAP_CORE_0${first + nth}`;

  test(`${id(0)} GET (${mode})`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("test");
    await gateway.retain(topic, "{}", "application/json");
    const answer = await exchange(raw, { ...get(`/ps/${topic}`), type }, ["2.05"]);
    assert.deepEqual([uintOf(answer, Option.ContentFormat), answer.payload.toString()], [JSON_FORMAT, "{}"]);
  });

  test(`${id(1)} DELETE (${mode})`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("test");
    await gateway.retain(topic, "x");
    await exchange(raw, { code: DELETE, type, options: uri(`/ps/${topic}`) }, ["2.02"]);
    assert.equal((await raw.ask(get(`/ps/${topic}`))).code, "4.04");
  });

  for (const [nth, method, code] of [
    [2, "PUT", PUT],
    [3, "POST", POST],
  ] as const) {
    test(`${id(nth)} ${method} (${mode})`, async (t) => {
      const raw = await gateway.open(t);
      const topic = unique("test");
      const subscriber = await gateway.subscriber(t, topic);
      const fields = { ...put(`/ps/${topic}`, "{}", [Option.ContentFormat, JSON_FORMAT]), code, type };
      await exchange(raw, fields, ["2.04", "2.01"]);
      const [message] = await subscriber.take(1);
      assert.deepEqual([message?.payload, message?.packet.properties?.contentType], ["{}", "application/json"]);
    });
  }
}

/** A PUT to a durable receiver on a disk that takes its time. */
async function slowPut(raw: HandEndpoint, fields: Fields): Promise<{ id: number; topic: string }> {
  const topic = unique("separate");
  await slow.durableReceiver(topic);
  slow.disk();
  const request = { ...put(`/ps/${topic}?qos=1`, "x"), ...fields, id: raw.id() };
  raw.request(request);
  return { id: request.id, topic };
}

test("TD_COAP_CORE_09 a separate response (CON)", { skip: noSlowProduct }, async (t) => {
  const raw = await slow.open(t);
  const { id } = await slowPut(raw, { token: TOKEN });
  const empty = await raw.next();
  assert.deepEqual([empty.type, empty.code, empty.id, empty.bytes.length], ["ACK", "0.00", id, 4]);
  const response = await raw.next();
  assert.deepEqual([response.type, response.code, response.token], ["CON", "2.04", TOKEN.toString("hex")]);
  raw.send(message({ type: ACK, code: 0, id: response.id, token: "" }));
});

for (const [id, token] of [
  ["TD_COAP_CORE_10", "12345678"],
  ["TD_COAP_CORE_12", ""],
] as const) {
  test(`${id} GET with ${token === "" ? "an empty" : "a"} token (CON)`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("test");
    await gateway.retain(topic, "value", "text/plain");
    const messageId = raw.id();
    const answer = await raw.ask({ ...get(`/ps/${topic}`), id: messageId, token });
    assert.deepEqual(
      [answer.code, answer.id, answer.token, answer.payload.toString()],
      ["2.05", messageId, Buffer.from(token).toString("hex"), "value"],
    );
  });
}

test("TD_COAP_CORE_11 a separate response to a request with a token (CON)", { skip: noSlowProduct }, async (t) => {
  const raw = await slow.open(t);
  for (const token of ["a", "12345678"]) {
    const { id } = await slowPut(raw, { token });
    assert.deepEqual([(await raw.next()).type, id], ["ACK", id]);
    const response = await raw.next();
    assert.deepEqual([response.type, response.token], ["CON", Buffer.from(token).toString("hex")]);
    assert.notEqual(response.id, id);
    raw.send(message({ type: ACK, code: 0, id: response.id, token: "" }));
    slow.disk(0);
  }
});

test("TD_COAP_CORE_13 GET with several Uri-Path options (CON)", async (t) => {
  const raw = await gateway.open(t);
  const topic = `${unique("seg1")}/seg2/seg3`;
  await gateway.retain(topic, "value", "text/plain");
  const answer = await exchange(raw, get(`/ps/${topic}`), ["2.05"]);
  assert.equal(answer.payload.toString(), "value");
});

test("TD_COAP_CORE_14 GET with several Uri-Query options (CON)", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("query");
  await gateway.retain(topic, "value", "text/plain");
  const answer = await exchange(raw, get(`/ps/${topic}?first=1&second=2&third=3`), ["2.05"]);
  assert.equal(answer.payload.toString(), "value");
});

test("TD_COAP_CORE_15 a piggybacked response in a lossy context: the request that was lost, then the response", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("lossy");
  const subscriber = await gateway.subscriber(t, topic);
  await gateway.retain(topic, "value", "text/plain");
  await subscriber.take(1);
  // A lost request is one that was never sent: its repetition is the first that arrives.
  const fields = { ...get(`/ps/${topic}`), id: raw.id(), token: TOKEN };
  const first = await raw.ask(fields);
  // A lost response: the repetition gets it again.
  assert.deepEqual((await raw.ask(fields)).bytes, first.bytes);
  assert.deepEqual([first.code, first.payload.toString()], ["2.05", "value"]);
  const published = { ...put(`/ps/${topic}`, "once"), id: raw.id(), token: TOKEN };
  assert.deepEqual((await raw.ask(published)).bytes, (await raw.ask(published)).bytes);
  assert.equal((await raw.ask(put(`/ps/${topic}`, "end"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(2)).map(({ payload }) => payload),
    ["once", "end"],
  );
});

test("TD_COAP_CORE_16 a separate response in a lossy context: its ACK, itself and its own ACK are lost", {
  skip: noSlowProduct,
}, async (t) => {
  const raw = await slow.open(t);
  const subscriber = await slow.subscriber(t, "separate-16");
  await slow.durableReceiver("separate-16");
  slow.disk();
  const fields = { ...put("/ps/separate-16?qos=1", "once"), id: raw.id(), token: TOKEN };
  raw.request(fields);
  const empty = await raw.next();
  assert.deepEqual([empty.type, empty.code, empty.id], ["ACK", "0.00", fields.id]);
  raw.request(fields); // the Empty ACK was lost
  const next = await raw.next();
  assert.deepEqual(next.bytes, empty.bytes);
  const [response, again, third] = await raw.take(3); // the response was lost, and the ACK of the second
  assert.deepEqual([response?.type, response?.code, response?.token], ["CON", "2.04", TOKEN.toString("hex")]);
  assert.deepEqual([again?.bytes, third?.bytes], [response?.bytes, response?.bytes]);
  raw.send(message({ type: ACK, code: 0, id: response!.id, token: "" }));
  slow.disk(0);
  assert.deepEqual(await raw.untilNow(), []);
  assert.deepEqual(
    (await subscriber.take(1)).map(({ payload }) => payload),
    ["once"],
  );
});

test("TD_COAP_CORE_17 a separate response (NON)", { skip: noSlowProduct }, async (t) => {
  const raw = await slow.open(t);
  await slowPut(raw, { type: NON, token: TOKEN });
  assert.deepEqual(await raw.untilNow(), [], "no ACK");
  const response = await raw.next();
  assert.deepEqual([response.type, response.code, response.token], ["NON", "2.04", TOKEN.toString("hex")]);
  slow.disk(0);
});

test("TD_COAP_CORE_18 a POST that makes a value has its location in several Location-Path options (CON)", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("location1");
  const fields = put(`/ps/${topic}/location2/location3?retain=true`, "x", [Option.ContentFormat, 0]);
  const answer = await exchange(raw, { ...fields, code: POST }, ["2.01"]);
  assert.deepEqual(optionsOf(answer, Option.LocationPath).map(String), ["ps", topic, "location2", "location3"]);
});

test("TD_COAP_CORE_19 the location of a value has no query, so there is no Location-Query (CON)", async (t) => {
  const raw = await gateway.open(t);
  const fields = put(`/ps/${unique("location-query")}?retain=true&first=1&second=2`, "x", [Option.ContentFormat, 0]);
  const answer = await exchange(raw, { ...fields, code: POST }, ["2.01"]);
  assert.deepEqual(optionsOf(answer, Option.LocationQuery), []);
});

test("TD_COAP_CORE_20 GET with Accept (CON)", async (t) => {
  const raw = await gateway.open(t);
  const [text, xml] = [unique("multi"), unique("multi")];
  await gateway.retain(text, "text", "text/plain");
  await gateway.retain(xml, "<a/>", "application/xml");
  for (const [topic, format, value] of [
    [text, 0, "text"],
    [xml, 41, "<a/>"],
  ] as const) {
    const answer = await exchange(raw, get(`/ps/${topic}`, [Option.Accept, format]), ["2.05"]);
    assert.deepEqual([uintOf(answer, Option.ContentFormat), answer.payload.toString()], [format, value]);
    const other = await raw.ask(get(`/ps/${topic}`, [Option.Accept, 41 - format]));
    assert.equal(other.code, "4.06");
  }
});

test("TD_COAP_CORE_21 GET with ETag (CON)", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("validate");
  await gateway.retain(topic, "one", "text/plain");
  const first = await exchange(raw, get(`/ps/${topic}`), ["2.05"]);
  const tag = optionOf(first, Option.ETag)!;
  const valid = await exchange(raw, get(`/ps/${topic}`, [Option.ETag, tag]), ["2.03"]);
  assert.deepEqual([optionOf(valid, Option.ETag), valid.payload.length], [tag, 0]);
  assert.equal((await raw.ask(put(`/ps/${topic}?retain=true`, "two", [Option.ContentFormat, 0]))).code, "2.04");
  const changed = await exchange(raw, get(`/ps/${topic}`, [Option.ETag, tag]), ["2.05"]);
  assert.notDeepEqual(optionOf(changed, Option.ETag), tag);
  assert.equal(changed.payload.toString(), "two");
});

test("TD_COAP_CORE_22 PUT with If-Match (CON)", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("validate");
  const update = (value: string, ...tags: Buffer[]) =>
    put(
      `/ps/${topic}?retain=true`,
      value,
      [Option.ContentFormat, 0],
      ...tags.map((tag) => [Option.IfMatch, tag] as const),
    );
  await gateway.retain(topic, "one", "text/plain");
  const tag = optionOf(await exchange(raw, get(`/ps/${topic}`), ["2.05"]), Option.ETag)!;
  await exchange(raw, update("two", tag), ["2.04"]);
  const second = await exchange(raw, get(`/ps/${topic}`), ["2.05"]);
  const tag2 = optionOf(second, Option.ETag)!;
  assert.equal(second.payload.toString(), "two");
  assert.notDeepEqual(tag2, tag);
  await exchange(raw, update("three"), ["2.04"]);
  const failed = await raw.ask({ ...update("four", tag2), token: TOKEN });
  assert.deepEqual([failed.type, failed.code, failed.token], ["ACK", "4.12", TOKEN.toString("hex")]);
  assert.equal(await read(raw, `/ps/${topic}`), "three");
});

test("TD_COAP_CORE_23 PUT with If-None-Match (CON)", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("create");
  const create = put(`/ps/${topic}?retain=true`, "first", [Option.IfNoneMatch, ""], [Option.ContentFormat, 0]);
  await exchange(raw, create, ["2.01", "2.04"]);
  const failed = await raw.ask({ ...create, payload: "second", token: TOKEN });
  assert.deepEqual([failed.type, failed.code, failed.token], ["ACK", "4.12", TOKEN.toString("hex")]);
  assert.equal(await read(raw, `/ps/${topic}`), "first");
});

test("TD_COAP_CORE_31 ping", async (t) => {
  const raw = await gateway.open(t);
  const id = raw.id();
  raw.send(message({ code: 0, id, token: "" }));
  const answer = await raw.next();
  assert.deepEqual([answer.type, answer.code, answer.id, answer.bytes.length], ["RST", "0.00", id, 4]);
});
