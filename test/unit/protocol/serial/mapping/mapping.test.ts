import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../../src/base/clock.ts";
import { Counters } from "../../../../../src/base/counters.ts";
import { Log } from "../../../../../src/base/log.ts";
import { load } from "../../../../../src/config/load.ts";
import { linesOf } from "../../../../../src/config/serial.ts";
import { Mapping } from "../../../../../src/protocol/serial/mapping/mapping.ts";

interface Published {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
}

/** A mapping as the configuration gives it. */
class Bench {
  readonly counters = new Counters();
  readonly logged: string[] = [];
  readonly clock = new ManualClock();
  readonly mapping: Mapping;

  constructor(keys: string) {
    const { config, complaints } = load(`serial: [{port: /dev/a, ${keys}}]`, { directory: "/none", checkFiles: false });
    assert.deepEqual(complaints, [], keys);
    const mapping = linesOf(config?.serial ?? [], "frames")[0]?.mapping;
    assert.ok(mapping, "has a mapping");
    const { counters, clock } = this;
    const log = new Log({ level: "debug", format: "text", write: (text) => this.logged.push(text) });
    const limits = { topicLevels: 4, topicBytes: 40, maxPacketBytes: 65_536 };
    this.mapping = new Mapping(mapping, { name: "a", clock, counters, log, limits });
  }

  frame(bytes: string | Buffer): Published[] {
    const published: Published[] = [];
    this.mapping.onRead();
    const around = Buffer.concat([Buffer.from("before"), Buffer.from(bytes), Buffer.from("behind")]);
    this.mapping.map(around, 6, around.length - 6, {
      onPublication: (topic, payload, qos, retain) => {
        published.push({ topic, payload: payload.toString("latin1"), qos, retain });
      },
    });
    return published;
  }

  /** "topic payload" of each publication. */
  lines(bytes: string | Buffer): string[] {
    return this.frame(bytes).map(({ topic, payload }) => `${topic} ${payload}`);
  }

  /** Those of the mapping that are not 0, by their last part. */
  counted(): Record<string, number> {
    const named = [...this.counters.entries()].filter(([, value]) => value > 0);
    return Object.fromEntries(named.map(([name, value]) => [name.replace("serial.", ""), value]));
  }
}

const BYTES = Buffer.from("01ff8000c2280000412c000000000001", "hex");

