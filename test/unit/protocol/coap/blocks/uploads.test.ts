/** Block1: payloads in blocks (RFC 7959 section 2.5, RFC 9175 section 3). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { STORED_LATER } from "../../../../../src/core/router.ts";
import {
  budget,
  IDLE_MS,
  UPLOAD_LIFETIME_MS,
  uploadLimits,
} from "../../../../../src/protocol/coap/blocks/upload-table.ts";
import { requestOf, responseOf } from "../../../../support/coap-messages.ts";
import { Harness, principalOf } from "../harness.ts";
import { block1Of, readUint, sendBlock, textOf, uint, upload } from "./uploading.ts";

const payloads = (h: Harness): string[] => h.published.map(({ payload }) => payload);

for (const szx of [0, 1, 2, 3, 4, 5, 6]) {
  test(`blocks of ${16 << szx} bytes are put together, whatever the payload's length`, () => {
    const size = 16 << szx;
    for (const length of [size + 1, 2 * size - 1, 2 * size, 2 * size + 1, 1023, 1024, 1025, 2047, 2048]) {
      if (length <= size || length > 2048) continue;
      const h = new Harness();
      const payload = textOf(length);
      const last = upload(h, payload, { szx });
      assert.deepEqual([last?.code, block1Of(last)], ["2.04", `${Math.ceil(length / size) - 1}/0/${szx}`]);
      assert.deepEqual(payloads(h), [payload.toString()]);
      assert.equal(h.counters.get("coap.uploads_bytes"), 0);
    }
  });
}

test("a payload of one block with Block1 is published, and the response has the option", () => {
  const h = new Harness();
  for (const length of [0, 1, 15, 16]) {
    const [response] = sendBlock(h, textOf(length), { num: 0, more: false });
    assert.deepEqual([response?.code, block1Of(response)], ["2.04", "0/0/0"]);
    assert.equal(h.published.at(-1)?.payload, textOf(length).toString());
  }
  assert.equal(h.counters.get("coap.uploads_known"), 0);
});

test("section 2.9.1: each block but the last is 2.31 with NUM, M and SZX; nothing is published before the last", () => {
  const h = new Harness();
  const payload = textOf(40);
  const [first] = sendBlock(h, payload, { num: 0, more: true });
  const [second] = sendBlock(h, payload, { num: 1, more: true });
  assert.deepEqual([first?.code, block1Of(first), first?.type], ["2.31", "0/1/0", "ACK"]);
  assert.deepEqual([second?.code, block1Of(second)], ["2.31", "1/1/0"]);
  assert.equal(h.published.length, 0);
  const [last] = sendBlock(h, payload, { num: 2, more: false });
  assert.deepEqual([last?.code, block1Of(last)], ["2.04", "2/0/0"]);
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("the token is no part of what blocks belong together: another one for each, or none", () => {
  const h = new Harness();
  const payload = textOf(48);
  for (const [num, token] of ["01", "", "ffff"].entries()) sendBlock(h, payload, { num, more: num < 2, token });
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("NON: blocks are answered by NONs, and the payload is published at QoS 0", () => {
  const h = new Harness();
  const payload = textOf(20);
  const [first] = sendBlock(h, payload, { num: 0, more: true, confirmable: false });
  const [last] = sendBlock(h, payload, { num: 1, more: false, confirmable: false });
  assert.deepEqual([first?.type, first?.code, last?.type, last?.code], ["NON", "2.31", "NON", "2.04"]);
  assert.deepEqual([h.published[0]?.qos, h.published[0]?.payload], [0, payload.toString()]);
});

test("blocks of two peers, ports, methods, paths, queries, Request-Tags and identities do not mix", () => {
  const h = new Harness();
  const senders = [
    {},
    { port: 40_001 },
    { address: "192.0.2.8" },
    { address: "2001:db8::1" },
    { code: "POST" },
    { path: "/ps/b" },
    { path: "/ps/a/b" },
    { path: "/ps/a?qos=0" },
    { path: "/mqtt/publish/a" },
    { tag: "" },
    { tag: "x" },
    { tag: "y" },
  ];
  const each = senders.map((sender, i) => ({ ...sender, payload: textOf(40, i) }));
  for (const num of [0, 1, 2]) {
    for (const { payload, ...sender } of each) {
      const [response] = sendBlock(h, payload, { ...sender, num, more: num < 2 });
      assert.equal(response?.code, num < 2 ? "2.31" : "2.04");
    }
  }
  assert.deepEqual(
    payloads(h),
    each.map(({ payload }) => payload.toString()),
  );

  h.published.length = 0;
  const identities = ["one", "two", null];
  for (const num of [0, 1, 2]) {
    for (const [seed, identity] of identities.entries()) {
      h.identity = identity;
      sendBlock(h, textOf(40, seed), { num, more: num < 2 });
    }
  }
  assert.deepEqual(
    payloads(h),
    identities.map((_, seed) => textOf(40, seed).toString()),
  );
});

test("section 2.9.2: a missing first block, a gap and a last block in the place of another are 4.08; what is there goes on", () => {
  const h = new Harness();
  const payload = textOf(80);
  assert.equal(sendBlock(h, payload, { num: 1, more: true })[0]?.code, "4.08");
  assert.equal(sendBlock(h, payload, { num: 4, more: false })[0]?.code, "4.08");
  for (const num of [0, 1, 2]) sendBlock(h, payload, { num, more: true });
  for (const [num, more] of [
    [4, false],
    [4, true],
    [2, false],
  ] as const) {
    const [response] = sendBlock(h, payload.subarray(0, more ? 80 : num * 16 + 16), { num, more });
    assert.equal(response?.code, "4.08", `${num} ${more}`);
  }
  assert.equal(h.counters.get("coap.uploads_incomplete"), 5);
  for (const num of [3, 4]) sendBlock(h, payload, { num, more: num < 4 });
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("a block received before, by a new message, is 2.31 once more; with other bytes it is 4.08", () => {
  const h = new Harness();
  const payload = textOf(1700);
  sendBlock(h, payload, { num: 0, more: true, szx: 5 });
  for (const num of [1, 1, 1, 2, 1, 2]) {
    const [again] = sendBlock(h, payload, { num, more: true, szx: 5 });
    assert.deepEqual([again?.code, block1Of(again)], ["2.31", `${num}/1/5`]);
  }
  assert.equal(h.counters.get("coap.upload_blocks_repeated"), 4);
  for (const num of [1, 2]) {
    assert.equal(sendBlock(h, textOf(1700, 1), { num, more: true, szx: 5 })[0]?.code, "4.08");
  }
  assert.equal(sendBlock(h, payload, { num: 3, more: false, szx: 5 })[0]?.code, "2.04");
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("a block by the same message is the message layer's: it gets the same 2.31 again", () => {
  const h = new Harness();
  const payload = textOf(40);
  const block = { num: 0, more: true, messageId: 4711 };
  assert.deepEqual(sendBlock(h, payload, block), sendBlock(h, payload, block));
  assert.equal(h.counters.get("coap.upload_blocks_repeated"), 0);
});

test("a first block begins anew: what there was is forgotten, and never published with what follows", () => {
  const h = new Harness();
  const one = textOf(80, 1);
  const two = textOf(64, 2);
  sendBlock(h, one, { num: 0, more: true });
  sendBlock(h, one, { num: 1, more: true });
  sendBlock(h, two, { num: 0, more: true });
  assert.equal(sendBlock(h, one, { num: 2, more: true })[0]?.code, "4.08");
  for (const num of [1, 2, 3]) sendBlock(h, two, { num, more: num < 3 });
  assert.deepEqual(payloads(h), [two.toString()]);
  sendBlock(h, one, { num: 0, more: true });
  sendBlock(h, textOf(9), { num: 0, more: false });
  assert.equal(sendBlock(h, one, { num: 1, more: true })[0]?.code, "4.08");
  assert.deepEqual(payloads(h), [two.toString(), textOf(9).toString()]);
});

test("section 2.3: a block with another Content-Format than the first is 4.08", () => {
  const h = new Harness();
  const payload = textOf(40);
  sendBlock(h, payload, { num: 0, more: true, format: 50 });
  assert.equal(sendBlock(h, payload, { num: 1, more: true, format: 60 })[0]?.code, "4.08");
  assert.equal(sendBlock(h, payload, { num: 1, more: true })[0]?.code, "4.08");
  assert.equal(sendBlock(h, payload, { num: 1, more: true, format: 50 })[0]?.code, "2.31");
  assert.equal(sendBlock(h, payload, { num: 2, more: false, format: 50 })[0]?.code, "2.04");
});

test("section 2.5: the client goes on with smaller blocks, and the numbers count in these", () => {
  const h = new Harness();
  const payload = textOf(1200);
  sendBlock(h, payload, { num: 0, more: true, szx: 5 });
  sendBlock(h, payload, { num: 4, more: true, szx: 3 });
  sendBlock(h, payload, { num: 20, more: true, szx: 1 });
  sendBlock(h, payload, { num: 21, more: true, szx: 1 });
  for (let num = 11; num < 19; num++) {
    const [response] = sendBlock(h, payload, { num, more: num < 18, szx: 2 });
    assert.deepEqual([response?.code, block1Of(response)], num < 18 ? ["2.31", `${num}/1/2`] : ["2.04", "18/0/2"]);
  }
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("section 2.3: over a path of small datagrams the first 2.31 asks for smaller blocks, with the first block taken as it came", () => {
  const h = new Harness();
  h.port.maxPayload = 200;
  const payload = textOf(1300);
  const [first] = sendBlock(h, payload, { num: 0, more: true, szx: 6 });
  assert.deepEqual([first?.code, block1Of(first)], ["2.31", "0/1/3"]);
  for (let num = 8; num < 11; num++) {
    const [response] = sendBlock(h, payload, { num, more: num < 10, szx: 3 });
    assert.deepEqual([response?.code, block1Of(response)], num < 10 ? ["2.31", `${num}/1/3`] : ["2.04", "10/0/3"]);
  }
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("section 2.2: a block that is not the last and not full, or larger than its size, is 4.00 in words", () => {
  const h = new Harness();
  for (const [length, more] of [
    [15, true],
    [17, true],
    [0, true],
    [17, false],
  ] as const) {
    const options = [{ name: "Block1" as const, value: uint(more ? 8 : 0) }];
    const response = h.ask({ code: "PUT", options, payload: textOf(length) }, "/ps/a");
    assert.equal(response.code, "4.00");
    assert.match(response.payload, /block of \d+ bytes/);
  }
  assert.equal(h.published.length, 0);
});

test("section 2.2: SZX 7 is 4.00", () => {
  const h = new Harness();
  const response = h.ask({ code: "PUT", options: [{ name: "Block1", value: uint(7) }] }, "/ps/a");
  assert.equal(response.code, "4.00");
});

test("section 2.9.3: too large a payload is 4.13 with Size1, announced or reached; one of exactly the limit is taken", () => {
  const h = new Harness();
  for (const [payload, size1] of [
    [textOf(2049), {}],
    [textOf(2049), { size1: 2049 }],
    [textOf(512), { size1: 0xffff_ffff }],
  ] as const) {
    const last = upload(h, payload, { szx: 4, ...size1 });
    assert.equal(last?.code, "4.13");
    assert.equal(readUint(last?.options.get("Size1")), 2048);
    assert.equal(h.counters.get("coap.uploads_bytes"), 0, "nothing is kept of it");
  }
  assert.equal(h.published.length, 0);
  assert.equal(h.counters.get("coap.uploads_too_large"), 3);
  assert.equal(upload(h, textOf(2048), { szx: 4, size1: 2048 })?.code, "2.04");
});

test("a block 1,048,575 of 1,024 bytes is 4.13 and costs no memory", () => {
  const h = new Harness();
  const block = { name: "Block1" as const, value: uint(0xf_ffff * 16 + 8 + 6) };
  const response = h.ask({ code: "PUT", options: [block], payload: textOf(1024) }, "/ps/a");
  assert.equal(response.code, "4.13");
  assert.equal(h.counters.get("coap.uploads_known"), 0);
});

test("an upload is forgotten 247 s after its last block, 4.08 from then on; each block puts it off", () => {
  const h = new Harness();
  const payload = textOf(64);
  sendBlock(h, payload, { num: 0, more: true });
  h.advance(UPLOAD_LIFETIME_MS - 1000);
  assert.equal(sendBlock(h, payload, { num: 1, more: true })[0]?.code, "2.31");
  h.advance(UPLOAD_LIFETIME_MS - 1000);
  assert.equal(sendBlock(h, payload, { num: 2, more: true })[0]?.code, "2.31");
  h.advance(UPLOAD_LIFETIME_MS + 1000);
  assert.equal(h.counters.get("coap.uploads_expired"), 1);
  assert.equal(h.counters.get("coap.uploads_bytes"), 0);
  assert.equal(sendBlock(h, payload, { num: 3, more: false })[0]?.code, "4.08");
  assert.equal(h.published.length, 0);
});

test("the last block again, by a new message, gets the final response again; the payload is published once", () => {
  const h = new Harness();
  const payload = textOf(40);
  const path = "/ps/a?retain=true";
  upload(h, payload, { path });
  for (let i = 0; i < 3; i++) {
    const [again] = sendBlock(h, payload, { num: 2, more: false, path });
    assert.deepEqual([again?.code, block1Of(again)], ["2.01", "2/0/0"]);
  }
  assert.equal(h.published.length, 1);
  assert.equal(sendBlock(h, textOf(40, 1), { num: 2, more: false, path })[0]?.code, "4.08");
  assert.equal(sendBlock(h, payload, { num: 1, more: true, path })[0]?.code, "4.08");
  assert.equal(upload(h, payload, { path })?.code, "2.01", "from the first block on it is another one");
  assert.equal(h.published.length, 2);
});

test("a slow store: Empty ACK, then the response as a CON; who asks again meanwhile gets the same answer", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const payload = textOf(40);
  assert.equal(upload(h, payload, { token: "0a" }), undefined);
  h.take();
  h.advance(1500);
  sendBlock(h, payload, { num: 2, more: false, token: "0b" });
  assert.equal(h.published.length, 1);
  assert.deepEqual(
    h.take().map(({ type, code }) => `${type} ${code}`),
    ["ACK 0.00"],
  );
  h.waiters[0]?.onStored(0, 0);
  const answers = h.take();
  assert.deepEqual(
    answers.map(({ type, code, token }) => `${type} ${code} ${token}`),
    ["CON 2.04 0a", "ACK 2.04 0b"],
  );
  assert.deepEqual(answers.map(block1Of), ["2/0/0", "2/0/0"]);
  h.acknowledge(answers[0]);
  h.advance(UPLOAD_LIFETIME_MS + 1000);
  assert.equal(h.wheel.armed, 0);
});

test("at most four requests with the last block wait for one answer", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const payload = textOf(20);
  upload(h, payload);
  const again = () => sendBlock(h, payload, { num: 1, more: false })[0]?.code;
  assert.deepEqual([again(), again(), again(), again()], [undefined, undefined, undefined, "5.03"]);
});

test("a refusal by the store is 5.03 with Max-Age, at once or later, and the upload is forgotten", () => {
  for (const reason of [0x97, 0x83]) {
    const h = new Harness();
    h.outcome = reason;
    const payload = textOf(20);
    const refused = upload(h, payload);
    assert.deepEqual([refused?.code, readUint(refused?.options.get("Max-Age"))], ["5.03", 10]);
    assert.equal(sendBlock(h, payload, { num: 1, more: false })[0]?.code, "4.08");
    h.outcome = STORED_LATER;
    assert.equal(upload(h, payload), undefined);
    h.waiters[0]?.onStored(0, reason);
    assert.equal(h.take().at(-1)?.code, "5.03");
    assert.equal(h.counters.get("coap.uploads_known"), 0);
  }
});

test("an upload replaced while the store works on it is answered, and the new one is not taken for done", () => {
  const h = new Harness();
  h.outcome = STORED_LATER;
  const two = textOf(40, 2);
  upload(h, textOf(20, 1), { token: "01" });
  sendBlock(h, two, { num: 0, more: true });
  h.take();
  h.waiters[0]?.onStored(0, 0);
  assert.deepEqual(
    h.take().map(({ code, token }) => `${code} ${token}`),
    ["2.04 01"],
  );
  assert.equal(sendBlock(h, two, { num: 1, more: true })[0]?.code, "2.31");
});

test("rights and the query are looked at with each block, before it is taken", () => {
  const h = new Harness();
  const payload = textOf(40);
  h.writable = false;
  assert.equal(upload(h, payload)?.code, "4.03");
  h.writable = true;
  assert.equal(upload(h, payload, { path: "/ps/a?qos=9" })?.code, "4.00");
  assert.equal(upload(h, payload, { path: "/ps/a/%2B" })?.code, "4.00");
  assert.equal(h.counters.get("coap.uploads_known"), 0);
  sendBlock(h, payload, { num: 0, more: true });
  h.writable = false;
  assert.equal(sendBlock(h, payload, { num: 1, more: true })[0]?.code, "4.03");
});

test("logins that take time: each block waits for its own", () => {
  const h = new Harness();
  h.loginsWait = true;
  const payload = textOf(40);
  const codes: (string | undefined)[] = [];
  for (const num of [0, 1, 2]) {
    assert.equal(sendBlock(h, payload, { num, more: num < 2, path: "/ps/a?u=x&p=secret" }).length, 0);
    h.advance(1200);
    h.loginWaiters[num]?.onLogin(principalOf(h.logins[num]!), 0);
    const [empty, response] = h.take();
    codes.push(empty?.code, response?.code);
    h.acknowledge(response);
  }
  assert.deepEqual(codes, ["0.00", "2.31", "0.00", "2.31", "0.00", "2.04"]);
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("the peers of two listeners are not the same, even at one address and port", () => {
  const h = new Harness();
  const other = h.another();
  const one = textOf(40, 1);
  const two = textOf(40, 2);
  for (const num of [0, 1, 2]) {
    const more = num < 2;
    assert.equal(sendBlock(h, one, { num, more })[0]?.code, more ? "2.31" : "2.04");
    const payload = two.subarray(num * 16, num * 16 + 16);
    const options = [{ name: "Block1" as const, value: uint(num * 16 + (more ? 8 : 0)) }];
    const datagram = requestOf({ code: "PUT", confirmable: true, messageId: num, options, payload }, "/ps/a");
    other.handler?.onDatagram(datagram, "192.0.2.7", 40_000, null);
  }
  assert.deepEqual(payloads(h), [one.toString(), two.toString()]);
  assert.deepEqual(
    other.sent.map(({ bytes }) => responseOf(bytes).code),
    ["2.31", "2.31", "2.04"],
  );
});

// ---- memory ----------------------------------------------------------------------------------------------------

const { memoryBytes, uploadsMax, perAddressMax } = uploadLimits(2048);
const pages = memoryBytes / 1024;

test("the bill: 256 KiB or the largest packet, and 16 KiB beside it, whatever the number of listeners", () => {
  assert.equal(memoryBytes, 272 * 1024);
  assert.equal(uploadLimits(1024 * 1024).memoryBytes, 1040 * 1024);
  assert.ok(budget(256 * 1024).bytes <= 316 * 1024);
});

/** An upload that holds `held` pages, by an address of its own. */
function hold(h: Harness, address: string, held: number): string | undefined {
  let code: string | undefined;
  for (let num = 0; num < held; num++) {
    code = sendBlock(h, textOf((held + 1) * 1024), { num, more: true, szx: 6, address })[0]?.code;
  }
  return code;
}

