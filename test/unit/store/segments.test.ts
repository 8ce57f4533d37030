import assert from "node:assert/strict";
import { test } from "node:test";
import { SEGMENT_SEQS, SEGMENTS_MAX, Segments } from "../../../src/store/segments.ts";
import type { Statements } from "../../../src/store/statements.ts";
import { Answers, dataDir, FakeReceiver, messageOfText, openTestStore } from "../../support/store-fixture.ts";

/** For filters that are made by writing alone. */
const NO_STATEMENTS = {} as Statements;

test("a receiver is sent to the segments that may hold rows for it, past those that do not", () => {
  const segments = new Segments(NO_STATEMENTS, 0);
  for (let seq = SEGMENT_SEQS; seq < 10 * SEGMENT_SEQS; seq++)
    segments.enter(seq, seq === 5 * SEGMENT_SEQS + 7 ? 2 : 1);
  const last = 10 * SEGMENT_SEQS - 1;
  assert.equal(segments.next(1, last, 2), 1, "the segment of the start is not known");
  assert.equal(segments.next(SEGMENT_SEQS, last, 2), 5 * SEGMENT_SEQS);
  assert.equal(segments.next(5 * SEGMENT_SEQS + 9, last, 2), 5 * SEGMENT_SEQS + 9, "filters are per segment");
  assert.ok(segments.next(6 * SEGMENT_SEQS, last, 2) > last);
  assert.equal(segments.next(SEGMENT_SEQS + 3, last, 1), SEGMENT_SEQS + 3);
});

test("filters are bounded: the oldest goes, and its segment is unknown again", () => {
  const segments = new Segments(NO_STATEMENTS, 0);
  for (let i = 1; i <= SEGMENTS_MAX + 1; i++) segments.enter(i * SEGMENT_SEQS, 1);
  assert.equal(segments.size, SEGMENTS_MAX);
  assert.equal(segments.next(SEGMENT_SEQS, 3 * SEGMENT_SEQS, 2), SEGMENT_SEQS, "unknown");
  assert.ok(segments.next(2 * SEGMENT_SEQS, 3 * SEGMENT_SEQS - 1, 2) >= 3 * SEGMENT_SEQS, "known");
  segments.trim(SEGMENTS_MAX * SEGMENT_SEQS);
  assert.equal(segments.size, 2);
});

test("a few messages in a long log are found in a few slices, before and after a restart", async (t) => {
  const dir = dataDir(t);
  const count = 20_000;
  const mine = [3, 4, 700, 9999, 19_998];
  const first = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(first.store, "uplink", "cloud");
  const panel = new FakeReceiver(first.store, "session", "panel");
  for (let i = 0; i < count; i++) {
    const message = messageOfText(`m${i}`);
    message.addReceiver(cloud.id, 1);
    if (mine.includes(i)) message.addReceiver(panel.id, 1);
    const stored = i % 2000 === 1999 ? answers.expect(message) : null;
    first.store.append(message);
    cloud.open.set(message.seq, message.size);
    if (mine.includes(i)) panel.took(message);
    await stored;
  }
  const slices = (store: typeof first.store, receiver: FakeReceiver): number => {
    receiver.seen.length = 0;
    let calls = 0;
    for (let at = 1; at <= store.lastSeq; calls++) at = store.read(receiver.id, at, 64 * 1024, receiver);
    assert.deepEqual(
      receiver.seen,
      mine.map((i) => `m${i}`),
    );
    return calls;
  };
  assert.ok(slices(first.store, panel) <= 2 * mine.length);
  // Only what is to be counted again; the acknowledged messages of the cloud are of no interest here.
  cloud.save = () => ({ ...cloud.record, headSeq: 1, count, bytes: count * 200 });
  first.store.touch(cloud);
  await first.store.close();

  const { store } = await openTestStore(dir);
  const again = new FakeReceiver(store, "session", "panel");
  assert.ok(slices(store, again) >= count / SEGMENT_SEQS, "the first reader looks at everything");
  assert.ok(slices(store, again) <= 2 * mine.length, "and leaves filters behind");
});