// [keys of the line, frame, what is published, counted]
const CASES: [string, string | Buffer, string[], Record<string, number>?][] = [
  // formats
  ["publish: {topic: t, format: hex}", Buffer.from([0, 255]), ["t 00ff"]],
  ["publish: {topic: t, format: base64}", Buffer.from([0, 255]), ["t AP8="]],
  ["publish: {topic: t, format: utf8}", "warm", ["t warm"]],
  ["publish: {topic: t, format: utf8}", Buffer.from([0xff]), [], { mapping_not_text: 1 }],
  ["publish: {topic: t, format: json}", '{"a": 10000000000000001}', ['t {"a": 10000000000000001}']],
  ["publish: {topic: t, format: json}", '{"a": 1', [], { mapping_not_json: 1 }],
  ["publish: {topic: t, format: json}", Buffer.from([0x22, 0xff, 0x22]), [], { mapping_not_json: 1 }],
  ["publish: {topic: t, retain: true}", Buffer.from([0xff]), ["t \xff"]],
  // match and ignore
  ['publish: {topic: t, match: "^T="}', "T=1", ["t T=1"]],
  ['publish: {topic: t, match: "^T="}', "H=1", [], { frames_unmatched: 1 }],
  ['ignore: "^(DBG|I \\\\()"', "DBG boot", [], { frames_ignored: 1 }],
  ['ignore: "^DBG"', "21.5", ["serial/a 21.5"]],
  ['publish: {topic: t, match: "^\\\\xff\\\\x01"}', Buffer.from([0xff, 1, 2]), ["t \xff\x01\x02"]],
  // groups
  ['publish: {topic: "m/{1}", match: "^(\\\\w+)=(.*)$", payload: "{2} at {1}"}', "v=3", ["m/v 3 at v"]],
  ['publish: {topic: "m/{id}", match: "^(?<id>\\\\w+)=", payload: "{frame}"}', "v=3", ["m/v v=3"]],
  ['publish: {topic: "m/{2}", match: "^(a)|(b)$"}', "a", [], { mapping_field_missing: 1 }],
  ['publish: {topic: t, payload: "{v}", fields: {v: {pattern: "T=(\\\\d+)", scale: 0.1}}}', "x T=215", ["t 21.5"]],
  ['publish: {topic: t, payload: "{v}", fields: {v: {pattern: "T=(?<n>\\\\d+)", group: n}}}', "T=7", ["t 7"]],
  ['publish: {topic: t, payload: "{v}", fields: {v: {pattern: "T=\\\\d+", group: 0}}}', "x T=7", ["t T=7"]],
  // JSON
  [
    'publish: {topic: "d/{id}", payload: "{t}", fields: {id: {json: id}, t: {json: s.0.t}}}',
    '{"id":"x","s":[{"t":2.5}]}',
    ["d/x 2.5"],
  ],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: a}}}", '{"a":{"b":[1]}}', ['t {"b":[1]}']],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: a}}}", '{"b":1}', [], { mapping_field_missing: 1 }],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: a}}}", "no", [], { mapping_not_json: 1 }],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: toString}}}", "{}", [], { mapping_field_missing: 1 }],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: a.length}}}", '{"a":[]}', [], { mapping_field_missing: 1 }],
  ["publish: {topic: 't/{v}', fields: {v: {json: a}}}", '{"a":{}}', [], { mapping_field_missing: 1 }],
  [
    `publish: {topic: t, format: json, payload: '{"n": {n}, "x": {x}, "raw": {frame}}', fields: {n: {json: n}, x: {json: x}}}`,
    '{"n":"a\\"b","x":null}',
    ['t {"n": "a\\"b", "x": null, "raw": {"n":"a\\"b","x":null}}'],
  ],
  // what is in a frame that is not JSON's own; what a double does not hold
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: /a.b/0/c~1d}}}", '{"a.b":[{"c/d":"x"}]}', ["t x"]],
  [
    "publish: {topic: 't/{v}', fields: {v: {json: id}}}",
    '{"id":12345678901234567891}',
    ['t/12345678901234567891 {"id":12345678901234567891}'],
  ],
  [
    "publish: {topic: t, payload: '{v}', fields: {v: {json: n}}}",
    '{"n":[9007199254740993,1e999,1.5]}',
    ["t [9007199254740993,1e999,1.5]"],
  ],
  [
    "publish: {topic: t, payload: '{v}', fields: {v: {json: n}}}",
    '{"n":0.12345678901234567890}',
    ["t 0.12345678901234567890"],
  ],
  [
    "publish: {topic: t, payload: '{v}', fields: {v: {json: n}}}",
    '{"n":123456789.123456789}',
    ["t 123456789.123456789"],
  ],
  [
    "publish: {topic: t, payload: '{v}', fields: {v: {json: n, scale: 2}}}",
    '{"n":9007199254740993}',
    ["t 18014398509482000"],
  ],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: n}}}", '{"n":1e3}', ["t 1000"]],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: on, type: number}}}", '{"on":true}', ["t 1"]],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: s}}}", '{"s":"a\\u0000\u00e9"}', ["t a\0\xc3\xa9"]],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: __proto__.x}}}", '{"__proto__":{"x":1}}', ["t 1"]],
  [
    "publish: {topic: t, payload: '{v}', fields: {v: {json: a}}}",
    `{"a":${"[".repeat(4000)}${"]".repeat(4000)}}`,
    [`t ${"[".repeat(4000)}${"]".repeat(4000)}`],
  ],
  [
    "publish: {topic: t, format: json, payload: '{v}', fields: {v: {json: a}}}",
    `${"[".repeat(4000)}1e999${"]".repeat(4000)}`,
    [],
    { mapping_not_json: 1 },
  ],
  // what a frame does not have
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: a, default: -1}}}", '{"b":1}', ["t -1"]],
  ["publish: {topic: t, format: json, payload: '{v}', fields: {v: {json: a, default: null}}}", "{}", ["t null"]],
  ["publish: {topic: t, payload: '{v}', fields: {v: {json: a, default: x}}}", "{", [], { mapping_not_json: 1 }],
  ["publish: {topic: t, payload: '{v}', fields: {v: {column: 2, type: number, default: none}}}", "a,b", ["t none"]],
  ["publish: {topic: 't/{v}', fields: {v: {offset: 3, default: x}}}", "a", ["t/x a"]],
  // CSV
  ["publish: {topic: t, payload: '{v}', fields: {v: {column: 1, type: number}}}", "+  12.50", ["t 12.5"]],
  [
    "publish: {topic: t, payload: '{v}', fields: {v: {column: 2, separator: ';', comma: true, type: number}}}",
    "x;-1,5",
    ["t -1.5"],
  ],
  [
    "publish: {topic: t, payload: '{v}', fields: {v: {column: 1, type: number}}}",
    "1 2",
    [],
    { mapping_field_missing: 1 },
  ],
  [
    "publish: {topic: t, payload: '{a} {b}', fields: {a: {column: 2}, b: {column: 2, separator: ';'}}}",
    "1,2;3",
    ["t 2;3 3"],
  ],
  [
    "publish: {topic: 't/{a}', payload: '{b}', fields: {a: {column: 1}, b: {column: 3}}}",
    'x, y ,"1,""2"""',
    ['t/x 1,"2"'],
  ],
  ["publish: {topic: t, payload: '{b}', fields: {b: {column: 2, separator: ';'}}}", "1; two ;", ["t two"]],
  ["publish: {topic: t, payload: '{b}', fields: {b: {column: 3}}}", "1,2", [], { mapping_field_missing: 1 }],
  [
    `publish: {topic: t, format: json, payload: '{"a": {a}, "b": {b}}', fields: {a: {column: 1}, b: {column: 2, type: number}}}`,
    "7,8.50",
    ['t {"a": "7", "b": 8.5}'],
  ],
  [
    "publish: {topic: t, payload: '{b}', fields: {b: {column: 1, type: number}}}",
    "x",
    [],
    { mapping_field_missing: 1 },
  ],
  // groups of match as fields
  [
    "publish: {topic: 'l/{1}', match: '(.)=(.*)', payload: '{v}', fields: {v: {group: 2, scale: 0.5}}}",
    "a=3",
    ["l/a 1.5"],
  ],
  ["publish: {topic: l, match: '(?<n>.)=', payload: '{v}', fields: {v: {group: n}}}", "a=3", ["l a"]],
  // offsets
  [
    "publish: {topic: t, payload: '{a} {b}', fields: {a: {offset: 1, type: bool, bit: 7}, b: {offset: 0, type: bool, bit: 1}}}",
    BYTES,
    ["t true false"],
  ],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: bool, scale: 1}}}", BYTES, ["t 1"]],
  [
    "publish: {topic: t, payload: '{a} {b}', fields: {a: {offset: 0, type: uint24}, b: {offset: 1, type: int24, endian: little}}}",
    BYTES,
    ["t 130944 33023"],
  ],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: uint16, mask: 0x0ff0, scale: 0.1}}}",
    BYTES,
    ["t 3.1"],
  ],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: uint32, mask: 0xf0000000}}}",
    Buffer.from("f1000000", "hex"),
    ["t 15"],
  ],
  [
    "publish: {topic: t, payload: '{a} {b}', fields: {a: {offset: 0, type: bcd, length: 2}, b: {offset: 0, type: bcd, length: 3, endian: little, scale: 0.01}}}",
    Buffer.from("012345", "hex"),
    ["t 0123 4523.01"],
  ],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: bcd}}}",
    Buffer.from("1e", "hex"),
    [],
    { mapping_field_missing: 1 },
  ],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: float32}}}",
    Buffer.from("7fc00000", "hex"),
    [],
    { mapping_field_missing: 1 },
  ],
  [
    "publish: {topic: t, payload: '{a} {b}', fields: {a: {offset: 1}, b: {offset: 1, type: int8}}}",
    BYTES,
    ["t 255 -1"],
  ],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: uint16}}}", BYTES, ["t 511"]],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: uint16, endian: little}}}", BYTES, ["t 65281"]],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: 2, type: int16}}}", BYTES, ["t -32768"]],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: 4, type: float32}}}", BYTES, ["t -42"]],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {offset: 8, type: float32, add: 1, decimals: 1}}}",
    BYTES,
    ["t 11.8"],
  ],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: -8, type: uint64}}}", BYTES, ["t 4696128511440584705"]],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {offset: 15, type: uint16}}}",
    BYTES,
    [],
    { mapping_field_missing: 1 },
  ],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {column: 1, type: number}}}",
    "1763775600123456",
    ["t 1763775600123456"],
  ],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {json: a, add: 1}}}",
    '{"a": 9007199254740990}',
    ["t 9007199254740991"],
  ],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: -17}}}", BYTES, [], { mapping_field_missing: 1 }],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: hex, length: 3}}}", BYTES, ["t 01ff80"]],
  ["publish: {topic: t, payload: '{a}', fields: {a: {offset: 1, type: text, length: 2}}}", "abcd", ["t bc"]],
  [
    "publish: {topic: t, payload: '{a}', fields: {a: {offset: 0, type: uint16, scale: 0.01}}}",
    Buffer.from([0, 215]),
    ["t 2.15"],
  ],
  // time
  ["publish: {topic: t, payload: '{time} {ms}'}", "x", ["t 2023-11-14T22:13:20.000Z 1700000000000"]],
  // the line's name
  ["publish: {topic: 'x/{line}', format: json, payload: '[{line}, {ms}]'}", "x", ['x/a ["a", 1700000000000]']],
  // topics that a device may not choose
  ["publish: {topic: 't/{+frame}'}", "a/b", ["t/a/b a/b"]],
  ["publish: {topic: 't/{frame}'}", "a/b", [], { mapping_topic_slash: 1 }],
  ["publish: {topic: 't/{v}', fields: {v: {json: v}}}", '{"v":"../x"}', [], { mapping_topic_slash: 1 }],
  ["publish: {topic: '{a}{+b}', match: '(?<a>.)(?<b>.*)'}", "xy/z", ["xy/z xy/z"]],
  ["publish: {topic: '{+frame}/x'}", "$SYS/a", [], { mapping_topic_reserved: 1 }],
  ["publish: {topic: '{1}{2}/x', match: '(.)(.*)'}", "$SYS", [], { mapping_topic_reserved: 1 }],
  ["publish: {topic: 't/{+frame}'}", "a/+/b", [], { mapping_topic_wildcard: 1 }],
  ["publish: {topic: 't/{frame}'}", "a$b", ["t/a$b a$b"]],
  ["publish: {topic: 't/{frame}'}", "+", [], { mapping_topic_wildcard: 1 }],
  ["publish: {topic: 't/{+frame}'}", "a/#", [], { mapping_topic_wildcard: 1 }],
  ["publish: {topic: '{+frame}'}", "$SYS/x", [], { mapping_topic_reserved: 1 }],
  ["publish: {topic: '{+frame}'}", "$share/g/x", [], { mapping_topic_reserved: 1 }],
  ["publish: {topic: 't/{frame}'}", "", [], { mapping_topic_empty_level: 1 }],
  ["publish: {topic: 't/{+frame}/x'}", "a//b", [], { mapping_topic_empty_level: 1 }],
  ["publish: {topic: '{+frame}/x'}", "/a", [], { mapping_topic_empty_level: 1 }],
  ["publish: {topic: 't/{frame}'}", "a\0b", [], { mapping_topic_characters: 1 }],
  ["publish: {topic: 't/{frame}'}", "a\tb", [], { mapping_topic_characters: 1 }],
  ["publish: {topic: 't/{v}', fields: {v: {json: v}}}", '{"v":"\\ud800"}', [], { mapping_topic_characters: 1 }],
  ["publish: {topic: 't/{frame}'}", Buffer.from([0xff]), [], { mapping_not_text: 1 }],
  ["publish: {topic: 't/{frame}'}", "x".repeat(38), [`t/${"x".repeat(38)} ${"x".repeat(38)}`]],
  ["publish: {topic: 't/{frame}'}", "x".repeat(39), [], { mapping_topic_too_long: 1 }],
  ["publish: {topic: 't/{+frame}'}", "a/b/c", ["t/a/b/c a/b/c"]],
  ["publish: {topic: 't/{+frame}'}", "a/b/c/d", [], { mapping_topic_too_long: 1 }],
  // several
  [
    "publish: [{topic: a, format: hex}, {topic: 'b/{frame}'}, {topic: c, match: z}, {topic: d, match: A}]",
    "A+",
    ["a 412b", "d A+"],
    { mapping_topic_wildcard: 1 },
  ],
  // sizes
  ["publish: {topic: t, format: hex}", "x".repeat(8192), [`t ${"78".repeat(8192)}`]],
  ["publish: {topic: t, payload: '{frame}{frame}{frame}'}", "x".repeat(8000), [], { mapping_payload_too_large: 1 }],
];