test("memory full: the upload that is idle for longest gives way; with none idle it is 5.03", () => {
  const h = new Harness({}, null, { maxPacketBytes: 128 * 1024 });
  assert.equal(hold(h, "192.0.2.1", 100), "2.31");
  h.advance(1000);
  assert.equal(hold(h, "192.0.2.2", 100), "2.31");
  h.advance(1000);
  assert.equal(hold(h, "192.0.2.3", pages - 200), "2.31");
  assert.equal(h.counters.get("coap.uploads_bytes"), pages * 1024);
  assert.equal(hold(h, "192.0.2.4", 1), "5.03", "nobody is idle yet");
  assert.equal(h.counters.get("coap.uploads_refused"), 1);
  h.advance(IDLE_MS - 2000);
  assert.equal(hold(h, "192.0.2.4", 1), "2.31");
  assert.equal(h.counters.get("coap.uploads_evicted"), 1);
  const next = { num: 100, more: true, szx: 6 };
  assert.equal(sendBlock(h, textOf(102 * 1024), { ...next, address: "192.0.2.1" })[0]?.code, "4.08");
  assert.equal(sendBlock(h, textOf(102 * 1024), { ...next, address: "192.0.2.2" })[0]?.code, "2.31");
});

test("one that trickles 16 bytes now and then counts as idle when memory is wanted", () => {
  const h = new Harness({}, null, { maxPacketBytes: 256 * 1024 });
  const trickle = textOf(1024);
  sendBlock(h, trickle, { num: 0, more: true, address: "192.0.2.1" });
  for (let num = 1; num <= 6; num++) {
    h.advance(2000);
    assert.equal(sendBlock(h, trickle, { num, more: true, address: "192.0.2.1" })[0]?.code, "2.31");
  }
  hold(h, "192.0.2.2", 200);
  assert.equal(hold(h, "192.0.2.3", pages - 200), "2.31");
  assert.equal(sendBlock(h, trickle, { num: 7, more: true, address: "192.0.2.1" })[0]?.code, "4.08");
});

