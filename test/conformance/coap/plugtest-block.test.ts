// The CoAP plugtests' cases BLOCK 01 to 06. What /large and the like are here: see README.md.
import assert from "node:assert/strict";
import { test } from "node:test";
import { blockOf, blockValue, type Message, Option, optionOf, optionsOf, POST, PUT } from "./bytes.ts";
import type { HandEndpoint } from "./hand-endpoint.ts";
import { bodyOf, get, product, put, read, readBlocks, unique } from "./harness.ts";

const gateway = product();

const LARGE = Array.from({ length: 400 }, (_, i) => String(i).padStart(5, "0")).join("");

async function large(): Promise<string> {
  const topic = unique("large");
  await gateway.retain(topic, LARGE, "text/plain");
  return `/ps/${topic}`;
}

/** Steps 3 to 7 of a GET: each block under its number, of the size that the first one had, the last without M. */
function assertBlocks(messages: readonly Message[], desired: number): void {
  const actual = blockOf(messages[0]!, Option.Block2)?.szx;
  assert.ok(actual !== undefined && actual <= desired);
  for (const [num, one] of messages.entries()) {
    const last = num === messages.length - 1;
    assert.equal(one.code, "2.05");
    assert.deepEqual(blockOf(one, Option.Block2), { num, more: !last, szx: actual });
    if (last) assert.ok(one.payload.length <= 16 << actual);
    else assert.equal(one.payload.length, 16 << actual);
  }
  assert.equal(bodyOf(messages), LARGE);
}

for (const [id, szx] of [
  ["TD_COAP_BLOCK_01", 2],
  ["TD_COAP_BLOCK_01", 6],
  ["TD_COAP_BLOCK_06", 0],
] as const) {
  test(`${id} GET of a large resource, early negotiation of ${16 << szx} bytes`, async (t) => {
    const raw = await gateway.open(t);
    assertBlocks(await readBlocks(raw, await large(), szx), szx);
  });
}

for (const smaller of [0, 1]) {
  test(`TD_COAP_BLOCK_02 GET of a large resource, late negotiation, ${smaller === 0 ? "in the size given" : "in half of it"}`, async (t) => {
    const raw = await gateway.open(t);
    const path = await large();
    const first = await raw.ask(get(path));
    const given = blockOf(first, Option.Block2);
    assert.deepEqual([first.code, given?.num, given?.more], ["2.05", 0, true]);
    assert.equal(first.payload.length, 16 << given!.szx);
    const szx = Math.max(0, given!.szx - smaller);
    let body = first.payload.toString();
    for (let num = 2 ** (given!.szx - szx), more = true; more; num++) {
      const next = await raw.ask(get(path, [Option.Block2, blockValue(num, false, szx)]));
      const block = blockOf(next, Option.Block2);
      assert.deepEqual([next.code, block?.num, block?.szx], ["2.05", num, szx]);
      body += next.payload.toString();
      more = block!.more;
    }
    assert.equal(body, LARGE);
  });
}

/** Sends LARGE in blocks, in the size that the first answer asks for. @returns the final response */
async function upload(raw: HandEndpoint, path: string, code: number, desired: number): Promise<Message> {
  let szx = desired;
  for (let num = 0, from = 0; ; num++) {
    const end = Math.min(from + (16 << szx), LARGE.length);
    const more = end < LARGE.length;
    const block = [Option.Block1, blockValue(num, more, szx)] as const;
    const answer = await raw.ask({ ...put(path, LARGE.slice(from, end), block, [Option.ContentFormat, 0]), code });
    const given = blockOf(answer, Option.Block1);
    assert.deepEqual([given?.num, given?.more], [num, more]);
    assert.ok(given!.szx <= szx);
    if (!more) return answer;
    assert.deepEqual([answer.code, answer.payload.length], ["2.31", 0]);
    from = end;
    if (given!.szx < szx) num = from / (16 << given!.szx) - 1;
    szx = given!.szx;
  }
}

for (const szx of [0, 3, 6]) {
  test(`TD_COAP_BLOCK_03 PUT of a large resource in blocks of ${16 << szx} bytes`, async (t) => {
    const raw = await gateway.open(t);
    const topic = unique("large-update");
    await gateway.retain(topic, "small");
    assert.equal((await upload(raw, `/ps/${topic}?retain=true`, PUT, szx)).code, "2.04");
    assert.equal(await read(raw, `/ps/${topic}`), LARGE);
  });
}

test("TD_COAP_BLOCK_04 POST that makes a large resource", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("large-create");
  const made = await upload(raw, `/ps/${topic}/new?retain=true`, POST, 2);
  assert.equal(made.code, "2.01");
  const location = optionsOf(made, Option.LocationPath).map(String);
  assert.deepEqual(location, ["ps", topic, "new"]);
  assert.equal(await read(raw, `/${location.join("/")}`), LARGE);
});

test("TD_COAP_BLOCK_05 POST with blocks both ways: its response has no body here, and what it posted is read in blocks", async (t) => {
  const raw = await gateway.open(t);
  const topic = unique("large-post");
  const path = `/ps/${topic}?retain=true`;
  const final = await upload(raw, path, POST, 2);
  assert.deepEqual([final.code, final.payload.length, optionOf(final, Option.Block2)], ["2.01", 0, undefined]);
  assertBlocks(await readBlocks(raw, `/ps/${topic}`, 2), 2);
});
