import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadPace } from "../../../../src/transport/serial/read-pace.ts";

test("the fourth read of a few bytes within a ms leaves the next to the timer, and none of those before", () => {
  const pace = new ReadPace();
  assert.deepEqual(
    [10, 10.2, 10.4, 10.6].map((nowMs) => pace.onRead(1, nowMs)),
    [false, false, false, true],
  );
});

test("three reads a ms are polled for ever", () => {
  const pace = new ReadPace();
  for (let nowMs = 0; nowMs < 1000; nowMs += 0.34) assert.equal(pace.onRead(14, nowMs), false);
});

test("the timer goes on as long as there is something, and ends when there is nothing, or much", () => {
  for (const end of [0, 256, 4096]) {
    const pace = new ReadPace();
    for (let i = 0; i < 4; i++) pace.onRead(1, 5);
    for (let nowMs = 6; nowMs < 100; nowMs++) assert.equal(pace.onRead(12, nowMs), true);
    assert.equal(pace.onRead(end, 100), false);
    assert.equal(pace.timed, false);
    assert.equal(pace.onRead(12, 100.1), false);
  }
});

test("reads of many bytes never wait", () => {
  const pace = new ReadPace();
  for (let i = 0; i < 100; i++) assert.equal(pace.onRead(256, 5), false);
});
