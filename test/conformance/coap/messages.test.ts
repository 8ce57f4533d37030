// RFC 7252 sections 4.2 to 4.6: who is acknowledged, who is reset, who gets nothing; duplicates; sizes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ACK, CON, code, GET, type Message, message, NON, Option, optionOf, POST, PUT, RST, uri } from "./bytes.ts";
import { get, product, put, readBlocks, unique } from "./harness.ts";

const gateway = product();

const kindOf = ({ type, code, id }: Message) => `${type} ${code} ${id}`;

test("[RFC7252-4.2-1] [RFC7252-4.2-2] [RFC7252-4.2-3] [RFC7252-4.4-1] a CON with a request is acknowledged under its Message ID, with the response in it", async (t) => {
  const raw = await gateway.open(t);
  for (const id of [0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff]) {
    const answer = await raw.ask({ ...get("/health"), id });
    assert.equal(kindOf(answer), `ACK 2.05 ${id}`);
    const refusal = await raw.ask({ ...get("/nowhere"), id: id ^ 0x0100 });
    assert.equal(kindOf(refusal), `ACK 4.04 ${id ^ 0x0100}`);
  }
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7252-4.2-1] [RFC7252-4.2-4] [RFC7252-4.2-5] [RFC7252-4.4-1] an Empty CON (ping) is reset: four bytes with its Message ID", async (t) => {
  const raw = await gateway.open(t);
  for (const id of [0, 1, 0x1234, 0xffff]) {
    raw.send(message({ type: CON, code: 0, id, token: "" }));
    const answer = await raw.next();
    assert.deepEqual([kindOf(answer), answer.bytes.length], [`RST 0.00 ${id}`, 4]);
  }
});

/** Codes that are no requests. Class 7 is RFC 8323's, which does not hold over UDP. */
const NOT_REQUESTS = [0x20, 0x3f, 0x40, 0x45, 0x5f, 0x60, 0x7f, 0x80, 0x84, 0xa0, 0xbf, 0xc0, 0xdf, 0xe0, 0xe1, 0xff];

for (const number of NOT_REQUESTS) {
  const text = `${number >> 5}.${String(number & 31).padStart(2, "0")}`;
  const what = [2, 4, 5].includes(number >> 5) ? "a response that nobody asked for" : "a code of a reserved class";
  test(`[RFC7252-4.2-1] [RFC7252-4.3-3] [RFC7252-4.3-4] ${what}, ${text}: RST to a CON, silence to a NON`, async (t) => {
    const raw = await gateway.open(t);
    for (const token of ["", "12345678"]) {
      for (const payload of [undefined, "x"]) {
        const fields = { code: number, token, ...(payload === undefined ? {} : { payload }) };
        const id = raw.request({ ...fields, type: CON });
        assert.equal(kindOf(await raw.next()), `RST 0.00 ${id}`);
        raw.request({ ...fields, type: NON });
      }
    }
    assert.deepEqual(await raw.untilNow(), []);
  });
}

test("[RFC7252-4.2-6] whatever comes as ACK or RST, sound or not, gets nothing back", async (t) => {
  const raw = await gateway.open(t);
  for (const type of [ACK, RST]) {
    for (const number of [0, GET, POST, PUT, 0x1f, ...NOT_REQUESTS]) {
      raw.request({ type, code: number, token: "", ...(number === 0 ? {} : { options: uri("/health") }) });
    }
    for (const rest of ["01", "ff", "f0", "ff00"]) raw.send(`${type === ACK ? "60" : "70"}000001${rest}`);
    raw.send(`${type === ACK ? "6f" : "7f"}000001`);
  }
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7252-4.3-1] [RFC7252-4.3-2] a NON with a request is never acknowledged: its response is a NON of the gateway's own Message ID", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("non");
  const requests = [get("/health"), get("/nowhere"), put(`/ps/${topic}?qos=0`, "x"), { ...get("/health"), code: 31 }];
  const ids = new Set<number>();
  for (const fields of requests) {
    const answer = await raw.ask({ ...fields, type: NON });
    assert.equal(answer.type, "NON");
    assert.notEqual(answer.code, "0.00");
    ids.add(answer.id);
  }
  assert.equal(ids.size, requests.length, "each under an id of its own");
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7252-4.3-3] [RFC7252-4.3-4] an Empty NON is rejected silently", async (t) => {
  const raw = await gateway.open(t);
  for (let i = 0; i < 3; i++) raw.send(message({ type: NON, code: 0, id: raw.id(), token: "" }));
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7252-4.3-4] a NON that is rejected does nothing: a critical option keeps its PUT from being published", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("rejected");
  const subscriber = await gateway.subscriber(t, `${topic}/#`);
  raw.request({ ...put(`/ps/${topic}/a`, "rejected", [9, ""]), type: NON });
  raw.request({ ...put(`/ps/${topic}/b?qos=0`, "taken"), type: NON });
  assert.deepEqual(
    (await raw.untilNow()).map(({ type, code }) => `${type} ${code}`),
    ["NON 2.04"],
  );
  assert.deepEqual(
    (await subscriber.take(1)).map(({ payload }) => payload),
    ["taken"],
  );
});

