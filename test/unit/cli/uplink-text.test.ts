import assert from "node:assert/strict";
import { test } from "node:test";
import { spanText, type UplinkStatus, uplinkLines } from "../../../src/cli/uplink-text.ts";

const WELL: UplinkStatus = {
  name: "cloud",
  state: "live",
  url: "mqtts://a:8883",
  urls: ["mqtts://a:8883", "mqtts://b:8883"],
  protocol: 5,
  forMs: 7_200_000,
  lastError: null,
  lastErrorAtMs: null,
  failedTries: 0,
  lastOutage: null,
  retryInMs: null,
  heldBy: [],
  spool: {
    messages: 0,
    bytes: 0,
    oldestMs: null,
    classes: [7, 0].map((priority) => ({ priority, messages: 0, bytes: 0, oldestMs: null, fullPercent: 0 })),
  },
  inFlight: 0,
  window: 64,
  ackTimeMs: 41.6,
  forwarded: 1204,
  sentPerSecond: 2.1,
  receivedPerSecond: 0,
  received: 17,
  dropped: { expired: 0 },
  metered: { pace: { waitMs: 0 }, dataCap: null, connect: null },
  aggregates: [],
};

test("an uplink that is well is one line", () => {
  assert.deepEqual(uplinkLines(WELL), [
    "cloud live for 2h, mqtts://a:8883 by MQTT 5.0, nothing waits, 0 of 64 under way, acknowledged in 42 ms, 1204 forwarded (2.1 a second), 17 received",
  ]);
});

test("what is not as it should be stands below the line", () => {
  const waits = { messages: 3, bytes: 2048, oldestMs: 600_000, fullPercent: 1 };
  const backlog = { messages: 1200, bytes: 2 ** 20, oldestMs: 86_400_000, fullPercent: 91.5 };
  const [line, ...below] = uplinkLines({
    ...WELL,
    state: "draining",
    url: "mqtts://b:8883",
    protocol: 4,
    spool: {
      ...backlog,
      classes: [
        { priority: 7, ...waits },
        { priority: 0, ...backlog },
      ],
    },
    lastOutage: { reason: "reset", endedAtMs: Date.UTC(2026, 10, 21, 9), lastedMs: 90_061_000 },
    dropped: { expired: 12, refused: 3, "too-old": 0 },
    metered: {
      pace: { waitMs: 250 },
      dataCap: {
        sentBytes: 300_000_000,
        receivedBytes: 112_300_000,
        limitBytes: 500_000_000,
        usedPercent: 82.4,
        endsMs: Date.UTC(2026, 11, 1),
      },
      connect: { open: true, forMs: 90_000 },
    },
    aggregates: [
      { match: "m/#", messages: 12, in: 1204, out: 31, suppressed: 0, passedThrough: 0, closedEarly: 0 },
      { match: "t", messages: 0, in: 9, out: 8, suppressed: 1, passedThrough: 2, closedEarly: 3 },
    ],
  });
  assert.match(
    line ?? "",
    /^cloud draining for 2h, mqtts:\/\/b:8883 by MQTT 3\.1\.1, 1200 messages of 1 MiB wait, the oldest for 1d,/,
  );
  assert.deepEqual(below, [
    "last outage: 1d 1h until 2026-11-21T09:00:00Z: reset",
    "pace: the next message goes in 250 ms",
    "data cap: 412.3 MB of 500 MB used (82.4 %) until 2026-12-01T00:00:00Z: 300 MB sent, 112.3 MB received",
    "schedule: leaves in 1m 30s",
    "url 2 of 2; the first is mqtts://a:8883",
    "priority 7: 3 messages of 2 KiB wait, the oldest for 10m, 1 % full",
    "priority 0: 1200 messages of 1 MiB wait, the oldest for 1d, 91.5 % full",
    "gathers m/#: 1204 came, 31 went on, 12 held",
    "gathers t: 9 came, 8 went on, 0 held, 1 unchanged, 2 were no readings and passed through, 3 closed early for lack of room",
    "lost since the start: 12 expired, 3 refused",
  ]);
});

test("each state in words", () => {
  const state = (changes: Partial<UplinkStatus>): string[] => {
    const [line = "", ...below] = uplinkLines({ ...WELL, protocol: null, ackTimeMs: 0, ...changes });
    return [line.slice(0, line.indexOf(", mqtts")), ...below];
  };
  assert.deepEqual(state({ state: "down", forMs: 0 }), ["cloud down for 0s"]);
  assert.deepEqual(state({ state: "resolving" }), ["cloud resolving, away for 2h"]);
  assert.deepEqual(state({ state: "connecting", lastError: "no sign of life", lastErrorAtMs: 0, failedTries: 1 }), [
    "cloud connecting, away for 2h",
    "last error at 1970-01-01T00:00:00Z: no sign of life",
    "what to do: look at the link; a network that closes idle ways needs a shorter `keepalive`",
    "1 tries failed",
  ]);
  assert.deepEqual(state({ state: "held", heldBy: ["500 MB of this month are used", "a\u001b"] }), [
    "cloud held for 2h",
    "held: 500 MB of this month are used",
    "held: a?",
  ]);
});

test("spans of time in the two largest units", () => {
  const spans = [0, 999, 1000, 61_000, 3_600_000, 3_660_000, 90_061_000, 30 * 86_400_000];
  assert.deepEqual(spans.map(spanText), ["0s", "0s", "1s", "1m 1s", "1h", "1h 1m", "1d 1h", "30d"]);
});
