import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import type { Message } from "../../../src/core/message.ts";
import type { SessionRecord } from "../../../src/core/ports.ts";
import { DataDirLockedError } from "../../../src/store/lock.ts";
import { ForeignDatabaseError, NewerDatabaseError } from "../../../src/store/migrations.ts";
import { SCHEMA_VERSION } from "../../../src/store/schema.ts";
import type { SqliteStore } from "../../../src/store/store.ts";
import {
  Answers,
  crashImage,
  dataDir,
  FakeReceiver,
  messageOfText,
  openTestStore,
  publish,
} from "../../support/store-fixture.ts";

function sessionsOf(store: SqliteStore): SessionRecord[] {
  const records: SessionRecord[] = [];
  store.loadSessions((record) => records.push(record));
  return records;
}

test("backlog, receivers and the order of messages survive a restart", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(first.store, "uplink", "cloud");
  const panel = new FakeReceiver(first.store, "session", "panel");
  const messages: Message[] = [];
  for (let i = 0; i < 20; i++) {
    const { message, stored } = publish(first.store, answers, i % 2 === 0 ? [cloud, panel] : [cloud], `m${i}`);
    messages.push(message);
    if (i % 5 === 4) await stored;
  }
  for (const message of messages.slice(0, 7)) cloud.acknowledge(message);
  await first.store.close();

  const { store } = await openTestStore(dir);
  assert.equal(store.lastSeq, 20);
  assert.equal(store.loadReceiver("uplink", "nobody"), null);
  const record = store.loadReceiver("uplink", "cloud");
  assert.deepEqual({ ...record, state: 0 }, { ...cloud.record, state: 0 });
  assert.equal(record?.count, 13);
  const cloudAgain = new FakeReceiver(store, "uplink", "cloud");
  assert.equal(cloudAgain.id, cloud.id);
  assert.deepEqual(
    cloudAgain.recover(),
    messages.slice(7).map((m) => m.payload.toString()),
  );
  const panelAgain = new FakeReceiver(store, "session", "panel");
  assert.deepEqual(panelAgain.recover().length, 10);
  const next = publish(store, answers, [cloudAgain], "next").message;
  assert.equal(next.seq, 21);
});

test("all that makes a message comes back: QoS, retain, times, properties, options, subscription identifiers", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  const answers = new Answers();
  const panel = new FakeReceiver(first.store, "session", "panel");
  const { Message } = await import("../../../src/core/message.ts");
  const message = new Message(Buffer.from("a/bPROPpayload"), 3, 7, 2, true, 1_700_000_000_123, 1_700_000_060_123, 9);
  message.addReceiver(panel.id, 6);
  message.subscriptionIds = new Map([[0, [1, 268_435_455]]]);
  const stored = answers.expect(message);
  first.store.append(message);
  panel.took(message);
  await stored;
  await first.store.close();

  const { store } = await openTestStore(dir);
  let got: { message: Message; options: number; ids: readonly number[] | null } | null = null;
  store.read(panel.id, 1, 1000, {
    onBacklog(read, options, ids) {
      got = { message: read, options, ids };
      return true;
    },
  });
  assert.ok(got !== null);
  const { message: read, options, ids } = got as { message: Message; options: number; ids: readonly number[] | null };
  assert.deepEqual(
    [read.topic, read.bytes.toString("utf8", 3, 7), read.payload.toString(), read.qos, read.retain],
    ["a/b", "PROP", "payload", 2, true],
  );
  assert.deepEqual([read.acceptedMs, read.expiresMs, read.seq], [1_700_000_000_123, 1_700_000_060_123, 1]);
  assert.deepEqual([options, ids], [6, [1, 268_435_455]]);
});

test("sequence numbers go on after a restart even when the log is empty", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(first.store, "uplink", "cloud");
  const { message, stored } = publish(first.store, answers, [cloud], "a");
  await stored;
  cloud.acknowledge(message);
  await answers.barrier(first.store);
  assert.equal(first.store.status().rows, 0);
  await first.store.close();
  const { store } = await openTestStore(dir);
  assert.equal(store.lastSeq, 1);
});