for (const [keys, frame, published, counted = {}] of CASES) {
  test(`${keys}: ${JSON.stringify(frame.toString("latin1").slice(0, 40))} is ${JSON.stringify(published).slice(0, 80)} ${Object.keys(counted).join()}`, () => {
    const bench = new Bench(keys);
    assert.deepEqual(bench.lines(frame), published);
    assert.deepEqual(bench.counted(), counted);
    assert.deepEqual(bench.lines(frame), published, "nothing is left of the frame before");
  });
}

test("a header names the columns of the lines behind it, until another one comes", () => {
  const bench = new Bench(
    `header: "^time", publish: {topic: "w/{where}", payload: "{t}", fields: {where: {column: place}, t: {column: temp, type: number}}}`,
  );
  assert.deepEqual(bench.lines("12:00,hall,21.5"), []);
  assert.deepEqual(bench.lines("time,place,temp"), []);
  assert.deepEqual(bench.lines("12:00,hall,21.5"), ["w/hall 21.5"]);
  assert.deepEqual(bench.lines('time, temp ,"place"'), []);
  assert.deepEqual(bench.lines("12:01,22,yard"), ["w/yard 22"]);
  assert.deepEqual(bench.lines("time"), []);
  assert.deepEqual(bench.lines("12:01,22,yard"), []);
  assert.deepEqual(bench.counted(), { frames_header: 3, mapping_field_missing: 2 });
});

