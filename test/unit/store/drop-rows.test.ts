import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { type DropChanges, Ledger } from "../../../src/core/ledger.ts";
import { Answers, crashImage, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

function changesOf(ledger: Ledger): DropChanges {
  return ledger.takeChanges() as DropChanges;
}

test("drops outlive kill -9 with the commit they went along with", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir);
  const answers = new Answers();
  const ledger = new Ledger(new Counters());
  ledger.record("session:a", () => "one", "queue-full", 5, 3);
  store.putDrops(changesOf(ledger), false);
  const one = new FakeReceiver(store, "session", "one");
  await answers.barrier(store);
  const commits = counters.get("store.commits");
  ledger.record("uplink:b", () => "two", "superseded", 6);
  ledger.record("session:a", () => "one", "queue-full", 7);
  store.putDrops(changesOf(ledger), false);
  assert.equal(counters.get("store.commits"), commits, "no commit of its own");
  publish(store, answers, [one], "m");
  await answers.barrier(store);
  const next = await openTestStore(crashImage(t, dir));
  const restored = new Ledger(new Counters());
  restored.restore(next.store.loadDrops());
  assert.deepEqual(restored.entries(), ledger.entries());
  assert.equal(restored.entries().length, 3);
  assert.deepEqual(
    restored.byReceiver().sort((a, b) => (a.receiver < b.receiver ? -1 : 1)),
    [
      { receiver: "session:a", causes: { "queue-full": 4 } },
      { receiver: "uplink:b", causes: { superseded: 1 } },
    ],
  );
});

test("drops that are due make a commit, and entries that the ledger forgot are deleted", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const ledger = new Ledger(new Counters());
  for (let i = 0; i < 100; i++) ledger.record(`session:${i}`, () => "t", "queue-full", i);
  store.putDrops(changesOf(ledger), true);
  for (let i = 100; i < 600; i++) ledger.record(`session:${i}`, () => "t", "queue-full", i);
  store.putDrops(changesOf(ledger), true);
  await store.close();
  const next = await openTestStore(dir);
  const { entries, counts } = next.store.loadDrops();
  assert.equal(entries.length, 256);
  assert.equal(entries.at(-1)?.receiver, "session:599");
  assert.equal(counts.length, 257);
  assert.equal(
    counts.reduce((sum, { count }) => sum + count, 0),
    600,
  );
});
