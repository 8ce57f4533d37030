import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import Database from "better-sqlite3";
import { ManualClock } from "../../../src/base/clock.ts";
import { Message } from "../../../src/core/message.ts";
import { type QueueLimits, staleCause } from "../../../src/core/queue-limits.ts";
import { SAVE_SET_MS, SAVE_UNSET_MS } from "../../../src/store/age-keeper.ts";
import { DATABASE_NAME } from "../../../src/store/open.ts";
import { APPLICATION_ID, SCHEMA_1 } from "../../../src/store/schema.ts";
import type { SqliteStore } from "../../../src/store/store.ts";
import { Answers, crashImage, dataDir, FakeReceiver, openTestStore } from "../../support/store-fixture.ts";

const BUILT = Date.UTC(2026, 10, 21);
const NOON = Date.UTC(2026, 11, 1, 12);
const HOUR = 3_600_000;
const NEVER = 60_000;
const FOR_EVER = { maxAgeMs: Number.POSITIVE_INFINITY } as QueueLimits;

function opened(dir: string, clock: ManualClock) {
  return openTestStore(dir, { clock, commitDelayMs: 1 });
}

/** Stores a message that lives `hours`. */
async function keep(store: SqliteStore, clock: ManualClock, receiver: FakeReceiver, hours: number): Promise<void> {
  const acceptedMs = clock.ageMs();
  const bytes = Buffer.from(`t${hours}`);
  const message = new Message(bytes, 1, 1, 1, false, acceptedMs, acceptedMs + hours * HOUR, -1);
  message.addReceiver(receiver.id, 1);
  const stored = new Answers().expect(message);
  store.append(message);
  receiver.took(message);
  assert.equal(await stored, 0);
}

/** Of each message in the log, in hours: what it has left. */
function left(store: SqliteStore, clock: ManualClock): number[] {
  const receiver = new FakeReceiver(store, "uplink", "cloud");
  receiver.recover();
  return receiver.seenMessages.map((message) => Math.round(message.leftMs(clock) / 1000) / 3600);
}

async function written(store: SqliteStore): Promise<void> {
  assert.equal(await new Answers().barrier(store), 0);
}

test("off-time counts at the start when the clock is right", async (t) => {
  const dir = dataDir(t);
  const clock = new ManualClock(NOON, BUILT);
  const { store } = await opened(dir, clock);
  await keep(store, clock, new FakeReceiver(store, "uplink", "cloud"), 10);
  clock.advance(HOUR);
  await store.close();
  const later = clock.rebooted(NOON + 4 * HOUR);
  const { store: next, counters } = await opened(dir, later);
  assert.deepEqual(left(next, later), [6]);
  assert.deepEqual(next.ages.status(), {
    state: "set",
    wallMs: NOON + 4 * HOUR,
    offTimeSinceMs: 0,
    offTimeCountedMs: next.ages.status().offTimeCountedMs,
  });
  assert.equal(counters.get("clock.off_time_seconds"), 3 * 3600);
});

test("started in 1970, nothing expires; NTP counts the off-time once, for what is older than this run", async (t) => {
  const dir = dataDir(t);
  const clock = new ManualClock(NOON, BUILT);
  const { store } = await opened(dir, clock);
  const receiver = new FakeReceiver(store, "uplink", "cloud");
  await keep(store, clock, receiver, 10);
  await keep(store, clock, receiver, 100);
  clock.advance(HOUR);
  await store.close();

  let board = clock.rebooted(NEVER);
  let { store: next, lines } = await opened(dir, board);
  assert.ok(lines.some((line) => line.includes("clock-not-set")));
  assert.equal(next.ages.status().state, "unset");
  assert.equal(Math.round((next.ages.status().offTimeSinceMs - NOON) / 1000), 3600);
  assert.deepEqual(left(next, board), [9, 99]);
  const again = new FakeReceiver(next, "uplink", "cloud");
  again.recover();
  await keep(next, board, again, 1);
  let aged = 0;
  next.ages.onAged = () => aged++;
  next.ages.look();
  assert.equal(aged, 0);
  board.setWall(NOON + 30 * HOUR);
  next.ages.look();
  assert.equal(aged, 1);
  assert.deepEqual(left(next, board), [-20, 70, 1], "the youngest did not age because NTP came");
  assert.equal(staleCause(FOR_EVER, again.seenMessages[0] as Message, board), "expired");
  board.setWall(NOON + 99 * HOUR);
  next.ages.look();
  assert.equal(aged, 1);
  assert.deepEqual(left(next, board), [-20, 70, 1]);
  await next.close();

  // The next start without a clock knows what was counted, and that the clock was corrected.
  board = board.rebooted(NEVER);
  ({ store: next, lines } = await opened(dir, board));
  assert.deepEqual(left(next, board), [-20, 70, 1]);
  board.setWall(NOON + 100 * HOUR);
  next.ages.look();
  assert.deepEqual(left(next, board), [-21, 69, 0]);
});