test("sessions, subscriptions, inbound packet ids and retained values survive a restart", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  const panel = new FakeReceiver(first.store, "session", "panel");
  const meter = new FakeReceiver(first.store, "session", "meter");
  for (const [receiver, principal] of [
    [panel, "alice"],
    [meter, ""],
  ] as const) {
    first.store.putSession({
      receiver: receiver.save(),
      clientId: receiver.record.name,
      principal,
      expirySeconds: 3600.5,
      disconnectedMs: 12,
      subscriptions: [],
      inboundIds: [],
    });
  }
  first.store.putSubscription(panel.id, { filter: "a/#", options: 1, subscriptionId: 0 });
  first.store.putSubscription(panel.id, { filter: "b/+", options: 2, subscriptionId: 7 });
  first.store.putSubscription(panel.id, { filter: "a/#", options: 2, subscriptionId: 3 });
  first.store.putSubscription(meter.id, { filter: "c", options: 0, subscriptionId: 0 });
  first.store.deleteSubscription(panel.id, "b/+");
  first.store.putInbound(panel.id, 1, null);
  first.store.putInbound(panel.id, 2, null);
  first.store.putInbound(panel.id, 65_535, null);
  first.store.deleteInbound(panel.id, 2);
  first.store.putRetained(messageOfText("on", "lamp/1", 0, true));
  first.store.putRetained(messageOfText("on", "lamp/2", 1, true));
  first.store.putRetained(messageOfText("", "lamp/1", 0, true));
  await first.store.close();

  const second = await openTestStore(dir);
  const records = sessionsOf(second.store);
  assert.deepEqual(
    records.map((r) => [r.clientId, r.principal, r.expirySeconds, r.disconnectedMs, r.subscriptions, r.inboundIds]),
    [
      ["panel", "alice", 3601, 12, [{ filter: "a/#", options: 2, subscriptionId: 3 }], [1, 65_535]],
      ["meter", "", 3601, 12, [{ filter: "c", options: 0, subscriptionId: 0 }], []],
    ],
  );
  assert.deepEqual(second.store.loadInbound(panel.id), [1, 65_535]);
  const retained: string[] = [];
  second.store.loadRetained((m) => retained.push(`${m.topic} ${m.payload} ${m.qos} ${m.retain}`));
  assert.deepEqual(retained, ["lamp/2 on 1 true"]);

  const again = new FakeReceiver(second.store, "session", "panel");
  second.store.deleteSession("panel", again);
  const fresh = new FakeReceiver(second.store, "session", "panel");
  assert.notEqual(fresh.id, panel.id, "a new session is not the old one, though both are in one group");
  await second.store.close();
  const third = await openTestStore(dir);
  assert.deepEqual(
    sessionsOf(third.store).map((r) => r.clientId),
    ["meter"],
  );
  assert.equal(third.store.loadReceiver("session", "panel")?.id, fresh.id);
  assert.deepEqual(third.store.loadInbound(panel.id), []);
});

test("a receiver whose uplink left the configuration goes, and its messages with it", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  const answers = new Answers();
  const old = new FakeReceiver(first.store, "uplink", "old");
  const kept = new FakeReceiver(first.store, "uplink", "kept");
  await publish(first.store, answers, [old], "for the old one").stored;
  await publish(first.store, answers, [kept], "for the kept one").stored;
  await first.store.close();
  const { store } = await openTestStore(dir);
  assert.deepEqual(
    store.deleteOthers("uplink", (name) => name === "kept"),
    ["old"],
  );
  await answers.barrier(store);
  assert.equal(store.status().rows, 1);
  assert.deepEqual(new FakeReceiver(store, "uplink", "kept").recover(), ["for the kept one"]);
});