test("[RFC7252-4.4-2] the gateway's own Message IDs do not repeat for one endpoint", async (t) => {
  const raw = await gateway.open(t);
  const ids = new Set<number>();
  for (let round = 0; round < 40; round++) {
    for (let i = 0; i < 50; i++) raw.request({ ...get("/health"), type: NON });
    for (const { id } of await raw.untilNow()) ids.add(id);
  }
  assert.equal(ids.size, 2000);
});

test("[RFC7252-4.5-1] a repeated CON gets the same bytes again and is done once", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("twice");
  const subscriber = await gateway.subscriber(t, topic);
  const id = raw.id();
  const bytes = message({ ...put(`/ps/${topic}`, "once"), id, token: "\u0001\u0002" });
  const answers: Message[] = [];
  for (let i = 0; i < 4; i++) {
    raw.send(bytes);
    answers.push(await raw.next());
  }
  assert.equal(kindOf(answers[0]!), `ACK 2.04 ${id}`);
  for (const answer of answers) assert.deepEqual(answer.bytes, answers[0]!.bytes);
  assert.equal((await raw.ask(put(`/ps/${topic}`, "next"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(2)).map(({ payload }) => payload),
    ["once", "next"],
  );
});

test("[RFC7252-4.5-1] a repeated CON gets the same refusal and the same RST again", async (t) => {
  const raw = await gateway.open(t);
  for (const bytes of [
    message({ ...get("/nowhere"), id: raw.id(), token: "t" }),
    message({ ...get("/health", [9, "x"]), id: raw.id(), token: "t" }),
    message({ code: code("2.05"), id: raw.id(), token: "t" }),
  ]) {
    raw.send(bytes);
    raw.send(bytes);
    const [first, second] = await raw.take(2);
    assert.deepEqual(first?.bytes, second?.bytes);
  }
});

test("[RFC7252-4.5-1] the same Message ID of another endpoint is another message", async (t) => {
  const one = await gateway.open(t);
  const two = await gateway.open(t);
  const topic = unique("same-id");
  const subscriber = await gateway.subscriber(t, topic);
  for (const [raw, payload] of [
    [one, "one"],
    [two, "two"],
  ] as const) {
    assert.equal(kindOf(await raw.ask({ ...put(`/ps/${topic}`, payload), id: 77 })), "ACK 2.04 77");
  }
  assert.deepEqual(
    (await subscriber.take(2)).map(({ payload }) => payload),
    ["one", "two"],
  );
});

test("[RFC7252-4.5-2] a repeated NON is ignored silently and done once", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("non-twice");
  const subscriber = await gateway.subscriber(t, `${topic}/#`);
  const bytes = message({ ...put(`/ps/${topic}/a?qos=0`, "once"), type: NON, id: raw.id(), token: "t" });
  for (let i = 0; i < 4; i++) raw.send(bytes);
  raw.request({ ...put(`/ps/${topic}/b?qos=0`, "next"), type: NON });
  assert.equal((await raw.untilNow()).length, 2, "one response each");
  assert.deepEqual(
    (await subscriber.take(2)).map(({ payload }) => payload),
    ["once", "next"],
  );
});

test("[RFC7252-4.6-1] a value of 5,000 bytes comes in messages of at most 1,152 bytes with at most 1,024 of payload", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("large");
  await gateway.retain(topic, Buffer.alloc(5000, "v"));
  const messages = await readBlocks(raw, `/ps/${topic}`);
  assert.ok(messages.length >= 5);
  for (const { bytes, payload } of messages) assert.ok(bytes.length <= 1152 && payload.length <= 1024);
  assert.equal(
    messages.reduce((sum, { payload }) => sum + payload.length, 0),
    5000,
  );
  const tags = new Set(messages.map((read) => optionOf(read, Option.ETag)?.toString("hex")));
  assert.equal(tags.size, 1);
});
