// Damaged files: what a start makes of them. The files are made by the store itself.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { type TestContext, test } from "node:test";
import Database from "better-sqlite3";
import { Counters } from "../../../src/base/counters.ts";
import { Log } from "../../../src/base/log.ts";
import { damagedFiles, damagedPath, pruneDamaged } from "../../../src/store/damaged-files.ts";
import { salvage } from "../../../src/store/salvage.ts";
import { LEAF_TABLE, Page } from "../../../src/store/salvage-cells.ts";
import { DamagedFile } from "../../../src/store/salvage-file.ts";
import { Trees } from "../../../src/store/salvage-trees.ts";
import { Syncer } from "../../../src/store/sync.ts";
import { requireRoot } from "../../support/peers.ts";
import {
  Answers,
  crashImage,
  dataDir,
  FakeReceiver,
  messageOfText,
  type OpenedStore,
  type Overrides,
  openTestStore,
  publish,
} from "../../support/store-fixture.ts";

const PAGE = 4096;
const TABLES = ["receiver", "session", "subscription", "inbound", "retained", "log"] as const;
type Contents = Record<(typeof TABLES)[number], Map<string, string>>;

/** A store with something in every table, on as many pages as `messages` takes. */
async function fill(
  t: TestContext,
  messages: number,
  overrides: Overrides = {},
): Promise<{ dir: string; opened: OpenedStore }> {
  const dir = dataDir(t);
  const opened = await openTestStore(dir, { ...overrides });
  const { store } = opened;
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const sessions: FakeReceiver[] = [];
  for (let n = 0; n < 150; n++) {
    const receiver = new FakeReceiver(store, "session", `client-${n}-${"x".repeat(n % 40)}`);
    sessions.push(receiver);
    const { name: clientId } = receiver.record;
    const common = {
      principal: `user-${n}`,
      expirySeconds: 3600,
      disconnectedMs: 1 + n,
      subscriptions: [],
      inboundIds: [],
    };
    store.putSession({ receiver: receiver.save(), clientId, ...common });
    for (let s = 0; s <= n % 4; s++)
      store.putSubscription(receiver.id, { filter: `site/${n}/${s}/#`, options: 1, subscriptionId: s });
    for (let id = 1; id <= 4; id++) store.putInbound(receiver.id, n * 7 + id, null);
  }
  for (let n = 0; n < 120; n++)
    store.putRetained(messageOfText(`value ${n} ${"v".repeat(n === 60 ? 9000 : 40)}`, `retained/${n}`, 1, true));
  const entered = [];
  for (let n = 0; n < messages; n++) {
    const text = `message ${n} ${"m".repeat(n % 50 === 0 ? 10_000 : 100 + (n % 7) * 30)}`;
    entered.push(publish(store, answers, n % 3 === 0 ? [cloud, sessions[n % 150] as FakeReceiver] : [cloud], text));
    if (n % 100 === 99) await entered.at(-1)?.stored;
  }
  await answers.barrier(store);
  // Some are done: the head moves, and rows in the middle go.
  for (const { message } of entered.slice(0, Math.floor(messages / 10))) cloud.acknowledge(message);
  await answers.barrier(store);
  return { dir, opened };
}

/** What the tables hold, by key. The log's own row, counts and times (made anew where the clock's record is lost) are left out. */
function contentsOf(file: string): Contents {
  const db = new Database(file);
  const rows = (sql: string, keys: number): Map<string, string> => {
    const out = new Map<string, string>();
    for (const row of db.prepare(sql).raw().all() as unknown[][])
      out.set(row.slice(0, keys).join(" "), row.map((v) => (Buffer.isBuffer(v) ? v.toString("latin1") : v)).join("|"));
    return out;
  };
  try {
    return {
      receiver: rows(
        "SELECT id, kind, name, head_seq, head_ordinal, state, count, bytes FROM receiver WHERE id > 0",
        1,
      ),
      session: rows("SELECT receiver_id, principal, expiry_seconds FROM session", 1),
      subscription: rows("SELECT * FROM subscription", 2),
      inbound: rows("SELECT * FROM inbound", 2),
      retained: rows("SELECT topic, flags, properties_end, bytes FROM retained", 1),
      log: rows("SELECT seq, flags, topic_end, properties_end, receivers, bytes FROM log", 1),
    };
  } finally {
    db.close();
  }
}

