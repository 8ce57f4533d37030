import assert from "node:assert/strict";
import { test } from "node:test";
import type { OnChangeConfig } from "../../../../src/config/uplink-aggregate.ts";
import { isChange, type LastSent, lastSent } from "../../../../src/uplink/aggregate/on-change.ts";
import { type Fields, fieldsOf, parseReading } from "../../../../src/uplink/aggregate/reading.ts";

const RULE: OnChangeConfig = { deadband: 0.5, maxSilenceMs: 600_000, fields: null };

function fields(payload: string): Fields {
  return fieldsOf(parseReading(Buffer.from(payload)) as never, null) as Fields;
}

/** Which of the payloads go out, a second apart. */
function sent(payloads: readonly string[], rule = RULE, stepMs = 1000): string[] {
  let last: LastSent | null = null;
  let now = 0;
  return payloads.filter((payload) => {
    now += stepMs;
    const read = fields(payload);
    if (!isChange(last, read, now - (last?.stampMs ?? 0), rule)) return false;
    last = lastSent(read, now, last);
    return true;
  });
}

const ROWS: [what: string, payloads: string[], out: string[], rule?: Partial<OnChangeConfig>][] = [
  ["the first goes out", ["20"], ["20"]],
  [
    "less than the deadband away from what was sent last, not from what came last",
    ["20", "20.3", "20.4", "20.6"],
    ["20", "20.6"],
  ],
  ["exactly the deadband away", ["20", "20.5", "20"], ["20", "20.5", "20"]],
  ["decimals whose difference is a little less in floats", ["0.1", "0.3"], ["0.1", "0.3"], { deadband: 0.2 }],
  ["large numbers", ["1e12", "1000000000000.4", "1000000000000.5"], ["1e12", "1000000000000.5"]],
  ["a deadband of 0 is every change", ["1", "1", "1.0000001", "1e0"], ["1", "1.0000001", "1e0"], { deadband: 0 }],
  ["-0 is 0", ["0", "-0"], ["0"], { deadband: 0 }],
  [
    "any of several fields",
    ['{"a":1,"b":1}', '{"a":1.4,"b":1.4}', '{"a":1,"b":2}'],
    ['{"a":1,"b":1}', '{"a":1,"b":2}'],
  ],
  ["a field that comes or goes", ['{"a":1}', '{"a":1,"b":1}', '{"a":1}'], ['{"a":1}', '{"a":1,"b":1}', '{"a":1}']],
  ["a field by another name", ['{"a":1}', '{"b":1}'], ['{"a":1}', '{"b":1}']],
  [
    "what is no number, when it differs",
    ['{"a":1,"s":"x"}', '{"a":1.1,"s":"x"}', '{"a":1,"s":"y"}'],
    ['{"a":1,"s":"x"}', '{"a":1,"s":"y"}'],
  ],
  ['true and "true"', ['{"a":1,"s":true}', '{"a":1,"s":"true"}'], ['{"a":1,"s":true}', '{"a":1,"s":"true"}']],
  [
    "a number that becomes none, and back",
    ['{"a":1,"b":1}', '{"a":1,"b":"1"}', '{"a":1,"b":1}'],
    ['{"a":1,"b":1}', '{"a":1,"b":"1"}', '{"a":1,"b":1}'],
  ],
];

for (const [what, payloads, out, rule] of ROWS) {
  test(`on_change: ${what}`, () => assert.deepEqual(sent(payloads, { ...RULE, ...rule }), out));
}

test("on_change: the next reading after max_silence goes out, changed or not", () => {
  const payloads = ["1", "1.1", "1.2", "1.3", "1.4"];
  assert.deepEqual(sent(payloads, { ...RULE, maxSilenceMs: 2000 }), ["1", "1.2", "1.4"]);
  assert.deepEqual(sent(payloads, { ...RULE, maxSilenceMs: 2001 }), ["1", "1.3"]);
  assert.deepEqual(sent(payloads, { ...RULE, maxSilenceMs: null }), ["1"]);
});
