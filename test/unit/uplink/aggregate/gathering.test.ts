import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { OPEN } from "../../../../src/core/message.ts";
import { decodePropertiesBlock } from "../../../../src/core/message-properties.ts";
import { DONE, HELD, INVALID, SUPPRESSED } from "../../../../src/uplink/aggregate/gathering.ts";
import { MARKS_MAX, TOPICS_MAX } from "../../../../src/uplink/aggregate/limits.ts";
import { batch, GatheringWorld, NOON_MS, onChange, reduce } from "./gathering-world.ts";

const NEVER = Number.POSITIVE_INFINITY;

describe("windows", () => {
  test("begin at multiples of their length by the wall clock, and end there, whoever is late", () => {
    const w = new GatheringWorld({ reduce: reduce({ emit: ["count"] }) });
    w.advance(59_900);
    w.take("a", "1");
    assert.equal(w.advance(99), 1);
    assert.deepEqual(w.out(), []);
    w.advance(1);
    w.take("a", "1");
    w.take("a", "1");
    w.advance(180_000); // nobody looked for three minutes
    w.take("a", "1");
    w.advance(60_000);
    assert.deepEqual(w.out(), [
      'a {"from":1763740800,"to":1763740860,"count":1}',
      'a {"from":1763740860,"to":1763740920,"count":2}',
      'a {"from":1763741040,"to":1763741100,"count":1}',
    ]);
  });

  test("begin with the first reading while the clock is not set, and have times before now", () => {
    const w = new GatheringWorld({ reduce: reduce({ emit: ["last"] }) });
    w.clockSet = false;
    w.advance(10_000);
    w.take("a", "1");
    w.advance(59_999);
    w.take("a", "2");
    assert.deepEqual(w.out(), []);
    w.advance(1);
    assert.deepEqual(w.out(), ['a {"from":-60,"to":0,"last":2}']);
  });

  test("keep their bounds when the clock jumps; the next is aligned anew", () => {
    const w = new GatheringWorld({ reduce: reduce({ emit: ["count"] }) });
    w.take("a", "1");
    w.clock.setWall(NOON_MS + 50 * 365 * 86_400_000);
    w.advance(59_999);
    w.take("a", "1");
    w.advance(1);
    w.take("a", "1");
    w.advance(60_000);
    const after = (NOON_MS + 50 * 365 * 86_400_000) / 1000;
    assert.deepEqual(w.out(), [
      'a {"from":1763740800,"to":1763740860,"count":2}',
      `a {"from":${after + 60},"to":${after + 120},"count":1}`,
    ]);
  });

  test("that were set in 1970 and closed after the clock was set have the times that it showed then", () => {
    const w = new GatheringWorld({ reduce: reduce({ emit: ["count"] }) });
    w.clockSet = false;
    w.clock.setWall(5000);
    w.take("a", "1");
    w.advance(30_000);
    w.clockSet = true;
    w.clock.setWall(NOON_MS + 30_000);
    w.advance(30_000);
    assert.deepEqual(w.out(), ['a {"from":1763740800,"to":1763740860,"count":1}']);
  });

  test("that close early are followed by one that begins where they ended", () => {
    const w = new GatheringWorld({ reduce: reduce({ emit: ["count"] }) });
    w.take("a", "1");
    w.advance(20_000);
    w.take("a", "text");
    w.take("a", "2");
    w.advance(40_000);
    assert.deepEqual(w.out(), [
      'a {"from":1763740800,"to":1763740820,"count":1}',
      "a text",
      'a {"from":1763740820,"to":1763740860,"count":1}',
    ]);
    assert.deepEqual([w.tally.closedEarly, w.tally.passedThrough], [1, 1]);
  });

  test("go into a batch as they close; a record's time is the window's end", () => {
    const rule = { reduce: reduce({ emit: ["mean", "max"] }), batch: batch({ format: "senml-json", maxMessages: 2 }) };
    const w = new GatheringWorld(rule);
    w.take("a", '{"t":1}');
    w.advance(60_000);
    w.take("a", '{"t":3}');
    w.take("a", '{"t":4}');
    w.advance(10_000);
    assert.deepEqual(
      w.out(),
      ['a [{"bn":"a/t:","bt":1763740860,"n":"mean","v":1},{"n":"max","v":1}]'],
      "max_delay since the window closed",
    );
    w.advance(50_000);
    w.advance(10_000);
    assert.deepEqual(w.out(), ['a [{"bn":"a/t:","bt":1763740920,"n":"mean","v":3.5},{"n":"max","v":4}]']);
  });

  test("of fields that a reading lacks let it pass", () => {
    const w = new GatheringWorld({ reduce: reduce({ fields: ["x.y"] }) });
    w.take("a", '{"z":1}');
    w.take("a", '{"x":{"y":1},"z":1}');
    w.advance(60_000);
    assert.deepEqual(w.out(), ['a {"z":1}', 'a {"from":1763740800,"to":1763740860,"fields":{"x.y":{"mean":1}}}']);
  });
});

