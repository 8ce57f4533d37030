import assert from "node:assert/strict";
import test from "node:test";
import { modbusLines } from "../../../src/cli/modbus-text.ts";

const WELL = {
  name: "meter",
  unit: 1,
  state: "answers",
  nextTryMs: 0,
  pollsWantedPerSecond: 10,
  pollsPerSecond: 9.98,
  pollsMissed: 0,
  timeouts: 0,
  exceptions: 0,
  lastError: null,
};
const BUS = {
  busUsedPercent: 63,
  pollsWantedPerSecond: 50,
  pollsPerSecond: 45.2,
  badFrames: 0,
  strayBytes: 0,
  echoes: 0,
};

test("a bus says what it has time for, and each slave how it is, with errors by cause", () => {
  const slaves = [
    WELL,
    {
      ...WELL,
      name: "9",
      unit: 9,
      state: "silent",
      nextTryMs: 12_034,
      timeouts: 14,
      pollsPerSecond: 0,
      lastError: "no answer",
    },
    { ...WELL, name: "pump", unit: 3, exceptions: 2, pollsMissed: 7, lastError: "illegal data address" },
    { ...WELL, name: "new", unit: 4, state: "unknown" },
    { ...WELL, name: "all", unit: 0, state: "unknown", pollsWantedPerSecond: 0, pollsPerSecond: 0 },
  ];
  assert.deepEqual(modbusLines({ ...BUS, badFrames: 3, echoes: 1, slaves }), [
    "bus 63 % used, 45.2 of 50 polls a second; 3 bad frames, 1 echoes",
    "meter (unit 1) answers, 9.98 of 10 polls a second",
    "slave 9 is silent, asked again in 13s, 0 of 10 polls a second; 14 timeouts, last error: no answer",
    "pump (unit 3) answers, 9.98 of 10 polls a second; 7 polls missed, 2 exceptions, last error: illegal data address",
    "new (unit 4) was not asked yet, 9.98 of 10 polls a second",
    "all (unit 0) is not polled, 0 of 0 polls a second",
  ]);
});

test("of more than 16 slaves only those with trouble are named", () => {
  const many = Array.from({ length: 20 }, (_, i) => ({ ...WELL, name: `s${i}`, unit: i + 1 }));
  assert.deepEqual(modbusLines({ ...BUS, slaves: many }).slice(1), ["20 slaves answer"]);
  many[7] = { ...WELL, name: "slow", pollsPerSecond: 3 };
  assert.deepEqual(modbusLines({ ...BUS, slaves: many }).slice(1), [
    "slow (unit 1) answers, 3 of 10 polls a second",
    "19 other slaves answer",
  ]);
});
