import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type AgeRecord, AgeScale, BEHIND_MS_MAX, GAPS_MAX } from "../../../src/base/age-scale.ts";
import { ManualClock } from "../../../src/base/clock.ts";

const BUILT = Date.UTC(2026, 10, 21);
const NOON = Date.UTC(2026, 11, 1, 12);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Where a board without a battery starts. */
const NEVER = 60_000;

/** A board through its starts: each run resumes what the one before saved. */
class Board {
  clock: ManualClock;
  /** Of the last save. */
  record: AgeRecord | null = null;
  newestMs = 0;

  constructor(wallMs: number) {
    this.clock = new ManualClock(wallMs, BUILT);
    this.clock.scale.resume(null, 0, this.clock.reading());
  }

  get state(): string {
    return this.clock.scale.state;
  }

  stamp(): number {
    this.newestMs = Math.trunc(this.clock.ageMs()); // as a row has it
    return this.newestMs;
  }

  /** In whole seconds: a restart rounds up by a millisecond or two. */
  hours(stampMs: number): number {
    return Math.round(this.clock.elapsedMs(stampMs) / 1000) / 3600;
  }

  save(): this {
    this.record = this.clock.scale.record(this.clock.reading());
    return this;
  }

  run(hours: number): this {
    this.clock.advance(hours * HOUR);
    return this;
  }

  /** NTP, or whoever sets it; the watch looks a moment later. @returns hours that count from now on */
  set(wallMs: number): number {
    this.clock.setWall(wallMs);
    return this.look();
  }

  look(): number {
    return Math.round(this.clock.scale.observe(this.clock.reading()).countedMs / 1000) / 3600;
  }

  restart(offHours: number): this {
    return this.#start(this.clock.restarted(offHours * HOUR));
  }

  reboot(wallMs: number): this {
    return this.#start(this.clock.rebooted(wallMs));
  }

  #start(clock: ManualClock): this {
    this.clock = clock;
    clock.scale.resume(this.record, this.newestMs, clock.reading());
    return this.save(); // before anything is stamped
  }
}

