import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import {
  CHECKPOINT,
  DAY_MS,
  logBytes,
  MESSAGES,
  PAST_DAYS,
  RETAINED,
  SESSIONS,
  UPKEEP,
  WRITE_CLASSES,
  WriteMeter,
} from "../../../src/store/meter.ts";
import { DATABASE_NAME } from "../../../src/store/open.ts";
import { FRAME_BYTES, PAGE_BYTES, WAL_HEADER_BYTES } from "../../../src/store/schema.ts";
import {
  Answers,
  crashImage,
  dataDir,
  FakeReceiver,
  messageOfText,
  openTestStore,
  publish,
} from "../../support/store-fixture.ts";

const NOTHING = Buffer.alloc(0);

test("a commit counts the pages that its frames lie in, the one it shares with the commit before as well", () => {
  assert.equal(logBytes(3, 3, true), 0);
  assert.equal(logBytes(0, 1, true), 2 * PAGE_BYTES, "32 and 4,120 bytes");
  assert.equal(logBytes(1, 2, true), 2 * PAGE_BYTES, "from the middle of the second page to that of the third");
  assert.equal(logBytes(1, 2, false), PAGE_BYTES);
  for (let from = 0; from < 400; from++) {
    for (const frames of [1, 2, 7]) {
      const pages = new Set<number>();
      const begin = from === 0 ? 0 : WAL_HEADER_BYTES + from * FRAME_BYTES;
      const end = WAL_HEADER_BYTES + (from + frames) * FRAME_BYTES;
      for (let at = begin; at < end; at += 8) pages.add(Math.floor(at / PAGE_BYTES));
      assert.equal(logBytes(from, from + frames, true), pages.size * PAGE_BYTES);
    }
  }
  let sum = 0;
  for (let n = 0; n < 1000; n += 5) sum += logBytes(n, n + 5, false);
  assert.equal(sum, logBytes(0, 1000, true), "commits that share their pages write each of them once");
});

test("a commit's bytes are divided by content, without remainder, and a commit taken back divides nothing", () => {
  const meter = new WriteMeter(NOTHING);
  meter.rows(MESSAGES, 3, 952); // 1,000 with the rows
  meter.rows(RETAINED, 1, 484); // 500
  meter.rows(SESSIONS, 10, 340); // 500
  meter.committed(8193);
  assert.deepEqual([...meter.lifetime], [4097, 2048, 2048, 0, 0]);
  meter.rows(SESSIONS, 1000, 0);
  meter.rolledBack();
  meter.committed(4096);
  assert.deepEqual([...meter.lifetime], [8193, 2048, 2048, 0, 0], "what has no content is the log's");
  meter.add(UPKEEP, 7);
  meter.add(CHECKPOINT, 8);
  assert.equal(meter.lifetimeBytes, 8193 + 2048 + 2048 + 15);
  assert.equal(meter.dayBytes, meter.lifetimeBytes);
  assert.equal(meter.written, meter.lifetimeBytes);
});

test("numbers are encoded and read again; a cut, foreign or broken state begins at zero", () => {
  const meter = new WriteMeter(NOTHING);
  meter.turn(5, 0);
  meter.add(MESSAGES, 2 ** 50);
  meter.turn(5 + DAY_MS, DAY_MS);
  meter.add(UPKEEP, 3);
  const bytes = Buffer.from(meter.encode());
  const again = new WriteMeter(bytes);
  assert.deepEqual(again.lifetime, meter.lifetime);
  assert.deepEqual(again.day, meter.day);
  assert.deepEqual(again.past, meter.past);
  assert.equal(again.dayMs, 5 + DAY_MS);
  assert.equal(again.bytesPerDay(0), 2 ** 50 + 3);
  assert.equal(new WriteMeter(bytes.subarray(0, -1)).lifetimeBytes, 0);
  assert.equal(new WriteMeter(Buffer.concat([Buffer.of(9), bytes.subarray(1)])).lifetimeBytes, 0);
  const broken = Buffer.from(bytes).fill(0xff, 8);
  assert.deepEqual(
    new WriteMeter(broken).encode(),
    new WriteMeter(Buffer.from(new WriteMeter(broken).encode())).encode(),
  );
  assert.equal(new WriteMeter(broken).lifetimeBytes, 0);
});