test("kill -9 in 1970 and a start on the same machine: ages go on exactly", async (t) => {
  const dir = dataDir(t);
  const clock = new ManualClock(NEVER, BUILT);
  const { store } = await opened(dir, clock);
  await keep(store, clock, new FakeReceiver(store, "uplink", "cloud"), 10);
  clock.advance(3 * HOUR); // not saved
  const next = clock.restarted(2 * HOUR);
  const { store: restarted } = await opened(crashImage(t, dir), next);
  assert.deepEqual(left(restarted, next), [5]);
});

test("kill -9 before anything else was saved: the run that began in 1970 is known as one", async (t) => {
  const dir = dataDir(t);
  const clock = new ManualClock(NOON, BUILT);
  const { store } = await opened(dir, clock);
  await keep(store, clock, new FakeReceiver(store, "uplink", "cloud"), 1000);
  await store.close();
  const second = clock.rebooted(NEVER);
  const { store: next } = await opened(dir, second);
  const receiver = new FakeReceiver(next, "uplink", "cloud");
  receiver.recover();
  second.advance(HOUR);
  await keep(next, second, receiver, 1000);
  const third = second.rebooted(NOON + 100 * HOUR);
  const { store: last } = await opened(crashImage(t, dir), third);
  assert.deepEqual(left(last, third), [900, 1000]);
});

test("the record is written when the clock is set or corrected, else hourly, without a clock every ten minutes, and never for nothing", async (t) => {
  const dir = dataDir(t);
  const clock = new ManualClock(NEVER, BUILT);
  const { store, counters, lines } = await opened(dir, clock);
  const commits = async (): Promise<number> => {
    const before = counters.get("store.commits");
    store.ages.look();
    await written(store);
    return counters.get("store.commits") - before;
  };
  clock.advance(SAVE_UNSET_MS);
  assert.equal(await commits(), 0, "nothing in the log, no receiver");
  await keep(store, clock, new FakeReceiver(store, "uplink", "cloud"), 10);
  await written(store);
  store.ages.note(); // what was just written
  clock.advance(SAVE_UNSET_MS - 1);
  assert.equal(await commits(), 0);
  clock.advance(1);
  assert.equal(await commits(), 1);
  clock.setWall(NOON);
  assert.equal(await commits(), 1);
  clock.advance(SAVE_SET_MS - 1);
  assert.equal(await commits(), 0);
  clock.advance(1);
  assert.equal(await commits(), 1);
  clock.setWall(clock.wallMs() - 1000);
  assert.equal(await commits(), 0, "a second is no correction");
  clock.setWall(clock.wallMs() - 1);
  assert.equal(await commits(), 1);
  assert.equal(counters.get("clock.corrections"), 1);
  clock.setWall(NEVER);
  assert.equal(await commits(), 0);
  const words = lines.map((line) => /clock-[a-z-]+/.exec(line)?.[0]).filter((word) => word !== undefined);
  assert.deepEqual(words, ["clock-not-set", "clock-set", "clock-corrected", "clock-not-set"]);
});

