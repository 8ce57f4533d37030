// RFC 7959 sections 2.1 to 2.4 and 4: values that are read block by block.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  blockOf,
  blockValue,
  DELETE,
  type Message,
  NON,
  Option,
  optionOf,
  optionsOf,
  POST,
  PUT,
  uintOf,
} from "./bytes.ts";
import { bodyOf, get, product, put, readBlocks, unique } from "./harness.ts";

const gateway = product();

/** No two blocks of it are alike. */
function valueOfBytes(length: number): string {
  return Array.from({ length: Math.ceil(length / 5) }, (_, i) => String(i).padStart(5, "0"))
    .join("")
    .slice(0, length);
}

const block2 = (read: Message) => blockOf(read, Option.Block2);

for (let szx = 0; szx <= 6; szx++) {
  test(`[RFC7959-2.1-1] [RFC7959-2.1-2] [RFC7959-2.3-1] [RFC7959-2.4-3] [RFC7959-2.4-6] blocks of ${16 << szx} bytes: of that size or a smaller one, all alike, the value in order`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("blocks");
    const value = valueOfBytes(40 * (16 << szx) + 7);
    await gateway.retain(topic, value, "text/plain");
    const messages = await readBlocks(raw, `/ps/${topic}`, szx);
    const sizes = new Set(messages.map((read) => block2(read)?.szx));
    assert.equal(sizes.size, 1, `one size: ${[...sizes]}`);
    const [actual = 7] = sizes;
    assert.ok(actual <= szx);
    for (const [num, read] of messages.entries()) {
      assert.deepEqual(block2(read), { num, more: num < messages.length - 1, szx: actual });
      assert.equal(optionsOf(read, Option.Block2).length, 1);
      if (num < messages.length - 1) assert.equal(read.payload.length, 16 << actual);
    }
    assert.equal(bodyOf(messages), value);
  });
}

for (const length of [0, 1, 15, 16, 17, 32, 33]) {
  test(`[RFC7959-2.3-1] [RFC7959-2.1-1] a value of ${length} bytes in blocks of 16`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("edge");
    // An empty retained value is none: it is what clears a topic.
    if (length > 0) await gateway.retain(topic, valueOfBytes(length));
    const messages = length > 0 ? await readBlocks(raw, `/ps/${topic}`, 0) : [];
    assert.equal(messages.length, Math.ceil(length / 16));
    assert.equal(bodyOf(messages), valueOfBytes(length));
  });
}

test("[RFC7959-2.2-2] [RFC7959-2.4-2] the more bit of a request for a block is ignored", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("more");
  await gateway.retain(topic, valueOfBytes(40));
  for (const num of [0, 1, 2]) {
    const [without, with_] = [
      await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(num, false, 0)])),
      await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(num, true, 0)])),
    ];
    assert.equal(with_.code, "2.05");
    assert.deepEqual(with_.payload, without.payload);
    assert.deepEqual(block2(with_), { num, more: num < 2, szx: 0 });
  }
});

test("[RFC7959-2.2-3] [RFC7959-2.2-4] SZX 7 is 4.00, for any block, and is never in an answer", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("reserved");
  await gateway.retain(topic, valueOfBytes(5000));
  for (const num of [0, 1, 15, 16, 4095, 4096, 1_048_575]) {
    for (const more of [false, true]) {
      for (const type of [0, NON]) {
        const answer = await raw.ask({ ...get(`/ps/${topic}`, [Option.Block2, blockValue(num, more, 7)]), type });
        assert.equal(answer.code, "4.00");
        assert.equal(optionOf(answer, Option.Block2), undefined);
      }
    }
  }
});

test("[RFC7959-2.3-5] every block says the Content-Format of the whole value", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("format");
  await gateway.retain(topic, JSON.stringify(valueOfBytes(100)), "application/json");
  const messages = await readBlocks(raw, `/ps/${topic}`, 0);
  assert.ok(messages.length > 5);
  for (const read of messages) assert.equal(uintOf(read, Option.ContentFormat), 50);
});

