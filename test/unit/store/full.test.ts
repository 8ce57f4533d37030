import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { type Message, WITHDRAWN } from "../../../src/core/message.ts";
import { SETTLED } from "../../../src/core/ports.ts";
import { Retained } from "../../../src/core/retained.ts";
import { clockOf } from "../../support/clock-of.ts";
import { eventually } from "../../support/eventually.ts";
import { requireRoot } from "../../support/peers.ts";
import { Answers, dataDir, FakeReceiver, messageOfText, openTestStore, publish } from "../../support/store-fixture.ts";

const QUOTA_EXCEEDED = 0x97;
const skip = requireRoot();

/** A file that takes all the space there is. @returns what gives it back */
function ballast(dir: string): () => void {
  const file = path.join(dir, "ballast");
  const fd = fs.openSync(file, "w");
  const page = Buffer.alloc(4096, 1);
  try {
    for (;;) fs.writeSync(fd, page);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
  }
  fs.closeSync(fd);
  return () => fs.rmSync(file);
}

const small = { reserveBytes: 512 * 1024, checkpointFrames: 64, commitDelayMs: 2 };

test("a full disk refuses messages and goes on with everything else; nothing of a refused message stays", {
  skip,
}, async (t) => {
  const dir = dataDir(t, 6);
  const { store, counters, lines } = await openTestStore(dir, small);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await eventually("the reserve", () => fs.existsSync(path.join(dir, "sluice.reserve")), 5000);
  const messages: Message[] = [];
  for (let i = 0; i < 200; i++) {
    const { message, stored } = publish(store, answers, [cloud], `m${i} ${"x".repeat(1000)}`);
    messages.push(message);
    if (i % 10 === 9) assert.equal(await stored, SETTLED);
  }
  const free = ballast(dir);

  // QoS 2: the packet id comes with its message and is withdrawn with it.
  const meter = new FakeReceiver(store, "session", "meter");
  let reason = SETTLED;
  let refused: Message | null = null;
  let packetId = 0;
  while (reason === SETTLED) {
    const { message, stored } = publish(store, answers, [cloud], "y".repeat(20_000));
    store.putInbound(meter.id, ++packetId, message);
    reason = await stored;
    refused = message;
    if (reason === SETTLED) messages.push(message);
  }
  assert.equal(reason, QUOTA_EXCEEDED);
  assert.equal(refused?.state, WITHDRAWN);
  assert.equal(cloud.withdrawn.length, 1);
  assert.equal(store.health, "full");
  assert.equal(store.admits(1), QUOTA_EXCEEDED);
  assert.equal(lines.filter((line) => line.includes("store-full")).length, 1);

  // Everything but messages is stored: what waits for it is told, and rows go.
  store.putRetained(messageOfText("on", "lamp", 0, true));
  const rows = store.status().rows;
  for (const message of messages.slice(0, 150)) cloud.acknowledge(message);
  assert.equal(await answers.barrier(store), SETTLED);
  assert.equal(store.status().rows, rows - 150);
  assert.equal(store.health, "full");

  free();
  await eventually("service", () => store.health === "ok", 5000);
  const { stored } = publish(store, answers, [cloud], "again");
  assert.equal(await stored, SETTLED);
  assert.equal(lines.filter((line) => line.includes("store-ok")).length, 1);
  assert.equal(counters.get("store.withdrawn"), 1);
  const texts = messages.slice(150).map((m) => m.payload.toString());
  await store.close();

  const again = await openTestStore(dir, small);
  const recovered = new FakeReceiver(again.store, "uplink", "cloud").recover();
  assert.deepEqual(recovered, [...texts, "again"]);
  assert.deepEqual(
    again.store.loadInbound(meter.id),
    Array.from({ length: packetId - 1 }, (_, i) => i + 1),
    "all but the refused one",
  );
  const retained: string[] = [];
  again.store.loadRetained((m) => retained.push(m.topic));
  assert.deepEqual(retained, ["lamp"]);
});

