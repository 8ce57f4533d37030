// An uplink with a pace: bytes and messages as the server gets them, while the test moves the clocks.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "../../../../src/base/random.ts";
import type { PaceConfig, RateConfig } from "../../../../src/config/uplink-pace.ts";
import { SLACK_MS } from "../../../../src/uplink/metering/pace.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import type { FakeConnection, Packet } from "../fake-server.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

const NONE: RateConfig = { messagesPerSecond: null, bytesPerSecond: null };
const HOUR_MS = 3_600_000;
const YEARS_MS = 50 * 365 * 24 * HOUR_MS;
const PINGRESP = Buffer.from([0xd0, 0]);

function pace(config: Partial<PaceConfig>): PaceConfig {
  return { all: NONE, drain: NONE, live: NONE, ...config };
}

const bytesPerSecond = (bytes: number): RateConfig => ({ messagesPerSecond: null, bytesPerSecond: bytes });
const messagesPerSecond = (messages: number): RateConfig => ({ messagesPerSecond: messages, bytesPerSecond: null });

/** PUBLISHes as they came, with the moment. */
class Arrivals {
  readonly packets: { readonly atMs: number; readonly packet: Packet }[] = [];
  bytes = 0;

  /** Takes what came, and acknowledges it. */
  take(world: UplinkWorld, connection: FakeConnection): void {
    for (const packet of connection.take()) {
      if (packet.type === codes.PINGREQ) connection.send(PINGRESP);
      if (packet.type !== codes.PUBLISH) continue;
      this.packets.push({ atMs: world.server.clock.nowMs(), packet });
      this.bytes += packet.bytes;
      if (packet.qos === 1) connection.puback(packet.packetId);
    }
    connection.turn();
  }

  /** Most that came over any time, beyond the rate. */
  lead(perMs: number, of: (packet: Packet) => number): number {
    let sum = 0;
    let lowest = 0;
    let lead = 0;
    for (const { atMs, packet } of this.packets) {
      lowest = Math.min(lowest, sum - atMs * perMs);
      sum += of(packet);
      lead = Math.max(lead, sum - atMs * perMs - lowest);
    }
    return lead;
  }
}

