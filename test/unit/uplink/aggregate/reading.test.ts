import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  fieldsOf,
  NUMBER_MAX,
  parseReading,
  READING_BYTES_MAX,
  READING_FIELDS_MAX,
  READING_LEVELS_MAX,
  READING_NAMES_MAX,
} from "../../../../src/uplink/aggregate/reading.ts";

function read(
  payload: string | Buffer,
  names: readonly string[] | null = null,
  deep = false,
): Record<string, unknown> | null {
  const reading = parseReading(Buffer.from(payload));
  const fields = reading === null ? null : fieldsOf(reading, names, deep);
  return fields === null ? null : Object.fromEntries(fields);
}

describe("a reading is", () => {
  const rows: [string, Record<string, unknown>][] = [
    ["21.5", { "": 21.5 }],
    [" -3e2\r\n\t", { "": -300 }],
    ["-0", { "": -0 }],
    [String(NUMBER_MAX), { "": NUMBER_MAX }],
    ['{"temp":21.5}', { temp: 21.5 }],
    ['{"temp":1,"on":true,"state":"ok","none":null,"list":[1]}', { temp: 1, on: true, state: "ok" }],
    ['{"a":1,"a":2}', { a: 2 }],
    ['{"motor":{"rpm":9},"temp":1}', { temp: 1 }],
    ['{"temp":21.5,"\\u0000":1}', { temp: 21.5, "\0": 1 }],
    ['{"é":1}', { é: 1 }],
  ];
  for (const [payload, expected] of rows)
    test(JSON.stringify(payload), () => assert.deepEqual(read(payload), expected));

  test("an object whose field is named __proto__, which is a field like others", () => {
    const fields = fieldsOf(parseReading(Buffer.from('{"__proto__":1,"constructor":2}')) as never, null);
    assert.deepEqual(
      [...(fields ?? [])],
      [
        ["__proto__", 1],
        ["constructor", 2],
      ],
    );
    assert.equal(read('{"temp":1}', ["__proto__", "toString.length"]), null);
    assert.equal(({} as Record<string, unknown>)["temp"], undefined);
  });
});

describe("no reading is", () => {
  const rows: Record<string, string | Buffer> = {
    "an empty payload": "",
    "white space": "  \n",
    text: "21.5 C",
    "a string": '"21.5"',
    true: "true",
    null: "null",
    "an array": "[1]",
    "an empty object": "{}",
    "an object without a number": '{"door":"open","ok":true}',
    "a number in a deeper object alone": '{"motor":{"rpm":9}}',
    "1e400": "1e400",
    "more than NUMBER_MAX": "1.1e300",
    "an object with 1e400 in it": '{"a":1,"b":-1e400}',
    NaN: "NaN",
    "a leading zero": "01",
    "a byte order mark": "\ufeff21.5",
    "malformed UTF-8": Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    "malformed JSON": '{"temp":21.5',
    "two values": "1 2",
    "a NUL behind it": "1\0",
    "nothing but brackets": "{".repeat(READING_BYTES_MAX),
  };
  for (const [name, payload] of Object.entries(rows)) test(name, () => assert.equal(read(payload), null));
});

describe("fields that are named", () => {
  test("are those and no others, on any level, and at least one of them a number", () => {
    const payload = '{"a":{"b":{"c":1}},"d":2,"e":"on","f":3}';
    assert.deepEqual(read(payload, ["a.b.c", "e"]), { "a.b.c": 1, e: "on" });
    assert.deepEqual(read(payload, ["d", "x.y"]), { d: 2 });
    assert.equal(read(payload, ["e"]), null);
    assert.equal(read(payload, ["a.b", "x"]), null);
    assert.deepEqual(read("5", ["temp"]), { "": 5 });
  });

  test("a name with dots in it comes before a deeper level", () => {
    assert.deepEqual(read('{"a.b":1,"a":{"b":2}}', ["a.b"]), { "a.b": 1 });
  });
});

describe("limits, both sides of each", () => {
  test("bytes of the payload", () => {
    const number = `${"1".padStart(READING_BYTES_MAX, " ")}`;
    assert.deepEqual(read(number), { "": 1 });
    assert.equal(read(` ${number}`), null);
  });

  test("fields", () => {
    const object = (count: number): string =>
      JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, i])));
    assert.equal(Object.keys(read(object(READING_FIELDS_MAX)) ?? {}).length, READING_FIELDS_MAX);
    assert.equal(read(object(READING_FIELDS_MAX + 1)), null);
  });

  test("bytes of names", () => {
    const object = (length: number): string => JSON.stringify({ ["n".repeat(length / 2)]: 1 });
    assert.notEqual(read(object(READING_NAMES_MAX)), null);
    assert.equal(read(object(READING_NAMES_MAX + 2)), null);
  });

  test("levels that are looked into; what lies deeper is not there", () => {
    const object = (levels: number): string => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
    assert.equal(Object.keys(read(object(READING_LEVELS_MAX), null, true) ?? {}).length, 1);
    assert.equal(read(object(READING_LEVELS_MAX + 1), null, true), null);
    assert.equal(read(object(2700), null, true), null);
  });

  test("arrays in arrays to the limit of bytes do no harm", () => {
    const half = READING_BYTES_MAX / 2 - 6;
    assert.deepEqual(read(`{"a":${"[".repeat(half)}${"]".repeat(half)},"b":1}`), { b: 1 });
  });
});
