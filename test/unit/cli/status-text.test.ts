import assert from "node:assert/strict";
import test from "node:test";
import { type Status, statusText } from "../../../src/cli/status-text.ts";

const STATUS: Status = {
  node: "gw-17",
  pid: 42,
  uptimeSeconds: 7200,
  memory: { rssBytes: 64 * 2 ** 20 },
  listeners: [{ type: "mqtt", address: "127.0.0.1:1883" }],
  sessions: { count: 3, connected: 2, connectedMax: 9 },
  subscriptions: 5,
  retained: { messages: 1, bytes: 2048 },
  store: {
    health: "full",
    reason: "no space left",
    sync: "full",
    rows: 10,
    bytes: 4096,
    databaseBytes: 2 ** 20,
    walBytes: 2 ** 20,
    maxBytes: 512 * 2 ** 20,
    damaged: null,
    written: {
      day: { total: 3 * 2 ** 29, messages: 2 ** 30, retained: 0, sessions: 2 ** 28, checkpoint: 2 ** 28, upkeep: 0 },
      lifetime: { total: 5 * 2 ** 30 },
      budget: { state: "widened", bytesPerDay: 2 ** 31, usedPercent: 75, windowMs: 125 },
      wear: { enduranceBytes: 30e12, usedPercent: 0.0179, bytesPerDay: 2.5e9, yearsLeft: 32.85 },
    },
  },
  clock: { state: "unset", wallMs: 60_000, offTimeSinceMs: Date.UTC(2026, 11, 1), offTimeCountedMs: 0 },
  uplinks: [
    {
      name: "cloud",
      url: "mqtts://broker:8883",
      urls: ["mqtts://broker:8883"],
      state: "down",
      protocol: null,
      forMs: 11_530_000,
      lastError: "refused\u001b[31m",
      lastErrorAtMs: Date.UTC(2026, 10, 21, 9, 12, 44, 101),
      failedTries: 212,
      lastOutage: null,
      retryInMs: 1500,
      heldBy: [],
      spool: {
        messages: 7,
        bytes: 1024,
        oldestMs: 90_000,
        classes: [{ priority: 0, messages: 7, bytes: 1024, oldestMs: 90_000, fullPercent: 0.1 }],
      },
      inFlight: 0,
      window: 64,
      ackTimeMs: 0,
      forwarded: 100,
      sentPerSecond: 0,
      receivedPerSecond: 0,
      received: 1,
      dropped: {},
      metered: null,
      aggregates: [],
    },
  ],
  counters: {
    "drops.queue-full": 3,
    "drops.expired": 0,
    "drops.offline": 1,
    "mqtt.x": 9,
    "transport.bytes_received": 2048,
    "mqtt.packets_received": 30,
  },
  dropsByReceiver: [
    { receiver: "session:a\nb", causes: { "queue-full": 12 } },
    { receiver: "uplink:c", causes: { "queue-full": 1, expired: 3 } },
  ],
  drops: [{ wallMs: 0, receiver: "session:a\nb", topic: "t", cause: "queue-full", count: 3 }],
};

test("status for people: what counts, in a line each, nothing that steers the terminal", () => {
  assert.equal(
    statusText(STATUS),
    `gateway   gw-17, pid 42, up 2h, 64 MiB resident
listener  mqtt 127.0.0.1:1883
sessions  2 connected of 3, at most 9, 5 subscriptions
traffic   2 KiB received, 0 B sent, 30 MQTT packets received, 0 sent
retained  1 messages, 2 KiB
store     full (no space left), sync full, 10 messages of 4 KiB wait, 2 MiB of 512 MiB on disk
written   1.5 GiB today, 75.0 % of 2 GiB, budget widened: commits wait 125ms (messages 1 GiB, sessions 256 MiB, checkpoint 256 MiB); 5 GiB in all
wear      0.018 % of 30 TB used, the rest lasts 32.9 years at 2.5 GB a day
clock     not set, it shows 1970-01-01T00:01:00.000Z: off-time since 2026-12-01T00:00:00.000Z is not counted yet
uplink    cloud down for 3h 12m, mqtts://broker:8883, 7 messages of 1 KiB wait, the oldest for 1m 30s, 0 of 64 under way, 100 forwarded, 1 received
            last error at 2026-11-21T09:12:44Z: refused?[31m
            212 tries failed, next try in 2s
drops     3 queue-full, 1 offline

messages lost since the first start
  receiver     queue-full  expired
  session:a?b          12        -
  uplink:c              1        3

the last of them
  1970-01-01T00:00:00.000Z session:a?b: 3 queue-full, first of t`,
  );
});

