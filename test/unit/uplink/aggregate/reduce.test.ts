import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EMITS } from "../../../../src/config/uplink-aggregate.ts";
import { type Fields, fieldsOf, NUMBER_MAX, parseReading } from "../../../../src/uplink/aggregate/reading.ts";
import { Figures, Reduction } from "../../../../src/uplink/aggregate/reduce.ts";

function figures(values: readonly number[]): Figures {
  const made = new Figures();
  for (const value of values) made.add(value);
  return made;
}

function reduction(...payloads: string[]): Reduction {
  const made = new Reduction();
  for (const payload of payloads) made.add(fieldsOf(parseReading(Buffer.from(payload)) as never, null) as Fields);
  return made;
}

describe("figures", () => {
  test("are exact where a plain sum is not", () => {
    assert.equal(figures([1e16, 1, -1e16]).mean, 0.333333333333);
    assert.equal(figures(Array.from({ length: 1_000_000 }, () => 0.1)).mean, 0.1);
    assert.equal(figures([21.1, 21.2, 21.4]).mean, 21.2333333333);
  });

  test("of the largest numbers stay finite", () => {
    const { mean, min, max } = figures(Array.from({ length: 100_000 }, () => NUMBER_MAX));
    assert.deepEqual([mean, min, max], [NUMBER_MAX, NUMBER_MAX, NUMBER_MAX]);
  });

  test("of one value are that value, five times", () => {
    const one = figures([-2.5]);
    assert.deepEqual([one.mean, one.min, one.max, one.last, one.count], [-2.5, -2.5, -2.5, -2.5, 1]);
  });
});

describe("a window's payload", () => {
  test("of numbers has the figures beside its bounds, in the order of the documentation", () => {
    const made = reduction("1", "2", "6");
    assert.equal(
      made.toJson(EMITS, 1763740800, 1763740860),
      '{"from":1763740800,"to":1763740860,"mean":3,"min":1,"max":6,"last":6,"count":3}',
    );
  });

  test("of objects has them below fields, whatever those are called", () => {
    const made = reduction('{"from":1,"__proto__":2}', '{"from":3,"s":"x"}');
    assert.equal(
      made.toJson(["mean"], -60, 0),
      '{"from":-60,"to":0,"fields":{"from":{"mean":2},"__proto__":{"mean":2}}}',
    );
    assert.deepEqual(
      [...made.toFields(["min", "count"])],
      [
        ["from:min", 1],
        ["from:count", 2],
        ["__proto__:min", 2],
        ["__proto__:count", 1],
      ],
    );
  });

  test("of both kinds has both", () => {
    assert.equal(
      reduction("1", '{"a":2}').toJson(["last"], 0, 1),
      '{"from":0,"to":1,"last":1,"fields":{"a":{"last":2}}}',
    );
    assert.deepEqual([...reduction("1").toFields(["last"])], [[":last", 1]]);
  });
});
