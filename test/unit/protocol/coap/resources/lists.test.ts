/** FETCH, and lists of the topics that hold values. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FETCHES_BYTES_MAX,
  FETCHES_MAX,
  FetchedFilters,
} from "../../../../../src/protocol/coap/resources/fetched-filters.ts";
import { LISTS_BYTES_MAX, LISTS_MAX } from "../../../../../src/protocol/coap/resources/topic-lists.ts";
import { blockOption } from "../../../../../src/wire/coap/options.ts";
import { hex } from "../../../wire/coap/vectors.ts";
import { blockOf, readUint, textOf, uint } from "../blocks/uploading.ts";
import { Harness } from "../harness.ts";

const block2 = (num: number, szx: number) => ({
  name: "Block2" as const,
  value: blockOption(0, num, false, szx).value,
});
const textPlain = { name: "Content-Format" as const, value: hex("") };

function filled(count: number): Harness {
  const h = new Harness();
  for (let i = 0; i < count; i++) h.retain(`t/${String(i).padStart(5, "0")}`, "x".repeat(i % 10));
  return h;
}

/** A list by blocks of one size, with turns of the event loop where they are asked for. */
function listAll(h: Harness, path: string, szx = 6): { links: string[]; etags: Set<string> } {
  let text = "";
  const etags = new Set<string>();
  for (let num = 0; ; num++) {
    h.take();
    h.request({ options: [block2(num, szx)] }, path);
    for (let turns = 0; h.slices.length > 0 && turns < 1000; turns++) h.runSlices();
    const [response] = h.take();
    assert.equal(response?.code, "2.05");
    text += response?.payload;
    etags.add(response?.options.get("ETag")?.toString("hex") ?? "");
    if (blockOf(response, "Block2").split("/")[1] !== "1") return { links: text.split(",").filter(Boolean), etags };
  }
}

test("GET /ps and of a path with wildcards list the topics with values, as links with format and size", () => {
  const h = new Harness();
  h.retain("hall/1", "21.5", "application/json");
  h.retain("hall/2", "22", "image/x-unknown");
  h.retain("été/a b", "");
  h.retain("$SYS/x", "1");
  h.retainedValues.delete("hall/3");
  const expected: [string, string][] = [
    ["/ps", "</ps/hall/1>;ct=50;sz=4,</ps/hall/2>;sz=2,</ps/%C3%A9t%C3%A9/a%20b>;sz=0"],
    ["/ps/", "</ps/hall/1>;ct=50;sz=4,</ps/hall/2>;sz=2,</ps/%C3%A9t%C3%A9/a%20b>;sz=0"],
    ["/ps/hall/%2B", "</ps/hall/1>;ct=50;sz=4,</ps/hall/2>;sz=2"],
    ["/ps/hall/%23", "</ps/hall/1>;ct=50;sz=4,</ps/hall/2>;sz=2"],
    ["/ps/%2B/1", "</ps/hall/1>;ct=50;sz=4"],
    ["/ps/none/%23", ""],
  ];
  for (const [path, links] of expected) {
    const response = h.ask({}, path);
    assert.deepEqual([response.code, response.payload], ["2.05", links], path);
    assert.equal(readUint(response.options.get("Content-Format")), 40);
    assert.equal(readUint(response.options.get("Max-Age")), 0);
    assert.equal(response.options.has("Block2"), false);
  }
  assert.equal(h.counters.get("coap.lists"), 0, "nothing is kept of a list that fits in one message");
});

test("a list names what its reader may read", () => {
  const h = filled(4);
  h.unreadable.add("t/00001").add("t/00003");
  assert.deepEqual(h.ask({}, "/ps").payload, "</ps/t/00000>;sz=0,</ps/t/00002>;sz=2");
});

test("wrong filters are 4.00, an Accept of another format is 4.06", () => {
  const h = filled(1);
  assert.equal(h.ask({}, "/ps/a%2B").code, "4.00");
  assert.equal(h.ask({}, "/ps/%23/a").code, "4.00");
  assert.equal(h.ask({ options: [{ name: "Accept", value: uint(50) }] }, "/ps").code, "4.06");
  assert.equal(h.ask({ options: [{ name: "Accept", value: uint(40) }] }, "/ps").code, "2.05");
});

for (const szx of [0, 3, 6]) {
  test(`a long list comes by blocks of ${16 << szx} bytes: each topic once, under one ETag`, () => {
    const h = filled(szx === 0 ? 60 : 700);
    const { links, etags } = listAll(h, "/ps/t/%23", szx);
    assert.equal(etags.size, 1);
    const expected = [...h.retainedValues.entries()].map(
      ([topic, { payload }]) => `</ps/${topic}>;sz=${payload.length}`,
    );
    assert.deepEqual(links, expected);
  });
}

