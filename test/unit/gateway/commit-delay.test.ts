import assert from "node:assert/strict";
import { test } from "node:test";
import { autoCommitDelayMs } from "../../../src/gateway/commit-delay.ts";

const AT_ONCE = { online: true, ackTimeMs: 1 };

test("commit_delay auto is twice the slowest remote's time to acknowledge, from 20 to 250 ms", () => {
  for (const [ackTimeMs, delayMs] of [
    [0, 20],
    [10, 20],
    [11, 22],
    [125, 250],
    [126, 250],
    [4000, 250],
  ] as const) {
    assert.equal(autoCommitDelayMs(0, [AT_ONCE, { online: true, ackTimeMs }]), delayMs, `${ackTimeMs} ms`);
  }
});

test("commit_delay auto is 20 ms while a durable receiver is away: an uplink or a session", () => {
  const slow = { online: true, ackTimeMs: 100 };
  assert.equal(autoCommitDelayMs(0, [slow]), 200);
  assert.equal(autoCommitDelayMs(1, [slow]), 20);
  assert.equal(autoCommitDelayMs(0, [slow, { online: false, ackTimeMs: 100 }]), 20);
  assert.equal(autoCommitDelayMs(0, []), 20);
});