/** Time passes in steps of up to 99 ms, and each is a turn of the event loop. */
async function run(world: UplinkWorld, ms: number, random: Random, step: () => void): Promise<void> {
  const { clock, wheel } = world.server;
  for (const endMs = clock.nowMs() + ms; clock.nowMs() < endMs; ) {
    clock.advance(Math.min(1 + random() * 98, endMs - clock.nowMs()));
    wheel.tick();
    step();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test("over hours of a saturated link the bytes that arrive are the rate, to the packet, whatever the wall clock does", async () => {
  const random = seededRandom(6);
  const rate = 2000;
  const world = new UplinkWorld({ forward: [forward("#")], pace: pace({ all: bytesPerSecond(rate) }), window: 64 });
  const { clock } = world.server;
  const connection = world.connect();
  const arrivals = new Arrivals();
  let published = 0;
  let steps = 0;
  await run(world, 2 * HOUR_MS, random, () => {
    while (world.uplink.spool.count < 40) world.publish(`s/${published++ % 7}`, "x".repeat(1 + random() * 700));
    if (steps % 20 === 0) world.persist();
    // Summer time begins and ends, a clock is set, a clock is wrong.
    if (++steps % 5000 === 0) {
      clock.setWall(clock.wallMs() + [HOUR_MS, -HOUR_MS, YEARS_MS, -YEARS_MS][(steps / 5000) % 4]!);
    }
    arrivals.take(world, connection);
  });
  const sent = arrivals.bytes;
  const largest = Math.max(...arrivals.packets.map(({ packet }) => packet.bytes));
  assert.ok(largest < 0.9 * rate, "a packet fits in the bucket");
  assert.ok(sent >= 2 * 3600 * rate - largest, `${sent} of ${2 * 3600 * rate}`);
  assert.ok(sent <= 2 * 3600 * rate + rate, `${sent} of ${2 * 3600 * rate}`);
  const lead = arrivals.lead(rate / 1000, ({ bytes }) => bytes);
  assert.ok(lead <= rate + 1, `${lead} ahead of the rate`);
});

test("packets larger than the bucket go at the rate as well, one by one", async () => {
  const random = seededRandom(7);
  const rate = 100;
  const world = new UplinkWorld({ forward: [forward("#")], pace: pace({ all: bytesPerSecond(rate) }) });
  const connection = world.connect();
  const arrivals = new Arrivals();
  await run(world, HOUR_MS, random, () => {
    while (world.uplink.spool.count < 10) world.publish("a", "x".repeat(500 + random() * 400));
    world.persist();
    arrivals.take(world, connection);
  });
  const largest = Math.max(...arrivals.packets.map(({ packet }) => packet.bytes));
  assert.ok(arrivals.bytes >= 3600 * rate - largest, `${arrivals.bytes}`);
  const lead = arrivals.lead(rate / 1000, ({ bytes }) => bytes);
  assert.ok(lead <= largest + (rate * SLACK_MS) / 1000 + 1, `${lead} ahead of the rate`);
});

test("a backlog goes at the drain's pace, what is published meanwhile behind it, and then live at its own", async () => {
  const random = seededRandom(8);
  const paces = pace({ all: messagesPerSecond(50), drain: messagesPerSecond(10), live: messagesPerSecond(40) });
  const world = new UplinkWorld({ forward: [forward("#")], pace: paces, window: 64 });
  for (let i = 0; i < 200; i++) world.publish("a", `old ${i}`);
  world.persist();
  const connection = world.connect();
  const arrivals = new Arrivals();
  const step = (): void => {
    world.persist();
    arrivals.take(world, connection);
  };
  await run(world, 10_000, random, step);
  assert.ok(
    arrivals.packets.length >= 109 && arrivals.packets.length <= 110,
    `${arrivals.packets.length} of the backlog`,
  );
  await run(world, 10_000, random, step);
  assert.equal(arrivals.packets.length, 200);
  assert.equal(world.uplink.status().state, "live");
  assert.equal(world.server.wheel.armed > 0, true);
  for (let i = 0; i < 300; i++) world.publish("a", `new ${i}`);
  step();
  assert.equal(arrivals.packets.length, 240);
  await run(world, 1000, random, step);
  assert.ok(arrivals.packets.length >= 278 && arrivals.packets.length <= 280, `${arrivals.packets.length}`);
  await run(world, 10_000, random, step);
  assert.deepEqual(
    arrivals.packets.map(({ packet }) => packet.payload),
    [...Array.from({ length: 200 }, (_, i) => `old ${i}`), ...Array.from({ length: 300 }, (_, i) => `new ${i}`)],
  );
  assert.ok(world.counters.get("uplink.cloud.paced") > 10);
});

test("QoS 0 that the pace has no tokens for is dropped, and counted as that", () => {
  const world = new UplinkWorld({ forward: [forward("#", { qos: 0 })], pace: pace({ live: messagesPerSecond(5) }) });
  const connection = world.connect();
  for (let i = 0; i < 8; i++) world.publish("a", `${i}`, 0);
  assert.equal(connection.take().length, 5);
  assert.deepEqual(world.uplink.status().dropped, { pace: 3 });
  world.server.advance(1000);
  for (let i = 0; i < 8; i++) world.publish("a", `${i}`, 0);
  assert.equal(connection.take().length, 5);
  assert.equal(world.counters.get("drops.pace"), 6);
});

test("the most urgent class gets the tokens first, while another drains", async () => {
  const random = seededRandom(9);
  const rules = [forward("alarm", { priority: 7 }), forward("log/#")];
  const world = new UplinkWorld({ forward: rules, pace: pace({ all: bytesPerSecond(1000) }), window: 64 });
  for (let i = 0; i < 300; i++) world.publish("log/a", "x".repeat(20));
  world.persist();
  const connection = world.connect();
  const arrivals = new Arrivals();
  const step = (): void => {
    world.persist();
    arrivals.take(world, connection);
  };
  await run(world, 2000, random, step);
  const alarmsAtMs = world.server.clock.nowMs();
  for (let i = 0; i < 5; i++) world.publish("alarm", "!".repeat(700));
  await run(world, 5000, random, step);
  const alarms = arrivals.packets.filter(({ packet }) => packet.topic === "alarm");
  const between = arrivals.packets.filter(({ atMs, packet }) => packet.topic !== "alarm" && atMs > alarmsAtMs);
  assert.equal(alarms.length, 5);
  assert.ok(
    between.every(({ atMs }) => atMs >= (alarms[4]?.atMs ?? 0)),
    "nothing of the backlog goes before them",
  );
  assert.ok((alarms[4]?.atMs ?? 0) - alarmsAtMs <= 4000);
});

test("a connection that is lost and comes back does not bring new tokens", () => {
  const world = new UplinkWorld({ forward: [forward("#")], pace: pace({ all: messagesPerSecond(3) }), window: 64 });
  for (let i = 0; i < 100; i++) world.publish("a", `${i}`);
  world.persist();
  const connection = world.connect();
  assert.equal(connection.take().length, 3);
  connection.drop("reset");
  assert.equal(world.uplink.status().metered?.pace?.waitMs, 0);
  world.server.advance(1000);
  const again = world.accept();
  assert.equal(again.take().length, 3, "of the second that passed");
  again.drop("reset");
  world.uplink.hold("test");
  world.uplink.release("test");
  assert.equal(world.accept().take().length, 0);
});

test("acknowledgements and releases of what was sent are not paced", async () => {
  const world = new UplinkWorld({ forward: [forward("#", { qos: 2 })], pace: pace({ all: messagesPerSecond(2) }) });
  for (let i = 0; i < 2; i++) world.publish("a", `${i}`, 2);
  world.persist();
  const connection = world.connect();
  const ids = connection.take().map(({ packetId }) => packetId);
  assert.equal(ids.length, 2);
  for (const id of ids) connection.send(connection.ack(codes.PUBREC, id));
  world.persist();
  assert.deepEqual(
    connection.take().map(({ type }) => type),
    [codes.PUBREL, codes.PUBREL],
  );
});

for (const drain of ["newest-first", "interleave"] as const) {
  test(`with drain: ${drain} a backlog that waits for its pace does not hold live messages up`, async () => {
    const random = seededRandom(10);
    const world = new UplinkWorld({ forward: [forward("#")], drain, pace: pace({ drain: messagesPerSecond(2) }) });
    for (let i = 0; i < 50; i++) world.publish("a", `old ${i}`);
    world.persist();
    const connection = world.connect();
    const arrivals = new Arrivals();
    const step = (): void => {
      world.persist();
      arrivals.take(world, connection);
    };
    await run(world, 5000, random, step);
    const old = arrivals.packets.length;
    assert.ok(old >= 10 && old <= 12, `${old} of the backlog`);
    for (let i = 0; i < 20; i++) world.publish("a", `new ${i}`);
    await run(world, 500, random, step);
    const live = arrivals.packets.slice(old).filter(({ packet }) => packet.payload.startsWith("new"));
    assert.equal(live.length, 20);
    await run(world, 25_000, random, step);
    assert.equal(arrivals.packets.length, 70);
  });
}