test("values that come and go meanwhile: what is there all the time is listed once", () => {
  const h = filled(300);
  const lasting = [...h.retainedValues.keys()].filter((_, i) => i % 2 === 0);
  let text = "";
  for (let num = 0; ; num++) {
    const response = h.ask({ options: [block2(num, 4)] }, "/ps");
    text += response.payload;
    if (blockOf(response, "Block2").split("/")[1] !== "1") break;
    h.retainedValues.delete(`t/${String((num * 26 + 1) % 300).padStart(5, "0")}`);
    h.retain(`new/${num}`, "x");
    if (num % 3 === 0) h.retain(lasting[num] as string, "a longer value than before");
  }
  const topics = text.split(",").map((link) => link.slice(5, link.indexOf(">")));
  for (const topic of lasting) assert.equal(topics.filter((each) => each === topic).length, 1, topic);
  assert.equal(new Set(topics).size, topics.length);
});

test("the last block may be asked for again, and by smaller blocks; others are 4.00", () => {
  const h = filled(300);
  const ask = (num: number, szx = 4) => h.ask({ options: [block2(num, szx)] }, "/ps");
  const first = ask(0);
  const second = ask(1);
  const again = ask(1);
  assert.deepEqual([again.payload, again.options.get("ETag")], [second.payload, second.options.get("ETag")]);
  assert.equal(ask(4, 2).payload, second.payload.slice(0, 64));
  assert.equal(ask(5, 2).payload, second.payload.slice(64, 128));
  assert.equal(ask(0, 4).payload, first.payload, "from the first block on it is another list");
  assert.notDeepEqual(ask(0, 4).options.get("ETag"), first.options.get("ETag"));
  for (const num of [3, 0xf_ffff]) assert.equal(ask(num).code, "4.00");
  assert.equal(h.ask({ options: [block2(1, 4)] }, "/ps/t/%23").code, "4.00");
  assert.equal(h.request({ options: [block2(1, 4)] }, "/ps", "192.0.2.99")[0]?.code, "4.00", "another client's");
});

test("a list of many that may not be read goes on in other turns; the client hears within a second", () => {
  const h = filled(6000);
  for (const topic of h.retainedValues.keys())
    if (!topic.endsWith("9999") && topic !== "t/05999") h.unreadable.add(topic);
  assert.equal(h.request({ token: hex("07") }, "/ps").length, 0);
  assert.equal(h.slices.length, 1);
  h.advance(1100);
  assert.deepEqual(
    h.take().map(({ type, code }) => `${type} ${code}`),
    ["ACK 0.00"],
  );
  for (let turns = 0; h.slices.length > 0; turns++) {
    assert.ok(turns < 10);
    h.runSlices();
  }
  const [response] = h.take();
  assert.deepEqual([response?.type, response?.code, response?.payload], ["CON", "2.05", "</ps/t/05999>;sz=9"]);
  h.acknowledge(response);
  h.advance(300_000);
  assert.equal(h.wheel.armed, 0);
});

test("lists under way are bounded: the one not asked for longest gives way; those being made are never too many", () => {
  const h = filled(300);
  const ask = (i: number, num: number) => h.request({ options: [block2(num, 6)] }, "/ps", `192.0.2.${i}`)[0]?.code;
  for (let i = 0; i <= LISTS_MAX; i++) assert.equal(ask(i, 0), "2.05");
  assert.equal(h.counters.get("coap.lists"), LISTS_MAX);
  assert.equal(h.counters.get("coap.lists_evicted"), 1);
  assert.equal(ask(0, 1), "4.00");
  assert.equal(ask(1, 1), "2.05");

  const wide = new Harness({}, null, { topicBytes: 1024 });
  for (let i = 0; i < 40; i++) wide.retain(`${String(i).padStart(3, "0")}${"é".repeat(500)}`, "x");
  for (let i = 0; i <= LISTS_MAX; i++) wide.request({}, "/ps", `192.0.2.${i}`);
  assert.ok(wide.counters.get("coap.lists") >= 2);
  const bytes = wide.counters.get("coap.lists_bytes");
  assert.ok(bytes > LISTS_BYTES_MAX / 2 && bytes <= LISTS_BYTES_MAX, `${bytes}`);

  const hidden = filled(6000);
  for (const topic of hidden.retainedValues.keys()) hidden.unreadable.add(topic);
  const make = (i: number) => hidden.request({}, "/ps", `192.0.2.${i}`)[0]?.code;
  for (let i = 0; i < LISTS_MAX; i++) assert.equal(make(i), undefined);
  assert.equal(make(LISTS_MAX), "5.03");
  while (hidden.slices.length > 0) hidden.runSlices();
  assert.equal(make(LISTS_MAX), undefined);
});