test("writes and wear in words", () => {
  const { store } = STATUS as { store: NonNullable<Status["store"]> };
  const none = { total: 0, messages: 0 };
  const budget = { state: "off", bytesPerDay: "off" as const, usedPercent: 0, windowMs: 20 };
  const wear = { enduranceBytes: 30e12, usedPercent: 12.34, bytesPerDay: null, yearsLeft: null };
  const text = statusText({ ...STATUS, store: { ...store, written: { day: none, lifetime: none, budget, wear } } });
  assert.match(text, /^written +0 B today, without a budget; 0 B in all$/m);
  assert.match(text, /^wear +12\.3 % of 30 TB used, no pace yet in the first hour$/m);
  const slow = { ...wear, bytesPerDay: 1000, yearsLeft: 100 };
  const later = statusText({
    ...STATUS,
    store: { ...store, written: { day: none, lifetime: none, budget, wear: slow } },
  });
  assert.match(later, /the rest lasts more than 100 years at 1 KB a day$/m);
  const normal = { state: "normal", bytesPerDay: 2 ** 31, usedPercent: 0.04, windowMs: 20 };
  const well = { day: none, lifetime: none, budget: normal, wear: null };
  assert.match(
    statusText({ ...STATUS, store: { ...store, written: well } }),
    /^written +0 B today, 0\.0 % of 2 GiB; 0 B/m,
  );
});

test("the clock in words", () => {
  const clock = { state: "set", wallMs: Date.UTC(2026, 11, 2), offTimeSinceMs: 0, offTimeCountedMs: 0 };
  const line = (changes: Partial<typeof clock>): string | undefined =>
    /^clock +(.*)$/m.exec(statusText({ ...STATUS, clock: { ...clock, ...changes } }))?.[1];
  assert.equal(line({}), "set, 2026-12-02T00:00:00.000Z");
  assert.equal(line({ offTimeCountedMs: 7_200_500 }), "set, 2026-12-02T00:00:00.000Z, 2h of off-time counted");
  assert.equal(line({ state: "unset", wallMs: 0 }), "not set, it shows 1970-01-01T00:00:00.000Z");
  assert.equal(
    line({ state: "behind", offTimeSinceMs: Date.UTC(2027, 0, 1) }),
    "behind the last time stored, it shows 2026-12-02T00:00:00.000Z: off-time since 2027-01-01T00:00:00.000Z is not counted yet",
  );
});

test("a gateway that lost nothing says so", () => {
  const text = statusText({ ...STATUS, store: null, clock: null, uplinks: [], counters: {}, drops: [] });
  assert.match(text, /^drops +none$/m);
  assert.doesNotMatch(text, /^store/m);
});

test("a damaged file set aside is said, with what came out of it", () => {
  const store = STATUS.store;
  assert.ok(store !== null);
  const tables = { log: { saved: 90, lost: 1, lostPages: 2 }, session: { saved: 5, lost: 0, lostPages: 0 } };
  const report = { movedTo: "sluice.db.damaged-x", wallMs: 0, complete: false, problem: "the time was up", tables };
  const text = statusText({ ...STATUS, store: { ...store, damaged: { files: 2, bytes: 8192, report } } });
  assert.match(
    text,
    /damaged +2 files set aside, 8 KiB; of sluice\.db\.damaged-x 95 rows were saved, 1 rows and 2 pages lost \(the time was up\)/,
  );
});

test("a listener that was refused says why; DTLS has a line once there is a listener of it", () => {
  const text = statusText({
    ...STATUS,
    listeners: [{ type: "coap", address: "127.0.0.1:5684", refused: "the DTLS addon is not built\u001b" }],
    counters: {
      "dtls.sessions": 3,
      "dtls.half_open": 1,
      "dtls.handshakes": 40,
      "dtls.failed": 7,
      "dtls.failed.wrong-key": 5,
      "dtls.failed.silent": 2,
      "dtls.failed.protocol": 0,
    },
  });
  assert.match(text, /^listener {2}coap 127\.0\.0\.1:5684 refused: the DTLS addon is not built\?$/m);
  assert.match(text, /^dtls {6}3 sessions, 1 in a handshake; 40 handshakes, 7 failed \(5 wrong-key, 2 silent\)$/m);
});

test("CoAP has a line once there is a listener of it", () => {
  assert.doesNotMatch(statusText(STATUS), /^coap /m);
  const counters = { "coap.received": 12, "coap.published": 7, "coap.observers": 3, "coap.connections": 2 };
  const text = statusText({ ...STATUS, counters });
  assert.match(text, /^coap {6}12 messages received, 7 published; 3 observers, 2 connections$/m);
});