test("a frame's time is when its last byte was read, however long it waited for the store", () => {
  const bench = new Bench("publish: {topic: t, payload: '{ms}'}");
  bench.clock.advance(5);
  bench.mapping.onRead();
  bench.clock.advance(3000);
  const payloads: string[] = [];
  bench.mapping.map(Buffer.from("x"), 0, 1, { onPublication: (_topic, payload) => payloads.push(`${payload}`) });
  assert.deepEqual(payloads, ["1700000000005"]);
});

test("what patterns may take grows with their weight and the frame", () => {
  const light = new Bench("ignore: '^DBG'").mapping;
  assert.equal(light.workOf(100), 1);
  const heavy = new Bench(`publish: {topic: t, match: "(?:${"a?".repeat(42)}){16}"}`).mapping;
  assert.ok(heavy.workOf(8192) > 20_000 && heavy.workOf(16) > 0);
  assert.equal(new Bench("publish: {topic: t, format: hex}").mapping.workOf(8192), 0);
});

test("each publication has its QoS and retain", () => {
  const bench = new Bench("publish: [{topic: a, qos: 0}, {topic: b, qos: 2, retain: true}]");
  assert.deepEqual(
    bench.frame("x").map(({ qos, retain }) => [qos, retain]),
    [
      [0, false],
      [2, true],
    ],
  );
});

