import assert from "node:assert/strict";
import { test } from "node:test";
import { ListEncoder, ListReader, withoutReceivers } from "../../../src/store/receiver-list.ts";
import { STRIKES_MAX } from "../../../src/store/strikes.ts";
import {
  Answers,
  crashImage,
  dataDir,
  FakeReceiver,
  messageOfText,
  openTestStore,
  publish,
} from "../../support/store-fixture.ts";

test("a struck row is passed over at once, leaves the list of the one and the log with the last", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const one = new FakeReceiver(store, "session", "one");
  const two = new FakeReceiver(store, "session", "two");
  const messages = ["a", "b", "c"].map((text) => publish(store, answers, [one, two], text).message);
  await answers.barrier(store);
  const seq = messages[1]?.seq as number;
  one.strike(seq);
  assert.deepEqual(one.readAll(1), ["a", "c"]);
  assert.deepEqual(two.readAll(1), ["a", "b", "c"]);
  await answers.barrier(store);
  assert.equal(store.status().rows, 3);
  assert.deepEqual(one.readAll(1), ["a", "c"]);
  two.strike(seq);
  await answers.barrier(store);
  assert.equal(store.status().rows, 2);
  assert.equal(store.status().bytes, (messages[0]?.size ?? 0) * 2);
  const next = await openTestStore(crashImage(t, dir));
  const record = next.store.loadReceiver("session", "one");
  assert.deepEqual([record?.count, record?.bytes], [2, (messages[0]?.size ?? 0) * 2]);
  assert.equal(next.store.status().rows, 2);
});

test("a crash before the commit undoes a strike, and the record agrees", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const one = new FakeReceiver(store, "session", "one");
  const { message } = publish(store, answers, [one], "a");
  publish(store, answers, [one], "b");
  await answers.barrier(store);
  one.strike(message.seq);
  const next = await openTestStore(crashImage(t, dir));
  assert.equal(next.store.loadReceiver("session", "one")?.count, 2);
  assert.equal(next.store.status().rows, 2);
});

test(`no more than ${STRIKES_MAX} wait to be written`, async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const one = new FakeReceiver(store, "session", "one");
  const last = { seq: 0 };
  for (let i = 0; i <= STRIKES_MAX; i++) {
    const message = messageOfText(`m${i}`);
    message.addReceiver(one.id, 1);
    store.append(message);
    one.open.set(message.seq, message.size);
    last.seq = message.seq;
  }
  await answers.barrier(store);
  const first = last.seq - STRIKES_MAX;
  for (let i = 0; i < STRIKES_MAX; i++) assert.equal(store.strike(first + i, one.id), true);
  assert.equal(store.strike(last.seq, one.id), false);
  await answers.barrier(store);
  assert.equal(store.status().rows, 1);
  assert.equal(store.strike(last.seq, one.id), true);
});

test("receivers leave a list in any order, Subscription Identifiers stay with theirs", () => {
  const message = messageOfText("x");
  for (const id of [300, 2, 70_000, 5]) message.addReceiver(id, id % 8);
  message.subscriptionIds = new Map([
    [1, [7, 300_000]],
    [2, [9]],
  ]);
  const list = Buffer.from(new ListEncoder(() => {}).encode(message));
  const read = (bytes: Buffer): unknown[] => {
    const reader = new ListReader();
    const entries: unknown[] = [];
    reader.start(1, bytes);
    while (reader.next()) entries.push([reader.id, reader.options, reader.subscriptionIds]);
    return entries;
  };
  const all = read(list);
  for (const gone of [[300], [2], [70_000], [5], [300, 5], [2, 70_000], [300, 2, 70_000]]) {
    const expected = all.filter((entry) => !gone.includes((entry as number[])[0] as number));
    assert.deepEqual(read(withoutReceivers(1, list, gone)), expected);
  }
  assert.equal(withoutReceivers(1, list, [300, 2, 70_000, 5]).length, 0);
});