describe("the age of a stamp", () => {
  test("within a run it is monotonic time, whatever the wall clock does", () => {
    const board = new Board(NOON);
    const stamp = board.stamp();
    board.run(1).set(NOON - 50 * DAY);
    board.run(1).set(0);
    board.run(1).set(NOON + 50 * DAY);
    assert.equal(board.hours(stamp), 3);
    assert.equal(board.state, "set");
  });

  test("off-time counts at once when the clock is right at the start", () => {
    const board = new Board(NOON);
    const stamp = board.stamp();
    board
      .run(1)
      .save()
      .reboot(NOON + 5 * HOUR);
    assert.equal(board.state, "set");
    assert.equal(board.hours(stamp), 5);
    assert.deepEqual(board.clock.scale.gaps, [], "nothing of this run was stamped yet: the scale has moved");
    assert.equal(board.hours(board.stamp()), 0);
  });

  test("a board that starts in 1970 counts no off-time until NTP, and then all of it for what is older, once", () => {
    const board = new Board(NOON);
    const old = board.stamp();
    board.run(1).save().reboot(NEVER);
    assert.equal(board.state, "unset");
    const young = board.run(2).stamp();
    assert.equal(board.hours(old), 3);
    assert.equal(board.set(NOON + 10 * HOUR), 7);
    assert.equal(board.state, "set");
    assert.equal(board.hours(old), 10);
    assert.equal(board.hours(young), 0, "it did not age because NTP came");
    assert.equal(board.look(), 0);
    assert.equal(board.set(NOON + 99 * HOUR), 0, "from then on a jump is a correction");
    assert.equal(board.hours(old), 10);
  });

  test("two starts in 1970, each with hours of running: NTP gives all off-time to what is older than both", () => {
    const board = new Board(NOON);
    const old = board.stamp();
    board.run(1).save().reboot(NEVER);
    const first = board.run(2).stamp();
    board.save().reboot(NEVER);
    const second = board.run(3).stamp();
    assert.deepEqual(
      [old, first, second].map((stamp) => board.hours(stamp)),
      [6, 3, 0],
    );
    assert.equal(board.set(NOON + 100 * HOUR), 94);
    assert.deepEqual(
      [old, first, second].map((stamp) => board.hours(stamp)),
      [100, 3, 0],
    );
    board
      .run(1)
      .save()
      .reboot(NOON + 110 * HOUR);
    assert.deepEqual(
      [old, first, second].map((stamp) => board.hours(stamp)),
      [110, 13, 10],
    );
  });

  test("NTP in the second run and not in the first gives the same, though the clock is right from its start", () => {
    const board = new Board(NOON);
    const old = board.stamp();
    board.save().reboot(NEVER);
    const first = board.run(2).stamp();
    board.save().reboot(NOON + 50 * HOUR);
    assert.deepEqual(
      [old, first, board.stamp()].map((stamp) => board.hours(stamp)),
      [50, 0, 0],
    );
  });

  test("kill -9 and a start on the same machine is exact without any wall clock", () => {
    const board = new Board(NEVER);
    const stamp = board.stamp();
    board.run(1).save().run(5); // what was saved is five hours old
    board.restart(2);
    assert.equal(board.state, "unset");
    assert.equal(board.hours(stamp), 8);
    assert.equal(board.set(NOON), 0, "nothing was missing");
    assert.equal(board.hours(stamp), 8);
  });

  test("a start on the same machine keeps in mind what an earlier reboot left open", () => {
    const board = new Board(NOON);
    const old = board.stamp();
    board.save().reboot(NEVER);
    const young = board.run(1).stamp();
    board.save().restart(1);
    assert.deepEqual(
      [old, young].map((stamp) => board.hours(stamp)),
      [2, 1],
    );
    assert.equal(board.set(NOON + 30 * HOUR), 28);
    assert.deepEqual(
      [old, young].map((stamp) => board.hours(stamp)),
      [30, 1],
    );
  });

  test("an uptime that went backwards is another machine's: it does not count", () => {
    const board = new Board(NEVER);
    const stamp = board.run(10).stamp();
    board.save();
    board.clock = new ManualClock(NEVER, BUILT);
    board.clock.scale.resume(board.record, 0, board.clock.reading());
    assert.equal(board.hours(stamp), 0);
    assert.ok(board.clock.scale.lacksToMs > 0);
  });

  test("a power cut long after the last save: rows are newer than it, and none is from the future", () => {
    const board = new Board(NOON);
    const old = board.stamp();
    board.save().run(5);
    const young = board.stamp();
    board.reboot(NEVER);
    assert.deepEqual(
      [old, young].map((stamp) => board.hours(stamp)),
      [5, 0],
    );
    assert.equal(board.set(NOON + 20 * HOUR), 15);
    assert.deepEqual(
      [old, young].map((stamp) => board.hours(stamp)),
      [20, 15],
    );
  });

  test("a board that never had a clock: its first NTP says nothing of the time before", () => {
    const board = new Board(NEVER);
    const stamp = board.run(1).stamp();
    board.save().reboot(NEVER).run(1);
    assert.equal(board.set(NOON), 0);
    assert.equal(board.hours(stamp), 1);
    board.save().reboot(NOON + 9 * HOUR);
    assert.equal(board.hours(stamp), 10);
  });
});