/** What the uplink is done with, and nobody else waits for, may go. */
function withoutDone(contents: Contents, messages: number): Contents {
  for (const key of contents.log.keys())
    if (Number(key) <= Math.floor(messages / 10) && (Number(key) - 1) % 3 !== 0) contents.log.delete(key);
  return contents;
}

function assertWhole(file: string): void {
  const db = new Database(file);
  assert.equal(db.pragma("integrity_check", { simple: true }), "ok");
  const own = db.prepare("SELECT count, bytes, head_seq FROM receiver WHERE id = 0").get() as Record<string, number>;
  const log = db
    .prepare(
      "SELECT count(*) AS count, coalesce(sum(length(bytes)), 0) AS bytes, coalesce(max(seq), 0) AS last FROM log",
    )
    .get() as Record<string, number>;
  db.close();
  assert.equal(own["count"], log["count"], "the log's own count");
  assert.ok((own["head_seq"] as number) > (log["last"] as number), "the next sequence number is free");
}

/** Every row of `after` was there before, as it is. @returns keys that are missing, by table */
function missing(
  before: Contents,
  after: Contents,
  exact: boolean,
  known = before.log,
  turned = 0,
): Record<string, string[]> {
  const out: Record<string, string[]> = {};
  let turnedKeys = 0;
  for (const table of TABLES) {
    for (const [key, row] of after[table]) {
      if (table === "log" && !before.log.has(key) && known.has(key)) continue;
      // A bit that turned inside a value makes another value: SQLite has no checksums of pages.
      if (exact || turned === 0) assert.ok(before[table].has(key), `${table} ${key} was invented`);
      else if (!before[table].has(key)) turnedKeys++;
      // Counts follow from what is left.
      if (exact && table !== "receiver") assert.ok(row === before[table].get(key), `${table} ${key} is another`);
    }
    out[table] = [...before[table].keys()].filter((key) => !after[table].has(key));
  }
  assert.ok(turnedKeys <= turned, `${turnedKeys} keys changed by ${turned} bytes`);
  return out;
}

function put(t: TestContext, database: Buffer, wal: Buffer | null = null): { dir: string; file: string } {
  const dir = dataDir(t);
  const file = path.join(dir, "sluice.db");
  fs.writeFileSync(file, database);
  if (wal !== null) fs.writeFileSync(`${file}-wal`, wal);
  // As after a run that met the damage: the start looks at every page.
  fs.writeFileSync(path.join(dir, "sluice.db-suspect"), "");
  return { dir, file };
}

interface Started {
  readonly after: Contents;
  readonly salvaged: boolean;
  readonly lines: string[];
}

/** Starts on the files, and stops. */
async function start(dir: string): Promise<Started> {
  const { store, counters, lines } = await openTestStore(dir);
  const answers = new Answers();
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  cloud.recover();
  assert.equal(store.health, "ok", store.status().reason);
  assert.equal(await answers.barrier(store), 0);
  await store.close();
  const file = path.join(dir, "sluice.db");
  assertWhole(file);
  return { after: contentsOf(file), salvaged: counters.get("store.moved_aside") === 1, lines };
}

/** Numbers of the pages by what they are; leaves of the table with so many columns (8: the log). */
function pagesOf(file: string, columns = 8): { leaves: Map<number, string[]>; interiors: number[]; count: number } {
  const damaged = new DamagedFile(file);
  const page = new Page(damaged);
  const leaves = new Map<number, string[]>();
  const interiors: number[] = [];
  for (let number = 2; number <= damaged.pages; number++) {
    if (!page.load(number)) continue;
    if (page.interior) interiors.push(number);
    else if (page.type === LEAF_TABLE && page.cells > 0 && page.row(0)?.values.length === columns)
      leaves.set(
        number,
        Array.from({ length: page.cells }, (_, n) => String(page.row(n)?.rowid)),
      );
  }
  damaged.close();
  return { leaves, interiors, count: damaged.pages };
}

