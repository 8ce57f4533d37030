// RFC 7967: responses that nobody wants. RFC 7252 section 8: multicasts. Section 4.7: who asks too fast.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "../../../src/config/load.ts";
import { Harness } from "../../unit/protocol/coap/harness.ts";
import { DELETE, type Fields, type Message, message, NON, Option, PUT, RST, readMessage, uri } from "./bytes.ts";
import { get, holdToRules, product, put, unique } from "./harness.ts";

const gateway = product({
  listeners: [
    { type: "mqtt", bind: "127.0.0.1:0" },
    { type: "coap", bind: "127.0.0.1:0", rate: 1_000_000 },
    { type: "coap", bind: "127.0.0.1:0", rate: 10 },
  ],
});

/** A request of each class of response, by class. */
const CLASSES: Readonly<Record<number, Fields>> = {
  2: put("/ps/unwanted/2?qos=0", "x"),
  4: put("/ps/unwanted/4?qos=9", "x"),
  5: { ...put("/ps/unwanted/5", "x"), options: [[Option.ProxyUri, "coap://other/"]] },
};

for (const value of [2, 8, 16, 10, 18, 24, 26, 0x7f]) {
  test(`[RFC7967-2-1] [RFC7967-2-2] [RFC7967-2-4] No-Response ${value}: the classes that it names are not sent, a CON is acknowledged, the others are`, async (t) => {
    const raw = await gateway.open(t);
    for (const [name, fields] of Object.entries(CLASSES)) {
      const unwanted = (value & (1 << (Number(name) - 1))) !== 0;
      const options = [...fields.options!, [Option.NoResponse, value] as const];
      const id = raw.request({ ...fields, options });
      const [answer, ...more] = await raw.untilNow();
      assert.equal(more.length, 0);
      assert.deepEqual([answer?.type, answer?.id], ["ACK", id]);
      if (unwanted) assert.equal(answer?.code, "0.00");
      else assert.equal(answer?.code[0], name);
      raw.request({ ...fields, options, type: NON });
      const answers = await raw.untilNow();
      assert.deepEqual(
        answers.map(({ type, code }) => `${type} ${code[0]}`),
        unwanted ? [] : [`NON ${name}`],
      );
    }
  });
}

test("[RFC7967-2-3] without No-Response, and with 0, all responses are sent", async (t) => {
  const raw = await gateway.open(t);
  for (const [name, fields] of Object.entries(CLASSES)) {
    for (const more of [[], [[Option.NoResponse, 0] as const], [[Option.NoResponse, Buffer.from([0])] as const]]) {
      const answer = await raw.ask({ ...fields, options: [...fields.options!, ...more] });
      assert.equal(answer.code[0], name);
    }
  }
});

test("what No-Response keeps quiet is done all the same", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("quiet");
  const subscriber = await gateway.subscriber(t, topic);
  raw.request({ ...put(`/ps/${topic}?qos=0`, "x", [Option.NoResponse, 26]), type: NON });
  assert.equal((await subscriber.take(1))[0]?.payload, "x");
  assert.deepEqual(await raw.untilNow(), []);
});

test("[RFC7252-4.7-3] a source that asks faster than its rate is not answered beyond it, and others are", async (t) => {
  const port = gateway.gateway.port("coap", 1);
  const raw = await gateway.open(t, port);
  for (let i = 0; i < 60; i++) raw.request({ ...get("/health"), type: NON });
  await raw.next();
  const other = await gateway.open(t);
  for (let i = 0; i < 5; i++) assert.equal((await other.ask(get("/health"))).code, "2.05");
  const codes = new Map<string, number>([["2.05", 1]]);
  for (const { code } of raw.messages) codes.set(code, (codes.get(code) ?? 0) + 1);
  const served = codes.get("2.05") ?? 0;
  assert.ok(served >= 1 && served <= 40, `${served} of 60 at 10 a second`);
  for (const code of codes.keys()) assert.ok(["2.05", "4.29", "5.03"].includes(code), code);
});

