import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { SLICES_PER_TURN, type Sliced, Turns } from "../../../src/core/turns.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

class Greedy implements Sliced {
  slices = 0;
  readonly #turns: Turns;
  #wants: number;

  constructor(turns: Turns, wants: number) {
    this.#turns = turns;
    this.#wants = wants;
    turns.schedule(this);
  }

  runScheduled(): void {
    this.slices++;
    if (--this.#wants > 0) this.#turns.schedule(this);
  }
}

test("however many have more to do, a turn has a few slices, and all get the same in order", async () => {
  const counters = new Counters();
  const turns = new Turns(counters);
  const all = Array.from({ length: 101 }, () => new Greedy(turns, 10));
  assert.equal(counters.get("queue.slices_waiting"), 101);
  const total = () => all.reduce((sum, { slices }) => sum + slices, 0);
  for (let done = 0; done < 1010; ) {
    await turn();
    assert.equal(total(), Math.min(done + SLICES_PER_TURN, 1010));
    done = total();
    assert.ok(Math.max(...all.map(({ slices }) => slices)) - Math.min(...all.map(({ slices }) => slices)) <= 1);
  }
  await turn();
  assert.equal(total(), 1010);
  assert.deepEqual([counters.get("queue.slices"), counters.get("queue.slices_waiting")], [1010, 0]);
});

test("who asks after all is done gets the next turn", async () => {
  const turns = new Turns(new Counters());
  const first = new Greedy(turns, 1);
  await turn();
  assert.equal(first.slices, 1);
  const second = new Greedy(turns, 2);
  await turn();
  await turn();
  assert.deepEqual([first.slices, second.slices], [1, 2]);
});