/** xorshift32. */
function randomOf(seed: number): (below: number) => number {
  let state = seed * 2_654_435_761 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

test("the reader of damaged files finds in a whole file what SQLite finds, log included", async (t) => {
  const { dir, opened } = await fill(t, 700, { checkpointFrames: 64 });
  const image = crashImage(t, dir);
  const file = path.join(image, "sluice.db");
  assert.ok(fs.statSync(`${file}-wal`).size > 10 * PAGE, "a log with something in it");
  const damaged = new DamagedFile(file);
  const trees = new Trees(damaged, () => true);
  assert.deepEqual([trees.freeListWhole, trees.schemaWhole], [true, true]);
  const found: Record<string, string[]> = {};
  for (const table of TABLES) {
    const isIndex = table === "subscription" || table === "inbound";
    const keys: string[] = [];
    const loss = trees.walk(trees.roots.get(table) ?? 0, isIndex, ({ rowid, values }) => {
      const row = isIndex ? [...values] : [rowid, ...values.slice(1)];
      if (table === "retained") row.splice(0, 1, values[0] ?? null);
      keys.push(row.map((v) => (Buffer.isBuffer(v) ? v.toString("latin1") : v)).join("|"));
      return true;
    });
    assert.deepEqual([loss.rows, loss.pages], [0, 0]);
    found[table] = keys;
  }
  damaged.close();
  const db = new Database(file);
  for (const table of TABLES) {
    const rows = db.prepare(`SELECT * FROM ${table}`).raw().all() as unknown[][];
    const texts = rows.map((row) => row.map((v) => (Buffer.isBuffer(v) ? v.toString("latin1") : v)).join("|"));
    assert.deepEqual(found[table]?.sort(), texts.sort(), table);
  }
  db.close();
  await opened.store.close();
});

test("a leaf of the log destroyed: its rows are lost, and no others", async (t) => {
  const { dir, opened } = await fill(t, 500);
  await opened.store.close();
  const file = path.join(dir, "sluice.db");
  const before = withoutDone(contentsOf(file), 500);
  const whole = fs.readFileSync(file);
  const { leaves } = pagesOf(file);
  assert.ok(leaves.size > 20);
  for (const [number, seqs] of [...leaves].filter((_, n) => n % 4 === 0)) {
    const damaged = Buffer.from(whole);
    damaged.fill(0, (number - 1) * PAGE, number * PAGE);
    const { dir: there } = put(t, damaged);
    const { after, salvaged, lines } = await start(there);
    assert.equal(salvaged, true);
    const lost = missing(before, after, true);
    assert.deepEqual(lost, { ...nothingLost, log: seqs.filter((seq) => before.log.has(seq)) });
    assert.ok(lines.some((line) => line.includes("error store-damaged")));
    assert.ok(
      lines.some((line) => /error store-salvaged .*1 pages/.test(line)),
      lines.join("\n"),
    );
  }
});

test("interior pages destroyed: the leaves below them are found, and nothing is lost", async (t) => {
  const { dir, opened } = await fill(t, 1500);
  await opened.store.close();
  const file = path.join(dir, "sluice.db");
  const before = withoutDone(contentsOf(file), 1500);
  const whole = fs.readFileSync(file);
  const { interiors } = pagesOf(file);
  assert.ok(interiors.length >= 2);
  for (const number of interiors) {
    const damaged = Buffer.from(whole);
    damaged.fill(0xa5, (number - 1) * PAGE, number * PAGE);
    const { after, salvaged } = await start(put(t, damaged).dir);
    assert.equal(salvaged, true);
    const lost = missing(before, after, true);
    // An index's interior pages hold rows of their own.
    assert.ok(
      lost["subscription"]?.length === 0 || (lost["subscription"]?.length ?? 0) <= 40,
      `${lost["subscription"]}`,
    );
    assert.deepEqual({ ...lost, subscription: [], inbound: [] }, { ...nothingLost });
  }
});

const nothingLost = { receiver: [], session: [], subscription: [], inbound: [], retained: [], log: [] };

for (const [what, damage] of [
  ["header destroyed", (b: Buffer) => b.fill(0xa5, 0, 100)],
  ["first page zeroed", (b: Buffer) => b.fill(0, 0, PAGE)],
  ["schema overwritten", (b: Buffer) => b.fill(0x5a, 2000, PAGE)],
] as const) {
  test(`${what}: the tables are found by the shape of their rows`, async (t) => {
    const { dir, opened } = await fill(t, 400);
    await opened.store.close();
    const file = path.join(dir, "sluice.db");
    const before = withoutDone(contentsOf(file), 400);
    const damaged = fs.readFileSync(file);
    damage(damaged);
    const { after, salvaged } = await start(put(t, damaged).dir);
    assert.equal(salvaged, true);
    const lost = missing(before, after, true);
    if (what === "schema overwritten") lost["inbound"] ??= [];
    assert.deepEqual({ ...lost, inbound: [], subscription: [] }, nothingLost);
  });
}

test("random damage of every kind (seeded): it starts, invents nothing, and keeps what is on whole pages", async (t) => {
  const CASES = 240;
  const { dir, opened } = await fill(t, 250, { checkpointFrames: 64 });
  const image = crashImage(t, dir);
  await opened.store.close();
  const wal = fs.readFileSync(path.join(image, "sluice.db-wal"));
  const inLog = fs.readFileSync(path.join(image, "sluice.db"));
  const all = contentsOf(path.join(image, "sluice.db"));
  const before = withoutDone({ ...all, log: new Map(all.log) }, 250);
  const file = path.join(dir, "sluice.db");
  const whole = fs.readFileSync(file);
  const { leaves, count } = pagesOf(file);
  // What lies on an overflow page has no shape: zeros there are a payload of zeros, to SQLite as well.
  const shaped = (bytes: Buffer, at: number): boolean => [2, 5, 10, 13].includes(bytes[at] as number);
  const perLeaf = Math.max(...[...leaves.values()].map((seqs) => seqs.length));
  let salvages = 0;
  for (let seed = 1; seed <= CASES; seed++) {
    const random = randomOf(seed);
    const damaged = Buffer.from(seed % 6 >= 4 ? inLog : whole);
    let log: Buffer | null = null;
    let exact = true;
    let turned = 0;
    let pages = 1;
    const page = random(count) * PAGE;
    const kind = seed % 6;
    if (kind === 0) damaged.fill(0, page, page + PAGE);
    else if (kind === 1) {
      exact = false;
      turned = 1 + random(30);
      for (let n = turned; n > 0; n--) damaged[page + random(PAGE)] = random(256);
    } else if (kind === 2) {
      exact = false;
      turned = 2; // a row that the edge goes through
      damaged.fill(random(256), page + random(PAGE), page + PAGE);
    } else if (kind === 3) {
      pages = Number.POSITIVE_INFINITY;
    } else if (kind === 4) {
      log = Buffer.from(wal);
      for (let n = 1 + random(8); n > 0; n--) log[random(log.length)] = random(256);
      pages = Number.POSITIVE_INFINITY;
    } else {
      pages = Number.POSITIVE_INFINITY; // the log is missing
    }
    const bytes = kind === 3 ? damaged.subarray(0, 1 + random(damaged.length)) : damaged;
    const { dir: there } = put(t, bytes, log);
    try {
      const { after, salvaged } = await start(there);
      if (salvaged) salvages++;
      // Without its log a file may be older: rows that were done since are there again.
      if (kind >= 4) continue;
      const lost = missing(before, after, exact && (page === 0 || shaped(whole, page)), all.log, turned);
      if (pages === 1 && page >= PAGE)
        assert.ok((lost["log"]?.length ?? 0) <= perLeaf, `${lost["log"]?.length} rows lost`);
      if (!salvaged) assert.deepEqual(lost["log"], []);
    } catch (error) {
      throw new Error(`seed ${seed}, kind ${kind}, page ${page / PAGE + 1}: ${(error as Error).message}`, {
        cause: error,
      });
    } finally {
      fs.rmSync(there, { recursive: true, force: true });
    }
  }
  assert.ok(salvages > CASES / 4, `${salvages} salvages`);
});

test("receivers whose rows are lost are known by their index: the uplink keeps its backlog, from its oldest row on", async (t) => {
  const { dir, opened } = await fill(t, 300);
  await opened.store.close();
  const file = path.join(dir, "sluice.db");
  const before = withoutDone(contentsOf(file), 300);
  const [first] = [...pagesOf(file, 9).leaves.keys()];
  const damaged = fs.readFileSync(file);
  damaged.fill(0, ((first as number) - 1) * PAGE, (first as number) * PAGE);
  const { dir: there } = put(t, damaged);
  const { store } = await openTestStore(there);
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const texts = cloud.recover();
  const wanted = [...before.log.keys()].filter((seq) => Number(seq) > 30).length;
  assert.ok(texts.length >= wanted, `${texts.length} of ${wanted}`);
  assert.equal(
    store.loadReceiver("uplink", "cloud")?.headSeq,
    1,
    "rows that it was done with are sent again, none is lost",
  );
  let sessions = 0;
  store.loadSessions(() => sessions++);
  assert.equal(sessions, 150);
});

test("a log without a header is not taken for empty: its commits are there", async (t) => {
  const { dir, opened } = await fill(t, 200);
  const image = crashImage(t, dir);
  await opened.store.close();
  const wal = path.join(image, "sluice.db-wal");
  const bytes = fs.readFileSync(wal);
  bytes.fill(0xff, 0, 32);
  fs.writeFileSync(wal, bytes);
  const { after, salvaged } = await start(image);
  assert.equal(salvaged, true);
  assert.equal(after.session.size, 150);
  assert.equal(after.log.size, withoutDone(contentsOf(path.join(dir, "sluice.db")), 200).log.size);
});

/** A directory as a crash after some step of a salvage leaves it. */
type Crash = (at: { file: string; aside: string; mark: (attempts: number) => void }) => void;
const CRASHES: readonly (readonly [string, Crash, "salvaged" | "done" | "empty"])[] = [
  ["after the mark", ({ mark }) => mark(1), "salvaged"],
  [
    "after the log was renamed",
    ({ file, aside, mark }) => {
      mark(1);
      fs.renameSync(`${file}-wal`, `${aside}-wal`);
    },
    "salvaged",
  ],
  [
    "in the middle of the rows",
    ({ file, aside, mark }) => {
      mark(2);
      fs.renameSync(`${file}-wal`, `${aside}-wal`);
      fs.renameSync(file, aside);
      fs.writeFileSync(`${file}-salvaged`, "half of it");
    },
    "salvaged",
  ],
  [
    "before the mark was removed",
    ({ file, aside, mark }) => {
      mark(1);
      fs.rmSync(`${file}-wal`);
      fs.copyFileSync(file, aside);
    },
    "done",
  ],
  [
    "three times",
    ({ file, aside, mark }) => {
      mark(3);
      fs.renameSync(file, aside);
    },
    "empty",
  ],
];

for (const [when, crash, outcome] of CRASHES) {
  test(`a salvage, crash ${when}: the next start goes on, and the file set aside stays`, async (t) => {
    const { dir, opened } = await fill(t, 200);
    const image = crashImage(t, dir);
    await opened.store.close();
    const before = withoutDone(contentsOf(path.join(dir, "sluice.db")), 200);
    const file = path.join(image, "sluice.db");
    if (outcome === "done") fs.copyFileSync(path.join(dir, "sluice.db"), file);
    const movedTo = "sluice.db.damaged-2026-11-21T000000.000Z";
    const aside = path.join(image, movedTo);
    const mark = (attempts: number): void =>
      fs.writeFileSync(`${file}-salvage`, JSON.stringify({ movedTo, reason: "r", wallMs: 1, attempts }));
    const bytes = fs.readFileSync(file);
    crash({ file, aside, mark });
    const { after, salvaged } = await start(image);
    assert.equal(salvaged, outcome !== "done");
    assert.equal(after.log.size, { empty: 0, done: 200, salvaged: before.log.size }[outcome]);
    assert.deepEqual(fs.readFileSync(aside), bytes, "the file set aside is as it was");
    assert.deepEqual(
      fs.readdirSync(image).filter((name) => /salvage/.test(name)),
      [],
    );
  });
}

test("what the time does not suffice for stays in the file set aside, and is said", async (t) => {
  const { dir, opened } = await fill(t, 400);
  await opened.store.close();
  const file = path.join(dir, "sluice.db");
  fs.writeFileSync(file, fs.readFileSync(file).fill(0, 0, 100));
  const lines: string[] = [];
  const log = new Log({ level: "debug", format: "text", write: (line) => lines.push(line) });
  const counters = new Counters();
  salvage(file, { syncer: new Syncer(counters), log, counters, wallMs: 0, salvageMsMax: 0 }, new Error("r"));
  const { report, files } = damagedFiles(dir);
  assert.deepEqual([files, report?.complete, report?.problem], [1, false, "the time was up (0 s)"]);
  assert.ok(
    lines.some((line) => /error store-salvaged .*complete=false/.test(line)),
    lines.join("\n"),
  );
  assertWhole(file);
});

test("at most three files set aside are kept: the newest always, older ones while the disk has room", async (t) => {
  const dir = dataDir(t);
  const names: string[] = [];
  for (let n = 0; n < 5; n++) {
    const name = damagedPath(dir, 1000);
    names.push(name);
    for (const suffix of ["", "-wal", ".json"]) fs.writeFileSync(name + suffix, "{}");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  assert.deepEqual(pruneDamaged(dir, 0), names.slice(0, 2));
  assert.deepEqual(pruneDamaged(dir, 0), []);
  assert.equal(damagedFiles(dir).files, 3);
  assert.deepEqual(pruneDamaged(dir, Number.MAX_SAFE_INTEGER), names.slice(2, 4));
  assert.deepEqual(
    fs.readdirSync(dir).sort(),
    ["", "-wal", ".json"].map((suffix) => path.basename(names[4] as string) + suffix),
  );
});

test("what was salvaged is in the status as long as a damaged file lies there", async (t) => {
  const { dir, opened } = await fill(t, 200);
  assert.equal(opened.store.status().damaged, null);
  await opened.store.close();
  const file = path.join(dir, "sluice.db");
  fs.writeFileSync(file, fs.readFileSync(file).fill(0, 0, 100));
  for (let n = 0; n < 2; n++) {
    const { store, counters } = await openTestStore(dir);
    const damaged = store.status().damaged;
    assert.equal(damaged?.files, 1);
    assert.equal(damaged?.report?.tables["session"]?.saved, 150);
    assert.equal(counters.get("store.damaged_files"), 1);
    await store.close();
  }
  for (const name of fs.readdirSync(dir)) if (name.includes("damaged")) fs.rmSync(path.join(dir, name));
  const { store, counters } = await openTestStore(dir);
  assert.deepEqual([store.status().damaged, counters.get("store.damaged_files")], [null, 0]);
});

test("the tables of version 2 come over as well, also when only the shape of their rows tells them apart", async (t) => {
  for (const [from, end] of [
    [60, 64], // the version: damage at one place only
    [0, PAGE],
  ] as const) {
    const { dir, opened } = await fill(t, 50);
    await opened.store.close();
    const file = path.join(dir, "sluice.db");
    const tables = ["will", "drop_entry", "drop_count"];
    const db = new Database(file);
    const will = db.prepare("INSERT INTO will VALUES (?, 'user', 30, -1, 1, 1, 1, ?)");
    const count = db.prepare("INSERT INTO drop_count VALUES (?, 'queue-full', ?)");
    const entry = db.prepare("INSERT INTO drop_entry VALUES (?, 1, ?, 't', 'expired', 1)");
    for (let n = 1; n <= 100; n++) {
      will.run(`client-${n}`, Buffer.from(`tgone ${n}`));
      count.run(`session:client-${n}`, n);
      entry.run(n, `session:client-${n}`);
    }
    const rowsOf = (source: Database.Database) => tables.map((name) => source.prepare(`SELECT * FROM ${name}`).all());
    const before = rowsOf(db);
    db.pragma("wal_checkpoint(TRUNCATE)");
    db.close();
    fs.writeFileSync(file, fs.readFileSync(file).fill(0xff, from, end));
    const { store, counters } = await openTestStore(dir);
    assert.equal(counters.get("store.moved_aside"), 1);
    const sessions: string[] = [];
    store.loadSessions(({ clientId }) => sessions.push(clientId));
    assert.equal(sessions.length, 150, "no receiver was made of a row of drops");
    assert.equal(store.status().receivers, 151);
    await store.close();
    const after = new Database(file);
    assert.deepEqual(rowsOf(after), before);
    after.close();
  }
});

test("a disk without room for both files: what fits comes over, counted right, and the rest stays aside", {
  skip: requireRoot(),
}, async (t) => {
  const { dir, opened } = await fill(t, 6000);
  await opened.store.close();
  const bytes = fs.readFileSync(path.join(dir, "sluice.db")).fill(0, 0, PAGE);
  const mebibytes = 2 ** 20;
  const small = dataDir(t, Math.ceil((1.6 * bytes.length) / mebibytes));
  const file = path.join(small, "sluice.db");
  fs.writeFileSync(file, bytes);
  const { store, counters } = await openTestStore(small);
  const { report } = damagedFiles(small);
  assert.deepEqual([report?.complete, report?.problem], [false, "no space left on the disk"]);
  const rows = store.status().rows;
  assert.ok(rows > 500 && rows < 5900, `${rows} rows`);
  assert.equal(counters.get("store.moved_aside"), 1);
  const sessions: string[] = [];
  store.loadSessions(({ clientId }) => sessions.push(clientId));
  assert.equal(sessions.length, 150);
  const cloud = new FakeReceiver(store, "uplink", "cloud");
  const { length } = cloud.recover();
  assert.ok(length > 500 && length <= rows, `${length} of ${rows}`);
  assert.equal(store.loadReceiver("uplink", "cloud")?.count, length);
  assert.ok(fs.readFileSync(report?.movedTo ?? "").equals(bytes));
});
