// What uplinks have used of their data caps, on the medium.
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import type { DataUse } from "../../../src/core/data-use.ts";
import { LogState } from "../../../src/store/log-state.ts";
import { LOG_ROW, SCHEMA_VERSION } from "../../../src/store/schema.ts";
import { eventually } from "../../support/eventually.ts";
import { Answers, crashImage, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

const use = (sent: number): DataUse => ({ sent, received: 7, endMs: 1.8e12, wallMs: 1.7e12, stampMs: 5, told: 0 });

test("it goes along with a commit that has reasons of its own", async (t) => {
  const dir = dataDir(t);
  const { store, counters } = await openTestStore(dir);
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  await publish(store, new Answers(), [cloud], "m").stored;
  const commits = counters.get("store.commits");
  store.uses.put("cloud", use(1000));
  assert.equal(store.uses.unsaved("cloud"), 1007);
  await new Promise((resolve) => setTimeout(resolve, 600));
  assert.equal(counters.get("store.commits"), commits, "no commit for it");
  cloud.open.clear();
  store.touch(cloud);
  await eventually("the receiver's record is written", () => store.uses.unsaved("cloud") === 0);
  const { store: after } = await openTestStore(crashImage(t, dir));
  assert.deepEqual(after.uses.load("cloud"), use(1000));
  assert.equal(after.uses.load("other"), null);
});

test("asked to, the store makes a commit for it, and kill -9 takes nothing of that back", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  store.uses.put("cloud", use(1));
  store.uses.put("cloud", use(20));
  store.uses.save();
  await eventually("it is written", () => store.uses.unsaved("cloud") === 0);
  const { store: after } = await openTestStore(crashImage(t, dir));
  assert.deepEqual(after.uses.load("cloud"), use(20));
  assert.equal(after.uses.unsaved("cloud"), 0);
  store.uses.put("cloud", use(30));
  await store.close();
  const { store: again } = await openTestStore(dir);
  assert.deepEqual(again.uses.load("cloud"), use(30), "an orderly end keeps all");
});

test("a file of version 2 comes over with the age that is in it, and takes what is used from then on", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  await publish(store, new Answers(), [new FakeReceiver(store, "uplink", "cloud")], "m").stored;
  await store.close();
  const file = path.join(dir, "sluice.db");
  const db = new Database(file);
  const state = (): Buffer => db.prepare("SELECT state FROM receiver WHERE id = ?").pluck().get(LOG_ROW) as Buffer;
  const age = new LogState(state()).age;
  assert.notEqual(age, null);
  const format1 = Buffer.concat([Buffer.of(1), state().subarray(3)]);
  db.prepare("UPDATE receiver SET state = ? WHERE id = ?").run(format1, LOG_ROW);
  db.pragma("user_version = 2");
  db.close();
  const { store: next, lines } = await openTestStore(dir);
  assert.ok(!lines.some((line) => line.includes("clock-not-set")), lines.join(""));
  assert.deepEqual(next.status().rows, 1);
  next.uses.put("cloud", use(5));
  await next.close();
  const after = new Database(file);
  assert.equal(after.pragma("user_version", { simple: true }), SCHEMA_VERSION);
  const read = new LogState(after.prepare("SELECT state FROM receiver WHERE id = ?").pluck().get(LOG_ROW) as Buffer);
  after.close();
  assert.deepEqual(read.use("cloud"), use(5));
  assert.ok((read.age?.ageMs ?? 0) >= (age?.ageMs ?? Number.POSITIVE_INFINITY), "age time went on from where it was");
});
