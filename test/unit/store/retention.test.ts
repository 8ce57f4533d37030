import assert from "node:assert/strict";
import { test } from "node:test";
import type { Message } from "../../../src/core/message.ts";
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

test("rows below the lowest head go with the commit that stores the acknowledgement", async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const fast = new FakeReceiver(store, "uplink", "fast");
  const slow = new FakeReceiver(store, "session", "slow");
  const messages: Message[] = [];
  for (let i = 0; i < 50; i++) messages.push(publish(store, answers, [fast, slow], `m${i}`).message);
  await answers.barrier(store);
  assert.equal(store.status().rows, 50);
  for (const message of messages) fast.acknowledge(message);
  await answers.barrier(store);
  assert.equal(store.status().rows, 50, "the slow one needs them");
  for (const message of messages.slice(0, 30)) slow.acknowledge(message);
  await answers.barrier(store);
  assert.equal(store.status().rows, 20);
  assert.deepEqual(slow.readAll(1).length, 20);
  for (const message of messages.slice(30)) slow.acknowledge(message);
  await answers.barrier(store);
  assert.deepEqual([store.status().rows, store.status().bytes], [0, 0]);
});

test("what a commit deletes makes room for what it adds: no page is written for its end alone", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { commitDelayMs: 1 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  let last: Message[] = [];
  const round = async (): Promise<void> => {
    const messages: Message[] = [];
    for (let i = 0; i < 200; i++) messages.push(publish(store, answers, [cloud], `${i} ${"x".repeat(200)}`).message);
    for (const message of last) cloud.acknowledge(message);
    last = messages;
    await answers.barrier(store);
  };
  for (let i = 0; i < 5; i++) await round();
  const { commits, bytes } = { commits: counters.get("store.commits"), bytes: counters.get("store.bytes_written") };
  for (let i = 0; i < 10; i++) await round();
  const each = (counters.get("store.bytes_written") - bytes) / (counters.get("store.commits") - commits);
  // 200 rows of 230 bytes are 12 or 13 pages; with the rows deleted after them it was 30 frames.
  assert.ok(each < 20 * 4120, `${each} bytes a commit`);
  assert.equal(store.status().rows, 200);
});

test("a receiver that ends with a large backlog gives it back in slices", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const gone = new FakeReceiver(store, "session", "gone");
  const stored: Promise<number>[] = [];
  for (let i = 0; i < 30_000; i++) {
    const message = messageOfText(`m${i}`);
    message.addReceiver(gone.id, 1);
    if (i % 1000 === 999) stored.push(answers.expect(message));
    store.append(message);
    gone.open.set(message.seq, message.size);
  }
  await Promise.all(stored);
  assert.equal(store.status().rows, 30_000);
  const commits = counters.get("store.commits");
  store.deleteSession("gone", gone);
  await eventually("an empty log", () => store.status().rows === 0);
  assert.ok(counters.get("store.commits") - commits >= 4, "8,192 rows in one commit at most");
  assert.equal(store.status().bytes, 0);
});

test("one stale session does not pin the log: dead rows between live ones are swept", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 2 });
  const answers = new Answers();
  const stale = new FakeReceiver(store, "session", "stale");
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const offline = new FakeReceiver(store, "session", "offline");
  await publish(store, answers, [stale], "the one it never fetches").stored;
  const kept: string[] = [];
  for (let round = 0; round < 20; round++) {
    const messages: Message[] = [];
    for (let i = 0; i < 500; i++) {
      const forOffline = i === 250;
      const text = `${round}/${i} ${"x".repeat(400)}`;
      const { message } = publish(store, answers, forOffline ? [cloud, offline] : [cloud], text);
      if (forOffline) kept.push(text);
      messages.push(message);
    }
    await answers.barrier(store);
    for (const message of messages) cloud.acknowledge(message);
    await answers.barrier(store);
  }
  // 10,000 rows of half a KiB have passed; two receivers wait for 21 of them.
  await eventually("a swept log", () => store.status().bytes < 2.5 * 1024 * 1024);
  assert.deepEqual(stale.readAll(1), ["the one it never fetches"]);
  assert.deepEqual(offline.readAll(1), kept);
});

test("one message to 1,000 sessions that are away costs one row of 4 KiB, not 1,000", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir, { checkpointFrames: 1000 });
  const answers = new Answers();
  const sessions = Array.from({ length: 1000 }, (_, i) => new FakeReceiver(first.store, "session", `s${i}`));
  await answers.barrier(first.store);
  const before = first.counters.get("store.bytes_written");
  await publish(first.store, answers, sessions, "to all").stored;
  const written = first.counters.get("store.bytes_written") - before;
  assert.ok(written <= 4 * 4120, `${written} bytes are at most four pages: row, and the tree above it`);

  // A crash now: the rows of the sessions say nothing of it yet, the log does.
  const { store } = await openTestStore(crashImage(t, dir));
  for (const [i, old] of sessions.entries()) {
    const record = store.loadReceiver("session", `s${i}`);
    assert.deepEqual([record?.id, record?.count, record?.bytes], [old.id, 1, messageOfText("to all").size]);
  }
});
