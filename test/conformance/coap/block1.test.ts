// RFC 7959 sections 2.1 to 2.5 and RFC 9175 section 3: payloads that come block by block.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Harness } from "../../unit/protocol/coap/harness.ts";
import {
  blockOf,
  blockValue,
  type Fields,
  type Message,
  message,
  NON,
  Option,
  type OptionField,
  POST,
  PUT,
  readMessage,
  uintOf,
  uri,
} from "./bytes.ts";
import type { HandEndpoint } from "./hand-endpoint.ts";
import { holdToRules, product, put, read, unique } from "./harness.ts";

const PAYLOAD_MAX = 64 * 1024;
const gateway = product({ limits: { max_packet_bytes: PAYLOAD_MAX } });

/** No two blocks of it are alike. */
function payloadOf(length: number): Buffer {
  return Buffer.from(
    Array.from({ length: Math.ceil(length / 5) }, (_, i) => String(i).padStart(5, "0")).join(""),
  ).subarray(0, length);
}

/** The block `num` of a payload, as a PUT. */
function blockOfPayload(path: string, payload: Buffer, num: number, szx: number, ...more: OptionField[]): Fields {
  const size = 16 << szx;
  const end = Math.min((num + 1) * size, payload.length);
  const block: OptionField = [Option.Block1, blockValue(num, end < payload.length, szx)];
  return put(path, payload.subarray(num * size, end), block, ...more);
}

/** Sends them all in order. */
async function upload(
  raw: HandEndpoint,
  path: string,
  payload: Buffer,
  szx: number,
  more: Partial<Fields> = {},
): Promise<Message[]> {
  const answers: Message[] = [];
  for (let num = 0; num * (16 << szx) < payload.length; num++) {
    answers.push(await raw.ask({ ...blockOfPayload(path, payload, num, szx), ...more }));
  }
  return answers;
}

const block1 = (read: Message) => blockOf(read, Option.Block1);

for (let szx = 0; szx <= 6; szx++) {
  for (const [method, code] of [
    ["PUT", PUT],
    ["POST", POST],
  ] as const) {
    test(`[RFC7959-2.1-1] [RFC7959-2.1-2] [RFC7959-2.3-4] ${method} in blocks of ${16 << szx} bytes: 2.31 to each, 2.04 to the last, published whole and once`, async (t) => {
      const raw = await gateway.open(t);
      const topic = unique("upload");
      const subscriber = await gateway.subscriber(t, topic);
      const payload = payloadOf(5 * (16 << szx) + 3);
      const answers = await upload(raw, `/ps/${topic}`, payload, szx, { code });
      for (const [num, answer] of answers.entries()) {
        const last = num === answers.length - 1;
        assert.equal(answer.code, last ? "2.04" : "2.31");
        const block = block1(answer);
        assert.deepEqual([block?.num, block?.more], [num, !last]);
        assert.ok(block!.szx <= szx);
      }
      const messages = await subscriber.take(1);
      assert.deepEqual([messages.length, messages[0]?.payload], [1, payload.toString()]);
    });
  }
}

test("[RFC7959-2.3-4] a 2.31 has no Block2, even when the request asks for one", async (t) => {
  const raw = await gateway.open(t);
  const path = `/ps/${unique("two-way")}`;
  const payload = payloadOf(40);
  const first = await raw.ask(blockOfPayload(path, payload, 0, 0, [Option.Block2, blockValue(0, false, 0)]));
  assert.deepEqual([first.code, uintOf(first, Option.Block2)], ["2.31", undefined]);
});

test("[RFC7959-2.2-4] SZX 7 in Block1 is 4.00, and nothing is published", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("reserved");
  const subscriber = await gateway.subscriber(t, topic);
  for (const num of [0, 1, 1_048_575]) {
    for (const more of [false, true]) {
      const answer = await raw.ask(put(`/ps/${topic}`, "x", [Option.Block1, blockValue(num, more, 7)]));
      assert.equal(answer.code, "4.00");
    }
  }
  assert.equal((await raw.ask(put(`/ps/${topic}`, "end"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(1)).map(({ payload }) => payload),
    ["end"],
  );
});

test("[RFC7959-2.3-1] a block that says that more follow, and is not of its size, is an error; the last may be shorter", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("short");
  const subscriber = await gateway.subscriber(t, topic);
  for (const length of [0, 1, 15, 17, 32]) {
    const fields = put(`/ps/${topic}`, "", [Option.Block1, blockValue(0, true, 0)]);
    const { payload: _none, ...rest } = fields;
    const answer = await raw.ask(length === 0 ? rest : { ...rest, payload: Buffer.alloc(length, "x") });
    assert.match(answer.code, /^4\./, `${length} bytes in a block of 16`);
  }
  assert.equal((await upload(raw, `/ps/${topic}`, payloadOf(17), 0)).at(-1)?.code, "2.04");
  assert.equal((await subscriber.take(1))[0]?.payload.length, 17);
});

