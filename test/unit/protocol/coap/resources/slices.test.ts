/** Block2: values in blocks (RFC 7959 section 2.4), small ones for who has not proven its address, and what was notified. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../../../../src/core/message.ts";
import { READS_MAX } from "../../../../../src/protocol/coap/blocks/large-reads.ts";
import { LARGE_VALUES_BYTES_MAX, LargeValues } from "../../../../../src/protocol/coap/blocks/large-values.ts";
import { blockOption } from "../../../../../src/wire/coap/options.ts";
import type { Response } from "../../../../support/coap-messages.ts";
import { hex } from "../../../wire/coap/vectors.ts";
import { blockOf, readUint, sendBlock, textOf, uint, upload } from "../blocks/uploading.ts";
import { Harness } from "../harness.ts";

const block2 = (num: number, szx: number) => ({
  name: "Block2" as const,
  value: blockOption(0, num, false, szx).value,
});

/** Fetches block by block, each of the size that the one before had. */
function fetchAll(h: Harness, path: string, szx: number | null = null): { value: string; responses: Response[] } {
  const first = h.ask({ options: szx === null ? [] : [block2(0, szx)] }, path);
  const responses = [first];
  let value = first.payload;
  for (let last = first; blockOf(last, "Block2").split("/")[1] === "1"; ) {
    const size = Number(blockOf(last, "Block2").split("/")[2]);
    last = h.ask({ options: [block2(value.length / (16 << size), size)] }, path);
    responses.push(last);
    value += last.payload;
  }
  return { value, responses };
}

for (const length of [1, 15, 16, 17, 1023, 1024, 1025, 5000, 65_536]) {
  test(`a value of ${length} bytes comes whole, by blocks of each size`, () => {
    const h = new Harness();
    const value = textOf(length);
    h.retain("a", value);
    for (const szx of [null, 0, 3, 6]) {
      if (szx === 0 && length > 5000) continue;
      const all = fetchAll(h, "/ps/a", szx);
      assert.equal(all.value, value.toString());
      assert.equal(new Set(all.responses.map(({ options }) => options.get("ETag")?.toString("hex"))).size, 1);
      const blocks = Math.ceil(length / (16 << (szx ?? 6)));
      assert.equal(all.responses.length, blocks);
      assert.equal(
        blockOf(all.responses[0], "Block2"),
        szx === null && blocks === 1 ? "" : `0/${blocks > 1 ? 1 : 0}/${szx ?? 6}`,
      );
    }
  });
}

test("section 2.4: the client may go on with smaller blocks", () => {
  const h = new Harness();
  const value = textOf(3000).toString();
  h.retain("a", value);
  assert.equal(h.ask({}, "/ps/a").payload, value.slice(0, 1024));
  const later = h.ask({ options: [block2(4, 4)] }, "/ps/a");
  assert.deepEqual([later.payload, blockOf(later, "Block2")], [value.slice(1024, 1280), "4/1/4"]);
});

test("a value that changes in between shows by its ETag", () => {
  const h = new Harness();
  h.retain("a", textOf(2000, 1));
  const first = h.ask({}, "/ps/a");
  h.retain("a", textOf(2000, 2));
  const second = h.ask({ options: [block2(1, 6)] }, "/ps/a");
  assert.notDeepEqual(first.options.get("ETag"), second.options.get("ETag"));
});

test("section 4: Size2 comes with the first block, and with each for who asks for it", () => {
  const h = new Harness();
  h.retain("a", textOf(2000));
  const size2 = (options: { name: "Size2" | "Block2"; value: Buffer }[]) =>
    readUint(h.ask({ options }, "/ps/a").options.get("Size2"));
  assert.equal(size2([]), 2000);
  assert.equal(size2([block2(1, 6)]), -1);
  assert.equal(size2([block2(1, 6), { name: "Size2", value: uint(0) }]), 2000);
});

test("a block behind the end, SZX 7, and Block1 in a GET are refused", () => {
  const h = new Harness();
  h.retain("a", textOf(1024));
  assert.equal(h.ask({ options: [block2(1, 6)] }, "/ps/a").code, "4.00");
  assert.equal(h.ask({ options: [block2(0xf_ffff, 6)] }, "/ps/a").code, "4.00");
  assert.equal(h.ask({ options: [{ name: "Block2", value: uint(7) }] }, "/ps/a").code, "4.00");
  assert.equal(h.ask({ options: [{ name: "Block1", value: uint(0) }] }, "/ps/a").code, "4.02");
});

