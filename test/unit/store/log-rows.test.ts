import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { Answers, crashImage, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

test("messages of one group keep their own receivers, however many rows go into a statement and lists into the scratch", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const receivers = Array.from({ length: 300 }, (_, i) => new FakeReceiver(store, "session", `s${i}`));
  const random = seededRandom(7);
  const expected = new Map<FakeReceiver, string[]>(receivers.map((receiver) => [receiver, []]));
  let last: Promise<number> = Promise.resolve(0);
  for (let i = 0; i < 203; i++) {
    // Every third list is that of the message before it; some are longer than what is left of the scratch buffer.
    const share = i % 3 === 2 ? 1 : random();
    const some = i % 3 === 2 ? receivers : receivers.filter(() => random() < share);
    if (some.length === 0) continue;
    last = publish(store, answers, some, `m${i}`).stored;
    for (const receiver of some) expected.get(receiver)?.push(`m${i}`);
  }
  await last;
  const { store: again } = await openTestStore(crashImage(t, dir));
  for (const { record } of receivers) {
    const found: string[] = [];
    const sink = { onBacklog: (message: { payload: Buffer }) => found.push(message.payload.toString()) > 0 };
    for (let at = 1; at <= again.lastSeq; ) at = again.read(record.id, at, 64 * 1024, sink);
    assert.deepEqual(found, expected.get(receivers[record.id - receivers[0]!.id] as FakeReceiver), record.name);
  }
});
