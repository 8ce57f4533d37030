import assert from "node:assert/strict";
import { test } from "node:test";
import type { PayloadFormat } from "../../../../src/config/serial-write.ts";
import { encoded, WriteRule } from "../../../../src/protocol/serial/write-rule.ts";
import { write } from "./harness.ts";

const frame = (format: PayloadFormat, payload: string | Buffer): string | null =>
  new WriteRule(write({ format })).frameOf(() => "w", Buffer.from(payload))?.toString("hex") ?? null;

for (const [format, payload, expected] of [
  ["raw", Buffer.from("ff00", "hex"), "ff00"],
  ["utf8", "é", "c3a9"],
  ["utf8", Buffer.from("ff00", "hex"), null],
  ["hex", "0aFf", "0aff"],
  ["hex", " 0a ff\n", "0aff"],
  ["hex", "", ""],
  ["hex", "0 aff", null],
  ["hex", "0af", null],
  ["hex", "0x0a", null],
  ["base64", "AQID", "010203"],
  ["base64", "AQI=", "0102"],
  ["base64", "AQI", "0102"],
  ["base64", "AQI=\n", "0102"],
  ["base64", "", ""],
  ["base64", "AQ=I", null],
  ["base64", "AQI==", null],
  ["base64", "AQJ", null],
  ["base64", "A", null],
  ["base64", "A-_B", null],
] as const) {
  const words = expected === null ? "no frame" : `the frame ${expected || "without bytes"}`;
  test(`${JSON.stringify(payload.toString("latin1"))} as ${format} is ${words}`, () => {
    assert.equal(frame(format, payload), expected);
  });
}

for (const [filter, template, topic, expected] of [
  ["plant/+/set/#", "{1}={payload};{rest}", "plant/pump/set/a/b", "pump=7;a/b"],
  ["plant/+/set/#", "{rest}|", "plant/pump/set", "|"],
  ["+/x/+", "{2}{1}{topic}", "a/x/b", "baa/x/b"],
  ["w", "{payload}{payload}", "w", "77"],
] as const) {
  test(`${template} of ${topic} is ${expected}`, () => {
    const rule = new WriteRule(write({ topic: filter, template }));
    assert.equal(rule.frameOf(() => topic, Buffer.from("7"))?.toString(), expected);
  });
}

for (const [template, payload, expected] of [
  ["M{json:motor.speed};{json:on}", '{"motor": {"speed": 12.50}, "on": true}', "M12.5;true"],
  ["{json:name}", '{"name": "a b"}', "a b"],
  ["{json:list.1}{json:/a.b}", '{"list": [1, 2], "a.b": {"c": 3}}', '2{"c":3}'],
  ["{json:id}", '{"id": 1234567890123456789}', "1234567890123456789"],
  ["{json:x}", '{"x": ""}', ""],
  ["{json:x}", '{"y": 1}', null],
  ["{json:x}", '{"x": null}', null],
  ["{json:list.length}", '{"list": []}', null],
  ["{json:x}", "no json", null],
  ["{json:x}", "", null],
] as const) {
  test(`${template} of ${payload} is ${expected ?? "no frame"}`, () => {
    const rule = new WriteRule(write({ template }));
    assert.equal(rule.frameOf(() => "w", Buffer.from(payload))?.toString() ?? null, expected);
  });
}

test("JSON that is too deep to be written again is no frame", () => {
  const deep = `{"x": ${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  const rule = new WriteRule(write({ template: "{json:x}" }));
  assert.equal(
    rule.frameOf(() => "w", Buffer.from(deep)),
    null,
  );
});

test("a response is in the format of its request", () => {
  const bytes = Buffer.from("ff01", "hex");
  assert.equal(encoded("raw", bytes), bytes);
  assert.equal(encoded("hex", bytes).toString(), "ff01");
  assert.equal(encoded("base64", bytes).toString(), "/wE=");
});
