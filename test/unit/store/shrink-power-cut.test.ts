// The file is made shorter between commits (incremental vacuum): the store alone, with a receiver that drains at once.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import Database from "better-sqlite3";
import { seededRandom } from "../../../src/base/random.ts";
import { openStore, type SqliteStore } from "../../../src/store/store.ts";
import { requirePeer } from "../../support/peers.ts";
import { Disk, type Event, parseRecord } from "../../support/power-cut/disk.ts";
import type { Orders } from "../../support/store-child.ts";
import { FakeReceiver, storeOptions } from "../../support/store-fixture.ts";
import { DEFAULTS, preloadable } from "../../support/store-process.ts";

const skip = requirePeer("cc");
const recorder = skip === false ? preloadable("store-recorder") : "";
/** The second process of a record numbers its messages from here. */
const SECOND_FIRST = 1_000_000;
const CHILD_MS = 1200;

function memoryDir(t: TestContext): string {
  const base = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();
  const dir = fs.mkdtempSync(path.join(base, "sluice-power-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Two processes after one another on one directory, each killed; what they did. */
async function record(t: TestContext, seed: number, more: Partial<Orders>): Promise<Event[]> {
  const base = memoryDir(t);
  const dir = path.join(base, "data");
  const to = path.join(base, "record");
  fs.mkdirSync(dir);
  const script = path.join(import.meta.dirname, "../../support/store-child.ts");
  for (const first of [1, SECOND_FIRST]) {
    const orders = {
      ...DEFAULTS,
      first,
      marks: true,
      keep: 20 + seed * 10,
      window: 10 + (seed % 5) * 30,
      bytes: 20 + seed * 70,
      ...more,
    };
    const env = {
      ...process.env,
      LD_PRELOAD: recorder,
      RECORD_MATCH: dir,
      RECORD_TO: to,
      RECORD_SLOW_US: "1500",
    };
    const child = spawn(process.execPath, [script, dir, JSON.stringify(orders)], {
      stdio: ["ignore", "pipe", "inherit"],
      env,
    });
    await once(child.stdout, "data");
    child.stdout.resume();
    setTimeout(() => child.kill("SIGKILL"), CHILD_MS);
    await once(child, "close");
  }
  return parseRecord(fs.readFileSync(to));
}

/** Opens the state as the next start would. @returns what is wrong with it, or null */
async function verdict(
  dir: string,
  files: Map<string, Buffer>,
  required: Set<number>,
  deep: boolean,
): Promise<string | null> {
  fs.rmSync(dir, { recursive: true, force: true });
  fs.mkdirSync(dir);
  for (const [name, data] of files) fs.writeFileSync(path.join(dir, name), data);
  const options = storeOptions(dir);
  let store: SqliteStore;
  try {
    store = await openStore(options);
  } catch (error) {
    return `does not start: ${String(error)}`;
  }
  try {
    if (options.counters.get("store.moved_aside") > 0) return "corrupt: moved aside";
    const texts = new FakeReceiver(store, "uplink", "cloud").recover();
    const numbers = texts.map((text) => Number.parseInt(text, 10));
    for (const [i, number] of numbers.entries()) {
      const before = numbers[i - 1];
      if (before !== undefined && number !== before + 1 && !(before < SECOND_FIRST && number >= SECOND_FIRST))
        return `gap after ${before}: ${number}`;
      if (!/^\d+ x+$/.test(texts[i] ?? "")) return `message ${number} is not as it was`;
    }
    const found = new Set(numbers);
    for (const number of required) if (!found.has(number)) return `lost: ${number} was acknowledged`;
    const count = store.loadReceiver("uplink", "cloud")?.count ?? 0;
    if (count !== numbers.length) return `${count} counted, ${numbers.length} there`;
    // What is acknowledged is deleted in slices of time: more rows may be in the log than anybody waits for.
    const { rows } = store.status();
    const inLog = rows === numbers.length ? rows : (await store.inspect()).rows;
    if (rows !== inLog || rows < numbers.length) return `${rows} rows counted, ${inLog} in the log`;
    if (store.health !== "ok") return store.status().reason;
  } finally {
    await store.close();
  }
  if (!deep) return null;
  const db = new Database(path.join(dir, "sluice.db"));
  const answer = db.pragma("integrity_check(1)", { simple: true });
  db.close();
  return answer === "ok" ? null : `corrupt: ${answer}`;
}

/** @returns what was wrong, by kind */
async function explore(
  t: TestContext,
  seed: number,
  states: number,
  more: Partial<Orders>,
): Promise<Map<string, number>> {
  const events = await record(t, seed, more);
  const random = seededRandom(seed);
  const dir = path.join(memoryDir(t), "image");
  const disk = new Disk();
  const required = new Set<number>();
  const wrong = new Map<string, number>();
  let syncs = 0;
  const isEdge = (event: Event | undefined): boolean =>
    ["begin", "end", "size", "unlink", "rename"].includes(event?.words[0] ?? "");
  const edges = events.filter(isEdge).length;
  const rate = states / (4 * edges + events.length);
  let told = "";
  let tried = 0;
  for (const [i, event] of events.entries()) {
    disk.apply(event);
    if (event.words[0] === "end") syncs++;
    if (event.words[0] === "say") {
      told += event.data.toString();
      const lines = told.split("\n");
      told = lines.pop() ?? "";
      for (const line of lines) {
        const [word, number] = line.split(" ");
        if (word === "ok") required.add(Number(number));
        if (word === "gone") required.delete(Number(number));
      }
    }
    const chance = isEdge(event) || isEdge(events[i + 1]) ? 3 * rate : rate;
    if (random() >= chance) continue;
    tried++;
    const verdictOf = verdict(dir, disk.crash(random), required, tried % 8 === 0);
    const problem = await verdictOf.catch((error: unknown) => `threw: ${String(error)}`);
    if (problem === null) continue;
    const kind = problem.replace(/[\d.]+/g, "N");
    wrong.set(kind, (wrong.get(kind) ?? 0) + 1);
  }
  t.diagnostic(`seed ${seed}: ${tried} states of ${events.length} events with ${syncs} syncs`);
  // The log is cut at starts, to nothing; what is cut to a size is the database.
  const shorter = events.filter(({ words }) => words[0] === "size" && Number(words[2]) > 0).length;
  assert.ok(shorter >= 4, `the file was made shorter ${shorter} times`);
  assert.ok(tried > states / 4 && syncs > 100, `${tried} states, ${syncs} syncs`);
  return wrong;
}

const long = process.env["SLUICE_LONG"];

test("a power cut while the file is made shorter loses nothing and leaves no damage", { skip }, async (t) => {
  for (const [i, seed] of (long === undefined ? [7] : [7, 8, 9, Number(long)]).entries()) {
    const more = { window: 60, bytes: 900 - 400 * (i % 2), keep: 30, drainAt: 900, shrinkFromBytes: 256 * 1024 };
    const wrong = await explore(t, seed, long === undefined ? 400 : 2500, more);
    assert.deepEqual(Object.fromEntries(wrong), {}, `seed ${seed}`);
  }
});
