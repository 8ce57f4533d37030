import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../src/base/clock.ts";
import {
  BillingPeriod,
  DOUBT_MS,
  NO_PERIOD,
  nextReset,
  type PeriodRecord,
} from "../../../../src/uplink/metering/billing-period.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEARS_MS = 50 * 365 * DAY_MS;
const NOVEMBER_20 = Date.UTC(2026, 10, 20, 12);
const DECEMBER_1 = Date.UTC(2026, 11, 1);

class PeriodWorld {
  readonly clock: ManualClock;
  readonly period: BillingPeriod;
  set = true;
  /** Periods that began. */
  begun = 0;

  constructor(clock = new ManualClock(NOVEMBER_20), record: PeriodRecord = NO_PERIOD, day = 1) {
    this.clock = clock;
    // As the store does it when it opens.
    if (record === NO_PERIOD) clock.scale.observe(clock.reading());
    this.period = new BillingPeriod(day, record, { time: clock, isClockSet: () => this.set });
    this.look();
  }

  look(): void {
    if (this.period.look()) this.begun++;
  }

  /** Time passes; looked at every ten minutes. */
  run(ms: number): void {
    for (let left = ms; left > 0; left -= 600_000) {
      this.clock.advance(Math.min(left, 600_000));
      this.look();
    }
  }

  restart(clock: ManualClock, day = 1): PeriodWorld {
    // As the store does it: the scale is taken up where it was.
    clock.scale.resume(this.clock.scale.record(this.clock.reading()), 0, clock.reading());
    return new PeriodWorld(clock, this.period.record, day);
  }
}

const at = (ms: number): string => new Date(ms).toISOString().slice(0, 13);

test("a period ends on its day of the month, at midnight in UTC", () => {
  for (const [now, day, end] of [
    ["2026-11-20T12", 1, "2026-12-01T00"],
    ["2026-11-01T00", 1, "2026-12-01T00"],
    ["2026-10-31T23", 1, "2026-11-01T00"],
    ["2026-11-20T12", 28, "2026-11-28T00"],
    ["2026-12-28T12", 28, "2027-01-28T00"],
    ["2028-02-28T12", 28, "2028-03-28T00"],
    ["2026-12-31T23", 15, "2027-01-15T00"],
  ] as const) {
    assert.equal(at(nextReset(Date.parse(`${now}:00:00Z`), day)), end, now);
  }
});

test("a gateway that runs for a year begins twelve periods", () => {
  const world = new PeriodWorld();
  assert.equal(at(world.period.endMs), "2026-12-01T00");
  world.run(365 * DAY_MS);
  assert.equal(world.begun, 12);
  assert.equal(at(world.period.endMs), "2027-12-01T00");
});

test("until a clock is set no end is known; then there is one, and no period began", () => {
  const world = new PeriodWorld(new ManualClock(0));
  world.set = false;
  world.run(40 * DAY_MS);
  assert.deepEqual([world.period.endMs, world.period.leftMs, world.begun], [0, Number.POSITIVE_INFINITY, 0]);
  world.clock.setWall(NOVEMBER_20);
  world.set = true;
  world.look();
  assert.deepEqual([at(world.period.endMs), world.begun], ["2026-12-01T00", 0]);
  assert.equal(world.period.leftMs, DECEMBER_1 - NOVEMBER_20);
});

test("a start in 1970 begins no period, nor does the network's time after it, in the same month", () => {
  const before = new PeriodWorld();
  before.run(DAY_MS);
  const world = before.restart(before.clock.rebooted(0));
  world.set = false;
  world.run(HOUR_MS);
  world.clock.setWall(NOVEMBER_20 + 3 * DAY_MS);
  world.clock.scale.observe(world.clock.reading());
  world.set = true;
  world.run(HOUR_MS);
  assert.deepEqual([world.begun, at(world.period.endMs)], [0, "2026-12-01T00"]);
});

test("a board that was off over the end of the month begins a period when it gets the time", () => {
  const before = new PeriodWorld();
  const world = before.restart(before.clock.rebooted(0));
  world.set = false;
  world.run(HOUR_MS);
  assert.equal(world.begun, 0);
  world.clock.setWall(DECEMBER_1 + 5 * DAY_MS);
  world.clock.scale.observe(world.clock.reading());
  world.set = true;
  world.look();
  assert.deepEqual([world.begun, at(world.period.endMs)], [1, "2027-01-01T00"]);
});

test("a board that never gets the time again begins its periods by what it knew and what has passed", () => {
  const before = new PeriodWorld();
  const world = before.restart(before.clock.rebooted(0));
  world.set = false;
  world.run(DECEMBER_1 - NOVEMBER_20 + HOUR_MS);
  assert.equal(world.begun, 1);
});

test("a jump of 50 years and back begins no period, whichever way it goes first", () => {
  for (const jumpMs of [YEARS_MS, -20 * 365 * DAY_MS]) {
    const world = new PeriodWorld();
    world.clock.setWall(world.clock.wallMs() + jumpMs);
    world.run(DOUBT_MS - HOUR_MS);
    world.clock.setWall(world.clock.wallMs() - jumpMs);
    world.run(2 * HOUR_MS);
    assert.deepEqual([world.begun, at(world.period.endMs)], [0, "2026-12-01T00"]);
    world.run(10 * DAY_MS);
    assert.equal(world.begun, 1);
  }
});

test("a clock that stays where it jumped to is right after a day, and a period ends by it again", () => {
  const ahead = new PeriodWorld();
  ahead.clock.setWall(NOVEMBER_20 + 70 * DAY_MS);
  ahead.run(DOUBT_MS - HOUR_MS);
  assert.equal(ahead.begun, 0);
  ahead.run(2 * HOUR_MS);
  assert.deepEqual([ahead.begun, at(ahead.period.endMs)], [1, "2027-02-01T00"]);

  const back = new PeriodWorld(new ManualClock(NOVEMBER_20 + YEARS_MS));
  back.clock.setWall(NOVEMBER_20);
  back.run(DOUBT_MS + HOUR_MS);
  assert.deepEqual([back.begun, at(back.period.endMs)], [0, "2026-12-01T00"]);
});

test("a clock that jumps about is not believed: it did not stay", () => {
  const world = new PeriodWorld();
  for (let i = 1; i < 10; i++) {
    world.clock.setWall(NOVEMBER_20 + i * 100 * DAY_MS);
    world.run(20 * HOUR_MS);
  }
  assert.equal(world.begun, 0);
});

test("a clock that is corrected over the end and back ends the period once", () => {
  const world = new PeriodWorld(new ManualClock(DECEMBER_1 - HOUR_MS));
  for (let i = 0; i < 5; i++) {
    world.clock.setWall(DECEMBER_1 + HOUR_MS);
    world.look();
    world.clock.setWall(DECEMBER_1 - HOUR_MS);
    world.look();
  }
  assert.deepEqual([world.begun, at(world.period.endMs)], [1, "2027-01-01T00"]);
});

test("another day in the configuration moves the end, and begins nothing", () => {
  const before = new PeriodWorld();
  const world = before.restart(before.clock.restarted(1000), 25);
  assert.deepEqual([world.begun, at(world.period.endMs)], [0, "2026-11-25T00"]);
  const late = before.restart(before.clock.restarted(1000), 10);
  assert.deepEqual([late.begun, at(late.period.endMs)], [0, "2026-12-10T00"]);
});