test("RFC 7252 section 5.10.6: an ETag that is known is 2.03 for each block", () => {
  const h = new Harness();
  h.retain("a", textOf(2000));
  const value = h.ask({}, "/ps/a").options.get("ETag") as Buffer;
  const known = h.ask({ options: [{ name: "ETag", value }, block2(1, 6)] }, "/ps/a");
  assert.deepEqual([known.code, known.payload], ["2.03", ""]);
});

test("an address that does not answer pings gets all of it, in the smallest blocks", () => {
  const h = new Harness();
  h.port.peersVerified = false;
  h.retain("a", textOf(1500), "application/json");
  const token = hex("0102030405060708");
  let value = "";
  for (let num = 0; ; num++) {
    h.request({ token, options: num === 0 ? [] : [block2(num, 0)] }, "/ps/a");
    h.advance(900);
    const answer = h.take().find(({ code }) => code !== "0.00");
    value += answer?.payload;
    assert.equal(answer?.code, "2.05");
    if (blockOf(answer, "Block2").split("/")[1] !== "1") break;
  }
  assert.equal(value, textOf(1500).toString());
});

test("the path of a DTLS session with small datagrams gets blocks that fit", () => {
  const h = new Harness();
  h.port.maxPayload = 200;
  h.retain("a", textOf(1000));
  const { value, responses } = fetchAll(h, "/ps/a");
  assert.equal(value, textOf(1000).toString());
  assert.equal(blockOf(responses[0], "Block2"), "0/1/3");
  for (const sent of h.port.sent) assert.ok(sent.bytes.length <= 200);
});

// ---- copies of what is being read ------------------------------------------------------------------------------

test("a large value is read once for all of its blocks and clients; one that changes is read anew", () => {
  const h = new Harness();
  h.retain("a", textOf(20_000, 1));
  h.reads = 0;
  for (const szx of [6, 4]) assert.equal(fetchAll(h, "/ps/a", szx).value, textOf(20_000, 1).toString());
  assert.equal(h.reads, 1);
  h.retain("a", textOf(20_000, 2));
  assert.equal(fetchAll(h, "/ps/a").value, textOf(20_000, 2).toString());
  h.retainedValues.delete("a");
  assert.equal(h.ask({ options: [block2(1, 6)] }, "/ps/a").code, "4.04");
  h.readable = false;
  h.retain("b", textOf(2000));
  assert.equal(h.ask({}, "/ps/b").code, "4.03");
});

test("a value that expires is read once, too, its Max-Age runs down, and then it is not there", () => {
  const h = new Harness();
  h.retain("a", textOf(2000), null, 30);
  h.reads = 0;
  fetchAll(h, "/ps/a");
  h.clock.advance(10_500);
  assert.equal(readUint(h.ask({ options: [block2(1, 6)] }, "/ps/a").options.get("Max-Age")), 20);
  assert.equal(h.reads, 1);
  h.clock.advance(19_500);
  h.retainedValues.clear();
  assert.equal(h.ask({ options: [block2(1, 6)] }, "/ps/a").code, "4.04");
  assert.equal(h.shared.largeReads.count, 0);
});

test("a value that fits in a block is read each time", () => {
  const h = new Harness();
  h.retain("b", textOf(1024));
  h.reads = 0;
  h.ask({}, "/ps/b");
  h.ask({}, "/ps/b");
  assert.equal(h.reads, 2);
});

test("copies lie in what uploads leave: they are few, give way to uploads and to each other, and are never half there", () => {
  const h = new Harness({}, null, { maxPacketBytes: 256 * 1024 });
  const reads = h.shared.largeReads;
  for (let i = 0; i < 12; i++) {
    h.retain(`t/${i}`, textOf(5000, i));
    assert.equal(fetchAll(h, `/ps/t/${i}`).value, textOf(5000, i).toString());
  }
  assert.equal(reads.count, READS_MAX);
  const big = textOf(250 * 1024);
  h.retain("big", big);
  assert.equal(fetchAll(h, "/ps/big").value, big.toString());
  assert.ok(reads.count >= 1 && reads.count < READS_MAX);
  const up = textOf(256 * 1024, 3);
  assert.equal(upload(h, up, { szx: 6 })?.code, "2.04");
  assert.equal(h.published[0]?.payload, up.toString());
  assert.equal(reads.count, 0);
  for (let num = 0; num < 200; num++) sendBlock(h, up, { num, more: true, szx: 6 });
  assert.equal(fetchAll(h, "/ps/big").value, big.toString(), "without a copy, as there is no room for one");
  assert.equal(reads.count, 0);
  assert.equal(sendBlock(h, up, { num: 200, more: true, szx: 6 })[0]?.code, "2.31");
  assert.equal(h.counters.get("coap.uploads_bytes"), 201 * 1024);
});