describe("which clock is right", () => {
  test("one that is later than the build, not one that shows the build itself", () => {
    assert.equal(new Board(BUILT).state, "unset");
    assert.equal(new Board(BUILT + 1).state, "set");
  });

  test("after a restart not one that is before the largest time saved; once it has caught up, nothing is missing", () => {
    const board = new Board(NOON);
    const stamp = board.stamp();
    board.save().reboot(NOON - HOUR);
    assert.equal(board.state, "behind");
    board.run(0.5).look();
    assert.equal(board.state, "behind");
    assert.equal(board.run(0.75).look(), 0); // by less than its own running time: that is how far it was behind
    assert.equal(board.state, "behind");
    assert.equal(board.set(NOON + 3 * HOUR), 1.75);
    assert.equal(board.hours(stamp), 3);
  });

  test("a time from the future that was corrected while running is forgotten with the next save", () => {
    const board = new Board(NOON + 3650 * DAY);
    const stamp = board.stamp();
    board.save();
    assert.equal(board.set(NOON), 0);
    board.save().reboot(NOON + 2 * HOUR);
    assert.equal(board.state, "set");
    assert.equal(board.hours(stamp), 2);
  });

  test("a time from the future that was saved holds off-time up for a day of running, then the present clock is right", () => {
    const board = new Board(NOON + 3650 * DAY);
    const stamp = board.stamp();
    board.save().reboot(NOON);
    board.look();
    board.clock.advance(BEHIND_MS_MAX - 1);
    board.look();
    assert.equal(board.state, "behind");
    board.clock.advance(1);
    assert.deepEqual(board.clock.scale.observe(board.clock.reading()), { countedMs: 0, tookBack: true });
    assert.equal(board.state, "set");
    assert.equal(board.hours(stamp), 24);
    board.save().reboot(NOON + 27 * HOUR);
    assert.equal(board.hours(stamp), 27);
  });

  test("a clock that falls back to 1970 while running changes neither ages nor what was known", () => {
    const board = new Board(NOON);
    const stamp = board.stamp();
    board.run(1).set(0);
    assert.equal(board.state, "unset");
    board
      .run(1)
      .save()
      .reboot(NOON + 7 * HOUR);
    assert.equal(board.hours(stamp), 7);
  });
});

test("gaps are bounded: beyond the limit nothing gets older than it is, and the oldest keeps all", () => {
  const board = new Board(NOON);
  const stamps: number[] = [];
  const hours = 2 * (GAPS_MAX + 4);
  for (let i = 0; i < hours; i += 2) {
    stamps.push(board.stamp());
    board.run(1).save().reboot(NEVER);
    assert.equal(board.set(NOON + (i + 2) * HOUR), 1);
  }
  assert.equal(board.clock.scale.gaps.length, GAPS_MAX);
  assert.equal(board.hours(stamps[0] as number), hours);
  for (const [i, stamp] of stamps.entries()) assert.ok(board.hours(stamp) <= hours - 2 * i + 0.01);
  assert.equal(board.hours(stamps.at(-1) as number), 2);
});

test("random lives of a board: no stamp is ever older than it is, and what was stamped with a clock is as old as it is", () => {
  let seed = 7;
  const random = (n: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * n);
  };
  for (let life = 0; life < 300; life++) {
    const board = new Board(NOON);
    let truth = NOON;
    board.save();
    const stamps = [{ at: NOON, stamp: board.stamp() }];
    for (let step = 0; step < 40; step++) {
      const what = random(7);
      const ms = what < 5 ? random(5 * HOUR) : 0;
      truth += ms;
      if (what < 2) board.run(ms / HOUR);
      else if (what === 2) board.restart(ms / HOUR);
      else if (what === 3) board.reboot(NEVER);
      else if (what === 4) board.reboot(truth);
      else if (what === 5) board.save();
      else board.set(truth);
      stamps.push({ at: truth, stamp: board.stamp() });
      for (const { at, stamp } of stamps) assert.ok(board.clock.elapsedMs(stamp) <= truth - at + 100, `life ${life}`);
    }
    board.set(truth);
    assert.ok(Math.abs(board.clock.elapsedMs(stamps[0]?.stamp ?? 0) - (truth - NOON)) < 100, `life ${life}`);
  }
});

test("a scale that nobody resumed has stamps too, and 0 is none", () => {
  const scale = new AgeScale(BUILT);
  assert.ok(scale.offsetMs > 0);
  assert.equal(scale.elapsedMs(5, scale.offsetMs), 5);
  assert.equal(scale.elapsedMs(5, scale.offsetMs + 50), 0, "a stamp from the future has no age");
});
