import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../src/base/clock.ts";
import { Log } from "../../../../src/base/log.ts";
import { TimerWheel } from "../../../../src/base/timer-wheel.ts";
import type { DataCapConfig } from "../../../../src/config/uplink-pace.ts";
import { DataCap } from "../../../../src/uplink/metering/data-cap.ts";
import { MemoryUses } from "../../../support/memory-store.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOVEMBER_20 = Date.UTC(2026, 10, 20, 12);
const DECEMBER_1 = Date.UTC(2026, 11, 1);
const CAP: DataCapConfig = { bytesPerMonth: 1_000_000, resetsOnDay: 1, warnAtPercent: 80, whenReached: "hold" };

class CapWorld {
  readonly clock: ManualClock;
  readonly wheel: TimerWheel;
  readonly uses: MemoryUses;
  readonly cap: DataCap;
  readonly traffic = { sent: 0, received: 0 };
  readonly log: string[] = [];
  readonly config: DataCapConfig;
  online = true;
  set: boolean;
  held = null as (() => string) | null;

  constructor(
    config: Partial<DataCapConfig> = {},
    uses = new MemoryUses(),
    clock = new ManualClock(NOVEMBER_20),
    set = true,
  ) {
    this.set = set;
    this.config = { ...CAP, ...config };
    this.clock = clock;
    this.uses = uses;
    this.wheel = new TimerWheel(clock, 50);
    this.cap = new DataCap(this.config, {
      uplink: "cloud",
      time: clock,
      isClockSet: () => this.set,
      wheel: this.wheel,
      uses,
      traffic: this.traffic,
      log: new Log({ level: "info", format: "text", write: (line) => this.log.push(line.slice(25)) }),
      isOnline: () => this.online,
      hold: (words) => {
        this.held = words;
        this.online = false;
      },
      release: () => {
        this.held = null;
      },
    });
    this.cap.start();
  }

  run(ms: number, stepMs = 50): void {
    for (let left = ms; left > 0; left -= stepMs) {
      this.clock.advance(Math.min(stepMs, left));
      this.wheel.tick();
    }
  }

  use(sent: number, received = 0): void {
    this.traffic.sent += sent;
    this.traffic.received += received;
    this.run(1000);
  }

  get words(): string | undefined {
    return this.held?.();
  }

  get used(): number {
    const { sentBytes, receivedBytes } = this.cap.status();
    return sentBytes + receivedBytes;
  }

  /** kill -9, and a start after `offMs`. */
  crash(offMs = 1000, config: Partial<DataCapConfig> = {}): CapWorld {
    const clock = this.clock.restarted(offMs);
    clock.scale.resume(this.clock.scale.record(this.clock.reading()), 0, clock.reading());
    return new CapWorld({ ...this.config, ...config }, this.uses.crash(), clock);
  }
}

test("both directions count; it warns once, and at the limit it is held, with words", () => {
  const world = new CapWorld();
  world.use(300_000, 499_000);
  assert.deepEqual(world.cap.status(), {
    state: "ok",
    sentBytes: 300_000,
    receivedBytes: 499_000,
    limitBytes: 1_000_000,
    usedPercent: 79.9,
    unsavedBytes: 0,
    endsMs: DECEMBER_1,
  });
  world.use(1000);
  world.use(1000);
  assert.equal(world.cap.status().state, "warned");
  assert.deepEqual(
    world.log.map((line) => line.replace(/ used=.*/, "")),
    ["warn  uplink-data-cap-near uplink=cloud"],
  );
  assert.ok(world.held === null);
  world.use(0, 199_000);
  assert.equal(world.cap.status().state, "reached");
  assert.equal(world.words, "the data cap of 1 MB is reached, until 2026-12-01 00:00 UTC");
  world.use(500);
  assert.equal(world.log.length, 2);
  assert.match(world.log[1] ?? "", /^warn {2}uplink-data-cap-reached uplink=cloud used="1 MB" limit="1 MB" until=/);
});

test("with when_reached: warn it only says so", () => {
  const world = new CapWorld({ whenReached: "warn" });
  world.use(2_000_000);
  assert.deepEqual([world.held, world.cap.status().state, world.cap.status().usedPercent], [null, "reached", 200]);
  assert.equal(world.log.length, 1);
});

test("with the next period it is let go, and counts from nothing", () => {
  const world = new CapWorld();
  world.use(1_200_000);
  assert.notEqual(world.held, null);
  world.run(DECEMBER_1 - world.clock.wallMs() - 10, 1000);
  assert.notEqual(world.held, null);
  world.run(100);
  assert.equal(world.held, null);
  assert.deepEqual([world.used, world.cap.status().state], [0, "ok"]);
  assert.equal(world.cap.status().endsMs, Date.UTC(2027, 0, 1));
  assert.match(world.log.at(-1) ?? "", /uplink-data-period/);
});