test("a payload of max_packet_bytes finds room beside sixteen small ones", () => {
  const h = new Harness({}, null, { maxPacketBytes: 256 * 1024 });
  for (let i = 0; i < 16; i++) assert.equal(hold(h, `192.0.2.${i}`, 1), "2.31");
  const payload = textOf(256 * 1024);
  assert.equal(upload(h, payload, { szx: 6, address: "198.51.100.1" })?.code, "2.04");
  assert.equal(h.published[0]?.payload, payload.toString());
});

test("an address has half of the memory when it has several uploads", () => {
  const h = new Harness({}, null, { maxPacketBytes: 256 * 1024 });
  const big = textOf(256 * 1024);
  const send = (num: number, path: string) => sendBlock(h, big, { num, more: num < 255, szx: 6, path })[0]?.code;
  let num = 0;
  for (; num < pages / 4; num++) assert.deepEqual([send(num, "/ps/a"), send(num, "/ps/b")], ["2.31", "2.31"]);
  assert.equal(send(num, "/ps/b"), "5.03");
  for (; num < 255; num++) assert.equal(send(num, "/ps/a"), "2.31");
  assert.equal(send(num, "/ps/a"), "2.04");
});

test("uploads are bounded in number: done ones are forgotten first, idle ones give way, else 5.03", () => {
  const h = new Harness();
  const payload = textOf(40);
  for (let i = 0; i < uploadsMax; i++) upload(h, payload, { address: `192.0.2.${i}` });
  assert.equal(h.counters.get("coap.uploads_known"), uploadsMax);
  const begin = (i: number) => sendBlock(h, payload, { num: 0, more: true, address: `198.51.100.${i}` })[0]?.code;
  for (let i = 0; i < uploadsMax; i++) assert.equal(begin(i), "2.31");
  assert.equal(begin(uploadsMax), "5.03");
  h.advance(IDLE_MS);
  assert.equal(begin(uploadsMax), "2.31");
  assert.equal(h.counters.get("coap.uploads_known"), uploadsMax);
});