test("the log says once why frames are not published, and each cause for itself", () => {
  const bench = new Bench("publish: {topic: 't/{frame}'}");
  for (const frame of ["+", "#", "", "+"]) bench.frame(frame);
  assert.equal(bench.logged.filter((line) => line.includes("serial-frame-not-published")).length, 2);
});

test("the log says which entry it is, and which of its fields, once for each", () => {
  const entry = (topic: string, path: string) => `{topic: ${topic}, payload: '{t}', fields: {t: {json: ${path}}}}`;
  const bench = new Bench(`publish: [${entry("a", "air.temp")}, ${entry("'b/{+t}/{ms}'", "temperature")}]`);
  for (let i = 0; i < 2; i++) assert.deepEqual(bench.lines('{"temp": 1}'), []);
  assert.deepEqual(
    bench.logged.map((line) => line.replace(/^.*serial-frame-not-published /, "").trim()),
    [
      "name=serial:a cause=field_missing topic=a field=t",
      'name=serial:a cause=field_missing topic="b/{+t}/{ms}" field=t',
    ],
  );
});

/** Pseudo-random, the same each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("whatever bytes come: nothing is thrown, every topic is one, every JSON payload is JSON", () => {
  const long = process.env["SLUICE_LONG"];
  const below = numbers(Number(long ?? 7));
  const bench = new Bench(
    `header: '^1,', publish: [{topic: "a/{frame}"}, {topic: "p/{+frame}"}, {topic: "d/{d}", fields: {d: {json: /v/0, default: none}}},
     {topic: "h/{h}", fields: {h: {column: v}}}, {topic: "{+1}", match: "^(.*)$"}, {topic: "n/{n}", fields: {n: {offset: 0, type: uint24, mask: 0xff0}}}, {topic: "{1}/b/{2}", match: "^([^,]*),(.*)$"}, {topic: "j/{v}", fields: {v: {json: v}}},
     {topic: "c/{c}", fields: {c: {column: 2}}}, {topic: json/whole, format: json},
     {topic: json/whole, format: json, payload: '{"f": {c}, "n": {n}, "o": [{o}, {big}]}',
      fields: {c: {column: 1}, n: {offset: 0, type: float32}, o: {offset: -2, type: hex, length: 2}, big: {offset: 0, type: int64}}}]`,
  );
  const alphabet = [
    '"',
    ",",
    "{",
    "}",
    "v",
    ":",
    "/",
    "+",
    "#",
    "$",
    "\\",
    "\0",
    "é",
    "1",
    " ",
    "[",
    "]",
    "\ud83d\ude00",
  ];
  let published = 0;
  for (let i = 0; i < (long === undefined ? 5000 : 200_000); i++) {
    const pieces = Array.from({ length: below(30) }, () => Buffer.from(alphabet[below(alphabet.length)] as string));
    if (below(3) === 0) pieces.push(Buffer.from([below(256)]));
    const body = Buffer.concat(pieces);
    const frame = below(4) === 0 ? Buffer.from(JSON.stringify({ v: body.toString() })) : body;
    for (const { topic, payload } of bench.frame(frame)) {
      published++;
      assert.ok(/^[^$+#\0/][^+#\0]*$/.test(topic) && !topic.includes("//") && !topic.endsWith("/"), topic);
      if (topic === "json/whole") JSON.parse(Buffer.from(payload, "latin1").toString());
    }
  }
  const counted = Object.values(bench.counted()).reduce((sum, value) => sum + value, 0);
  assert.ok(published > 1000 && counted > 1000, `${published} published, ${counted} not`);
});
