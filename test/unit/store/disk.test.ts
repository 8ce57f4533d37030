import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { requirePeer } from "../../support/peers.ts";
import { Answers, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";
import { preloadable, StoreProcess } from "../../support/store-process.ts";

const skip = requirePeer("cc");
const shim = skip === false ? preloadable("fsync-shim") : null;

async function numbersIn(dir: string): Promise<number[]> {
  const { store } = await openTestStore(dir);
  const numbers = new FakeReceiver(store, "uplink", "cloud").recover().map((text) => Number.parseInt(text, 10));
  await store.close();
  return numbers;
}

test("with syncs of 200 ms the event loop stays responsive, and no sync is on the main thread", { skip }, async (t) => {
  const dir = dataDir(t);
  const writer = new StoreProcess(dir, { keep: 50, window: 400, checkpointFrames: 64 }, shim);
  await writer.until("ready");
  const before = writer.syncs().length;
  writer.disk("slow_us=200000");
  const acknowledged = writer.acknowledged.length;
  const stalls = writer.stallsMs.length;
  await eventually("a few seconds of a slow disk", () => writer.stallsMs.length >= stalls + 16, 30_000);
  const during = writer.syncs().slice(before);
  writer.disk("");
  assert.ok(writer.acknowledged.length > acknowledged + 400, "it goes on, two groups at a time");
  assert.ok(during.includes("pool sluice.db"), "at least one checkpoint was in it");
  assert.deepEqual(
    during.filter((line) => line.startsWith("main")),
    [],
  );
  // One stall of the machine's own making is forgiven; a sync on the main thread would show in every checkpoint.
  const worst = writer.stallsMs.slice(stalls + 1).sort((a, b) => b - a);
  assert.ok((worst[1] ?? 0) < 200 / 3, `stalled ${worst.slice(0, 4).join(", ")} ms`);
  assert.equal(await writer.ends("SIGTERM"), 0, writer.stderr);
});

for (const trouble of ["eio_sync=1", "eio_write=1", "eio_read=1"]) {
  test(`an I/O error (${trouble}) ends durable service: nothing is acknowledged after it, the rest is refused with 0x83`, {
    skip,
  }, async (t) => {
    const dir = dataDir(t);
    // For reads: more than the page cache holds, acknowledged from its old end.
    const reads = trouble.startsWith("eio_read");
    const orders = reads ? { keep: 1000, bytes: 2000, everyMs: 1, window: 2000 } : { keep: 2000, everyMs: 1 };
    const writer = new StoreProcess(dir, orders, shim);
    await eventually("acknowledgements", () => writer.acknowledged.length > (reads ? 1100 : 50), 30_000);
    writer.disk(trouble);
    await writer.until("failed");
    const acknowledged = writer.acknowledged.length;
    const refused = writer.refused.length;
    writer.disk("");
    await eventually("refusals", () => writer.refused.length > refused + 20);
    assert.equal(writer.acknowledged.length, acknowledged, "not even when the disk works again");
    assert.deepEqual(new Set(writer.refused.map(([, reason]) => reason)), new Set([0x83]));
    assert.equal(await writer.ends("SIGTERM"), 0, "close ends, and closes nothing");
    const numbers = await numbersIn(dir);
    assert.deepEqual(
      writer.acknowledged.slice(reads ? -900 : 0).filter((n) => !numbers.includes(n)),
      [],
    );
  });
}

test("a full disk: negative answers, acknowledgements of receivers are still stored, service returns with the space", {
  skip,
}, async (t) => {
  const dir = dataDir(t);
  const writer = new StoreProcess(dir, { keep: 100, everyMs: 1, reserveBytes: 512 * 1024, bytes: 2000 }, shim);
  await eventually("acknowledgements", () => writer.acknowledged.length > 300);
  await eventually("the reserve", () => fs.existsSync(path.join(dir, "sluice.reserve")));
  writer.disk("full=1");
  await writer.until("full");
  await eventually("refusals", () => writer.refused.length > 50);
  assert.deepEqual(new Set(writer.refused.map(([, reason]) => reason)), new Set([0x97]));
  assert.ok(!fs.existsSync(path.join(dir, "sluice.reserve")), "given up for what must be written");
  writer.disk("");
  await writer.until("healthy");
  const acknowledged = writer.acknowledged.length;
  await eventually("service", () => writer.acknowledged.length > acknowledged + 100);
  assert.ok(fs.existsSync(path.join(dir, "sluice.reserve")));
  assert.equal(await writer.ends("SIGTERM"), 0, writer.stderr);
  const numbers = await numbersIn(dir);
  assert.deepEqual(
    writer.acknowledged.slice(-100).filter((n) => !numbers.includes(n)),
    [],
  );
  const refused = new Set(writer.refused.map(([n]) => n));
  assert.deepEqual(
    numbers.filter((n) => refused.has(n)),
    [],
    "what was refused is not in the log",
  );
});

test("a file system that turned read-only: refused with 0x83, nothing lost, service returns when it takes writes again", {
  skip,
}, async (t) => {
  const dir = dataDir(t);
  const writer = new StoreProcess(dir, { keep: 2000, everyMs: 1, reserveBytes: 512 * 1024 }, shim);
  await eventually("acknowledgements", () => writer.acknowledged.length > 300);
  for (let round = 0; round < 2; round++) {
    const refused = writer.refused.length;
    const events = writer.events.length;
    writer.disk("erofs=1");
    await eventually("read-only", () => writer.events.slice(events).includes("read-only"));
    await eventually("refusals", () => writer.refused.length > refused + 50);
    const acknowledged = writer.acknowledged.length;
    await eventually("another probe", () => writer.refused.length > refused + 1500, 30_000);
    assert.equal(writer.acknowledged.length, acknowledged, "nothing is acknowledged meanwhile");
    writer.disk("");
    await eventually("healthy", () => writer.events.slice(events).includes("healthy"));
    await eventually("service", () => writer.acknowledged.length > acknowledged + 100);
  }
  assert.deepEqual(new Set(writer.refused.map(([, reason]) => reason)), new Set([0x83]));
  assert.ok(!writer.events.includes("failed"));
  assert.equal(await writer.ends("SIGTERM"), 0, writer.stderr);
  const numbers = new Set(await numbersIn(dir));
  assert.deepEqual(
    writer.acknowledged.slice(-2000).filter((n) => !numbers.has(n)),
    [],
  );
  assert.deepEqual(
    writer.refused.filter(([n]) => numbers.has(n)),
    [],
    "what was refused is not in the log",
  );
});

test("a sector of the file that cannot be read: found while running, the next start goes on with all other rows", {
  skip,
}, async (t) => {
  const dir = dataDir(t);
  const orders = { keep: 2500, bytes: 2000, window: 40 };
  const first = new StoreProcess(dir, { ...orders, everyMs: 1 }, shim);
  await eventually("a backlog", () => first.acknowledged.length > 1500, 30_000);
  const { ino } = fs.statSync(path.join(dir, "sluice.db"));
  assert.equal(await first.ends("SIGTERM"), 0, first.stderr);
  const bad = `eio_inode=${ino} eio_page=200`;
  fs.writeFileSync(path.join(dir, "shim-control"), bad);

  // Reads its backlog at once, and meets the sector.
  const second = new StoreProcess(dir, { ...orders, first: 10_000, everyMs: 5 }, shim);
  await second.until("failed");
  await eventually("refusals", () => second.refused.length > 10);
  assert.deepEqual(new Set(second.refused.map(([, reason]) => reason)), new Set([0x83]));
  await second.ends("SIGKILL");

  const third = new StoreProcess(dir, { ...orders, first: 20_000, everyMs: 5 }, shim);
  await third.until("ready");
  await eventually("service", () => third.acknowledged.length > 10);
  assert.equal(await third.ends("SIGTERM"), 0, third.stderr);
  assert.ok(
    fs.readdirSync(dir).some((name) => name.startsWith("sluice.db.damaged")),
    "the file is kept",
  );
  fs.rmSync(path.join(dir, "shim-control"));
  const numbers = new Set(await numbersIn(dir));
  const lost = first.acknowledged.filter((n) => !numbers.has(n));
  assert.ok(lost.length <= 2, `lost ${lost.length} of ${first.acknowledged.length}: what lay in the sector, no more`);
  assert.deepEqual(
    third.acknowledged.filter((n) => !numbers.has(n)),
    [],
  );
});

test("a log that another program deletes ends durable service", async (t) => {
  const dir = dataDir(t);
  const { store, lines } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await publish(store, answers, [cloud], "a").stored;
  fs.rmSync(path.join(dir, "sluice.db-wal"));
  await eventually("the pulse", () => store.health === "failed");
  assert.equal(await publish(store, answers, [cloud], "b").stored, 0x83);
  assert.ok(lines.some((line) => line.includes("error store-failed") && line.includes("deleted")));
});

test("sync off: checkpoints sync, and they are all that does", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { sync: "off", checkpointFrames: 64, commitDelayMs: 1 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const before = counters.get("store.syncs");
  for (let i = 0; i < 40; i++) await publish(store, answers, [cloud], "x".repeat(10_000)).stored;
  await eventually("a checkpoint", () => counters.get("store.checkpoints") > 0);
  // Three each: the log, the database, the restarted log. One more may be under way.
  assert.ok(counters.get("store.syncs") - before <= 3 * counters.get("store.checkpoints") + 3);
});
