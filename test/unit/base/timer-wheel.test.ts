import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock, SystemClock } from "../../../src/base/clock.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { type Expirable, Timer, TimerWheel } from "../../../src/base/timer-wheel.ts";

class Recorder implements Expirable {
  readonly kinds: number[] = [];
  onExpiry: (kind: number) => void = () => {};

  onTimer(kind: number): void {
    this.kinds.push(kind);
    this.onExpiry(kind);
  }
}

test("a timer expires not before its delay and at most one resolution later", () => {
  for (const delayMs of [0, 1, 49, 50, 51, 3199, 3200, 3201, 204_799, 204_800, 13_107_200, 86_400_000]) {
    const clock = new ManualClock();
    clock.advance(12_345.6);
    const wheel = new TimerWheel(clock, 50);
    const owner = new Recorder();
    wheel.schedule(new Timer(owner, 7), delayMs);
    clock.advance(delayMs - 0.5);
    if (delayMs > 0) wheel.tick();
    assert.deepEqual(owner.kinds, [], `${delayMs} ms: not early`);
    clock.advance(50.5);
    wheel.tick();
    assert.deepEqual(owner.kinds, [7], `${delayMs} ms: not late`);
    assert.equal(wheel.armed, 0);
  }
});

test("a delay of 2^31 seconds is kept", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, 50);
  const owner = new Recorder();
  wheel.schedule(new Timer(owner, 0), 2 ** 31 * 1000);
  clock.advance(2 ** 31 * 1000 - 1);
  wheel.tick();
  assert.equal(owner.kinds.length, 0);
  clock.advance(51);
  wheel.tick();
  assert.equal(owner.kinds.length, 1);
});

test("arming again moves a timer, and a cancelled one never expires", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, 50);
  const owner = new Recorder();
  const timer = new Timer(owner, 1);
  assert.equal(timer.armed, false);
  wheel.schedule(timer, 100);
  wheel.schedule(timer, 1000);
  clock.advance(500);
  wheel.tick();
  assert.equal(timer.armed, true);
  wheel.cancel(timer);
  wheel.cancel(timer);
  clock.advance(10_000);
  wheel.tick();
  assert.deepEqual(owner.kinds, []);
  assert.equal(timer.armed, false);
});

test("owners may arm and cancel any timer while timers expire", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, 50);
  const owner = new Recorder();
  const timers = [0, 1].map((kind) => new Timer(owner, kind));
  owner.onExpiry = (kind) => {
    // Both are due now: whichever comes first takes the other out and arms itself again.
    wheel.cancel(timers[1 - kind] as Timer);
    wheel.schedule(timers[kind] as Timer, 100);
  };
  for (const timer of timers) wheel.schedule(timer, 100);
  clock.advance(100);
  wheel.tick();
  assert.equal(owner.kinds.length, 1);
  assert.equal(wheel.armed, 1);
  clock.advance(99);
  wheel.tick();
  assert.equal(owner.kinds.length, 1);
  clock.advance(51);
  wheel.tick();
  assert.deepEqual(owner.kinds, [owner.kinds[0], owner.kinds[0]]);
});

test("a thousand timers behave as a sorted list would, over days", () => {
  const random = seededRandom(4);
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, 10);
  const dueMs = new Map<number, number>();
  let late = 0;
  const owner: Expirable = {
    onTimer(kind) {
      const due = dueMs.get(kind);
      assert.ok(due !== undefined, "expired without being armed");
      assert.ok(clock.nowMs() >= due, "expired early");
      dueMs.delete(kind);
      late = Math.max(late, lastTickMs - due);
    },
  };
  let lastTickMs = 0;
  const timers = Array.from({ length: 1000 }, (_, kind) => new Timer(owner, kind));
  for (let round = 0; round < 20_000; round++) {
    const kind = Math.floor(random() * timers.length);
    const timer = timers[kind] as Timer;
    if (random() < 0.2) {
      wheel.cancel(timer);
      dueMs.delete(kind);
    } else {
      const delayMs = random() ** 6 * 5e8;
      wheel.schedule(timer, delayMs);
      dueMs.set(kind, clock.nowMs() + delayMs);
    }
    if (random() < 0.5) {
      clock.advance(random() ** 4 * 1e6);
      wheel.tick();
      for (const due of dueMs.values()) assert.ok(due > clock.nowMs() - 10, "overdue after a tick");
      lastTickMs = clock.nowMs();
    }
  }
  assert.equal(wheel.armed, dueMs.size);
  assert.ok(late <= 10, `late by ${late} ms at a tick that should have had it`);
});

test("a started wheel ticks by itself, and holds no node timer when nothing is armed", async () => {
  const wheel = new TimerWheel(new SystemClock(), 5);
  wheel.start();
  assert.equal(process.getActiveResourcesInfo().includes("Timeout"), false);
  await new Promise<void>((resolve) => {
    const owner = { onTimer: () => resolve() };
    wheel.schedule(new Timer({ onTimer() {} }, 0), 60_000);
    const soon = new Timer(owner, 0);
    wheel.schedule(soon, 20);
    assert.equal(process.getActiveResourcesInfo().includes("Timeout"), true);
  });
  wheel.stop();
  assert.equal(process.getActiveResourcesInfo().includes("Timeout"), false);
});
