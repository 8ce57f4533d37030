// Rows that became others: what a receiver entered, and its record that leaves out what that was made of, are one write.
import assert from "node:assert/strict";
import { test } from "node:test";
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

test("a record that relies on open messages is not written before them", async (t) => {
  const dir = dataDir(t);
  let delayMs = 5;
  const { store, counters } = await openTestStore(dir, { commitDelayMs: "auto", autoCommitDelayMs: () => delayMs });
  const answers = new Answers();
  const [from, to] = [new FakeReceiver(store, "aggregate", "a"), new FakeReceiver(store, "uplink", "b")];
  const raw = publish(store, answers, [from], "raw");
  assert.equal(await raw.stored, 0);
  // Something that nobody waits for is due half a second after this, the message a while later.
  const commits = counters.get("store.commits");
  store.touch(to);
  delayMs = 400;
  await new Promise((resolve) => setTimeout(resolve, 300));
  const made = messageOfText("made");
  made.addReceiver(to.id, 1);
  const stored = answers.expect(made);
  store.append(made);
  to.took(made);
  from.open.delete(raw.message.seq);
  store.absorb(from, []);
  await eventually("something is written", () => counters.get("store.commits") > commits);
  const image = await openTestStore(crashImage(t, dir));
  const read = (kind: string, name: string): string[] => new FakeReceiver(image.store, kind, name).readAll(1);
  assert.deepEqual([read("aggregate", "a"), read("uplink", "b")], [[], ["made"]]);
  assert.equal(await stored, 0);
});

test("an open message that was absorbed is not written, and its publisher is told with the group", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 20 });
  const answers = new Answers();
  const [from, to, other] = ["a", "b", "c"].map((name) => new FakeReceiver(store, "uplink", name)) as [
    FakeReceiver,
    FakeReceiver,
    FakeReceiver,
  ];
  const alone = publish(store, answers, [from], "alone");
  const shared = publish(store, answers, [from, other], "shared");
  const made = publish(store, answers, [to], "made");
  for (const { message } of [alone, shared]) from.open.delete(message.seq);
  store.absorb(from, [alone.message, shared.message]);
  assert.equal(answers.told.length, 0);
  assert.deepEqual(await Promise.all([alone.stored, shared.stored, made.stored]), [0, 0, 0]);
  assert.deepEqual([from.readAll(1), to.readAll(1), other.readAll(1)], [[], ["made"], ["shared"]]);
  assert.equal(store.status().rows, 2);
});

test("what a full disk takes back is told to the publisher of what was absorbed, too", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 20 });
  const answers = new Answers();
  const from = new FakeReceiver(store, "aggregate", "a");
  const raw = publish(store, answers, [from], "raw");
  store.absorb(from, [raw.message]);
  store.fail("test", new Error("no disk"));
  assert.equal(await raw.stored, 0x83);
  assert.deepEqual(from.withdrawn, [], "it said that it needs the message no more");
});
