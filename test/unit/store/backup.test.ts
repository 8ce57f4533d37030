// A copy of the store while it works: what it holds, what it costs, how it fails.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { BackupError } from "../../../src/store/backup.ts";
import { copyStopped } from "../../../src/store/backup-stopped.ts";
import { inspectFile, NoStoreError, quickCheck } from "../../../src/store/inspect-file.ts";
import { DataDirLockedError } from "../../../src/store/lock.ts";
import { requireRoot } from "../../support/peers.ts";
import { Answers, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

const TEXT = "x".repeat(400);

function ignore(): void {}

/** Puts `backup` in the place of a store, and reads what the uplink has there. */
async function restored(t: TestContext, backup: string): Promise<string[]> {
  const dir = dataDir(t);
  fs.copyFileSync(backup, path.join(dir, "sluice.db"));
  const { store, counters } = await openTestStore(dir);
  assert.equal(counters.get("store.moved_aside"), 0);
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const texts = cloud.recover();
  await store.close();
  return texts.map((text) => text.slice(0, -TEXT.length - 1));
}

test("a backup under load, through many checkpoints: all that was acknowledged before it began is in it", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir, { checkpointFrames: 64, commitDelayMs: 1 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const sent: ReturnType<typeof publish>[] = [];
  const send = () => sent.push(publish(store, answers, [cloud], `m${sent.length} ${TEXT}`));
  for (let n = 0; n < 3000; n++) {
    send();
    if (n % 100 === 99) await sent.at(-1)?.stored;
  }
  let acknowledged = 0;
  // Until some met a checkpoint in the middle.
  let met = 0;
  for (let round = 0; met < 3; round++) {
    assert.ok(round < 100, "no backup met a checkpoint");
    const before = sent.length;
    const checkpoints = counters.get("store.checkpoints");
    const target = path.join(dataDir(t), "copy.db");
    let done = false;
    let steps = 0;
    const copying = store.backups
      .run(target, () => steps++)
      .finally(() => {
        done = true;
      });
    // Rows go as well as come, so that pages change their place.
    for (let n = 0; !done; n++) {
      send();
      if (n % 2 === 0) cloud.acknowledge((sent[acknowledged++] as (typeof sent)[0]).message);
      if (n % 20 === 0) await sent.at(-1)?.stored;
    }
    const bytes = await copying;
    assert.equal(fs.statSync(target).size, bytes);
    assert.ok(steps > 20, `${steps} steps`);
    if (counters.get("store.checkpoints") > checkpoints) met++;
    assert.equal(quickCheck(target), "ok");
    const report = inspectFile(target);
    assert.deepEqual([report.integrity, report.problems], [["ok"], []]);
    const has = await restored(t, target);
    const numbers = has.map((text) => Number(text.slice(1)));
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
    );
    const missing = [];
    for (let n = acknowledged; n < before; n++) if (!numbers.includes(n)) missing.push(n);
    assert.deepEqual(missing, []);
    assert.equal(store.health, "ok");
  }
});

test("a backup that is broken off, or has no folder, or comes second, leaves nothing and the store unharmed", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  for (let n = 0; n < 200; n++) publish(store, answers, [cloud], TEXT);
  await answers.barrier(store);
  const target = path.join(dataDir(t), "copy.db");
  const first = store.backups.run(target, ignore, () => false);
  await assert.rejects(store.backups.run(target, ignore), /another backup/);
  await assert.rejects(first, /broken off/);
  assert.equal(fs.existsSync(target), false);
  await assert.rejects(store.backups.run("/nowhere/at/all/copy.db", ignore), (error: Error) => {
    assert.ok(error instanceof BackupError);
    assert.match(error.message, /no such folder/);
    return true;
  });
  const stopped = store.backups.run(target, ignore);
  const [outcome] = await Promise.allSettled([stopped, store.close()]);
  assert.equal(outcome.status, "rejected");
  assert.equal(fs.existsSync(target), false);
});

test("a target without room is refused or given up; the store stays ok", { skip: requireRoot() }, async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  for (let n = 0; n < 5000; n++) publish(store, answers, [cloud], TEXT);
  await answers.barrier(store);
  const small = dataDir(t, 1);
  await assert.rejects(store.backups.run(path.join(small, "copy.db"), ignore), /too little room/);
  const full = dataDir(t, 8);
  let filled = false;
  const onProgress = ({ bytes }: { bytes: number }): void => {
    if (filled || bytes < 100_000) return;
    filled = true;
    try {
      fs.writeFileSync(path.join(full, "filler"), Buffer.alloc(8 * 2 ** 20));
    } catch {
      // That is what it is for.
    }
  };
  await assert.rejects(store.backups.run(path.join(full, "copy.db"), onProgress), /no space left there/);
  assert.deepEqual(fs.readdirSync(full), ["filler"]);
  assert.equal(store.health, "ok");
  assert.equal(await publish(store, answers, [cloud], "goes on").stored, 0);
});

test("a stopped store is copied with its log, under the lock, and not changed", async (t) => {
  const { crashImage } = await import("../../support/store-fixture.ts");
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  for (let n = 0; n < 300; n++) publish(store, answers, [cloud], `m${n} ${TEXT}`);
  await answers.barrier(store);
  const target = path.join(dataDir(t), "copy.db");
  assert.throws(() => copyStopped(dir, target), DataDirLockedError);
  const image = crashImage(t, dir);
  const files = ["sluice.db", "sluice.db-wal"].map((name) => path.join(image, name));
  const before = files.map((file) => fs.readFileSync(file));
  assert.equal(copyStopped(image, target), fs.statSync(target).size);
  assert.deepEqual(
    files.map((file) => fs.readFileSync(file)),
    before,
  );
  assert.equal(quickCheck(target), "ok");
  assert.equal((await restored(t, target)).length, 300);
  assert.throws(() => copyStopped(dataDir(t), target), NoStoreError);
});
