import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../../src/base/backoff.ts";
import { ManualClock } from "../../../src/base/clock.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { Semaphore, SemaphoreFull } from "../../../src/base/semaphore.ts";
import { TokenBucket } from "../../../src/base/token-bucket.ts";

test("a seed replays its numbers, all of them in [0, 1)", () => {
  const [a, b, other] = [seededRandom(3), seededRandom(3), seededRandom(4)];
  let different = 0;
  for (let i = 0; i < 1000; i++) {
    const value = a();
    assert.equal(value, b());
    assert.ok(value >= 0 && value < 1);
    if (value !== other()) different++;
  }
  assert.ok(different > 900);
});

test("backoff doubles its ceiling up to the cap, never below half the base, and starts anew after reset", () => {
  const high = new Backoff({ baseMs: 1000, capMs: 5000 }, () => 0.999_999);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => Math.round(high.next())),
    [1000, 2000, 4000, 5000, 5000],
  );
  high.reset();
  assert.equal(Math.round(high.next()), 1000);
  const low = new Backoff({ baseMs: 1000, capMs: 5000 }, () => 0);
  assert.deepEqual(
    [1, 2, 3].map(() => low.next()),
    [500, 500, 500],
  );
});

test("a token bucket gives its burst at once and then its rate", () => {
  const clock = new ManualClock();
  const bucket = new TokenBucket(10, 5, clock);
  assert.equal(bucket.take(5), true);
  assert.equal(bucket.take(), false);
  assert.equal(Math.round(bucket.waitMs()), 100);
  clock.advance(99);
  assert.equal(bucket.take(), false);
  clock.advance(1);
  assert.equal(bucket.take(), true);
  clock.advance(60_000);
  assert.equal(bucket.waitMs(5), 0);
  assert.equal(bucket.take(5), true);
  assert.equal(bucket.take(), false);
});

test("what is larger than the bucket goes when it is full, and is paid back", () => {
  const clock = new ManualClock();
  const bucket = new TokenBucket(10, 5, clock);
  assert.equal(bucket.take(25), true);
  assert.equal(Math.round(bucket.waitMs(1)), 2100);
  clock.advance(2499);
  assert.equal(bucket.take(25), false, "not full again");
  clock.advance(1);
  assert.equal(bucket.take(25), true);
});

test("who comes late for tokens gets the rate exactly, up to the slack, and never more than rate and burst", () => {
  for (const n of [1, 7, 89, 90, 91, 100, 250]) {
    const clock = new ManualClock();
    const random = seededRandom(n);
    const bucket = new TokenBucket(100, 100, clock, 100);
    const burst = Math.max(100, n + 10);
    const takings: { atMs: number; sum: number }[] = [];
    let sum = 0;
    while (clock.nowMs() < 600_000) {
      while (bucket.take(n)) {
        sum += n;
        takings.push({ atMs: clock.nowMs(), sum });
      }
      clock.advance(bucket.waitMs(n) + random() * 100);
    }
    assert.ok(sum >= 60_000 - n, `${n}: ${sum} taken in ten minutes`);
    // Over any stretch: from just before one taking to another.
    let lead = Number.NEGATIVE_INFINITY;
    for (const { atMs, sum: taken } of takings) {
      lead = Math.max(lead, atMs / 10 - (taken - n));
      assert.ok(taken - atMs / 10 + lead <= burst + 1e-3, `${n}: ${taken} taken until ${atMs} ms`);
    }
  }
});

test("a semaphore runs as many tasks as it has permits, the others in order, and refuses beyond its bound", async () => {
  const semaphore = new Semaphore(1, 2);
  const order: string[] = [];
  let release = () => {};
  const first = semaphore.run(
    () =>
      new Promise<string>((resolve) => {
        release = () => resolve("first");
      }),
  );
  const second = semaphore.run(async () => {
    order.push("second");
    throw new Error("second failed");
  });
  const third = semaphore.run(async () => order.push("third"));
  await assert.rejects(
    semaphore.run(async () => order.push("fourth")),
    SemaphoreFull,
  );
  assert.equal(semaphore.waiting, 2);
  assert.deepEqual(order, []);
  release();
  assert.equal(await first, "first");
  await assert.rejects(second, /second failed/);
  await third;
  assert.deepEqual(order, ["second", "third"]);
  assert.equal(await semaphore.run(async () => 5), 5);
});
