import assert from "node:assert/strict";
import { test } from "node:test";
import { busTime, busTimeNote } from "../../../../src/protocol/modbus/bus-time.ts";
import { modbusOf, slave } from "./harness.ts";

const AT_9600 = { baud: 9600, bits: 11 };

test("a read of ten registers at 9600 baud takes 8 + 25 characters, 3.5 of silence, and a gap", () => {
  const config = modbusOf({ slaves: [slave(1, [{ address: 0, type: "text", length: 10 }])] });
  const { usedMs, pollsPerSecond } = busTime(config, AT_9600);
  const character = 11_000 / 9600;
  assert.ok(Math.abs(usedMs - (36.5 * character + Math.ceil(3.5 * character))) < 1e-9, `${usedMs}`);
  assert.equal(pollsPerSecond, 1);
});

test("polls that do not fit are told of, with numbers and what would do; those that fit are not", () => {
  const scattered = Array.from({ length: 20 }, (_, i) => ({ address: 4 * i }));
  const of = (interval: string, more: Record<string, unknown> = {}): string | null =>
    busTimeNote(modbusOf({ slaves: [slave(1, scattered, { interval })], ...more }), AT_9600);
  assert.equal(of("2s"), null);
  assert.equal(
    of("500ms"),
    "40 polls a second take 1048 ms of each second at 9600 baud, which is more than there is: " +
      "intervals 1.5 times as long, max_gap: 4 (421 ms, with 10 ms for each answer) or a higher baud rate would do",
  );
  assert.match(of("600ms") ?? "", /^33\.4 polls a second take 874 ms .*, so slaves would have to answer within 3 ms: /);
  assert.equal(of("500ms", { max_gap: 4 }), null);
  assert.equal(of("500ms", { transport: "tcp" }), null);
  assert.equal(busTimeNote(modbusOf({ slaves: [slave(1, scattered, { interval: "10ms" })] }), null), null);
});
