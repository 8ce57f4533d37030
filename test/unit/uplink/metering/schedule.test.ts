import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../src/base/clock.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import type { ConnectConfig } from "../../../../src/config/uplink-pace.ts";
import { Schedule } from "../../../../src/uplink/metering/schedule.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const CONNECT: ConnectConfig = { everyMs: 15 * MINUTE_MS, forMs: 2 * MINUTE_MS, urgentPriority: 5 };

class ScheduleWorld {
  readonly clock = new ManualClock(Date.UTC(2026, 2, 1, 12, 0));
  readonly wheel = new TimerWheel(this.clock, 50);
  readonly schedule: Schedule;
  /** When the uplink might connect: from and end, in ms since the start. */
  readonly windows: [from: number, end: number][] = [];
  clockSet = true;
  online = false;
  words: () => string = () => "";

  constructor(config: Partial<ConnectConfig> = {}, phase = 0.5) {
    this.schedule = new Schedule(
      { ...CONNECT, ...config },
      {
        time: this.clock,
        isClockSet: () => this.clockSet,
        wheel: this.wheel,
        random: () => phase,
        hold: (words) => {
          this.words = words;
          const last = this.windows.at(-1);
          if (last !== undefined) last[1] = this.clock.nowMs();
        },
        release: () => this.windows.push([this.clock.nowMs(), Number.POSITIVE_INFINITY]),
        isOnline: () => this.online,
      },
    );
    this.schedule.start();
  }

  run(ms: number): void {
    for (const endMs = this.clock.nowMs() + ms; this.clock.nowMs() < endMs; ) {
      this.clock.advance(Math.min(50, endMs - this.clock.nowMs()));
      this.wheel.tick();
    }
  }
}

test("windows open at the start and then every so often from a phase of the gateway's own, each for so long", () => {
  const world = new ScheduleWorld();
  world.run(HOUR_MS);
  const minutes = world.windows.map((window) => window.map((ms) => ms / MINUTE_MS));
  assert.deepEqual(minutes, [
    [0, 2],
    [7.5, 9.5],
    [22.5, 24.5],
    [37.5, 39.5],
    [52.5, 54.5],
  ]);
});

test("windows that meet are one", () => {
  const world = new ScheduleWorld({}, 0.1);
  world.run(20 * MINUTE_MS);
  assert.deepEqual(
    world.windows.map((window) => window.map((ms) => ms / MINUTE_MS)),
    [
      [0, 3.5],
      [16.5, 18.5],
    ],
  );
});

test("gateways that start together do not come together after the first window", () => {
  const random = seededRandom(4);
  const seconds = new Set<number>();
  for (let i = 0; i < 50; i++) {
    const world = new ScheduleWorld({}, random());
    world.run(CONNECT.everyMs + CONNECT.forMs);
    seconds.add(Math.floor((world.windows.at(-1)?.[0] ?? 0) / 10_000));
  }
  assert.ok(seconds.size > 30, `${seconds.size} different moments`);
});

test("the wall clock has no say: it jumps by hours and by 50 years, and no window moves", () => {
  const world = new ScheduleWorld();
  for (const wallMs of [0, Date.UTC(2076, 0, 1), Date.UTC(2026, 2, 29, 1), Date.UTC(2026, 2, 29, 3)]) {
    world.clock.setWall(wallMs);
    world.run(15 * MINUTE_MS);
  }
  assert.deepEqual(
    world.windows.map(([from]) => from / MINUTE_MS),
    [0, 7.5, 22.5, 37.5, 52.5],
  );
});

test("a gateway that was asleep opens no window that is over", () => {
  const world = new ScheduleWorld();
  world.run(3 * MINUTE_MS);
  world.clock.advance(10 * HOUR_MS);
  world.wheel.tick();
  assert.equal(world.windows.length, 1);
  world.run(CONNECT.everyMs);
  assert.deepEqual([((world.windows[1]?.[0] ?? 0) / MINUTE_MS - 7.5) % 15, world.windows.length], [0, 2]);
});

test("an urgent message that finds no connection opens a window from that moment on, any other does not", () => {
  const world = new ScheduleWorld();
  world.run(4 * MINUTE_MS);
  world.schedule.onWaiting(4);
  assert.equal(world.windows.length, 1);
  world.schedule.onWaiting(5);
  world.run(MINUTE_MS);
  world.schedule.onWaiting(7);
  world.run(5 * MINUTE_MS);
  assert.deepEqual(
    world.windows.map((window) => window.map((ms) => ms / MINUTE_MS)),
    [
      [0, 2],
      [4, 7],
      [7.5, 9.5],
    ],
    "from the last one on",
  );
});

test("an urgent message that goes out on the connection that is there makes no window longer", () => {
  const world = new ScheduleWorld();
  world.run(MINUTE_MS);
  world.online = true;
  world.schedule.onWaiting(7);
  world.run(2 * MINUTE_MS);
  assert.equal(world.windows[0]?.[1], 2 * MINUTE_MS);
});

test("with urgent_priority: never no message opens a window", () => {
  const world = new ScheduleWorld({ urgentPriority: null });
  world.run(4 * MINUTE_MS);
  world.schedule.onWaiting(7);
  assert.equal(world.windows.length, 1);
});

