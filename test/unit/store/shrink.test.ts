// Test whether the file of a backlog that drained becomes small again, in small steps, and its write-ahead log stays
// within its limit meanwhile.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import Database from "better-sqlite3";
import type { Message } from "../../../src/core/message.ts";
import { APPLICATION_ID, FRAME_BYTES, SCHEMA_1, WAL_HEADER_BYTES } from "../../../src/store/schema.ts";
import type { SqliteStore } from "../../../src/store/store.ts";
import { eventually } from "../../support/eventually.ts";
import { Answers, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

const MIB = 1024 * 1024;
const SMALL_BYTES = 2 * MIB;
const CHECKPOINT_FRAMES = 256;
/** What one commit may bring beyond the checkpoint's limit: messages up to commit_bytes, and a slice of deletions. */
const COMMIT_BYTES = 8 * MIB;
const LONG = process.env["SLUICE_LONG"] !== undefined;

const sizeOf = (dir: string, name: string): number =>
  fs.statSync(path.join(dir, name), { throwIfNoEntry: false })?.size ?? 0;

/** Enters so many bytes for the receivers. @returns the messages, in order */
async function fill(store: SqliteStore, receivers: FakeReceiver[], bytes: number, each = 4000): Promise<Message[]> {
  const answers = new Answers();
  const messages: Message[] = [];
  for (let done = 0; done < bytes; ) {
    let last: Promise<number> | null = null;
    for (let batch = 0; batch < MIB / 2; batch += each) {
      const { message, stored } = publish(store, answers, receivers, `${messages.length} ${"x".repeat(each)}`);
      messages.push(message);
      last = stored;
      done += each;
    }
    await last;
  }
  return messages;
}

/** Acknowledges in slices, as an uplink that drains would. The largest log seen is checked on the way. */
async function drain(dir: string, store: SqliteStore, receiver: FakeReceiver, messages: Message[]): Promise<void> {
  const answers = new Answers();
  for (const [i, message] of messages.entries()) {
    receiver.open.delete(message.seq);
    store.settle(message, receiver.id);
    if (i % 500 !== 499 && i !== messages.length - 1) continue;
    store.touch(receiver);
    await answers.barrier(store);
    assertLogBounded(dir);
  }
}

function assertLogBounded(dir: string): void {
  const limit = WAL_HEADER_BYTES + CHECKPOINT_FRAMES * FRAME_BYTES + COMMIT_BYTES;
  assert.ok(sizeOf(dir, "sluice.db-wal") <= limit, `a log of ${sizeOf(dir, "sluice.db-wal")} bytes`);
}

async function until(dir: string, bytes: number): Promise<void> {
  await eventually(
    `a file below ${bytes}`,
    () => {
      assertLogBounded(dir);
      return sizeOf(dir, "sluice.db") < bytes;
    },
    60_000,
  );
}

async function filled(t: TestContext, bytes: number, each?: number) {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir, {
    commitDelayMs: 1,
    checkpointFrames: CHECKPOINT_FRAMES,
    maxBytes: 1024 * MIB,
  });
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const other = new FakeReceiver(store, "session", "other");
  return { dir, store, counters, cloud, other, messages: await fill(store, [cloud], bytes, each) };
}

for (const [mebibytes, skip] of [
  [24, false],
  [256, LONG ? false : "with --long"],
] as const) {
  test(`a backlog of ${mebibytes} MiB that drains leaves a file below 2 MiB`, { skip }, async (t) => {
    const { dir, store, counters, cloud, messages } = await filled(t, mebibytes * MIB);
    await eventually("the backlog in the file", () => sizeOf(dir, "sluice.db") > (mebibytes - 4) * MIB);
    const drained = counters.get("store.bytes_written");
    await drain(dir, store, cloud, messages);
    const shrinking = counters.get("store.bytes_written");
    const startedMs = performance.now();
    await until(dir, SMALL_BYTES);
    const bytes = counters.get("store.bytes_written");
    t.diagnostic(
      `draining wrote ${((shrinking - drained) / MIB).toFixed(1)} MiB, shrinking ${((bytes - shrinking) / MIB).toFixed(1)} MiB in ${(performance.now() - startedMs).toFixed(0)} ms`,
    );
    assert.ok(bytes - shrinking < (mebibytes * MIB) / 4, "giving back costs little");
    assert.equal(await publish(store, new Answers(), [cloud], "goes on").stored, 0);
    await store.close();
    const db = new Database(path.join(dir, "sluice.db"));
    assert.equal(db.pragma("integrity_check", { simple: true }), "ok");
    db.close();
  });
}

test("what another receiver still needs is moved to the front, and is all there", async (t) => {
  const { dir, store, cloud, other, messages } = await filled(t, 24 * MIB);
  // Longer than a page, so that chains of overflow pages are moved too.
  const kept = await fill(store, [other], 2 * MIB, 20_000);
  await drain(dir, store, cloud, messages);
  await until(dir, 6 * MIB);
  assert.equal(other.readAll(0).length, kept.length);
  await store.close();
  const again = await openTestStore(dir);
  const texts = new FakeReceiver(again.store, "session", "other").recover();
  assert.deepEqual(
    texts.map((text) => Number.parseInt(text, 10)),
    kept.map((_, i) => i),
  );
  assert.ok(texts.every((text) => text.length > 20_000));
});