describe("batches", () => {
  test("close at max_messages, before max_bytes, and after max_delay", () => {
    const w = new GatheringWorld({ batch: batch({ maxMessages: 2 }) });
    w.take("a", "1");
    assert.deepEqual(w.out(), []);
    w.take("a", "2");
    assert.deepEqual(w.out(), ["a [1,2]"]);
    const b = new GatheringWorld({ batch: batch({ maxMessages: 100, maxBytes: 256 }) });
    for (let i = 0; i < 40; i++) b.take("a", "1234567");
    for (const { payload } of b.closed)
      assert(payload.length <= 256 && payload.length > 180, `${payload.length} bytes`);
    assert.equal(b.closed.length, 1);
    const d = new GatheringWorld({ batch: batch({ maxDelayMs: 5000 }) });
    assert.equal(d.advance(0), NEVER);
    d.take("a", "1");
    d.advance(2000);
    d.take("a", "2");
    assert.equal(d.advance(0), 3000);
    d.advance(2999);
    assert.deepEqual(d.out(), []);
    assert.equal(d.advance(1), NEVER);
    assert.deepEqual(d.out(), ["a [1,2]"]);
  });

  test("hold what several topics lead to, and name them in SenML", () => {
    const w = new GatheringWorld({ to: "all", batch: batch({ format: "senml-json" }) });
    w.take("s/boiler 1/temp", "1");
    w.advance(1500);
    w.take("s/pump/temp", "2");
    w.take("s/pump", '{"rpm":900,"on":true,"state":"ok","none":null}');
    assert.deepEqual(w.out(), [
      'all [{"bn":"s/","bt":1763740800,"n":"boiler_1/temp","v":1},{"n":"pump/temp","t":1.5,"v":2},{"n":"pump/rpm","t":1.5,"v":900},{"n":"pump/on","t":1.5,"vb":true},{"n":"pump/state","t":1.5,"vs":"ok"}]',
    ]);
  });

  test("of a board without a clock have times before the moment they close", () => {
    const w = new GatheringWorld({ batch: batch({ format: "senml-json" }) });
    w.clockSet = false;
    w.take("a", "1");
    w.advance(2500);
    w.take("a", "2");
    w.take("a", "3");
    assert.deepEqual(w.out(), ['a [{"bn":"a","bt":-2.5,"v":1},{"t":2.5,"v":2},{"t":2.5,"v":3}]']);
  });

  test("as lines have one for each payload, whatever white space it has between its tokens", () => {
    const w = new GatheringWorld({ batch: batch({ format: "lines" }) });
    for (const payload of ['{\r\n "a": 1,\n "s": "x\\ny"\n}\n', "2", " 3 "]) w.take("a", payload);
    const [closed] = w.closed;
    const lines = closed?.payload.toString().split("\n");
    assert.equal(lines?.length, 4);
    assert.deepEqual(
      lines?.slice(0, 3).map((line) => JSON.parse(line)),
      [{ a: 1, s: "x\ny" }, 2, 3],
    );
  });

  test("let a reading pass that is larger than they may be", () => {
    const w = new GatheringWorld({ batch: batch({ maxBytes: 256 }) });
    w.take("a", "1");
    const large = `{"a":1,"s":"${"x".repeat(256)}"}`;
    w.take("a", large);
    assert.deepEqual(w.out(), ["a [1]", `a ${large}`]);
  });

  test("in SenML are never larger than max_bytes", () => {
    for (const format of ["senml-json", "senml-cbor"] as const) {
      const w = new GatheringWorld({ batch: batch({ format, maxMessages: 1000, maxBytes: 1024 }) });
      for (let i = 0; i < 300; i++)
        w.take("sensors/a", `{"temperature":${i + 0.123456789},"state":"\\u0001\\u0002${i}"}`);
      assert(w.closed.length > 5);
      for (const { payload } of w.closed) assert(payload.length <= 1024, `${payload.length} bytes`);
    }
  });

  test("say in 5.0 what they are, and live as long as the longest of their readings", () => {
    const w = new GatheringWorld({ batch: batch({ compress: "none", format: "senml-cbor" }) });
    w.take("a", "1", { livesMs: 5000 });
    w.take("a", "2", { livesMs: 60_000, retain: true });
    w.advance(10_000);
    const [first] = w.closed;
    const said = decodePropertiesBlock(
      first?.properties ?? Buffer.alloc(0),
      0,
      first?.properties.length ?? 0,
    ).properties;
    assert.deepEqual(said, { contentType: "application/senml+cbor", messageExpirySeconds: 50 });
    assert.equal(first?.retain, true);
    w.closed.length = 0;
    for (const livesMs of [5000, 0, 5000]) w.take("a", "1", { livesMs });
    assert.equal(w.closed[0]?.expiresMs, 0, "one of them lives for ever");
    assert.equal(w.closed[0]?.retain, false);
  });

  test("have the rule's expiry and retain", () => {
    const w = new GatheringWorld({ batch: batch(), expiryMs: 30_000, retain: "clear" });
    for (const livesMs of [0, 0, 0]) w.take("a", "1", { livesMs, retain: true });
    const [closed] = w.closed;
    assert.equal((closed?.expiresMs ?? 0) - (closed?.acceptedMs ?? 0), 30_000);
    assert.equal(closed?.retain, false);
  });
});