/** A database as version 1 left it. */
function versionOne(dir: string, rows: { accepted: number; expires: number }[], disconnected: number[]): void {
  const db = new Database(join(dir, DATABASE_NAME));
  db.pragma(`application_id = ${APPLICATION_ID}`);
  db.exec(SCHEMA_1);
  db.exec("INSERT INTO receiver VALUES (1, 'uplink', 'cloud', 1, 0, x'', 0, 0, 1)");
  const list = Buffer.from([2, 1]);
  for (const [i, { accepted, expires }] of rows.entries()) {
    db.prepare("INSERT INTO log VALUES (?, ?, ?, 1, 1, 1, ?, ?)").run(
      i + 1,
      accepted,
      expires,
      list,
      Buffer.from("tx"),
    );
    db.prepare("INSERT INTO retained VALUES (?, ?, ?, 5, ?, ?)").run(`r${i}`, accepted, expires, 2, Buffer.from("r0x"));
  }
  for (const [i, at] of disconnected.entries()) {
    db.prepare("INSERT INTO receiver VALUES (?, 'session', ?, 9, 0, x'', 0, 0, 9)").run(i + 2, `s${i}`);
    db.prepare("INSERT INTO session VALUES (?, '', 3600, ?)").run(i + 2, at);
  }
  db.pragma("user_version = 1");
  db.close();
}

const ROWS = [
  { accepted: 5000, expires: 5000 + 10 * HOUR }, // while the clock stood at 1970
  { accepted: NOON - 4 * HOUR, expires: NOON + 6 * HOUR },
  { accepted: NOON + 4000 * HOUR, expires: NOON + 4010 * HOUR }, // while it stood in the future
  { accepted: NOON - 1 * HOUR, expires: 0 },
];

/** Hours: what rows have left, retained values too; how long ago sessions went, -1 = they are there. */
function adopted(store: SqliteStore, clock: ManualClock): { log: number[]; retained: number[]; away: number[] } {
  const retained: number[] = [];
  store.loadRetained((message) => retained.push(Math.round(message.leftMs(clock) / 1000) / 3600));
  const away: number[] = [];
  store.loadSessions(({ disconnectedMs: at }) =>
    away.push(at === 0 ? -1 : Math.round(clock.elapsedMs(at) / 1000) / 3600),
  );
  return { log: left(store, clock), retained, away };
}

test("a database of version 1, the clock right: its wall times hold, but for those of no time it can have run in", async (t) => {
  const dir = dataDir(t);
  versionOne(dir, ROWS, [0, 7000, NOON - 2 * HOUR, NOON + HOUR]);
  const clock = new ManualClock(NOON, BUILT);
  const { store } = await opened(dir, clock);
  const there = [10, 6, 10, Number.POSITIVE_INFINITY];
  assert.deepEqual(adopted(store, clock), { log: there, retained: there, away: [-1, 0, 2, 0] });
  clock.advance(HOUR);
  const image = crashImage(t, dir);
  const next = clock.rebooted(NOON + 2 * HOUR);
  const { store: again } = await opened(image, next);
  const then = [8, 4, 8, Number.POSITIVE_INFINITY];
  assert.deepEqual(adopted(again, next), { log: then, retained: then, away: [-1, 2, 4, 2] });
});

test("a database of version 1, opened in 1970: ages stand until NTP, then what had a right time has its right age", async (t) => {
  const dir = dataDir(t);
  versionOne(dir, [ROWS[0], ROWS[1], ROWS[3]] as typeof ROWS, [0, 7000, NOON - 2 * HOUR]);
  const clock = new ManualClock(NEVER, BUILT);
  const { store } = await opened(dir, clock);
  const never = Number.POSITIVE_INFINITY;
  // The newest time in it is NOON - 1 h: as old as the rest is at least.
  assert.deepEqual(adopted(store, clock), { log: [10, 7, never], retained: [10, 7, never], away: [-1, 0, 1] });
  clock.setWall(NOON + HOUR);
  store.ages.look();
  assert.deepEqual(adopted(store, clock), { log: [10, 5, never], retained: [10, 5, never], away: [-1, 0, 3] });
});

test("a database of version 1 that never had a clock: NTP ages nothing", async (t) => {
  const dir = dataDir(t);
  versionOne(dir, [ROWS[0]] as typeof ROWS, [7000]);
  const clock = new ManualClock(NEVER, BUILT);
  const { store } = await opened(dir, clock);
  clock.setWall(NOON);
  store.ages.look();
  assert.deepEqual(adopted(store, clock), { log: [10], retained: [10], away: [0] });
});