test("[RFC7959-2.3-6] a block with another Content-Format than those before it is 4.08, and nothing is published of them", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("formats");
  const subscriber = await gateway.subscriber(t, topic);
  const payload = payloadOf(40);
  const block = (num: number, format: number | null) =>
    blockOfPayload(
      `/ps/${topic}`,
      payload,
      num,
      0,
      ...(format === null ? [] : [[Option.ContentFormat, format] as const]),
    );
  for (const [first, second] of [
    [0, 50],
    [50, null],
    [null, 0],
  ] as const) {
    assert.equal((await raw.ask(block(0, first))).code, "2.31");
    assert.equal((await raw.ask(block(1, second))).code, "4.08");
  }
  assert.equal((await raw.ask(put(`/ps/${topic}`, "end"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(1)).map((one) => one.payload),
    ["end"],
  );
});

test("[RFC7959-2.5-1] a final block without those before it is 4.08: none, the first, one in the middle is missing", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("incomplete");
  const subscriber = await gateway.subscriber(t, topic);
  const payload = payloadOf(72);
  for (const sent of [[], [1, 2, 3], [0], [0, 1], [0, 1, 2], [0, 2, 3], [0, 1, 3]]) {
    const path = `/ps/${topic}?case=${sent.join("")}`;
    for (const num of sent) {
      const { code } = await raw.ask(blockOfPayload(path, payload, num, 0));
      assert.ok(["2.31", "4.08"].includes(code));
    }
    assert.equal((await raw.ask(blockOfPayload(path, payload, 4, 0))).code, "4.08", `after ${sent}`);
  }
  assert.equal((await raw.ask(put(`/ps/${topic}`, "end"))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(1)).map((one) => one.payload),
    ["end"],
  );
});

test("[RFC7959-2.5-1] blocks that came too long ago are given up: the last one is 4.08", () => {
  const h = new Harness();
  const ask = (num: number, more: boolean): string => {
    const block = [Option.Block1, blockValue(num, more, 0)] as const;
    h.receive(message({ ...put("/ps/a", Buffer.alloc(16, "x"), block), id: num + 1, token: "t" }));
    const answer = readMessage(h.port.sent.splice(0)[0]!.bytes);
    holdToRules(answer);
    return answer.code;
  };
  assert.equal(ask(0, true), "2.31");
  assert.equal(ask(1, true), "2.31");
  h.advance(10 * 60_000);
  assert.equal(ask(2, false), "4.08");
  assert.equal(h.published.length, 0);
});

test("a block sent again, by the same message or by a new one, is taken once; the first block begins anew", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("again");
  const subscriber = await gateway.subscriber(t, topic);
  const path = `/ps/${topic}`;
  const payload = payloadOf(40);
  const codes: string[] = [];
  for (const num of [0, 0, 1, 1, 2, 2]) {
    const fields = { ...blockOfPayload(path, payload, num, 0), id: raw.id() };
    const answer = await raw.ask(fields);
    codes.push(answer.code);
    assert.deepEqual((await raw.ask(fields)).bytes.subarray(0, 4), answer.bytes.subarray(0, 4));
  }
  assert.deepEqual(codes, ["2.31", "2.31", "2.31", "2.31", "2.04", "2.04"]);
  const other = payloadOf(80).subarray(40);
  assert.equal((await raw.ask(blockOfPayload(path, payload, 0, 0))).code, "2.31");
  assert.equal((await upload(raw, path, other, 0)).at(-1)?.code, "2.04");
  assert.deepEqual(
    (await subscriber.take(2)).map((one) => one.payload),
    [payload.toString(), other.toString()],
  );
});

test("section 2.5: a token of its own for each block, and NONs, make no difference", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("tokens");
  const payload = payloadOf(100);
  for (const type of [0, NON]) {
    for (let num = 0; num < 7; num++) {
      const token = Buffer.from([num, type]);
      const answer = await raw.ask({ ...blockOfPayload(`/ps/${topic}?retain=true`, payload, num, 0), token, type });
      assert.match(answer.code, num < 6 ? /^2\.31$/ : /^2\.0[14]$/);
    }
    assert.equal(await read(raw, `/ps/${topic}`), payload.toString());
  }
});

