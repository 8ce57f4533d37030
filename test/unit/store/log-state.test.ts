import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { GAPS_MAX } from "../../../src/base/age-scale.ts";
import { LogState } from "../../../src/store/log-state.ts";
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