test("a file that ebbs and flows by less than 4 MiB is left as it is", async (t) => {
  const { dir, store, counters, cloud, messages } = await filled(t, 3 * MIB);
  await drain(dir, store, cloud, messages);
  await drain(dir, store, cloud, await fill(store, [cloud], 3 * MIB));
  assert.equal(counters.get("store.pages_given_back"), 0);
  assert.ok(store.status().databaseBytes < 4 * MIB, "the pages were used again");
});

test("however slowly a receiver reads, the log is not longer than its limit and one commit", async (t) => {
  const { dir, store, cloud, other } = await filled(t, 8 * MIB, 2000);
  const answers = new Answers();
  let from = 1;
  let longest = 0;
  cloud.seen.length = 0;
  for (let i = 0; i < 300; i++) {
    // A slice of the backlog for one, a commit for the other, and a checkpoint every now and then in between.
    from = store.read(cloud.id, from, 8 * 1024, cloud);
    await publish(store, answers, [other], "y".repeat(30_000)).stored;
    longest = Math.max(longest, sizeOf(dir, "sluice.db-wal"));
  }
  assert.ok(from > 1000 && from < store.lastSeq, `it is at ${from} of ${store.lastSeq}`);
  const commitBytes = MIB; // no commit here is larger: 30 kB, and pages of the tree
  assert.ok(longest <= WAL_HEADER_BYTES + CHECKPOINT_FRAMES * FRAME_BYTES + commitBytes, `${longest} bytes`);
});

test("a backup while the file is made shorter is whole, and the log stays within its limit", async (t) => {
  const { dir, store, counters, cloud, messages } = await filled(t, 24 * MIB);
  const kept = messages.slice(-200);
  await drain(dir, store, cloud, messages.slice(0, -200));
  const target = path.join(dataDir(t), "copy.db");
  const before = counters.get("store.pages_given_back");
  let over = false;
  const copying = store.backups
    .run(target, () => {})
    .finally(() => {
      over = true;
    });
  const held = 4 * 1024 * FRAME_BYTES; // checkpoints wait for the end of a backup, by so much at most
  const limit = WAL_HEADER_BYTES + CHECKPOINT_FRAMES * FRAME_BYTES + held + COMMIT_BYTES;
  const answers = new Answers();
  while (!over) {
    await publish(store, answers, [cloud], "y".repeat(1000)).stored;
    assert.ok(sizeOf(dir, "sluice.db-wal") <= limit);
  }
  await copying;
  assert.ok(counters.get("store.pages_given_back") > before, "it was made shorter meanwhile");
  await until(dir, SMALL_BYTES + kept.length * 8192);
  const db = new Database(target, { readonly: true });
  assert.equal(db.pragma("integrity_check", { simple: true }), "ok");
  const rows = Number(db.prepare("SELECT count(*) FROM log").pluck().get());
  db.close();
  assert.ok(rows >= kept.length, `${rows} rows`);
});

/** A data directory as version 1 left it, with rows for nobody. */
function versionOne(t: TestContext, bytes: number): string {
  const dir = dataDir(t);
  const db = new Database(path.join(dir, "sluice.db"));
  db.pragma("journal_mode = WAL");
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.exec(SCHEMA_1);
  db.pragma("user_version = 1");
  const insert = db.prepare("INSERT INTO log VALUES (?, 1700000000000, 0, 1, 1, 1, x'', ?)");
  db.exec("BEGIN");
  let seq = 0;
  for (let done = 0; done < bytes; done += 4000) insert.run(++seq, Buffer.alloc(4000, "x"));
  db.prepare("UPDATE receiver SET head_seq = ?, count = ?, bytes = ?, counted = ? WHERE id = 0").run(
    seq + 1,
    seq,
    bytes,
    seq + 1,
  );
  db.exec("COMMIT");
  db.close();
  return dir;
}

async function autoVacuum(dir: string, store: SqliteStore): Promise<unknown> {
  await store.close();
  const db = new Database(path.join(dir, "sluice.db"));
  const mode = db.pragma("auto_vacuum", { simple: true });
  assert.equal(db.pragma("integrity_check", { simple: true }), "ok");
  db.close();
  return mode;
}

test("a file of version 1 can be made shorter from the first start that finds little in it", async (t) => {
  const small = versionOne(t, MIB);
  const { store } = await openTestStore(small);
  assert.equal(store.status().rows, Math.ceil(MIB / 4000));
  assert.equal(await autoVacuum(small, store), 2);

  const large = versionOne(t, 8 * MIB);
  const first = await openTestStore(large);
  const cloud = new FakeReceiver(first.store, "uplink", "cloud");
  assert.equal(await publish(first.store, new Answers(), [cloud], "a").stored, 0);
  // Nobody needs the rows: they go, the file stays.
  await eventually("the rows have gone", () => first.store.status().rows === 1);
  assert.equal(await autoVacuum(large, first.store), 0);
  assert.ok(sizeOf(large, "sluice.db") > 8 * MIB);
  const second = await openTestStore(large);
  assert.deepEqual(new FakeReceiver(second.store, "uplink", "cloud").recover(), ["a"]);
  assert.ok(sizeOf(large, "sluice.db") < MIB, `${sizeOf(large, "sluice.db")}`);
  assert.equal(await autoVacuum(large, second.store), 2);
});
