import assert from "node:assert/strict";
import { test } from "node:test";
import { SAMPLE_MS } from "../../../src/uplink/rates.ts";
import * as codes from "../../../src/wire/mqtt/codes.ts";
import { forward, receive, UplinkWorld } from "./uplink-world.ts";

const PINGRESP = Buffer.from([codes.PINGRESP << 4, 0]);

test("status says how it stands", () => {
  const world = new UplinkWorld({ forward: [forward("#")] });
  world.publish("a", "1");
  const size = world.uplink.status().spool.bytes;
  assert(size > 2);
  assert.deepEqual(world.uplink.status(), {
    name: "cloud",
    state: "down",
    url: "mqtt://cloud:1883",
    urls: ["mqtt://cloud:1883"],
    protocol: null,
    connectedSinceMs: null,
    forMs: 0,
    lastError: null,
    lastErrorAtMs: null,
    failedTries: 0,
    lastOutage: null,
    retryInMs: null,
    heldBy: [],
    spool: {
      messages: 1,
      bytes: size,
      oldestMs: 0,
      classes: [{ priority: 0, messages: 1, bytes: size, oldestMs: 0, fullPercent: 0.1 }],
    },
    inFlight: 0,
    window: 4,
    ackTimeMs: 0,
    forwarded: 0,
    sentPerSecond: 0,
    receivedPerSecond: 0,
    received: 0,
    dropped: {},
    metered: null,
    aggregates: [],
  });
  const connection = world.connect();
  assert.equal(world.uplink.status().state, "draining");
  assert.equal(world.uplink.status().connectedSinceMs, world.server.clock.wallMs());
  assert.equal(world.uplink.status().protocol, 5);
  connection.puback(connection.takeOne(codes.PUBLISH).packetId);
  assert.equal(world.uplink.status().state, "live");
  assert.equal(world.uplink.status().forwarded, 1);
  world.server.advance(5000);
  assert.equal(world.uplink.status().forMs, 5000, "since it is connected");
});

test("what waits is told by priority, the most urgent first, each with the age of its oldest message", () => {
  const world = new UplinkWorld({ forward: [forward("low/#"), forward("high/#", { priority: 7 })] });
  world.publish("low/a", "1");
  world.server.advance(60_000);
  world.publish("high/a", "2");
  world.publish("low/a", "3");
  world.server.advance(5000);
  const { spool } = world.uplink.status();
  assert.deepEqual([spool.messages, spool.oldestMs], [3, 65_000]);
  assert.deepEqual(
    spool.classes.map(({ priority, messages, oldestMs }) => [priority, messages, oldestMs]),
    [
      [7, 1, 5000],
      [0, 2, 65_000],
    ],
  );
});

test("rates are averages of about a minute, of what goes out and what comes in", () => {
  const world = new UplinkWorld({ forward: [forward("#", { qos: 0 })], receive: [receive("in")] });
  const connection = world.connect();
  connection.take();
  for (let i = 0; i < 30; i++) {
    for (let n = 0; n < 10; n++) world.publish("a", "1", 0);
    connection.send(connection.publish("in", "x"), PINGRESP);
    connection.take();
    world.server.advance(SAMPLE_MS);
  }
  const { sentPerSecond, receivedPerSecond } = world.uplink.status();
  assert.deepEqual([sentPerSecond, receivedPerSecond], [0.99, 0.1]);
});