test("a day is 24 hours of age from the first use; the last seven are remembered", () => {
  const meter = new WriteMeter(NOTHING);
  const began = 1_700_000_000_000;
  const turn = (ageMs: number): void => meter.turn(ageMs, Math.max(0, ageMs - meter.dayMs));
  meter.turn(began, 0);
  assert.equal(meter.bytesPerDay(DAY_MS / 24 - 1), null, "an hour is too little to tell");
  meter.add(MESSAGES, 100);
  assert.equal(meter.bytesPerDay(DAY_MS / 4), 400);
  turn(began + DAY_MS - 1);
  assert.equal(meter.dayBytes, 100);
  turn(began + DAY_MS);
  assert.equal(meter.dayBytes, 0);
  assert.equal(meter.lifetimeBytes, 100);
  assert.equal(meter.past[0], 100);
  meter.add(MESSAGES, 50);
  turn(began + 4 * DAY_MS + 9);
  assert.deepEqual([...meter.past], [0, 0, 50, 100, 0, 0, 0]);
  assert.equal(meter.dayMs, began + 4 * DAY_MS, "days begin where the first began");
  assert.equal(meter.bytesPerDay(DAY_MS), 30);
  meter.add(MESSAGES, 8);
  turn(began + (4 + PAST_DAYS) * DAY_MS);
  assert.deepEqual([...meter.past], [0, 0, 0, 0, 0, 0, 8]);
  turn(began + 1000 * DAY_MS);
  assert.deepEqual([...meter.past], Array(PAST_DAYS).fill(0));
  assert.equal(meter.lifetimeBytes, 158);
});

test("age that a kill took back makes today longer; another clock altogether begins today anew", () => {
  const meter = new WriteMeter(NOTHING);
  meter.turn(10 * DAY_MS, 0);
  meter.add(MESSAGES, 1);
  meter.turn(10 * DAY_MS - 5000, 0);
  assert.equal(meter.dayMs, 10 * DAY_MS);
  meter.turn(1000, 0);
  assert.equal(meter.dayMs, 1000);
  assert.equal(meter.dayBytes, 1, "nothing is forgotten for it");
});

test("what a store writes is counted by class, and exactly the pages of its frames", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { commitDelayMs: 1 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await answers.barrier(store);
  const before = counters.get("store.bytes_written");
  const frames = counters.get("store.wal_bytes") / FRAME_BYTES;
  await publish(store, answers, [cloud], "x".repeat(10_000)).stored;
  const after = counters.get("store.wal_bytes") / FRAME_BYTES;
  assert.ok(after > frames);
  assert.equal(counters.get("store.bytes_written") - before, logBytes(frames, after, true));
  assert.ok(counters.get("store.written.messages.day") > counters.get("store.written.sessions.day"));
  assert.equal(counters.get("store.written.retained.day"), 0);
  const value = messageOfText("v".repeat(100), "t", 1, true);
  const stored = answers.expect(value);
  store.putRetained(value);
  await stored;
  assert.ok(counters.get("store.written.retained.day") >= PAGE_BYTES);
  const total = WRITE_CLASSES.reduce((sum, name) => sum + counters.get(`store.written.${name}.day`), 0);
  assert.equal(counters.get("store.written.total.day"), total);
  assert.equal(counters.get("store.written.total.lifetime"), total);
  assert.deepEqual(store.status().written.day.total, total);
});

