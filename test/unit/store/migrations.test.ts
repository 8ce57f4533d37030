// Files of other versions: an older one comes over whole or not at all, a newer one and a stranger's are left alone.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import type { SessionRecord } from "../../../src/core/ports.ts";
import { ForeignDatabaseError, migrate, NewerDatabaseError } from "../../../src/store/migrations.ts";
import { APPLICATION_ID, SCHEMA_1, SCHEMA_2, SCHEMA_VERSION } from "../../../src/store/schema.ts";
import { Answers, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

const ACCEPTED = Date.UTC(2026, 5, 1);

/** A file as version 1 left it after a clean stop, with something in every table. */
function makeVersion1(file: string): void {
  const db = new Database(file);
  db.pragma("page_size = 4096");
  db.pragma("journal_mode = WAL");
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.exec(SCHEMA_1);
  db.pragma("user_version = 1");
  db.exec(`
    INSERT INTO receiver VALUES (1, 'uplink', 'cloud', 3, 0, x'', 3, 300, 6);
    INSERT INTO receiver VALUES (2, 'session', 'panel', 5, 17, x'', 1, 100, 6);
    INSERT INTO session VALUES (2, 'alice', 3600, ${ACCEPTED});
    INSERT INTO subscription VALUES (2, 'a/#', 1, 7);
    INSERT INTO inbound VALUES (2, 11);
    INSERT INTO retained VALUES ('lamp', ${ACCEPTED}, 0, 5, 4, CAST('lampon' AS BLOB));
    UPDATE receiver SET head_seq = 6, count = 3, bytes = 300, counted = 6 WHERE id = 0;
  `);
  const insert = db.prepare("INSERT INTO log VALUES (?, ?, 0, 1, 1, 1, ?, ?)");
  // Lists: receiver 1 (zigzag 2, options 1), and for the last row receiver 2 behind it.
  for (const seq of [3, 4]) insert.run(seq, ACCEPTED, Buffer.from([2, 1]), Buffer.from(`tm${seq}`));
  insert.run(5, ACCEPTED, Buffer.from([2, 1, 2, 1]), Buffer.from("tm5"));
  db.close();
}

const versionOf = (file: string): number => {
  const db = new Database(file);
  const version = Number(db.pragma("user_version", { simple: true }));
  db.close();
  return version;
};

test("a file of version 1 comes over with all that is in it, and works", async (t) => {
  const dir = dataDir(t);
  const file = path.join(dir, "sluice.db");
  makeVersion1(file);
  const { store, counters } = await openTestStore(dir);
  assert.equal(counters.get("store.moved_aside"), 0);
  assert.equal(store.lastSeq, 5);
  const sessions: SessionRecord[] = [];
  store.loadSessions((record) => sessions.push(record));
  assert.deepEqual(
    sessions.map((s) => [
      s.clientId,
      s.principal,
      s.expirySeconds,
      s.receiver.headOrdinal,
      s.subscriptions,
      s.inboundIds,
    ]),
    [["panel", "alice", 3600, 17, [{ filter: "a/#", options: 1, subscriptionId: 7 }], [11]]],
  );
  assert.equal(store.getRetained("lamp")?.payload.toString(), "on");
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const panel = new FakeReceiver(store, "session", "panel");
  assert.deepEqual([cloud.recover(), panel.recover()], [["m3", "m4", "m5"], ["m5"]]);
  const answers = new Answers();
  const { message, stored } = publish(store, answers, [cloud, panel], "m6");
  assert.deepEqual([await stored, message.seq], [0, 6]);
  await store.close();
  assert.equal(versionOf(file), SCHEMA_VERSION);
  const again = await openTestStore(dir);
  assert.deepEqual(new FakeReceiver(again.store, "uplink", "cloud").recover(), ["m3", "m4", "m5", "m6"]);
});

test("a version 1 file that is damaged comes over as version 2, too", async (t) => {
  const dir = dataDir(t);
  const file = path.join(dir, "sluice.db");
  makeVersion1(file);
  fs.writeFileSync(file, fs.readFileSync(file).fill(0, 0, 100));
  const { store, counters } = await openTestStore(dir);
  assert.equal(counters.get("store.moved_aside"), 1);
  assert.deepEqual(new FakeReceiver(store, "session", "panel").recover(), ["m5"]);
  assert.deepEqual(new FakeReceiver(store, "uplink", "cloud").recover(), ["m3", "m4", "m5"]);
});

test("a migration that is broken off in the middle leaves version 1 as it was", (t) => {
  const file = path.join(dataDir(t), "sluice.db");
  makeVersion1(file);
  const contents = (db: Database.Database): unknown[] => [
    db.prepare("SELECT sql FROM sqlite_schema").pluck().all(),
    db.prepare("SELECT * FROM log").raw().all(),
    db.prepare("SELECT * FROM receiver").raw().all(),
    db.prepare("SELECT * FROM generation").raw().all(),
  ];
  const db = new Database(file);
  const before = contents(db);
  // Frames go into the log before the commit, as on a small cache.
  db.pragma("cache_size = 1");
  // The power goes after n of the statements: what a next start finds is what SQLite rolls back to.
  const statements = SCHEMA_2.replaceAll(/--.*$/gm, "")
    .split(";")
    .filter((sql) => sql.trim() !== "");
  assert.ok(statements.length > 1);
  for (let n = 1; n <= statements.length; n++) {
    const image = path.join(dataDir(t), "sluice.db");
    db.exec("BEGIN");
    for (const sql of statements.slice(0, n)) db.exec(sql);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
    for (const suffix of ["", "-wal"]) fs.copyFileSync(file + suffix, image + suffix);
    db.exec("ROLLBACK");
    const crashed = new Database(image);
    assert.equal(crashed.pragma("user_version", { simple: true }), 1);
    assert.deepEqual(contents(crashed), before);
    migrate(crashed);
    assert.equal(crashed.pragma("user_version", { simple: true }), SCHEMA_VERSION);
    assert.equal(crashed.pragma("integrity_check", { simple: true }), "ok");
    crashed.close();
  }
  db.close();
});

test("a newer file is refused, and not a byte of it changes", async (t) => {
  const dir = dataDir(t);
  await (await openTestStore(dir)).store.close();
  const file = path.join(dir, "sluice.db");
  const newer = fs.readFileSync(file);
  newer.writeUInt32BE(SCHEMA_VERSION + 1, 60);
  fs.writeFileSync(file, newer);
  const names = fs.readdirSync(dir);
  for (let n = 0; n < 2; n++) await assert.rejects(openTestStore(dir), NewerDatabaseError);
  assert.ok(fs.readFileSync(file).equals(newer), "byte for byte");
  assert.deepEqual(fs.readdirSync(dir), names);
});

test("another program's database is refused, and not a byte of it changes", async (t) => {
  const dir = dataDir(t);
  const file = path.join(dir, "sluice.db");
  const db = new Database(file);
  db.exec("CREATE TABLE photos (x); INSERT INTO photos VALUES (1)");
  db.close();
  const before = fs.readFileSync(file);
  await assert.rejects(openTestStore(dir), ForeignDatabaseError);
  assert.ok(fs.readFileSync(file).equals(before), "byte for byte");
  assert.deepEqual(
    fs.readdirSync(dir).filter((name) => name.startsWith("sluice.db")),
    ["sluice.db"],
  );
});

test("a header that contradicts the tables is damage, no newer version and no stranger", async (t) => {
  for (const [offset, value] of [
    [60, 0x7fffffff], // user_version
    [60, 0],
    [68, 0x1234], // application_id
  ] as const) {
    const dir = dataDir(t);
    const { store } = await openTestStore(dir);
    const cloud = new FakeReceiver(store, "uplink", "cloud");
    await publish(store, new Answers(), [cloud], "kept").stored;
    await store.close();
    const file = path.join(dir, "sluice.db");
    const bytes = fs.readFileSync(file);
    bytes.writeUInt32BE(value, offset);
    fs.writeFileSync(file, bytes);
    const again = await openTestStore(dir);
    assert.equal(again.counters.get("store.moved_aside"), 1);
    assert.deepEqual(new FakeReceiver(again.store, "uplink", "cloud").recover(), ["kept"]);
  }
});