// ---- what was notified -----------------------------------------------------------------------------------------

function messageOf(h: Harness, topic: string, payload: Buffer): Message {
  h.retain(topic, payload);
  const message = h.retainedValues.get(topic) as Message;
  h.retainedValues.delete(topic);
  return message;
}

test("section 3.4: the rest of a notified value is fetched by GETs without Observe, also under a filter", () => {
  const h = new Harness();
  h.ask({}, "/health");
  const value = textOf(3000, 1);
  const values = h.shared.largeValues;
  for (const filter of ["a/b", "a/+"]) {
    values.keep(h.peer(), filter, messageOf(h, "a/b", value));
    const path = `/ps/${filter.split("/").map(encodeURIComponent).join("/")}`;
    const second = h.ask({ options: [block2(1, 6)] }, path);
    assert.deepEqual([second.code, second.payload], ["2.05", value.toString().slice(1024, 2048)]);
    assert.equal(blockOf(second, "Block2"), "1/1/6");
    const third = h.ask({ options: [block2(2, 6)] }, path);
    assert.deepEqual([third.payload, blockOf(third, "Block2")], [value.toString().slice(2048), "2/0/6"]);
    assert.deepEqual(third.options.get("ETag"), second.options.get("ETag"));
  }
  assert.equal(h.ask({}, "/ps/a/b").code, "4.04", "the first block is the value of now");
  assert.equal(
    h.request({ options: [block2(1, 6)] }, "/ps/a/b", "192.0.2.99")[0]?.code,
    "4.04",
    "to others it is not there",
  );
  h.unreadable.add("a/b");
  assert.equal(h.ask({ options: [block2(1, 6)] }, "/ps/a/b").code, "4.03");
});

test("a newer notified value takes the place of the one before; after 247 s it is forgotten", () => {
  const h = new Harness();
  h.ask({}, "/health");
  const second = () => h.ask({ options: [block2(1, 6)] }, "/ps/a");
  const values = h.shared.largeValues;
  values.keep(h.peer(), "a", messageOf(h, "a", textOf(2000, 1)));
  values.keep(h.peer(), "a", messageOf(h, "a", textOf(2000, 2)));
  assert.equal(second().payload, textOf(2000, 2).toString().slice(1024));
  h.clock.advance(247_000);
  assert.equal(second().code, "4.04");
  assert.equal(h.counters.get("coap.large_values_bytes"), 0);
});

test("notified values are bounded: one message counts once for all who are notified, the oldest gives way", () => {
  const h = new Harness();
  const values = new LargeValues(h);
  const peers = Array.from({ length: 40 }, (_, i) => {
    h.request({}, "/health", `192.0.2.${i}`);
    return h.peer(`192.0.2.${i}`);
  });
  const one = messageOf(h, "a", textOf(40_000));
  for (const peer of peers) assert.equal(values.keep(peer, "a", one), true);
  assert.ok(h.counters.get("coap.large_values_bytes") < 52_000);
  const two = messageOf(h, "b", textOf(20_000));
  values.keep(peers[0]!, "b", two);
  assert.equal(h.counters.get("coap.large_values_evicted") > 0, true);
  assert.ok(h.counters.get("coap.large_values_bytes") <= LARGE_VALUES_BYTES_MAX);
  assert.equal(values.find(peers[0]!, "b"), two);
  assert.equal(values.find(peers[0]!, "a"), null);
  assert.equal(values.keep(peers[0]!, "c", messageOf(h, "c", textOf(LARGE_VALUES_BYTES_MAX))), false);
  assert.equal(h.counters.get("coap.large_values_refused"), 1);
});