test("addresses that are not proven may be forged: their uploads never hold up those of one that is", () => {
  const h = new Harness({}, null, { maxPacketBytes: 8192 });
  h.port.peersVerified = false;
  const payload = textOf(8192);
  const forge = (i: number) => {
    sendBlock(h, payload, { num: 0, more: true, szx: 6, address: `192.0.2.${i}` });
    h.advance(50);
    for (const num of [1, 2]) {
      if (i >= 18) sendBlock(h, payload, { num, more: true, szx: 6, address: `192.0.2.${i - 18}` });
    }
  };
  for (let i = 0; i < 150; i++) forge(i);
  assert.equal(h.counters.get("coap.uploads_known"), 92, "as many as three pages each allow");
  sendBlock(h, payload, { num: 0, more: true, szx: 6, address: "203.0.113.1" });
  h.advance(900);
  const answers = h.port.sent
    .filter(({ address }) => address === "203.0.113.1")
    .map(({ bytes }) => responseOf(bytes).code);
  assert.deepEqual(answers, ["0.00", "0.00", "5.03"], "one more that is not proven");
  for (let num = 0; num < 8; num++) {
    const [first] = sendBlock(h, payload, { num, more: num < 7, szx: 6, address: "198.51.100.1" });
    if (num === 0) h.acknowledge(first, "RST", "198.51.100.1");
    forge(150 + num);
  }
  assert.deepEqual(payloads(h), [payload.toString()]);
});