test("the numbers are kept over a clean stop, and over kill -9 to the last frame", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir, { checkpointFrames: 64 });
  const answers = new Answers();
  const cloud = new FakeReceiver(first.store, "uplink", "cloud");
  for (let i = 0; i < 40; i++) await publish(first.store, answers, [cloud], `${i} ${"x".repeat(6000)}`).stored;
  assert.ok(first.counters.get("store.checkpoints") > 0);
  await answers.barrier(first.store);
  const lifetime = first.store.status().written.lifetime;

  const killed = await openTestStore(crashImage(t, dir), { checkpointFrames: 64 });
  const recovered = killed.store.status().written;
  // The log's pages are counted once more when the log of the killed gateway is written anew, and are upkeep.
  assert.equal(recovered.lifetime.checkpoint, lifetime.checkpoint - logBytes(0, 1, true));
  const rows = (of: typeof lifetime): number => of.messages + of.retained + of.sessions;
  const frames = first.counters.get("store.wal_bytes") / FRAME_BYTES;
  const ratio = rows(recovered.lifetime) / rows(lifetime);
  assert.ok(ratio > 0.8 && ratio < 1.05, `${ratio} with ${frames} frames in the log`);
  assert.ok(recovered.lifetime.upkeep > lifetime.upkeep);

  await first.store.close();
  const second = await openTestStore(dir);
  const again = second.store.status().written.lifetime;
  const last = rows(again) - rows(lifetime);
  assert.ok(
    last >= 0 && last < 8 * PAGE_BYTES,
    `the last commit, and no frame of the log was left to be found: ${last}`,
  );
  assert.ok(again.checkpoint > lifetime.checkpoint);
  const ended = again.total;
  await second.store.close();
  const third = await openTestStore(dir);
  const grown = third.store.status().written.lifetime.total - ended;
  assert.ok(grown > 0 && grown < 20 * PAGE_BYTES, `a stop and a start without work write little: ${grown}`);
  assert.equal(third.store.status().written.day.total, third.store.status().written.lifetime.total);
});

/** Whether the kernel counts what goes to the file system of `dir`: memory is none. */
function countsWrites(dir: string): boolean {
  const TMPFS = 0x01021994;
  return process.platform === "linux" && fs.statfsSync(dir).type !== TMPFS;
}

const CHILD = path.join(import.meta.dirname, "../../support/store-meter-child.ts");

for (const [work, orders] of Object.entries({
  "wide commits that are kept": { messages: 6000, bytes: 200, commitDelayMs: 5, pause: 100, drain: false },
  "small commits that are drained": { messages: 400, bytes: 200, commitDelayMs: 0, pause: 1, drain: true },
})) {
  test(`the sum is what the kernel says the process wrote: ${work}`, {
    skip: !countsWrites(os.tmpdir()),
  }, async (t) => {
    const dir = dataDir(t);
    const child = spawn(process.execPath, [CHILD, dir, JSON.stringify(orders)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    await once(child, "close");
    const { metered, kernel, checkpoints } = JSON.parse(text) as Record<string, number>;
    const ratio = (metered as number) / (kernel as number);
    t.diagnostic(`metered ${metered}, kernel ${kernel}, ratio ${ratio.toFixed(3)}, ${checkpoints} checkpoints`);
    assert.ok((checkpoints as number) > 1, "checkpoints are in it");
    assert.ok(ratio > 0.9 && ratio < 1.1, text);
  });
}

test("the numbers come over from a damaged file", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  const answers = new Answers();
  await publish(first.store, answers, [new FakeReceiver(first.store, "uplink", "cloud")], "m".repeat(100_000)).stored;
  await first.store.close();
  const { lifetime } = first.store.status().written;
  const file = fs.openSync(path.join(dir, DATABASE_NAME), "r+");
  fs.writeSync(file, Buffer.alloc(100), 0, 100, 0);
  fs.closeSync(file);
  const second = await openTestStore(dir);
  assert.equal(second.counters.get("store.moved_aside"), 1);
  const again = second.store.status().written.lifetime;
  assert.equal(again.messages, lifetime.messages);
  assert.ok(again.upkeep > lifetime.upkeep + 100_000, "what the salvage wrote is upkeep");
});
