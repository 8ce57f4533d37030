// Test how many messages may go out again after kill -9, whatever is answered and whenever the store writes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { Store } from "../../../../src/core/ports.ts";
import { Repeats } from "../../../../src/uplink/out/repeats.ts";

/** A spool that sends all it may, and a store that writes when the test says so. */
class World {
  inFlight = 0;
  answeredSinceWritten = 0;
  asked = 0;
  atOnce = 0;
  pumps = 0;
  #told: (() => void)[] = [];
  readonly repeats: Repeats;
  readonly #window: number;

  constructor(window: number) {
    this.#window = window;
    const recordsWritten = (told: () => void, atOnce: boolean): void => {
      this.asked++;
      if (atOnce) this.atOnce++;
      if (!this.#told.includes(told)) this.#told.push(told);
    };
    this.repeats = new Repeats(window, { recordsWritten } as unknown as Store, this);
  }

  pump(): void {
    this.pumps++;
    while (this.inFlight < this.#window && this.repeats.takes()) this.inFlight++;
  }

  answer(): void {
    if (this.inFlight === 0) return;
    this.inFlight--;
    this.answeredSinceWritten++;
    this.repeats.answered();
    this.pump();
  }

  write(): void {
    this.answeredSinceWritten = 0;
    for (const told of this.#told.splice(0)) told();
  }

  get repeated(): number {
    return this.inFlight + this.answeredSinceWritten;
  }
}

for (const window of [1, 2, 15, 64, 1000]) {
  test(`with a window of ${window} at most ${window} go out again, and all that wait go out`, () => {
    const random = seededRandom(window);
    const world = new World(window);
    world.pump();
    let answers = 0;
    for (let step = 0; step < 20 * window + 200; step++) {
      if (random() < 0.9) {
        answers += Math.sign(world.inFlight);
        world.answer();
      } else world.write();
      assert.ok(world.repeated <= window, `${world.repeated}`);
    }
    assert.ok(answers > 2 * window, "it goes on");
  });
}

test("half a window of answers is written at once, fewer with other work", () => {
  const world = new World(64);
  world.pump();
  for (let n = 0; n < 31; n++) world.answer();
  assert.deepEqual([world.asked, world.atOnce], [1, 0]);
  world.answer();
  assert.deepEqual([world.asked, world.atOnce], [2, 1]);
  world.write();
  assert.equal(world.inFlight, 64);
});

test("where nothing waits for room, nobody is pumped when records are written", () => {
  const world = new World(64);
  world.inFlight = 3;
  world.answer = () => world.repeats.answered();
  world.answer();
  world.write();
  assert.equal(world.pumps, 0);
});