describe("on_change before the others", () => {
  test("a reading that is no change takes no part in window or batch", () => {
    const w = new GatheringWorld({ onChange: onChange({ deadband: 1 }), reduce: reduce({ emit: ["max", "count"] }) });
    for (const payload of ["1", "1.5", "1.9", "2", "2.5"]) w.take("a", payload);
    w.advance(60_000);
    assert.deepEqual(w.out(), ['a {"from":1763740800,"to":1763740860,"max":2,"count":2}']);
    assert.equal(w.tally.suppressed, 3);
  });

  test("each topic has a value of its own; what is no reading changes none", () => {
    const w = new GatheringWorld({ onChange: onChange() });
    assert.deepEqual(
      [
        ["a", "1"],
        ["b", "1"],
        ["a", "text"],
        ["a", "1.1"],
        ["b", "1.6"],
      ].map(([topic, payload]) => w.take(topic as string, payload as string)),
      [HELD, HELD, HELD, SUPPRESSED, HELD],
    );
    assert.deepEqual(w.out(), ["a 1", "b 1", "a text", "b 1.6"]);
  });

  test("a suppressed row that is in the log is done with when those before it are, one that is open at once", () => {
    const w = new GatheringWorld({ onChange: onChange(), batch: batch() });
    w.take("a", "1");
    w.take("a", "1", { state: OPEN });
    assert.equal(w.place.rows, 1);
    w.take("a", "1");
    assert.equal(w.place.rows, 2);
    w.advance(10_000);
    assert.equal(w.place.rows, 0);
    const again = new GatheringWorld({ batch: batch() }, {}, { headSeq: 1, state: w.place.encode(1) });
    assert.deepEqual(
      [1, 2, 3].map(() => again.take("a", "1")),
      [DONE, DONE, DONE],
    );
  });
});

