import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../../../src/base/clock.ts";
import { DURABLE, type Message, OPEN, WITHDRAWN, WRITTEN } from "../../../src/core/message.ts";
import { SETTLED } from "../../../src/core/ports.ts";
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

test("a message is acknowledged once its group is on the medium, in order of entry", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const published = ["a", "b", "c"].map((text) => publish(store, answers, [cloud], text));
  assert.deepEqual(
    published.map((p) => p.message.state),
    [OPEN, OPEN, OPEN],
  );
  assert.equal(answers.told.length, 0);
  assert.deepEqual(await Promise.all(published.map((p) => p.stored)), [SETTLED, SETTLED, SETTLED]);
  assert.deepEqual(
    answers.told.map(([token]) => token),
    [1, 2, 3],
  );
  assert.deepEqual(
    published.map((p) => p.message.state),
    [DURABLE, DURABLE, DURABLE],
  );
  assert.equal(counters.get("store.commits"), 1);
  assert.equal(cloud.durable, 1, "told once for its three messages");
  assert.deepEqual(cloud.readAll(), ["a", "b", "c"]);
});

test("an urgent message closes the group at the end of the turn", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 60_000 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const first = publish(store, answers, [cloud], "waits for a minute");
  const alarm = messageOfText("alarm");
  alarm.durability = { commitDelayMs: 0, sync: null };
  alarm.addReceiver(cloud.id, 1);
  const stored = answers.expect(alarm);
  store.append(alarm);
  assert.equal(alarm.state, OPEN, "not within append");
  assert.equal(await stored, SETTLED);
  assert.equal(await first.stored, SETTLED);
});

test("commit_bytes closes the group before it is due", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 60_000, commitBytes: 10_000 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const big = publish(store, answers, [cloud], "x".repeat(10_000));
  assert.equal(await big.stored, SETTLED);
});

test("what all receivers acknowledged before the commit is due is never written", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { commitDelayMs: 40 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const panel = new FakeReceiver(store, "session", "panel");
  await answers.barrier(store);
  const rows = counters.get("store.rows_written");
  const { message, stored } = publish(store, answers, [cloud, panel], "elided");
  cloud.acknowledge(message);
  assert.equal(message.state, OPEN, "one receiver is left");
  panel.acknowledge(message);
  assert.equal(message.state, WITHDRAWN);
  assert.deepEqual(answers.told.length, 1, "the waiter is not told within settle");
  assert.equal(await stored, SETTLED);
  assert.equal(counters.get("store.elided"), 1);
  await answers.barrier(store);
  assert.equal(counters.get("store.rows_written"), rows);
  assert.deepEqual(cloud.withdrawn, [], "not a withdrawal");
  assert.deepEqual(cloud.readAll(), []);
});

test("the clock of elision is that of the oldest message left: a stream that is acknowledged in time is not written", async (t) => {
  const clock = new ManualClock();
  const { store, counters } = await openTestStore(dataDir(t), { commitDelayMs: 20, clock });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const other = answers.barrier(store);
  clock.advance(20);
  await other;
  const commits = counters.get("store.commits");
  let waiting: Message | null = null;
  for (let i = 0; i < 60; i++) {
    const next = publish(store, answers, [cloud], `m${i}`).message;
    if (waiting !== null) cloud.acknowledge(waiting);
    waiting = next;
    clock.advance(8);
    // The store's timer is of this world: it fires, and finds that nothing is due.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(counters.get("store.elided"), 59);
  assert.equal(counters.get("store.rows_written"), 0);
  assert.equal(counters.get("store.commits"), commits, "records of receivers that hold nothing are not written either");
  clock.advance(20);
  await eventually("the last one", () => counters.get("store.rows_written") === 1);
});

test("what is in flight is not written because a receiver's record is: a stream goes on unwritten, and what came before it leaves", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir, { commitDelayMs: 250 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const late = publish(store, answers, [cloud], "late");
  await late.stored;
  const rows = counters.get("store.rows_written");
  // From now on there is always one message in flight, which is acknowledged well before it is due.
  let waiting = publish(store, answers, [cloud], "m").message;
  cloud.acknowledge(late.message);
  const goOn = (): void => {
    const next = publish(store, answers, [cloud], "m").message;
    cloud.acknowledge(waiting);
    waiting = next;
  };
  await eventually("the log is empty", () => {
    goOn();
    return store.status().rows === 0;
  });
  const commits = counters.get("store.commits");
  const untilMs = performance.now() + 1200;
  await eventually("more than two times 500 ms are over", () => {
    goOn();
    return performance.now() > untilMs;
  });
  assert.equal(counters.get("store.rows_written"), rows, "none of the stream");
  assert.equal(counters.get("store.commits"), commits);
  // The last one is written after all, and a restart knows what is left, and nothing else.
  await eventually("its commit", () => waiting.state !== OPEN);
  const again = await openTestStore(crashImage(t, dir));
  const recovered = new FakeReceiver(again.store, "uplink", "cloud");
  assert.deepEqual([recovered.record.count, recovered.record.bytes], [1, waiting.size]);
  assert.deepEqual(recovered.recover(), ["m"]);
});

test("only the receivers that are left are in the row", async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const panel = new FakeReceiver(store, "session", "panel");
  const { message, stored } = publish(store, answers, [cloud, panel], "for the panel");
  cloud.acknowledge(message);
  await stored;
  assert.deepEqual(cloud.readAll(1), []);
  assert.deepEqual(panel.readAll(1), ["for the panel"]);
});