test("a second gateway on the directory is refused and told the pid of the first", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  await assert.rejects(openTestStore(dir), (error: Error) => {
    assert.ok(error instanceof DataDirLockedError);
    assert.equal(error.pid, process.pid);
    assert.match(error.message, new RegExp(`another gateway, pid ${process.pid}$`));
    return true;
  });
  await store.close();
  const again = await openTestStore(dir);
  assert.equal(again.store.health, "ok");
});

test("a database of a newer version is refused and left as it is", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  await first.store.close();
  const file = path.join(dir, "sluice.db");
  const db = new Database(file);
  db.pragma(`user_version = ${SCHEMA_VERSION + 1}`);
  db.close();
  await assert.rejects(openTestStore(dir), (error: Error) => {
    assert.ok(error instanceof NewerDatabaseError);
    assert.equal(error.version, SCHEMA_VERSION + 1);
    assert.match(error.message, /newer version of Sluice/);
    return true;
  });
  assert.deepEqual(
    fs.readdirSync(dir).filter((name) => name.includes("damaged")),
    [],
  );
});

test("a database of another program is refused and left as it is", async (t) => {
  const dir = dataDir(t);
  const db = new Database(path.join(dir, "sluice.db"));
  db.exec("CREATE TABLE photos (x)");
  db.close();
  await assert.rejects(openTestStore(dir), ForeignDatabaseError);
});

for (const [what, damage] of [
  ["is no database", (file: string) => fs.writeFileSync(file, "not a database".repeat(1000))],
  ["has a page of another file in it", (file: string) => overwrite(file, 4096, 12 * 4096)],
] as const) {
  test(`a file that ${what} is moved aside, and a new one started`, async (t) => {
    const dir = dataDir(t);
    const first = await openTestStore(dir);
    const answers = new Answers();
    const cloud = new FakeReceiver(first.store, "uplink", "cloud");
    await publish(first.store, answers, [cloud], "a").stored;
    await first.store.close();
    damage(path.join(dir, "sluice.db"));
    const { store, counters, lines } = await openTestStore(dir);
    assert.equal(counters.get("store.moved_aside"), 1);
    assert.ok(lines.some((line) => line.includes("error store-damaged")));
    assert.equal(fs.readdirSync(dir).filter((name) => /damaged-.*Z$/.test(name)).length, 1);
    const again = new FakeReceiver(store, "uplink", "cloud");
    assert.equal(await publish(store, answers, [again], "b").stored, 0);
  });
}

function overwrite(file: string, from: number, end: number): void {
  const fd = fs.openSync(file, "r+");
  fs.writeSync(fd, Buffer.alloc(end - from, 0xa5), 0, end - from, from);
  fs.closeSync(fd);
}

test("damage found while running makes the next start check the whole file", async (t) => {
  const dir = dataDir(t);
  const first = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(first.store, "uplink", "cloud");
  const stored: Promise<number>[] = [];
  for (let i = 0; i < 500; i++) stored.push(publish(first.store, answers, [cloud], `m${i} ${"x".repeat(500)}`).stored);
  await Promise.all(stored);
  await first.store.close();
  const file = path.join(dir, "sluice.db");
  // Leaves in the middle of the log: a start reads its ends and the small tables in front.
  overwrite(file, 40 * 4096, 50 * 4096);
  const second = await openTestStore(dir);
  assert.equal(second.counters.get("store.moved_aside"), 0, "not seen at start");
  const again = new FakeReceiver(second.store, "uplink", "cloud");
  again.readAll();
  assert.equal(second.store.health, "failed");
  assert.equal(second.store.admits(1), 0x83);
  const third = await openTestStore(crashImage(t, dir));
  assert.equal(third.counters.get("store.moved_aside"), 1);
});

test("a receiver whose record contradicts the log does not keep the store from closing", async (t) => {
  const { store } = await openTestStore(dataDir(t));
  const astray = new FakeReceiver(store, "session", "astray");
  astray.save = () => Object.assign(astray.record, { headSeq: store.lastSeq + 100, count: 3, bytes: 900 });
  store.touch(astray);
  await store.close();
  assert.equal(store.health, "ok");
});