describe("topics", () => {
  test("that the rule makes nothing valid of are left out", () => {
    const w = new GatheringWorld({ to: "x/{topic}", batch: batch() });
    assert.equal(w.take("t".repeat(65_534), "1"), INVALID);
    assert.equal(w.place.rows, 0);
  });

  test("rows that a record names as done with are not taken again", () => {
    const w = new GatheringWorld({ batch: batch({ maxMessages: 2 }) });
    for (const topic of ["a", "b", "a"]) w.take(topic, "1");
    const headSeq = w.place.firstSeq;
    assert.equal(headSeq, 2);
    const again = new GatheringWorld(
      { batch: batch({ maxMessages: 2 }) },
      {},
      { headSeq, state: w.place.encode(headSeq) },
    );
    again.seq = 1;
    assert.deepEqual(
      ["b", "a", "b"].map((topic) => again.take(topic, "1")),
      [HELD, DONE, HELD],
    );
    assert.deepEqual(again.out(), ["b [1,1]"]);
  });
});

describe("limits", () => {
  test("memory: idle topics are forgotten first, then the oldest batch closes, counted", () => {
    const w = new GatheringWorld({ batch: batch({ maxMessages: 10_000, maxBytes: 4096 }) }, { heldBytes: 16_384 });
    for (let i = 0; i < 200; i++) w.take(`t/${i}`, `${i}`);
    assert(w.gathering.book.bytes <= 16_384 + 2 * 4096);
    assert(w.tally.closedEarly > 100, `${w.tally.closedEarly} closed early`);
    assert.deepEqual(w.out().slice(0, 3), ["t/0 [0]", "t/1 [1]", "t/2 [2]"]);
  });

  test("topics", () => {
    const w = new GatheringWorld({ onChange: onChange() });
    for (let i = 0; i < TOPICS_MAX + 10; i++) w.take(`t/${i}`, "1");
    assert.equal(w.gathering.topics, TOPICS_MAX);
    assert.equal(w.take("t/9", "1"), HELD, "a topic that was forgotten: its first reading goes out");
    assert.equal(w.take(`t/${TOPICS_MAX}`, "1"), SUPPRESSED);
    assert.equal(w.tally.closedEarly, 0);
  });

  test("the log: whoever holds the oldest row closes when it is too far behind", () => {
    const w = new GatheringWorld({ batch: batch({ maxMessages: 10_000, maxDelayMs: 1e9 }) }, { spanBytesMax: 10_000 });
    w.take("slow", "1");
    for (let i = 0; i < 100; i++) w.take("fast", `${i}`);
    assert.equal(w.out()[0], "slow [1]");
    assert(w.place.spanBytes <= 10_000);
    assert(w.tally.closedEarly >= 1);
  });

  test("topics that are further on than the oldest row", () => {
    const w = new GatheringWorld({ batch: batch({ maxMessages: 2, maxDelayMs: 1e9 }) });
    w.take("slow", "1");
    for (let i = 0; i <= MARKS_MAX; i++) for (const n of [1, 2]) w.take(`t/${i}`, `${n}`);
    w.take("b", "1");
    assert.equal(w.out().at(-1), "slow [1]");
    assert(w.place.encode(w.place.firstSeq).length <= 1 + MARKS_MAX * 12);
    assert.equal(w.tally.closedEarly, 1);
  });
});