test("the words say when it connects: by the clock if that is set, else in how long", () => {
  const world = new ScheduleWorld();
  world.run(3 * MINUTE_MS);
  assert.equal(world.words(), "connects at 12:07 UTC");
  assert.deepEqual(world.schedule.status(), { open: false, forMs: 4.5 * MINUTE_MS });
  world.clockSet = false;
  assert.equal(world.words(), "connects in 5 min");
  world.run(4 * MINUTE_MS);
  assert.equal(world.words(), "connects in 30 s");
  world.clockSet = true;
  world.clock.setWall(Date.UTC(2026, 2, 1, 23, 59, 50));
  assert.equal(world.words(), "connects at 2026-03-02 00:00 UTC");
  world.run(MINUTE_MS);
  assert.deepEqual(world.schedule.status(), { open: true, forMs: 1.5 * MINUTE_MS });
});

test("stopped, it opens and closes nothing", () => {
  const world = new ScheduleWorld();
  world.schedule.stop();
  world.run(HOUR_MS);
  assert.deepEqual(world.windows, [[0, Number.POSITIVE_INFINITY]]);
});

// ---- an uplink with a schedule ---------------------------------------------------------------------------------

const EVERY_15_MINUTES = {
  forward: [forward("alarm", { priority: 7 }), forward("#")],
  connect: CONNECT,
  keepaliveMs: HOUR_MS,
};

test("an uplink leaves in order at the end of its window, spools, and comes back with the next", async () => {
  const world = new UplinkWorld(EVERY_15_MINUTES);
  const connection = world.connect();
  world.server.advance(CONNECT.forMs - 1100);
  world.publish("a", "live");
  world.server.advance(1000);
  const [packet] = await world.serve(connection);
  assert.equal(packet?.payload, "live");
  world.server.advance(100);
  world.persist();
  connection.takeOne(codes.DISCONNECT);
  connection.drop();
  assert.equal(world.uplink.status().state, "held");
  assert.match(world.uplink.status().heldBy[0] ?? "", /^connects at \d\d:\d\d UTC$/);
  assert.equal(world.uplink.status().retryInMs, null);
  world.publish("a", "later");
  world.persist();
  world.server.advance(CONNECT.everyMs - CONNECT.forMs - 100);
  assert.equal(world.server.dialling, false);
  world.server.advance(100);
  const again = world.accept();
  assert.deepEqual(
    (await world.serve(again)).map(({ payload }) => payload),
    ["later"],
  );
  assert.equal(world.uplink.status().state, "live");
  assert.equal(world.log.filter((line) => line.includes("uplink-held")).length, 1);
});

test("an uplink whose connection fails in its window tries again within it, and not after it", () => {
  const world = new UplinkWorld(EVERY_15_MINUTES);
  world.uplink.start();
  let tries = 0;
  for (let ms = 0; ms < CONNECT.forMs - 100; ms += 100) {
    if (world.server.dialling) {
      tries++;
      world.server.refuse("connection refused");
    }
    world.server.advance(100);
  }
  assert.ok(tries > 4, `${tries} tries`);
  world.server.advance(100);
  if (world.server.dialling) world.server.refuse("connection refused");
  assert.equal(world.uplink.status().state, "held");
  world.server.advance(CONNECT.everyMs - CONNECT.forMs - 100);
  assert.equal(world.server.dialling, false);
  world.server.advance(100);
  assert.equal(world.server.dialling, true);
});

test("an alarm between two windows is sent at once, and the backlog behind it", async () => {
  const world = new UplinkWorld(EVERY_15_MINUTES);
  const connection = world.connect();
  world.server.advance(CONNECT.forMs);
  world.persist();
  connection.drop();
  assert.equal(world.uplink.status().state, "held");
  for (let i = 0; i < 3; i++) world.publish("log", `${i}`);
  assert.equal(world.server.dialling, false);
  world.publish("alarm", "fire");
  world.persist();
  const again = world.accept();
  assert.deepEqual(
    (await world.serve(again)).map(({ payload }) => payload),
    ["fire", "0", "1", "2"],
  );
  world.server.advance(CONNECT.forMs);
  world.persist();
  again.take();
  again.drop();
  assert.equal(world.uplink.status().state, "held");
});

test("an alarm that comes while the uplink leaves at the end of its window is not left until the next one", async () => {
  const world = new UplinkWorld(EVERY_15_MINUTES);
  const connection = world.connect();
  world.server.advance(CONNECT.forMs - 100);
  world.publish("log", "in flight");
  connection.take();
  world.server.advance(100);
  assert.equal(world.uplink.status().state, "live", "it waits for the answer");
  world.publish("alarm", "fire");
  assert.equal(connection.take().length, 0);
  world.server.advance(1000);
  connection.drop();
  world.persist();
  const again = world.accept();
  assert.deepEqual(
    (await world.serve(again)).map(({ payload }) => payload),
    ["fire", "in flight"],
  );
  assert.equal(world.uplink.status().metered?.connect?.open, true);
});

test("a server that acknowledges nothing is left at the end of the window, urgent or not", () => {
  const world = new UplinkWorld(EVERY_15_MINUTES);
  const connection = world.connect();
  world.server.advance(CONNECT.forMs - 100);
  connection.take();
  world.publish("alarm", "fire");
  assert.equal(connection.take().length, 1);
  world.server.advance(1100);
  connection.drop();
  assert.equal(world.uplink.status().state, "held");
  assert.equal(world.server.dialling, false);
});

test("an uplink that is stopped is not let go by an alarm", async () => {
  const world = new UplinkWorld(EVERY_15_MINUTES);
  const connection = world.connect();
  const stopped = world.uplink.stop();
  world.persist();
  connection.drop();
  await stopped;
  world.publish("alarm", "fire");
  world.server.advance(CONNECT.everyMs);
  assert.equal(world.server.dialling, false);
});