test("an upload of a proven address does not give way to others that are not, however idle", () => {
  const h = new Harness();
  const payload = textOf(40);
  sendBlock(h, payload, { num: 0, more: true, address: "198.51.100.1" });
  h.port.peersVerified = false;
  h.advance(2 * IDLE_MS);
  for (let i = 0; i < 2 * uploadsMax; i++) {
    sendBlock(h, payload, { num: 0, more: true, address: `192.0.2.${i}` });
    h.advance(900);
  }
  assert.equal(sendBlock(h, payload, { num: 1, more: true, address: "198.51.100.1" })[0]?.code, "2.31");
});

test("NON: a gap, and a block that is wrong, are answered by NONs", () => {
  const h = new Harness();
  const [gap] = sendBlock(h, textOf(64), { num: 2, more: true, confirmable: false });
  assert.deepEqual([gap?.type, gap?.code], ["NON", "4.08"]);
  const [wrong] = sendBlock(h, textOf(20), { num: 0, more: true, szx: 1, confirmable: false });
  assert.deepEqual([wrong?.type, wrong?.code], ["NON", "4.00"]);
});

test("an address begins a quarter of them", () => {
  const h = new Harness();
  const payload = textOf(40);
  const begin = (i: number) => sendBlock(h, payload, { num: 0, more: true, tag: `${i}` })[0]?.code;
  for (let i = 0; i < perAddressMax; i++) assert.equal(begin(i), "2.31");
  assert.equal(begin(perAddressMax), "5.03");
  assert.equal(sendBlock(h, payload, { num: 0, more: true, address: "192.0.2.99" })[0]?.code, "2.31");
  h.advance(IDLE_MS);
  assert.equal(begin(perAddressMax), "2.31", "its own idle one gives way");
});