test("a group that is written on the second try, after a full disk, tells its receivers that it is durable", {
  skip,
}, async (t) => {
  const dir = dataDir(t, 6);
  const options = { ...small, checkpointFrames: 100_000 };
  const first = await openTestStore(dir, options);
  const before = new FakeReceiver(first.store, "uplink", "cloud");
  for (let i = 0; i < 20; i++) await publish(first.store, new Answers(), [before], `${i} ${"x".repeat(2000)}`).stored;
  await first.store.close(); // leaves room in the database, so that the checkpoint needs none

  const { store, counters } = await openTestStore(dir, options);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await eventually("the reserve", () => fs.existsSync(path.join(dir, "sluice.reserve")), 5000);
  cloud.recover();
  for (const message of [...cloud.seenMessages]) cloud.acknowledge(message);
  await answers.barrier(store);
  ballast(dir);
  for (let i = 0; i < 100 && store.health === "ok"; i++) {
    const { durable } = cloud;
    const { message, stored } = publish(store, answers, [cloud], `m${i}`);
    assert.equal(await stored, SETTLED);
    assert.ok(cloud.durable > durable, `message ${i}`);
    assert.equal(counters.get("store.rows_written"), i + 1, "what was rolled back was not written");
    cloud.acknowledge(message);
  }
  assert.ok(counters.get("store.checkpoints") > 0, "a full disk was met");
});

test("a disk that others filled does not stop a database with room inside", { skip }, async (t) => {
  const dir = dataDir(t, 12);
  const { store } = await openTestStore(dir, small);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await eventually("the reserve", () => fs.existsSync(path.join(dir, "sluice.reserve")), 5000);
  const messages: Message[] = [];
  for (let i = 0; i < 400; i++) {
    const { message, stored } = publish(store, answers, [cloud], "x".repeat(10_000));
    messages.push(message);
    if (i % 10 === 9) await stored;
  }
  ballast(dir);
  while ((await publish(store, answers, [cloud], "y".repeat(50_000)).stored) === SETTLED);
  assert.equal(store.health, "full");
  for (const message of messages) cloud.acknowledge(message);
  await eventually("service on pages of its own", () => store.health === "ok", 10_000);
  for (let i = 0; i < 100; i++) {
    const { stored } = publish(store, answers, [cloud], "x".repeat(10_000));
    if (i % 10 === 9) assert.equal(await stored, SETTLED);
  }
});

test("a retained value whose publisher was refused by a full disk is not kept: the value before it stays", {
  skip,
}, async (t) => {
  const dir = dataDir(t, 6);
  const { store } = await openTestStore(dir, { ...small, reserveBytes: 0 });
  const answers = new Answers();
  const time = clockOf(() => performance.now());
  const limits = { retainedMessages: 100, retainedBytes: 10_000_000, retainedPayloadBytes: 1_000_000 };
  const retained = new Retained(store, time, limits, new Counters());
  const put = (text: string, topic: string, qos: number): Promise<number> | null => {
    const message = messageOfText(text, topic, qos, true);
    const stored = qos === 0 ? null : answers.expect(message);
    if (qos > 0) message.pending++;
    retained.put(message);
    return stored;
  };
  assert.equal(await put("old", "row", 1), SETTLED);
  const { count, bytes } = retained;
  const free = ballast(dir);
  let reason = SETTLED;
  for (let i = 0; reason === SETTLED; i++) {
    const large = "x".repeat(200_000 + i);
    const stored = put(large, "row", 1);
    const fresh = put(large, "fresh", 1);
    put("zero", "displaced", 0);
    const displaces = put(large, "displaced", 1);
    reason = (await stored) as number;
    assert.equal(await fresh, reason);
    assert.equal(await displaces, reason);
    if (reason === SETTLED) {
      // It was written: the next one is refused, and these are what was there before it.
      put("", "fresh", 0);
      assert.equal(await put("old", "row", 1), SETTLED);
    }
  }
  assert.equal(reason, QUOTA_EXCEEDED);
  const values = (): (string | undefined)[] =>
    ["row", "fresh", "displaced"].map((topic) => retained.get(topic)?.payload.toString());
  assert.deepEqual(values(), ["old", undefined, "zero"]);
  const size = (text: string): number => text.length;
  assert.deepEqual([retained.count, retained.bytes], [count + 1, bytes + size("displacedzero")]);
  free();
  await eventually("service", () => store.health === "ok", 5000);
  assert.equal(await answers.barrier(store), SETTLED);
  assert.deepEqual(values(), ["old", undefined, "zero"], "nor when space has returned");
});

