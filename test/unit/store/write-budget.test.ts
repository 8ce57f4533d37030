import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../src/base/clock.ts";
import { Log } from "../../../src/base/log.ts";
import { OPEN } from "../../../src/core/message.ts";
import { SETTLED } from "../../../src/core/ports.ts";
import { DAY_MS, MESSAGES, WriteMeter } from "../../../src/store/meter.ts";
import {
  WIDENING_FROM,
  WIDENING_MS_MAX,
  WriteBudget,
  type WriteBudgetParts,
  wideningMs,
  YEARS_MAX,
} from "../../../src/store/write-budget.ts";
import { Answers, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

const MIB = 2 ** 20;

test("the curve: nothing up to half of the budget, then ever more, one second when it is spent and beyond", () => {
  assert.equal(wideningMs(0), 0);
  assert.equal(wideningMs(WIDENING_FROM), 0);
  let last = 0;
  for (let share = 0; share <= 3; share += 0.001) {
    const ms = wideningMs(share);
    assert.ok(Number.isInteger(ms) && ms >= last && ms <= WIDENING_MS_MAX, `${ms} ms at ${share}`);
    assert.ok(ms - last < 8, `no leap at ${share}`);
    last = ms;
  }
  // As README.md says.
  assert.deepEqual([0.6, 0.7, 0.8, 0.9, 1, 1e9].map(wideningMs), [8, 64, 216, 512, 1000, 1000]);
});

function budgetOf(overrides: Partial<WriteBudgetParts> = {}) {
  const clock = new ManualClock();
  const meter = new WriteMeter(Buffer.alloc(0));
  const lines: string[] = [];
  const log = new Log({ level: "info", format: "text", write: (line) => lines.push(line.slice(25)) });
  const ageMs = (): number => clock.nowMs();
  const budget = new WriteBudget({
    meter,
    bytesPerDay: 100 * MIB,
    enduranceBytes: null,
    clock: { ageMs, elapsedMs: (stampMs) => Math.max(0, ageMs() - stampMs) },
    delayMs: () => 20,
    log,
    ...overrides,
  });
  const write = (bytes: number): void => {
    meter.add(MESSAGES, bytes);
    budget.check();
  };
  return { budget, clock, write, lines };
}

test("the window is commit_delay or the widening, whichever is longer, and the log says each change of state once", () => {
  const { budget, clock, write, lines } = budgetOf();
  write(50 * MIB);
  assert.deepEqual([budget.state, budget.windowMs()], ["normal", 20]);
  write(10 * MIB);
  assert.deepEqual([budget.state, budget.windowMs()], ["widened", 20]);
  write(30 * MIB);
  assert.deepEqual([budget.state, budget.windowMs()], ["widened", 512]);
  assert.equal(budget.widenedMs(600), 600, "a delay that is longer anyway stays");
  write(10 * MIB);
  write(10 * MIB);
  assert.deepEqual([budget.state, budget.windowMs()], ["spent", 1000]);
  assert.equal(budget.widenedMs(5000), 5000);
  clock.advance(DAY_MS - 1);
  assert.equal(budget.windowMs(), 1000, "stays there until the day is over");
  clock.advance(1);
  assert.equal(budget.windowMs(), 20, "at once when the day is over, though nothing was written since");
  assert.equal(budget.state, "normal");
  assert.deepEqual(
    lines.map((line) => /^(\w+) +store-write-budget state=(\w+)/.exec(line)?.slice(1).join(" ")),
    ["warn widened", "warn spent", "info normal"],
  );
  assert.deepEqual(budget.status().pastDays, [110 * MIB, 0, 0, 0, 0, 0, 0]);
});

test("without a budget nothing is widened, and the bytes are counted all the same", () => {
  const { budget, write, lines } = budgetOf({ bytesPerDay: "off" });
  write(2 ** 50);
  assert.deepEqual([budget.state, budget.windowMs()], ["off", 20]);
  assert.equal(budget.status().day.messages, 2 ** 50);
  assert.equal(budget.status().budget.usedPercent, 0);
  assert.deepEqual(lines, []);
});

test("wear: the share of the endurance that is written, and the years at the pace of the last days", () => {
  const { budget, clock, write } = budgetOf({ enduranceBytes: 30e12 });
  assert.equal(budget.wear()?.bytesPerDay, null, "no pace in the first hour");
  assert.equal(budget.wear()?.yearsLeft, null);
  write(3e9);
  clock.advance(DAY_MS / 2);
  assert.deepEqual(budget.wear(), {
    enduranceBytes: 30e12,
    usedPercent: 0.01,
    bytesPerDay: 6e9,
    yearsLeft: (30e12 - 3e9) / 6e9 / 365.25,
  });
  clock.advance(30 * DAY_MS);
  assert.equal(budget.wear()?.yearsLeft, YEARS_MAX, "nothing was written for a week");
  write(60e12);
  assert.equal(budget.wear()?.usedPercent.toFixed(2), "200.01");
  assert.equal(budget.wear()?.yearsLeft, 0);
});

test("wear is not estimated without an endurance", () => {
  assert.equal(budgetOf().budget.wear(), null);
});

test("a store over its budget commits once a second and acknowledges all; urgent messages and commit_bytes do not wait", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const clock = new ManualClock();
  const { store, counters } = await openTestStore(dataDir(t), {
    clock,
    commitDelayMs: 20,
    commitBytes: 64 * 1024,
    writeBudgetPerDay: 600_000,
  });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  let sent = 0;
  /** A message every 10 ms. @returns commits */
  const run = async (ms: number): Promise<number> => {
    const before = counters.get("store.commits");
    for (let at = 0; at < ms; at += 10) {
      publish(store, answers, [cloud], `${sent++}`);
      clock.advance(10);
      t.mock.timers.tick(10);
    }
    await new Promise((resolve) => setImmediate(resolve));
    return counters.get("store.commits") - before;
  };
  assert.equal(store.status().written.budget.state, "normal");
  const fast = await run(60);
  assert.ok(fast >= 2, `${fast} commits in 60 ms`);

  while (store.status().written.budget.state !== "spent") {
    const big = publish(store, answers, [cloud], "x".repeat(70_000));
    sent++;
    assert.equal(await big.stored, SETTLED, "commit_bytes closes the group");
  }
  const { budget, day } = store.status().written;
  assert.deepEqual([budget.state, budget.windowMs], ["spent", 1000]);
  assert.ok(day.messages > 70_000);

  const slow = await run(5000);
  assert.ok(slow >= 4 && slow <= 6, `${slow} commits in 5 s`);
  const own = publish(store, answers, [cloud], "a delay of its topic's own", "t", { commitDelayMs: 50, sync: null });
  sent++;
  clock.advance(900);
  t.mock.timers.tick(900);
  assert.equal(own.message.state, OPEN, "it is widened as well");
  const urgent = publish(store, answers, [cloud], "alarm", "t", { commitDelayMs: 0, sync: null });
  sent++;
  assert.equal(await urgent.stored, SETTLED, "without a tick of the clock");
  assert.equal(answers.told.length, sent, "everything before it was closed with it");
  assert.ok(answers.told.every(([, reason]) => reason === SETTLED));

  clock.advance(DAY_MS);
  const nextDay = await run(60);
  assert.ok(nextDay >= 2, `${nextDay} commits in 60 ms of the next day`);
  assert.deepEqual([store.status().written.budget.state, store.status().written.budget.windowMs], ["normal", 20]);
  assert.equal(counters.get("store.refused_full"), 0);
  t.mock.timers.reset();
});