test("a list to an address that is not proven waits for the answer to a ping, or goes in small blocks", () => {
  const h = filled(100);
  h.port.peersVerified = false;
  const token = hex("0102030405060708");
  const [ping] = h.request({ token }, "/ps");
  h.take();
  h.acknowledge(ping, "RST");
  assert.equal(blockOf(h.take()[0], "Block2"), "0/1/6");
  h.request({ token }, "/ps", "192.0.2.8");
  h.advance(900);
  assert.equal(blockOf(h.take()[1], "Block2"), "0/1/0");
});

// ---- FETCH -----------------------------------------------------------------------------------------------------

test("RFC 8132 section 2: FETCH /ps with a topic is its value, with a filter the list, below a path what both name", () => {
  const h = new Harness();
  h.retain("hall/1", "21.5");
  h.retain("hall/2", "22");
  const fetch = (path: string, payload: string) =>
    h.ask({ code: "FETCH", options: [textPlain], payload: Buffer.from(payload) }, path);
  assert.equal(fetch("/ps", "hall/1").payload, "21.5");
  assert.equal(fetch("/ps/hall", "1").payload, "21.5");
  assert.equal(fetch("/ps/hall/1", "").payload, "21.5");
  assert.equal(fetch("/ps", "hall/+").payload, "</ps/hall/1>;sz=4,</ps/hall/2>;sz=2");
  assert.equal(fetch("/ps/hall", "#").payload, "</ps/hall/1>;sz=4,</ps/hall/2>;sz=2");
  assert.equal(fetch("/ps", "").payload, "</ps/hall/1>;sz=4,</ps/hall/2>;sz=2");
  assert.equal(fetch("/ps", "none").code, "4.04");
  assert.equal(fetch("/ps", "hall+").code, "4.00");
  h.readable = false;
  assert.equal(fetch("/ps", "hall/1").code, "4.03");
});

test("a FETCH of a large value goes by Block2, with the payload in each request", () => {
  const h = new Harness();
  h.retain("a", textOf(1500));
  const second = h.ask({ code: "FETCH", options: [block2(1, 6)], payload: Buffer.from("a") }, "/ps");
  assert.deepEqual([second.payload, blockOf(second, "Block2")], [textOf(1500).toString().slice(1024), "1/0/6"]);
});

test("a FETCH of the next block without the payload, as libcoap asks for it, goes on with that of the first", () => {
  const h = filled(300);
  const first = h.ask({ code: "FETCH", options: [textPlain], payload: Buffer.from("t/+") }, "/ps");
  const next = { code: "FETCH", options: [textPlain, block2(1, 6)] };
  const second = h.ask(next, "/ps");
  assert.deepEqual([blockOf(second, "Block2"), second.options.get("ETag")], ["1/1/6", first.options.get("ETag")]);
  h.retain("big", textOf(1500));
  h.ask({ code: "FETCH", options: [textPlain], payload: Buffer.from("big") }, "/ps");
  assert.equal(h.ask(next, "/ps").payload, textOf(1500).toString().slice(1024));
  assert.equal(h.request(next, "/ps", "192.0.2.99")[0]?.code, "4.00", "another client's");
  h.ask({ code: "FETCH" }, "/ps");
  assert.match(h.ask({ code: "FETCH", options: [block2(1, 6)] }, "/ps").payload, /^.*<\/ps\/t\//, "the list of all");
});

test("filters of FETCH are bounded in number and bytes, the oldest is forgotten", () => {
  const filters = new FetchedFilters();
  for (let i = 0; i <= FETCHES_MAX; i++) filters.remember(`${i}`, "a");
  assert.deepEqual([filters.count, filters.find("0"), filters.find("1")], [FETCHES_MAX, "", "a"]);
  for (let i = 0; i < 10; i++) filters.remember(`long ${i}`, "x".repeat(1024));
  assert.equal(filters.count, FETCHES_BYTES_MAX / 2048);
  filters.remember("long 9", "");
  assert.equal(filters.count, FETCHES_BYTES_MAX / 2048 - 1);
});

test("a filter that is not text/plain is 4.15, not UTF-8 4.00, too long or in several blocks 4.13 with Size1", () => {
  const h = new Harness();
  h.retain("a", "x");
  const fetch = (payload: Buffer, name?: "Content-Format" | "Block1", value = 0) =>
    h.ask({ code: "FETCH", options: name === undefined ? [] : [{ name, value: uint(value) }], payload }, "/ps");
  assert.equal(fetch(Buffer.from('"a"'), "Content-Format", 50).code, "4.15");
  assert.equal(fetch(hex("ff")).code, "4.00");
  const long = fetch(Buffer.alloc(65, "a"));
  assert.deepEqual([long.code, readUint(long.options.get("Size1"))], ["4.13", 64]);
  assert.equal(fetch(Buffer.alloc(16, "a"), "Block1", 8).code, "4.13");
  assert.equal(fetch(Buffer.from("a")).payload, "x");
});