test("[RFC7959-2.4-7] [RFC9175-3.8-1] every block has the value's ETag", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("etag");
  await gateway.retain(topic, valueOfBytes(100));
  const tags = (await readBlocks(raw, `/ps/${topic}`, 0)).map((read) => optionOf(read, Option.ETag)?.toString("hex"));
  assert.ok(tags.length > 5 && tags[0] !== undefined);
  assert.equal(new Set(tags).size, 1);
});

test("[RFC9175-3.8-2] another value has another ETag, though it is as long and differs in one byte only; in the middle of a transfer, too", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("changing");
  const seen = new Set<string>();
  const value = valueOfBytes(64);
  for (let at = 0; at < 64; at += 4) {
    await gateway.retain(topic, `${value.slice(0, at)}x${value.slice(at + 1)}`);
    const first = await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(0, false, 0)]));
    seen.add(optionOf(first, Option.ETag)!.toString("hex"));
    const last = await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(3, false, 0)]));
    assert.deepEqual(optionOf(last, Option.ETag), optionOf(first, Option.ETag));
  }
  assert.equal(seen.size, 16);
});

test("[RFC7959-4-3] the first block says in Size2 how long the value is, once; asking for it by Size2 0 changes nothing else", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("size");
  await gateway.retain(topic, valueOfBytes(333));
  for (const asked of [[], [[Option.Size2, 0] as const]]) {
    const first = await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(0, false, 1)], ...asked));
    assert.equal(uintOf(first, Option.Size2), 333);
    assert.equal(optionsOf(first, Option.Size2).length, 1);
    assert.equal(first.payload.length, 32);
  }
});

test("blocks may be asked for in any order, by CON and by NON, under any token", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("random");
  const value = valueOfBytes(100);
  await gateway.retain(topic, value);
  for (const num of [6, 0, 3, 3, 5, 1]) {
    for (const type of [0, NON]) {
      const read = await raw.ask({ ...get(`/ps/${topic}`, [Option.Block2, blockValue(num, false, 0)]), type });
      assert.equal(read.payload.toString(), value.slice(num * 16, num * 16 + 16));
    }
  }
});

test("a block behind the end is an error in words, up to the largest number there is", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("behind");
  await gateway.retain(topic, valueOfBytes(32));
  for (const num of [2, 3, 4096, 1_048_575]) {
    const answer = await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(num, false, 0)]));
    assert.match(answer.code, /^4\.0[02]$/);
    assert.ok(answer.payload.length > 0);
  }
});

test("[RFC7959-2.1-1] a block of what is not cut in blocks is an error, and nothing is done for it: /health, PUT, POST, DELETE", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("whole");
  const subscriber = await gateway.subscriber(t, topic);
  await gateway.retain(topic, "value");
  await subscriber.take(1);
  for (const [block, isThere] of [
    [blockValue(1, false, 6), false],
    [blockValue(1000, false, 0), false],
    [blockValue(0, false, 6), true],
  ] as const) {
    const option = [Option.Block2, block] as const;
    assert.match((await raw.ask(get("/health", option))).code, isThere ? /^2\.05$/ : /^4\.0[02]$/);
    for (const code of [PUT, POST, DELETE]) {
      const answer = await raw.ask({ ...put(`/ps/${topic}?retain=true`, "other", option), code });
      assert.match(answer.code, isThere ? /^2\.0[124]$/ : /^4\.0[02]$/);
    }
    if (!isThere) assert.equal((await raw.ask(get(`/ps/${topic}`))).payload.toString(), "value");
  }
  assert.equal((await subscriber.take(3)).length, 3);
});

test("section 2.4, late negotiation: after a first answer without Block2 in the request, a client may go on in smaller blocks", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("late");
  const value = valueOfBytes(3000);
  await gateway.retain(topic, value);
  const first = await raw.ask(get(`/ps/${topic}`));
  const given = block2(first);
  assert.ok(given !== undefined && given.num === 0 && given.more);
  const szx = Math.max(0, given.szx - 1);
  let body = first.payload.toString();
  for (let num = body.length / (16 << szx); body.length < value.length; num++) {
    const next = await raw.ask(get(`/ps/${topic}`, [Option.Block2, blockValue(num, false, szx)]));
    assert.deepEqual([next.code, block2(next)?.szx], ["2.05", szx]);
    body += next.payload.toString();
  }
  assert.equal(body, value);
});