test("what is used is never less than it was, whatever the traffic's estimate and the clock do", () => {
  const world = new CapWorld();
  world.use(5000);
  world.traffic.sent -= 300;
  world.run(1000);
  assert.equal(world.used, 5000);
  world.clock.setWall(0);
  world.set = false;
  world.run(HOUR_MS, 1000);
  world.set = true;
  world.clock.setWall(NOVEMBER_20 + 50 * 365 * DAY_MS);
  world.run(HOUR_MS, 1000);
  world.clock.setWall(NOVEMBER_20 + 2 * HOUR_MS);
  world.run(HOUR_MS, 1000);
  world.use(1000);
  assert.equal(world.used, 6000);
});

test("near the limit it is looked at more often: at 1 MB/s it is passed by a tenth of a second's worth", () => {
  const world = new CapWorld({ bytesPerMonth: 10_000_000 });
  while (world.held === null) {
    world.traffic.sent += 50_000;
    world.run(50);
  }
  assert.ok(world.used >= 10_000_000 && world.used <= 10_100_000, `${world.used}`);
});

// ---- over restarts ---------------------------------------------------------------------------------------------

test("kill -9 takes back a minute of traffic at most, and a gateway that is killed again and again counts on", () => {
  let world = new CapWorld({ bytesPerMonth: 1e9 });
  let used = 0;
  for (let second = 0; second < 600; second++) {
    world.use(2000, 500);
    used += 2500;
    const lost = used - world.crash().used;
    assert.ok(lost <= 62 * 2500, `${lost} bytes after ${second} s`);
  }
  // Each lives for some seconds, and its handshake is not forgotten.
  for (let i = 0; i < 50; i++) {
    const before = world.used;
    world = world.crash();
    world.use(6000);
    assert.ok(world.used >= before - 62 * 2500);
  }
  assert.ok(world.used >= used + 50 * 6000 - 62 * 2500, `${world.used} of ${used + 50 * 6000}`);
});

test("what goes along with commits needs none of its own; else there is one a minute, for pings one in ten", () => {
  const along = new CapWorld();
  along.use(1);
  const first = along.uses.saves;
  for (let i = 0; i < 600; i++) {
    along.use(100);
    along.uses.commit();
  }
  assert.equal(along.uses.saves, first);

  const alone = new CapWorld();
  alone.use(1);
  for (let i = 0; i < 600; i++) alone.use(100);
  assert.ok(alone.uses.saves - first >= 9 && alone.uses.saves - first <= 10, `${alone.uses.saves} in ten minutes`);

  const pings = new CapWorld();
  pings.use(1);
  for (let i = 0; i < 3600; i++) pings.use(1);
  assert.ok(pings.uses.saves - first >= 5 && pings.uses.saves - first <= 6, `${pings.uses.saves} in an hour`);

  const idle = new CapWorld();
  idle.run(HOUR_MS, 1000);
  assert.ok(idle.uses.saves <= 1);
});

test("a change of state is in the store at once", () => {
  const world = new CapWorld();
  world.use(1);
  world.use(850_000);
  assert.equal(world.crash().cap.status().state, "warned");
  world.use(200_000);
  assert.equal(world.crash().cap.status().state, "reached");
});

test("a start with nothing left is held before it connects, and nothing is told twice", () => {
  const before = new CapWorld();
  before.use(2_000_000);
  const world = before.crash();
  assert.notEqual(world.held, null);
  assert.deepEqual(world.log, []);
});

test("a higher cap lets it go, a lower one holds it", () => {
  const before = new CapWorld();
  before.use(1_500_000);
  const raised = before.crash(1000, { bytesPerMonth: 10_000_000 });
  assert.deepEqual([raised.held, raised.used, raised.cap.status().state], [null, 1_500_000, "ok"]);
  raised.uses.commit();
  const lowered = raised.crash(1000, { bytesPerMonth: 1_200_000 });
  assert.notEqual(lowered.held, null);
  assert.match(lowered.log[0] ?? "", /uplink-data-cap-reached/);
});

test("an orderly end keeps everything", () => {
  const world = new CapWorld();
  world.use(1);
  world.use(10);
  world.traffic.sent += 300;
  world.cap.stop();
  world.cap.end();
  assert.equal(world.crash().used, 311);
});

test("without a clock it counts, and holds until one is set", () => {
  const world = new CapWorld({}, new MemoryUses(), new ManualClock(0), false);
  world.use(1_000_000);
  assert.equal(world.cap.status().endsMs, null);
  assert.equal(world.held?.(), "the data cap of 1 MB is reached, until the clock is set");
  world.run(60 * DAY_MS, 60_000);
  assert.notEqual(world.held, null);
  world.clock.setWall(NOVEMBER_20);
  world.set = true;
  world.run(11_000);
  assert.deepEqual([world.cap.status().endsMs, world.used], [DECEMBER_1, 1_000_000]);
  world.run(DECEMBER_1 - NOVEMBER_20, 60_000);
  assert.equal(world.held, null);
});
