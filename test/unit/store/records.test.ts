import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReceiverRecord } from "../../../src/core/ports.ts";
import { Answers, crashImage, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

/** What of a receiver's record a start after `kill -9` finds. */
async function afterCrash(t: Parameters<typeof dataDir>[0], dir: string): Promise<Partial<ReceiverRecord> | undefined> {
  const { store } = await openTestStore(crashImage(t, dir));
  const record = store.loadReceiver("uplink", "cloud");
  await store.close();
  if (record === null) return undefined;
  const { headSeq, headOrdinal, count, bytes, state } = record;
  return { headSeq, headOrdinal, count, bytes, state };
}

test("packet ids go on after a crash: the ordinal is written with the first row that needs it", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await answers.barrier(store);
  for (let i = 0; i < 10; i++) {
    // Sent, acknowledged and elided: ordinals 0 to 9 are used up, and nothing is in the database.
    cloud.acknowledge(publish(store, answers, [cloud], "elided").message);
    cloud.record.headOrdinal++;
  }
  const { message, stored } = publish(store, answers, [cloud], "stays");
  await stored;
  assert.deepEqual(await afterCrash(t, dir), {
    headSeq: message.seq,
    headOrdinal: 10,
    count: 1,
    bytes: message.size,
    state: Buffer.alloc(0),
  });
});

test("messages that were only added are counted again: as many as the log has beyond the record", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const head = publish(store, answers, [cloud], "first").message;
  await answers.barrier(store);
  let bytes = head.size;
  for (let i = 0; i < 30; i++) {
    const { message, stored } = publish(store, answers, [cloud], `m${i}`);
    bytes += message.size;
    if (i % 10 === 9) await stored;
  }
  assert.ok(counters.get("store.commits") >= 3);
  const found = await afterCrash(t, dir);
  assert.deepEqual([found?.count, found?.bytes], [31, bytes]);
  assert.ok((found?.headSeq ?? Number.POSITIVE_INFINITY) <= head.seq);
});

test("what a receiver has above its head is there after a barrier", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await publish(store, answers, [cloud], "a").stored;
  cloud.record.state = Buffer.from("PUBREC of 7");
  store.touch(cloud);
  await answers.barrier(store);
  assert.equal((await afterCrash(t, dir))?.state?.toString(), "PUBREC of 7");
  cloud.record.state = Buffer.from("PUBREC of 8");
  store.touch(cloud);
  await answers.barrier(store);
  assert.equal((await afterCrash(t, dir))?.state?.toString(), "PUBREC of 8", "same length, other bytes");
});

test("a record that waits for nothing is written within half a second or with the next commit, once", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const messages = Array.from({ length: 20 }, (_, i) => publish(store, answers, [cloud], `m${i}`).message);
  await answers.barrier(store);
  const commits = counters.get("store.commits");
  for (const message of messages) {
    cloud.acknowledge(message);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(counters.get("store.commits"), commits);
  await publish(store, answers, [cloud], "next").stored;
  assert.equal(counters.get("store.commits"), commits + 1);
  assert.equal((await afterCrash(t, dir))?.count, 1);
  assert.equal(store.status().rows, 1);
});

test("a deleted receiver is nobody's: messages for it alone are not kept", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const { stored } = publish(store, answers, [cloud], "a");
  store.deleteReceiver(cloud);
  await stored;
  await answers.barrier(store);
  assert.equal(store.status().rows, 0);
  assert.equal(await afterCrash(t, dir), undefined);
});
