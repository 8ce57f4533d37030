import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { type Message, OPEN, WRITTEN } from "../../../src/core/message.ts";
import type { BacklogSink } from "../../../src/core/ports.ts";
import { SEGMENT_SEQS } from "../../../src/store/segments.ts";
import type { SqliteStore } from "../../../src/store/store.ts";
import { STRIKES_MAX } from "../../../src/store/strikes.ts";
import {
  Answers,
  crashImage,
  dataDir,
  FakeReceiver,
  messageOfText,
  openTestStore,
} from "../../support/store-fixture.ts";

/** Numbers of all rows for `id` from `from` to `to`, read in one direction until the store says that it has seen all. */
function readRange(
  store: SqliteStore,
  id: number,
  from: number,
  to: number,
  back: boolean,
  maxBytes: number,
): number[] {
  const seqs: number[] = [];
  const sink: BacklogSink = {
    onBacklog: ({ seq }) => {
      if (!back && seq > to) return false;
      seqs.push(seq);
      return true;
    },
  };
  if (back) for (let at = to; at >= from; ) at = store.readBack(id, at, from, maxBytes, sink);
  else for (let at = from; at <= Math.min(to, store.lastSeq); ) at = store.read(id, at, maxBytes, sink);
  return seqs;
}

describe("a log read downwards", () => {
  for (let seed = 1; seed <= 8; seed++) {
    test(`seed ${seed}: gives what a list of what each receiver needs says, from the newest down, over commits, strikes, elision and a restart`, async (t) => {
      const random = seededRandom(seed);
      const dir = dataDir(t);
      const first = await openTestStore(dir);
      const receivers = ["one", "two", "three"].map((name) => new FakeReceiver(first.store, "session", name));
      const answers = new Answers();
      const messages = new Map<number, Message>();
      let written = 0;
      const check = (store: SqliteStore): void => {
        for (const { id, open: needed } of receivers) {
          const from = 1 + Math.floor(random() * store.lastSeq);
          const to = from + Math.floor(random() * (store.lastSeq + 3 - from));
          const expected = [...needed.keys()].filter((seq) => seq >= from && seq <= to).sort((a, b) => b - a);
          const maxBytes = random() < 0.5 ? 64 * 1024 : 300;
          assert.deepEqual(readRange(store, id, from, to, true, maxBytes), expected, `${from} to ${to}`);
          assert.deepEqual(readRange(store, id, from, to, false, maxBytes), expected.reverse());
        }
      };
      const append = (to: FakeReceiver[]): void => {
        const message = messageOfText(`m${messages.size}`);
        for (const { id } of to) message.addReceiver(id, 1);
        first.store.append(message);
        for (const receiver of to) receiver.took(message);
        messages.set(message.seq, message);
      };
      // What is written, on the medium or not, is struck.
      const strike = (): void => {
        const receiver = receivers[Math.floor(random() * 3)] as FakeReceiver;
        const seqs = [...receiver.open.keys()].filter((seq) => messages.get(seq)?.state !== OPEN);
        const at = Math.floor(random() * seqs.length);
        const run = random() < 0.3 ? 20 : 1;
        for (const seq of seqs.slice(at, at + run)) receiver.strike(seq);
        written += seqs.slice(at, at + run).filter((seq) => messages.get(seq)?.state === WRITTEN).length;
      };
      const committed = async (): Promise<void> => {
        while ([...messages.values()].some(({ state }) => state === OPEN))
          await new Promise((resolve) => setImmediate(resolve));
      };
      for (let step = 0; step < 1500; step++) {
        const dice = random();
        if (dice < 0.7) {
          const to = receivers.filter(() => random() < 0.6);
          if (to.length > 0) append(to);
        } else if (dice < 0.8) {
          const open = [...messages.values()].filter(({ state }) => state === OPEN);
          const message = open[Math.floor(random() * open.length)];
          const receiver = receivers[Math.floor(random() * 3)] as FakeReceiver;
          if (message !== undefined && receiver.open.has(message.seq)) receiver.acknowledge(message);
        } else if (dice < 0.97) {
          strike();
        } else if (dice < 0.985) {
          const stored = answers.barrier(first.store);
          // Between its commit and its sync a group is looked at as well.
          if (random() < 0.5) await stored;
          else await committed();
        } else {
          check(first.store);
        }
      }
      // Whether a sync takes long enough for that is the disk's to say, so it is tried until it does.
      for (let tries = 0; written === 0 && tries < 1000; tries++) {
        append(receivers);
        const stored = answers.barrier(first.store);
        await committed();
        for (let i = 0; i < 10; i++) strike();
        await stored;
      }
      await answers.barrier(first.store);
      assert.ok(written > 0, "some were struck between commit and sync");
      check(first.store);
      const next = await openTestStore(crashImage(t, dir));
      for (let n = 0; n < 10; n++) check(next.store);
    });
  }

  test("a few messages in a long log are found in a few slices, before and after a restart", async (t) => {
    const dir = dataDir(t);
    const { store } = await openTestStore(dir);
    const answers = new Answers();
    const cloud = new FakeReceiver(store, "uplink", "cloud");
    const panel = new FakeReceiver(store, "session", "panel");
    const mine: number[] = [];
    for (let i = 0; i < 40 * SEGMENT_SEQS; i++) {
      const message = messageOfText(`m${i}`);
      message.addReceiver(cloud.id, 1);
      if (i % 3000 === 7) message.addReceiver(panel.id, 1);
      store.append(message);
      cloud.open.set(message.seq, message.size);
      if (i % 3000 === 7) {
        panel.took(message);
        mine.push(message.seq);
      }
      if (i % 2000 === 0) await answers.barrier(store);
    }
    await answers.barrier(store);
    const slices = (of: SqliteStore): number => {
      const seqs: number[] = [];
      const sink: BacklogSink = { onBacklog: ({ seq }) => seqs.push(seq) > 0 };
      let calls = 0;
      for (let at = of.lastSeq; at >= 1; calls++) at = of.readBack(panel.id, at, 1, 64 * 1024, sink);
      assert.deepEqual(seqs, [...mine].reverse());
      return calls;
    };
    assert.ok(slices(store) <= 2 * mine.length + 2);
    const next = await openTestStore(crashImage(t, dir));
    slices(next.store);
    assert.ok(slices(next.store) <= 2 * mine.length + 2, "filters were made by the first");
  });
});

test("half as many strikes as may wait are written at the end of the turn, so that a drain from the newest on does not wait for them", async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const one = new FakeReceiver(store, "session", "one");
  const two = new FakeReceiver(store, "session", "two");
  for (let i = 0; i < 2 * STRIKES_MAX; i++) {
    const message = messageOfText(`m${i}`);
    message.addReceiver(one.id, 1);
    if (i % 100 === 0) message.addReceiver(two.id, 1);
    store.append(message);
    one.took(message);
    if (i % 100 === 0) two.took(message);
  }
  await answers.barrier(store);
  const seqs = [...one.open.keys()].reverse();
  for (const seq of seqs) {
    while (!store.strike(seq, one.id)) await new Promise((resolve) => setImmediate(resolve));
    one.open.delete(seq);
  }
  await answers.barrier(store);
  assert.equal(store.status().rows, two.open.size);
  assert.deepEqual(one.readAll(1), []);
  assert.equal(two.readAll(1).length, two.open.size);
});
