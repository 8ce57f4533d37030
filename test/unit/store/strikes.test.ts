import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../../../src/base/allowance.ts";
import { Counters } from "../../../src/base/counters.ts";
import { DeliveryQueue } from "../../../src/core/delivery-queue.ts";
import { Ledger } from "../../../src/core/ledger.ts";
import type { Outlet } from "../../../src/core/outlet.ts";
import type { QueueLimits } from "../../../src/core/queue-limits.ts";
import { ListEncoder, ListReader, withoutReceivers } from "../../../src/store/receiver-list.ts";
import type { SqliteStore } from "../../../src/store/store.ts";
import { STRIKES_MAX } from "../../../src/store/strikes.ts";
import { clockOf } from "../../support/clock-of.ts";
import { cutsOf } from "../../support/cuts.ts";
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

test("a stretch that is struck leaves the log at once, but for rows that are for others as well, or for others alone", async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const one = new FakeReceiver(store, "session", "one");
  const two = new FakeReceiver(store, "session", "two");
  const whose = [[one], [one], [two, one], [one], [two], [one], [one, two], [one], [one], [one]];
  const seqs = whose.map((receivers, i) => publish(store, answers, receivers, `m${i}`).message.seq);
  await answers.barrier(store);
  for (const seq of seqs.slice(0, 8)) one.strike(seq);
  await answers.barrier(store);
  assert.deepEqual(one.readAll(1), ["m8", "m9"]);
  assert.deepEqual(two.readAll(1), ["m2", "m4", "m6"]);
  assert.equal(store.status().rows, 5);
  for (const seq of seqs.slice(8)) one.strike(seq);
  for (const seq of [2, 4, 6]) two.strike(seqs[seq] as number);
  await answers.barrier(store);
  assert.deepEqual([store.status().rows, store.status().bytes], [0, 0]);
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

const LATEST: QueueLimits = {
  messages: 200,
  bytes: 1e6,
  onlineMessages: 200,
  onlineBytes: 1e6,
  maxAgeMs: Number.POSITIVE_INFINITY,
  whenFull: "latest-per-topic",
  windowBytes: 65_536,
};

/** A delivery queue on a store on disk, whose peer is away. */
function away(store: SqliteStore): { queue: DeliveryQueue; ledger: Ledger } {
  const ledger = new Ledger(new Counters());
  const time = clockOf(() => 1);
  const schedule = (queue: DeliveryQueue): void => void setImmediate(() => queue.runScheduled());
  const host = { store, time, ledger, waitingMemory: new Allowance(1e6), cuts: cutsOf(time), schedule };
  const queue = new DeliveryQueue(host, "uplink:cloud", store.createReceiver("uplink", "cloud"), LATEST);
  store.register(queue);
  return { queue, ledger };
}

function enter(store: SqliteStore, queue: DeliveryQueue, text: string, topic: string): void {
  const message = messageOfText(text, topic);
  message.addReceiver(queue.id, 1);
  store.append(message);
  queue.enqueue(message, 1, null);
}

test("topics updated for a year while the cloud is away: neither log nor file grow, and a crash changes nothing", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir, { commitDelayMs: 1 });
  const answers = new Answers();
  const { queue, ledger } = away(store);
  let sizeEarly = 0;
  for (let n = 0; n < 20_000; n++) {
    enter(store, queue, `${n}`, n % 1000 === 0 ? `rare/${n / 1000}` : `often/${n % 7}`);
    if (n % 50 === 49) await answers.barrier(store);
    if (n === 4000) sizeEarly = store.status().databaseBytes;
    if (n % 50 === 49) assert.ok(store.status().rows <= 350, `${store.status().rows} rows after ${n}`);
  }
  await eventually("room is made", () => queue.count <= 200);
  await answers.barrier(store);
  assert.ok(store.status().databaseBytes <= sizeEarly + 128 * 1024, "the file has its size");
  assert.equal(
    ledger.entries().every(({ cause }) => cause === "superseded"),
    true,
  );

  const next = await openTestStore(crashImage(t, dir), { commitDelayMs: 1 });
  const back = away(next.store);
  assert.ok(back.queue.count <= 200);
  for (let n = 20_000; n < 21_000; n++) {
    enter(next.store, back.queue, `${n}`, `often/${n % 7}`);
    if (n % 50 === 49) await answers.barrier(next.store);
  }
  await eventually("room is made again", () => back.queue.count <= 200);
  const got: string[] = [];
  const outlet: Outlet = {
    parts: () => 1,
    partOptions: (_message, _part, options) => options,
    sendPublish: (message, _part, _options, _ids, packetId) => {
      got.push(`${message.topic} ${message.payload}`);
      setImmediate(() => back.queue.onPuback(packetId));
    },
    sendPubrel: () => {},
    writable: () => true,
  };
  back.queue.attach(outlet, 20, true);
  await eventually("all came", () => back.queue.count === 0);
  for (let n = 0; n < 20; n++) assert.ok(got.includes(`rare/${n} ${n * 1000}`), `rare/${n}`);
  for (let n = 20_993; n < 21_000; n++) assert.ok(got.includes(`often/${n % 7} ${n}`), `often/${n % 7}`);
  assert.ok(got.length <= 200);
});