// ---- multicast, on a clock that the test moves ----------------------------------------------------------------

const LEISURE_MS = 5_000;

/** What comes back for a datagram to a group within the leisure and long after, with when. */
function multicast(h: Harness, bytes: Buffer): { atMs: number; read: Message }[] {
  h.server.endpoint.multicast.onDatagram(bytes, "192.0.2.7", 40_000, null);
  const out: { atMs: number; read: Message }[] = [];
  for (let atMs = 0; atMs <= 60_000; atMs += 50) {
    for (const { bytes } of h.port.sent.splice(0)) {
      const read = readMessage(bytes);
      holdToRules(read);
      out.push({ atMs, read });
    }
    h.advance(50);
  }
  return out;
}

const CORE: Fields = { type: NON, token: "abcdefgh", options: uri("/.well-known/core?rt=core.ps") };

test("[RFC7252-8-1] a multicast GET is answered by a NON to who asked, under its token", () => {
  const answers = multicast(new Harness(), message({ ...get("/health"), type: NON, id: 1, token: "abc" }));
  assert.equal(answers.length, 1);
  const { read } = answers[0]!;
  assert.deepEqual([read.type, read.code, read.token], ["NON", "2.05", Buffer.from("abc").toString("hex")]);
});

test("[RFC7252-8.2-1] the answer comes at a random time within the leisure of 5 s", () => {
  const h = new Harness();
  const times = Array.from({ length: 40 }, (_, i) => {
    const answers = multicast(h, message({ ...get("/health"), type: NON, id: i, token: "abc" }));
    assert.equal(answers.length, 1);
    return answers[0]!.atMs;
  });
  assert.ok(
    times.every((atMs) => atMs <= LEISURE_MS + 100),
    `${times}`,
  );
  assert.ok(new Set(times).size > 10 && Math.max(...times) - Math.min(...times) > LEISURE_MS / 2, `${times}`);
});

test("[RFC7252-8.1-2] no NON to a group gets an RST, and no CON an ACK or RST, sound or not", () => {
  const h = new Harness();
  for (const bytes of [
    message({ type: NON, code: 0, id: 1, token: "" }),
    message({ type: NON, code: 0x45, id: 2, token: "t" }),
    message({ type: NON, code: 0xe1, id: 3, token: "t" }),
    message({ type: NON, ...get("/health", [9, ""]), id: 4, token: "t" }),
    Buffer.from("5f010005", "hex"),
    Buffer.from("50010006ff", "hex"),
    message({ code: 0, id: 7, token: "" }),
    message({ ...get("/health"), id: 8, token: "t" }),
    message({ type: RST, code: 0, id: 9, token: "" }),
  ]) {
    assert.deepEqual(multicast(h, bytes), [], bytes.toString("hex"));
  }
});

test("[RFC7252-11.3-3] to a group only what is open to all is answered: no topics, no changes, no errors, no empty lists", () => {
  const h = new Harness();
  h.retain("a", "value");
  for (const fields of [
    get("/ps/a"),
    get("/ps"),
    put("/ps/a?qos=0", "x"),
    { code: DELETE, options: uri("/ps/a") },
    { code: PUT, options: uri("/mqtt/connection?clientid=a") },
    get("/nowhere"),
    get("/.well-known/core?rt=nothing"),
    get("/health", [Option.Accept, 60]),
  ]) {
    assert.deepEqual(multicast(h, message({ type: NON, id: 1, token: "abcdefgh", ...fields })), []);
  }
  assert.equal(h.published.length, 0);
  assert.equal(multicast(h, message({ ...CORE, id: 2 })).length, 1);
});

test("[RFC7252-11.3-2] requests to a group are not taken unless the listener is configured so", () => {
  const { config } = load("listeners: [{type: coap}]", { directory: "/", checkFiles: false });
  assert.equal(config?.listeners[0]?.coap?.multicast, false);
});