test("[RFC7959-7-2] blocks of another endpoint are another payload: neither completes, nor changes, this one's", async (t) => {
  const [one, two] = [await gateway.open(t), await gateway.open(t)];
  const topic = unique("mixed");
  const subscriber = await gateway.subscriber(t, topic);
  const path = `/ps/${topic}`;
  const [mine, theirs] = [payloadOf(48), payloadOf(96).subarray(48)];
  assert.equal((await one.ask(blockOfPayload(path, mine, 0, 0))).code, "2.31");
  assert.equal((await two.ask(blockOfPayload(path, theirs, 1, 0))).code, "4.08");
  assert.equal((await two.ask(blockOfPayload(path, theirs, 0, 0))).code, "2.31");
  assert.equal((await one.ask(blockOfPayload(path, mine, 1, 0))).code, "2.31");
  assert.equal((await two.ask(blockOfPayload(path, theirs, 1, 0))).code, "2.31");
  assert.equal((await one.ask(blockOfPayload(path, mine, 2, 0))).code, "2.04");
  assert.equal((await two.ask(blockOfPayload(path, theirs, 2, 0))).code, "2.04");
  assert.deepEqual(
    (await subscriber.take(2)).map((message) => message.payload),
    [mine.toString(), theirs.toString()],
  );
});

test("[RFC9175-3.3-1] payloads under different Request-Tags, whatever their bytes, are kept apart: none, an empty one, several, their order", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("tags");
  const subscriber = await gateway.subscriber(t, topic);
  const tagLists = [[], [""], ["a"], ["b"], ["a", "b"], ["b", "a"], ["\u0000"], ["12345678"]];
  const payloads = tagLists.map((_, i) => payloadOf(40 * (i + 1)).subarray(40 * i));
  for (let num = 0; num < 3; num++) {
    for (const [i, tags] of tagLists.entries()) {
      const options = tags.map((tag) => [Option.RequestTag, tag] as const);
      const answer = await raw.ask(blockOfPayload(`/ps/${topic}`, payloads[i]!, num, 0, ...options));
      assert.equal(answer.code, num < 2 ? "2.31" : "2.04", `${tags}`);
      assert.equal(uintOf(answer, Option.RequestTag), undefined);
    }
  }
  assert.deepEqual(
    (await subscriber.take(tagLists.length)).map((message) => message.payload),
    payloads.map(String),
  );
});

test("[RFC9175-3.4-2] [RFC9175-3.4-3] Request-Tag without a Block option is ignored, and is in no response", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("tagged");
  const tag: OptionField = [Option.RequestTag, "tag"];
  for (const fields of [
    put(`/ps/${topic}?retain=true`, "x", tag),
    put(`/ps/${topic}?retain=true`, "x", tag, tag),
    { options: [...uri(`/ps/${topic}`), tag] },
    { options: [...uri("/health"), tag] },
  ]) {
    const answer = await raw.ask(fields);
    assert.match(answer.code, /^2\./);
    assert.equal(uintOf(answer, Option.RequestTag), undefined);
  }
});

test("[RFC7252-5.9.2.9-1] a payload that becomes too large, or is announced so in Size1, is 4.13 with Size1", async (t) => {
  const raw = await gateway.open(t);
  const path = `/ps/${unique("large")}`;
  const announced = put(
    path,
    Buffer.alloc(16),
    [Option.Block1, blockValue(0, true, 0)],
    [Option.Size1, PAYLOAD_MAX + 1],
  );
  const behind = put(path, Buffer.alloc(1024), [Option.Block1, blockValue(PAYLOAD_MAX / 1024, false, 6)]);
  for (const fields of [announced, behind]) {
    const answer = await raw.ask(fields);
    assert.deepEqual([answer.code, uintOf(answer, Option.Size1)], ["4.13", PAYLOAD_MAX]);
  }
  const last = put(path, Buffer.alloc(16), [Option.Block1, blockValue(1_048_575, false, 0)]);
  assert.equal((await raw.ask(last)).code, "4.13", "16 MiB in, on its word alone");
  const answers = await upload(raw, path, payloadOf(PAYLOAD_MAX), 6);
  assert.equal(answers.at(-1)?.code, "2.04", "and exactly the limit is taken");
});

test("[RFC7959-7.1-1] a thousand payloads that were begun and never ended are refused in time, and others are still served", async (t) => {
  const raw = await gateway.open(t);
  const codes = new Set<string>();
  for (let i = 0; i < 1000; i++) {
    const path = `/ps/${unique("begun")}`;
    codes.add((await raw.ask(blockOfPayload(path, payloadOf(4096), 0, 6))).code);
    if (i % 50 === 0) assert.equal((await raw.ask(put(path, "whole"))).code, "2.04");
  }
  for (const code of codes) assert.ok(["2.31", "5.03", "4.13"].includes(code), code);
  assert.ok(codes.size > 1, `some are refused: ${[...codes]}`);
});