test("a QoS 0 retained value for which there is no room leaves the value before it, in the index as in the rows", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { commitDelayMs: 60_000, pendingBytesMax: 10_000 });
  const time = clockOf(() => performance.now());
  const limits = { retainedMessages: 100, retainedBytes: 10_000_000, retainedPayloadBytes: 1_000_000 };
  const retained = new Retained(store, time, limits, new Counters());
  retained.put(messageOfText("first", "a", 0, true));
  retained.put(messageOfText("x".repeat(10_000), "fills", 0, true));
  const { count, bytes } = retained;
  retained.put(messageOfText("second, and longer", "a", 0, true));
  retained.put(messageOfText("new", "b", 0, true));
  assert.equal(counters.get("store.retained_dropped"), 2);
  assert.equal(retained.get("a")?.payload.toString(), "first");
  assert.equal(retained.get("b"), undefined);
  assert.deepEqual(
    [...retained.match("#")].filter((topic) => topic !== null),
    ["a", "fills"],
  );
  assert.deepEqual([retained.count, retained.bytes], [count, bytes]);
});

test("store.max_bytes: refuses at the limit, resumes below nine tenths of it", async (t) => {
  const maxBytes = 4 * 1024 * 1024;
  const { store, counters } = await openTestStore(dataDir(t), { maxBytes, commitDelayMs: 1 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const messages: Message[] = [];
  while (store.admits(10_000) === SETTLED) {
    const { message, stored } = publish(store, answers, [cloud], "x".repeat(10_000));
    messages.push(message);
    assert.equal(await stored, SETTLED);
    assert.ok(messages.length < 1000);
  }
  assert.equal(store.health, "full");
  assert.equal(store.status().reason, "store.max_bytes reached");
  assert.ok(messages.length > 200, `${messages.length} messages of 10 kB in 4 MiB, one eighth of it log`);
  const { databaseBytes, walBytes } = store.status();
  assert.ok(databaseBytes + walBytes <= maxBytes + 64 * 1024, "over by one group at most");
  assert.equal(counters.get("store.refused_full"), 1);
  for (const message of messages.slice(0, 100)) cloud.acknowledge(message);
  await eventually("service", () => store.admits(10_000) === SETTLED);
  assert.equal(await publish(store, answers, [cloud], "again").stored, SETTLED);
});

test("the bytes that wait for the medium are bounded: publishers are refused beyond it", async (t) => {
  const { store } = await openTestStore(dataDir(t), { pendingBytesMax: 10_000, commitDelayMs: 50 });
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const stored: Promise<number>[] = [];
  while (store.admits(1000) === SETTLED) {
    const message = messageOfText("x".repeat(1000 - 129));
    assert.equal(message.size, 1000);
    message.addReceiver(cloud.id, 1);
    stored.push(answers.expect(message));
    store.append(message);
  }
  assert.equal(stored.length, 10, "exactly");
  assert.equal(store.admits(0), SETTLED);
  assert.equal(store.admits(1), QUOTA_EXCEEDED);
  await Promise.all(stored);
  assert.equal(store.admits(1000), SETTLED);
});

test("deletions of retained values that are not there do not pile up", async (t) => {
  const { store } = await openTestStore(dataDir(t), { commitDelayMs: 60_000 });
  store.putRetained(messageOfText("on", "lamp", 0, true));
  for (let i = 0; i < 5000; i++) store.putRetained(messageOfText("", `no/${i}`, 0, true));
  const answers = new Answers();
  void answers.barrier(store);
  await store.close();
  assert.deepEqual(answers.told, [[1, SETTLED]]);
});

test("QoS 0 retained values that cannot be written are bounded, counted when dropped, and read back from where they wait", async (t) => {
  const { store, counters } = await openTestStore(dataDir(t), { commitDelayMs: 60_000, pendingBytesMax: 10_000 });
  const size = messageOfText("x".repeat(500), "v/00", 0, true).size;
  const fit = Math.ceil(10_000 / size);
  for (let i = 0; i < fit + 5; i++)
    store.putRetained(messageOfText("x".repeat(500), `v/${String(i).padStart(2, "0")}`, 0, true));
  assert.equal(counters.get("store.retained_dropped"), 5);
  assert.equal(store.getRetained("v/00")?.payload.length, 500);
  assert.equal(store.getRetained(`v/${fit}`), null);
  assert.equal(store.admits(1), QUOTA_EXCEEDED, "they count among what waits for the medium");
  await eventually("a commit", () => store.admits(1) === SETTLED);
  assert.equal(store.getRetained("v/00")?.payload.length, 500);
});
