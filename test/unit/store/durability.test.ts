/** Rules of `durability`: other moments of acknowledgement for some topics, in one group with the rest. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DURABLE, OPEN, WRITTEN } from "../../../src/core/message.ts";
import { type Durability, SETTLED } from "../../../src/core/ports.ts";
import { eventually } from "../../support/eventually.ts";
import {
  Answers,
  crashImage,
  dataDir,
  FakeReceiver,
  messageOfText,
  openTestStore,
  publish,
} from "../../support/store-fixture.ts";

const FULL: Durability = { commitDelayMs: null, sync: "full" };
const NORMAL: Durability = { commitDelayMs: null, sync: "normal" };
const OFF: Durability = { commitDelayMs: null, sync: "off" };
const MINUTE = { commitDelayMs: 60_000 };

function tokens(answers: Answers): number[] {
  return answers.told.map(([token]) => token);
}

test("in one group, who asks for less is told after the commit and who asks for more after the sync, each in order", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { sync: "full" });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const syncs = counters.get("store.syncs");
  const durabilities = [null, OFF, FULL, NORMAL, OFF, null];
  const published = durabilities.map((durability, i) => publish(store, answers, [cloud], `m${i}`, "t", durability));
  await published[1]?.stored;
  assert.deepEqual(tokens(answers), [2, 4, 5], "told in the turn of the commit");
  assert.equal(counters.get("store.syncs"), syncs + 1, "the sync has begun for the others");
  assert.equal(cloud.durable, 0);
  assert.deepEqual(await Promise.all(published.map(({ stored }) => stored)), Array(6).fill(SETTLED));
  assert.deepEqual(tokens(answers), [2, 4, 5, 1, 3, 6]);
  assert.equal(counters.get("store.commits"), 1);
  assert.equal(counters.get("store.syncs"), syncs + 1);
});

test("sync full for a topic brings its group to the medium where the store's own is normal or off", async (t) => {
  for (const sync of ["normal", "off"] as const) {
    const { store, counters } = await openTestStore(dataDir(t), { sync, syncHighest: "full" });
    const answers = new Answers();
    const cloud = new FakeReceiver(store, "uplink", "cloud");
    await answers.barrier(store);
    const syncs = counters.get("store.syncs");
    const alarm = publish(store, answers, [cloud], "alarm", "t", FULL);
    const other = publish(store, answers, [cloud], "other");
    await other.stored;
    assert.deepEqual(tokens(answers), [1, 3], "the alarm waits for the sync");
    const later = publish(store, answers, [cloud], "later");
    assert.equal(await alarm.stored, SETTLED);
    assert.equal(counters.get("store.syncs"), syncs + 1);
    await later.stored;
    assert.equal(counters.get("store.syncs"), syncs + 1, "who does not ask for it is not synced");
  }
});

test("sync off for a topic: nothing is synced for it, and kill -9 loses nothing that was told", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir, { sync: "full" });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await answers.barrier(store);
  const syncs = counters.get("store.syncs");
  for (const text of ["a", "b", "c"]) await publish(store, answers, [cloud], text, "debug/1", OFF).stored;
  assert.equal(counters.get("store.syncs"), syncs);
  const again = await openTestStore(crashImage(t, dir));
  assert.deepEqual(new FakeReceiver(again.store, "uplink", "cloud").recover(), ["a", "b", "c"]);
});

test("whoever waits for everything up to now waits for the sync that nobody needed before", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { sync: "full" });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await answers.barrier(store);
  await publish(store, answers, [cloud], "a", "debug/1", OFF).stored;
  const syncs = counters.get("store.syncs");
  assert.equal(await answers.barrier(store), SETTLED);
  assert.equal(counters.get("store.syncs"), syncs + 1);
  assert.equal(await answers.barrier(store), SETTLED);
  assert.equal(counters.get("store.syncs"), syncs + 1, "now there is nothing to wait for");
});

test("what goes out at QoS 2, and a barrier, wait for the sync where any topic has it: only acknowledgements move", async (t) => {
  for (const [sync, durability] of [
    ["full", OFF],
    ["normal", null],
  ] as const) {
    const { store, counters } = await openTestStore(dataDir(t), { sync, syncHighest: "full" });
    const answers = new Answers();
    const cloud = new FakeReceiver(store, "uplink", "cloud");
    await answers.barrier(store);
    const syncs = counters.get("store.syncs");
    const message = messageOfText("twice would be wrong", "t", 2);
    message.durability = durability;
    message.addReceiver(cloud.id, 2);
    const stored = answers.expect(message);
    store.append(message);
    cloud.took(message);
    assert.equal(await stored, SETTLED);
    assert.deepEqual([message.state, cloud.durable], [WRITTEN, 0], "its publisher is told, its receiver is not");
    const barrier = answers.barrier(store);
    await eventually("the receiver is told", () => cloud.durable === 1);
    assert.equal(message.state, DURABLE);
    assert.equal(await barrier, SETTLED);
    assert.equal(counters.get("store.syncs"), syncs + 1);
  }
});

test("what is told early behind a group that waits for its sync overtakes it; a barrier behind both does not", async (t) => {
  const { store } = await openTestStore(dataDir(t), { sync: "full", commitDelayMs: 0 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const first = publish(store, answers, [cloud], "waits");
  await eventually("its commit", () => first.message.state !== OPEN);
  void publish(store, answers, [cloud], "does not", "t", OFF);
  await answers.barrier(store);
  assert.equal(tokens(answers).at(-1), 3);
  assert.deepEqual(tokens(answers).sort(), [1, 2, 3]);
});

test("a delay shorter than the store's makes the group due for all that is in it", async (t) => {
  const { store } = await openTestStore(dataDir(t), MINUTE);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const waits = publish(store, answers, [cloud], "waits for a minute");
  const alarm = publish(store, answers, [cloud], "alarm", "t", { commitDelayMs: 10, sync: null });
  assert.deepEqual(await Promise.all([waits.stored, alarm.stored]), [SETTLED, SETTLED]);
});

test("a message with a delay longer than the store's does not make its group due earlier, and goes with others", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 5 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await answers.barrier(store);
  const slow: Durability = { commitDelayMs: 700, sync: null };
  const startedMs = performance.now();
  await publish(store, answers, [cloud], "alone", "slow/1", slow).stored;
  const waitedMs = performance.now() - startedMs;
  assert.ok(waitedMs >= 699, `${waitedMs} ms: not with what nobody waits for either, which is written after 500 ms`);
  const minute: Durability = { commitDelayMs: 60_000, sync: null };
  const company = publish(store, answers, [cloud], "in company", "slow/1", minute);
  await publish(store, answers, [cloud], "other").stored;
  assert.equal(await company.stored, SETTLED);
});

test("a message whose own delay made the group due, and that is elided, does not make it due any more", async (t) => {
  const { store } = await openTestStore(dataDir(t), MINUTE);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const minute = publish(store, answers, [cloud], "minute");
  const alarm = publish(store, answers, [cloud], "alarm", "t", { commitDelayMs: 20, sync: null });
  cloud.acknowledge(alarm.message);
  await alarm.stored;
  // The store's timer of 20 ms fires before this one.
  await new Promise((resolve) => setTimeout(resolve, 60));
  assert.equal(minute.message.state, OPEN);
});

test("a retained value has its topic's durability: 0ms closes the group, and the moment is its own", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { ...MINUTE, sync: "full" });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const other = publish(store, answers, [cloud], "waits for a minute");
  const syncs = counters.get("store.syncs");
  const values = ["on", "off"].map((text) => {
    const value = messageOfText(text, "lamp", 1, true);
    value.durability = { commitDelayMs: 0, sync: "off" };
    value.pending++;
    const stored = answers.expect(value);
    store.putRetained(value);
    return stored;
  });
  assert.deepEqual(await Promise.all(values), [SETTLED, SETTLED], "the last acknowledges the earlier one");
  assert.deepEqual(tokens(answers), [2, 3]);
  assert.equal(await other.stored, SETTLED);
  assert.equal(counters.get("store.syncs"), syncs + 1);
});

test("whoever is told may call the store: nobody is told within that, and the order of groups is kept", async (t) => {
  for (const sync of ["full", "normal"] as const) {
    const { store } = await openTestStore(dataDir(t), { sync });
    const cloud = new FakeReceiver(store, "uplink", "cloud");
    const told: number[] = [];
    let telling = false;
    let closed: Promise<void> | null = null;
    const waiter = {
      onStored(token: number): void {
        assert.equal(telling, false, "not within another telling");
        telling = true;
        told.push(token);
        if (token < 5) {
          enter(token + 5, token % 2 === 0 ? OFF : null);
          store.barrier(waiter, token + 100);
        }
        // Ends the store in the middle of it: what was entered is written and told.
        if (token === 3) closed = store.close();
        telling = false;
      },
    };
    const enter = (token: number, durability: Durability | null): void => {
      const message = messageOfText(`m${token}`);
      message.durability = durability;
      message.addReceiver(cloud.id, 1);
      message.waiter = waiter;
      message.waiterToken = token;
      store.append(message);
      cloud.took(message);
    };
    for (let token = 0; token < 5; token++) enter(token, OFF);
    await eventually("all are told", () => told.length === 15);
    await closed;
    assert.deepEqual(told.slice(0, 5), [0, 1, 2, 3, 4], "the first group before all else");
    assert.deepEqual(
      told.filter((token) => token >= 100),
      [100, 101, 102, 103, 104],
    );
  }
});
