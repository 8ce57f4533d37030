/** The Observe option's values, judged as a client does (RFC 7641 section 3.4). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../../../src/base/clock.ts";
import { seededRandom } from "../../../../../src/base/random.ts";
import { nextPlace, observeValue } from "../../../../../src/protocol/coap/observe/sequence.ts";

const HALF = 2 ** 23;

/** Whether a client takes `v2`, which came at `t2` s, for newer than `v1`. */
function isNewer(v1: number, t1: number, v2: number, t2: number): boolean {
  return (v1 < v2 && v2 - v1 < HALF) || (v1 > v2 && v1 - v2 > HALF) || t2 > t1 + 128;
}

test("each notification is newer to a client than the one before, and no older one is taken for newer within 128 s", () => {
  const clock = new ManualClock();
  const random = seededRandom(7);
  const sent: { value: number; seconds: number }[] = [];
  let place = 0;
  for (let i = 0; i < 20_000; i++) {
    if (random() < 0.7) clock.advance(Math.floor(random() * (random() < 0.01 ? 8_000_000 : 300)));
    place = nextPlace(place, clock);
    sent.push({ value: observeValue(place), seconds: clock.nowMs() / 1000 });
    assert.ok(observeValue(place) < 2 ** 24);
  }
  for (let i = 1; i < sent.length; i++) {
    const { value, seconds } = sent[i]!;
    for (let j = Math.max(0, i - 20); j < i; j++) {
      const older = sent[j]!;
      assert.ok(isNewer(older.value, older.seconds, value, seconds), `${j} ${i}`);
      if (seconds - older.seconds <= 128) assert.ok(!isNewer(value, seconds, older.value, seconds), `${i} ${j}`);
    }
  }
});

test("a burst within one millisecond counts on", () => {
  const clock = new ManualClock();
  const first = nextPlace(0, clock);
  assert.deepEqual([nextPlace(first, clock), nextPlace(first + 1, clock)], [first + 1, first + 2]);
});

test("values go over from 2^24 - 1 to 0", () => {
  assert.deepEqual([observeValue(2 ** 24 - 1), observeValue(2 ** 24), observeValue(2 ** 24 + 1)], [2 ** 24 - 1, 0, 1]);
});
