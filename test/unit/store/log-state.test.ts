import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { GAPS_MAX } from "../../../src/base/age-scale.ts";
import { LogState, USES_MAX } from "../../../src/store/log-state.ts";
import { DATABASE_NAME } from "../../../src/store/open.ts";
import { LOG_ROW } from "../../../src/store/schema.ts";
import { Answers, dataDir, FakeReceiver, openTestStore, publish } from "../../support/store-fixture.ts";

test("what is encoded is read again", () => {
  const state = new LogState(Buffer.alloc(0));
  const gaps = Array.from({ length: GAPS_MAX }, (_, i) => ({ atMs: i + 1, missingMs: 1000 + i }));
  const bootId = "f7a8b5c2-7c2f-4f0e-9f5e-0a1b2c3d4e5f";
  state.age = { ageMs: 12_345.678, uptimeMs: 5, bootId, wallMs: 1_800_000_000_000, lacksToMs: 7, gaps };
  assert.deepEqual(new LogState(Buffer.from(state.encode())), state);
  state.age = { ...state.age, gaps: [], bootId: "" };
  assert.deepEqual(new LogState(Buffer.from(state.encode())), state);
});

const USE = { sent: 1.5, received: 2e12, endMs: 1_800_000_000_000, wallMs: 1_790_000_000_000, stampMs: 5.25, told: 1 };

test("what uplinks have used lies behind the age, with or without one", () => {
  const state = new LogState(Buffer.alloc(0));
  const names = ["cloud", "x".repeat(64), "a.b:c@d-e"];
  for (const [i, name] of names.entries()) state.putUse(name, { ...USE, sent: i });
  for (const age of [null, { ageMs: 1, uptimeMs: 2, bootId: "boot", wallMs: 3, lacksToMs: 4, gaps: [] }]) {
    state.age = age;
    const read = new LogState(Buffer.from(state.encode()));
    assert.deepEqual(read.age, age);
    for (const [i, name] of names.entries()) assert.deepEqual(read.use(name), { ...USE, sent: i });
    assert.equal(read.use("another"), null);
    assert.deepEqual([read.unencodedUse("cloud"), read.unencodedUse("another")], [0, 0]);
  }
});

test("of more uplinks than there is room for, the one that was put longest ago is forgotten", () => {
  const state = new LogState(Buffer.alloc(0));
  for (let i = 0; i <= USES_MAX; i++) state.putUse(`uplink-${i}-`.padEnd(64, "x"), USE);
  const bytes = Buffer.from(state.encode());
  assert.ok(bytes.length < 2048, "a small part of a page");
  const read = new LogState(bytes);
  assert.equal(read.use("uplink-0-".padEnd(64, "x")), null);
  for (let i = 1; i <= USES_MAX; i++) assert.deepEqual(read.use(`uplink-${i}-`.padEnd(64, "x")), USE);
});

test("what is put is not encoded until it is", () => {
  const state = new LogState(Buffer.alloc(0));
  state.putUse("cloud", { ...USE, sent: 10, received: 20 });
  assert.equal(state.unencodedUse("cloud"), 30);
  state.encode();
  assert.equal(state.unencodedUse("cloud"), 0);
  state.putUse("cloud", { ...USE, sent: 15, received: 20 });
  assert.equal(state.unencodedUse("cloud"), 5);
});

test("a use that is cut or has numbers that are none is none, and does no harm to the others", () => {
  const state = new LogState(Buffer.alloc(0));
  state.putUse("a", USE);
  const afterA = state.encode().length;
  state.putUse("b", USE);
  const bytes = Buffer.from(state.encode());
  for (let end = afterA; end < bytes.length; end++) {
    const cut = new LogState(bytes.subarray(0, end));
    assert.deepEqual([cut.use("a"), cut.use("b")], [USE, null], `cut at ${end}`);
  }
  const broken = Buffer.from(bytes);
  broken.fill(0xff, afterA - 8, afterA);
  const read = new LogState(broken);
  assert.deepEqual([read.use("a"), read.use("b")], [null, USE]);
});

test("format 1 had the age alone", () => {
  const age = { ageMs: 1, uptimeMs: 2, bootId: "boot", wallMs: 3, lacksToMs: 4, gaps: [{ atMs: 5, missingMs: 6 }] };
  const state = new LogState(Buffer.alloc(0));
  state.age = age;
  const format1 = Buffer.concat([Buffer.of(1), state.encode().subarray(3)]);
  const read = new LogState(format1);
  assert.deepEqual([read.age, read.use("cloud")], [age, null]);
});

test("an empty, cut or foreign state begins at its defaults", () => {
  const fresh = new LogState(Buffer.alloc(0));
  const bytes = Buffer.from(fresh.encode());
  assert.deepEqual(new LogState(bytes.subarray(0, -1)), fresh);
  assert.deepEqual(new LogState(Buffer.concat([Buffer.of(9), bytes.subarray(1)])), fresh);
});

test("a clock's part that is cut or has numbers that are none is no record", () => {
  const state = new LogState(Buffer.alloc(0));
  state.age = { ageMs: 1, uptimeMs: 2, bootId: "boot", wallMs: 3, lacksToMs: 4, gaps: [{ atMs: 5, missingMs: 6 }] };
  const bytes = Buffer.from(state.encode());
  const headBytes = new LogState(Buffer.alloc(0)).encode().length;
  for (let end = headBytes; end < bytes.length - "boot".length; end++)
    assert.equal(new LogState(bytes.subarray(0, end)).age, null, `cut at ${end}`);
  for (let at = headBytes; at < headBytes + 32; at += 8) {
    const broken = Buffer.from(bytes);
    broken.fill(0xff, at, at + 8);
    assert.equal(new LogState(broken).age, null, `broken at ${at}`);
  }
});

test("it is in the log's row after a commit", async (t) => {
  const dir = dataDir(t);
  const { store } = await openTestStore(dir);
  await publish(store, new Answers(), [new FakeReceiver(store, "uplink", "cloud")], "m").stored;
  await store.close();
  const db = new Database(join(dir, DATABASE_NAME));
  const state = db.prepare("SELECT state FROM receiver WHERE id = ?").pluck().get(LOG_ROW) as Buffer;
  db.close();
  assert.equal(state.length, new LogState(state).encode().length);
});