test("a barrier is told after everything entered before it, at once when nothing is open", async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const { stored } = publish(store, answers, [cloud], "a");
  const barrier = answers.barrier(store);
  await barrier;
  assert.deepEqual(
    answers.told.map(([token]) => token),
    [1, 2],
  );
  await stored;
  assert.equal(await answers.barrier(store), SETTLED);
});

test("sync off and normal acknowledge after the commit, without a sync", async (t) => {
  for (const sync of ["off", "normal"] as const) {
    const { store, counters } = await openTestStore(dataDir(t), { sync });
    const answers = new Answers();
    const cloud = new FakeReceiver(store, "uplink", "cloud");
    const syncs = counters.get("store.syncs");
    const { message, stored } = publish(store, answers, [cloud], "a");
    assert.equal(await stored, SETTLED);
    assert.equal(message.state, DURABLE);
    assert.equal(counters.get("store.syncs"), syncs);
    await store.close();
  }
});

test("reading goes from the file over written groups into the open one, each message once and in order", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 1 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await publish(store, answers, [cloud], "durable").stored;
  const written = publish(store, answers, [cloud], "written").message;
  await eventually("the commit", () => written.state !== OPEN);
  const open = publish(store, answers, [cloud], "open").message;
  const texts = cloud.readAll();
  assert.deepEqual(texts, ["durable", "written", "open"]);
  assert.equal(cloud.seenMessages[2], open, "the shared object of the open group");
  const states = cloud.seenMessages.map((message) => message.state);
  assert.equal(states[0], DURABLE);
  assert.ok(states[1] === WRITTEN || states[1] === DURABLE);
  if (states[1] === WRITTEN) assert.equal(cloud.seenMessages[1], written, "shared, so that its state follows");
});

test("a reader stops at its limit of bytes and goes on where it stopped", async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const other = new FakeReceiver(store, "session", "other");
  const expected: string[] = [];
  const stored: Promise<number>[] = [];
  for (let i = 0; i < 1000; i++) {
    const mine = i % 3 === 0;
    if (mine) expected.push(`m${i}`);
    stored.push(publish(store, answers, [mine ? cloud : other], `m${i}`).stored);
  }
  await Promise.all(stored);
  cloud.seen.length = 0;
  let calls = 0;
  for (let at = 1; at <= store.lastSeq; calls++) {
    const before = cloud.seen.length;
    const next = store.read(cloud.id, at, 1000, cloud);
    // A slow turn may go into learning what a segment holds; the next call builds on that.
    assert.ok(next >= at && calls < 1000, "progress");
    assert.ok(cloud.seen.length - before <= 8, "1,000 bytes are at most 8 messages");
    at = next;
  }
  assert.deepEqual(cloud.seen, expected);
  assert.ok(calls > 40);
});

test("updates of one retained topic in a group collapse to the last, which acknowledges the earlier ones", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir);
  const answers = new Answers();
  const stored = ["20.1", "20.2", "20.3"].map((text) => {
    const message = messageOfText(text, "room/temperature", 1, true);
    message.pending++;
    const answer = answers.expect(message);
    store.putRetained(message);
    return answer;
  });
  assert.deepEqual(await Promise.all(stored), [SETTLED, SETTLED, SETTLED]);
  assert.equal(counters.get("store.commits"), 1);
  await store.close();
  const again = await openTestStore(dir);
  const values: string[] = [];
  again.store.loadRetained((message) => values.push(`${message.topic}=${message.payload}`));
  assert.deepEqual(values, ["room/temperature=20.3"]);
});

test("a message with receivers and a retained value waits for both, and is not elided", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const message = messageOfText("on", "lamp", 1, true);
  message.addReceiver(cloud.id, 1);
  message.pending++;
  const stored = answers.expect(message);
  store.append(message);
  store.putRetained(message);
  cloud.took(message);
  cloud.acknowledge(message);
  assert.equal(message.state, OPEN);
  assert.equal(await stored, SETTLED);
  assert.equal(counters.get("store.elided"), 0);
  assert.equal(counters.get("store.rows_written"), 0, "the log has no row for it");
});

test("an idle store runs no timer and writes nothing", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await publish(store, answers, [cloud], "a").stored;
  const syncs = counters.get("store.syncs");
  const commits = counters.get("store.commits");
  await new Promise((resolve) => setTimeout(resolve, 700));
  assert.equal(counters.get("store.syncs"), syncs);
  assert.equal(counters.get("store.commits"), commits);
});
