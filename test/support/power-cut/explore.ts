/**
 * Records lives of a gateway on one directory, one after another, and opens states that a power cut could have left at
 * moments of it. Everything about a state follows from the record, the number of the event and the seed.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import path from "node:path";
import { type Random, seededRandom } from "../../../src/base/random.ts";
import { examine, layOut } from "./check.ts";
import { Disk, type Event, parseRecord } from "./disk.ts";
import type { Orders } from "./workload.ts";
import { World } from "./world.ts";
import { WRONG_ORDERS } from "./wrong-orders.ts";

export interface Plan {
  readonly seed: number;
  /** A name of WRONG_ORDERS, "full" for SQLite's own order, "" for the product's. */
  readonly order: string;
  readonly states: number;
  readonly turns: number;
  /** Ends at the first failure. */
  readonly untilFound: boolean;
  /** For what it writes; empty. */
  readonly dir: string;
}

export interface Findings {
  readonly states: number;
  readonly events: number;
  readonly syncs: number;
  /** Seed, event and number of the state, and what was wrong with it. */
  readonly failures: readonly string[];
}

const LIVES = [
  ["kill", "close", "kill"],
  ["kill", "fail", "kill"],
  ["close", "kill", "kill"],
];
/** States examined at once: they wait for timers and syncs more than they compute. */
const AT_ONCE = 6;
/** Beside 1 for any event: at a sync; while pages are copied; from a new round of the log, or a change of names, to its sync. */
const EDGE_WEIGHT = 3;
const COPY_WEIGHT = 4;
const TURN_WEIGHT = 20;
const CHANGES_OF_NAMES = ["size", "unlink", "rename", "create"];
/** Each sync takes so much longer: more happens while it runs. */
const SLOW_US = 1500;
/** Full acts for one state of so many. */
const DEEP_EVERY = 3;

export function payloadBytesOf(seed: number): number {
  return [30, 200, 700][seed % 3] as number;
}

/** Runs the lives that the seed says. @returns the file with the record */
export async function recordLives(plan: Plan, recorder: string): Promise<string> {
  const data = path.join(plan.dir, "data");
  const to = path.join(plan.dir, "record");
  fs.mkdirSync(data, { mode: 0o700 });
  const wrong = WRONG_ORDERS[plan.order];
  const lives = wrong?.lives ?? (LIVES[plan.seed % LIVES.length] as string[]);
  for (const [n, end] of lives.entries()) {
    const fails = wrong?.fails === true ? n === 0 : end === "fail";
    await live({ plan, data, to, recorder, n, end: end as Orders["end"], fails });
  }
  return to;
}

interface Life {
  readonly plan: Plan;
  readonly data: string;
  readonly to: string;
  readonly recorder: string;
  readonly n: number;
  readonly end: Orders["end"];
  readonly fails: boolean;
  readonly turns?: number;
  readonly lines?: readonly string[];
}

async function live({ plan, data, to, recorder, n, end, fails, turns = plan.turns, lines }: Life): Promise<void> {
  const payloadBytes = payloadBytesOf(plan.seed);
  const earlier = lines ?? (fs.existsSync(to) ? linesOf(parseRecord(fs.readFileSync(to))) : []);
  const seed = plan.seed * 100 + n;
  const orders: Orders = {
    seed,
    turns,
    end,
    order: plan.order,
    payloadBytes,
    commitDelayMs: [0, 3, 8][seed % 3] as number,
  };
  const env = {
    ...process.env,
    LD_PRELOAD: recorder,
    RECORD_MATCH: data,
    RECORD_TO: to,
    RECORD_SLOW_US: String(WRONG_ORDERS[plan.order]?.slowUs ?? SLOW_US),
    ...(fails ? { RECORD_FAIL: `sluice.db-wal:${20 + (plan.seed % 7) * 5}` } : {}),
  };
  const script = path.join(import.meta.dirname, "workload.ts");
  const child = spawn(process.execPath, [script, data, JSON.stringify(orders)], {
    stdio: ["pipe", "pipe", "pipe"],
    env,
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdout.resume();
  child.stdin.end(earlier.map((line) => `${line}\n`).join(""));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  const isAsOrdered = end === "close" ? code === 0 : signal === "SIGKILL";
  if (!isAsOrdered || stderr !== "")
    throw new Error(`life ${n} of seed ${plan.seed} ended with ${code ?? signal}: ${stderr}`);
}

export function linesOf(events: readonly Event[]): string[] {
  const said = Buffer.concat(events.filter(({ words }) => words[0] === "say").map(({ data }) => data)).toString();
  return said
    .slice(0, said.lastIndexOf("\n") + 1)
    .split("\n")
    .slice(0, -1);
}

/** Opens states of a record, weighted towards moments in which order matters. @param replay what was before it */
export async function explore(plan: Plan, record: string, replay = new Replay()): Promise<Findings> {
  const events = parseRecord(fs.readFileSync(record));
  const weights = weightsOf(events);
  const rate = plan.states / weights.reduce((sum, weight) => sum + weight, 0);
  const random = seededRandom(plan.seed);
  const failures: string[] = [];
  const running = new Set<Promise<void>>();
  let states = 0;
  for (const [i, event] of events.entries()) {
    replay.apply(event);
    for (let chance = (weights[i] ?? 0) * rate; chance > 0 && random() < chance; chance--) {
      const state = states++;
      const task = stateAt(plan, replay, i, state).then((what) => {
        if (what !== null) failures.push(`seed ${plan.seed}, event ${i}, state ${state}: ${what}`);
      });
      running.add(task);
      void task.finally(() => running.delete(task));
      if (running.size >= AT_ONCE) await Promise.race(running);
    }
    if (plan.untilFound && failures.length > 0) break;
  }
  await Promise.all(running);
  const syncs = events.filter(({ words }) => words[0] === "end").length;
  return { states, events: events.length, syncs, failures };
}

/**
 * Starts the gateway on states of `record`, records its start and some turns, and cuts the power again there.
 * @param starts of the gateway, each explored with its share of `plan.states`
 */
export async function exploreStarts(plan: Plan, record: string, recorder: string, starts: number): Promise<Findings> {
  const events = parseRecord(fs.readFileSync(record));
  const random = seededRandom(plan.seed + 77);
  const moments = Array.from({ length: starts }, () => Math.floor(random() * events.length)).sort((a, b) => a - b);
  const replay = new Replay();
  const sum = { states: 0, events: 0, syncs: 0, failures: [] as string[] };
  let at = 0;
  for (const [n, moment] of moments.entries()) {
    while (at <= moment) replay.apply(events[at++] as Event);
    const dir = path.join(plan.dir, `start-${n}`);
    const data = path.join(dir, "data");
    const to = path.join(dir, "record");
    const files = replay.disk.crash(random);
    fs.mkdirSync(dir);
    layOut(data, files);
    const disk = Disk.holding(files, (name) => String(fs.statSync(path.join(data, name)).ino));
    const lines = linesOf(events.slice(0, at));
    const life = { plan, data, to, recorder, n: 50 + n, end: "kill", fails: false } as const;
    await live({ ...life, turns: n * 10, lines });
    const states = Math.ceil(plan.states / starts);
    const found = await explore({ ...plan, dir, states }, to, new Replay(disk, replay.world.fork()));
    sum.states += found.states;
    sum.events += found.events;
    sum.syncs += found.syncs;
    sum.failures.push(...found.failures.map((what) => `after a start at event ${moment}: ${what}`));
    fs.rmSync(dir, { recursive: true });
  }
  return sum;
}

/** A disk and what the clients know, at a moment of a record. */
export class Replay {
  readonly disk: Disk;
  readonly world: World;
  #rest = "";

  constructor(disk = new Disk(), world = new World()) {
    this.disk = disk;
    this.world = world;
  }

  apply(event: Event): void {
    this.disk.apply(event);
    if (event.words[0] !== "say") return;
    const lines = (this.#rest + event.data.toString()).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.world.apply(line);
  }
}

/** State number `state`, after event `i`. */
export async function stateAt(plan: Plan, replay: Replay, i: number, state: number): Promise<string | null> {
  const random = randomOf(plan.seed, i, state);
  const files = random() < 0.05 ? replay.disk.killed() : replay.disk.crash(random);
  const dir = path.join(plan.dir, `state-${state}`);
  const examination = { payloadBytes: payloadBytesOf(plan.seed), deep: state % DEEP_EVERY === 0 };
  const found = await examine(dir, files, replay.world.fork(), examination).catch(
    (error: unknown) => `threw: ${error instanceof Error ? error.stack : String(error)}`,
  );
  fs.rmSync(dir, { recursive: true, force: true });
  return found;
}

function randomOf(seed: number, event: number, state: number): Random {
  return seededRandom(seed * 1_000_003 + event * 31 + state);
}

/**
 * How often a state after each event is worth a look. Around syncs, and from the first write of a new round of the log
 * or into the database, or a change of names or sizes, until the next sync is over: that is where orders go wrong.
 */
function weightsOf(events: readonly Event[]): number[] {
  const names = new Map<string, string>();
  const begun = new Map<string, number>();
  let hotSince = -1;
  let heat = 0;
  return events.map((event, i) => {
    const [kind = "", a = "", b = ""] = event.words;
    if (kind === "create" || kind === "open") names.set(a, b);
    if (kind === "rename") for (const [inode, name] of names) if (name === a) names.set(inode, b);
    if (kind === "begin") begun.set(a, i);
    const name = kind === "write" ? names.get(a) : "";
    const isTurn = CHANGES_OF_NAMES.includes(kind) || (name === "sluice.db-wal" && b === "0");
    if (isTurn || name === "sluice.db") {
      if (hotSince < 0) hotSince = i;
      heat = Math.max(heat, isTurn ? TURN_WEIGHT : COPY_WEIGHT);
    }
    const isEdge = kind === "begin" || kind === "end" || events[i + 1]?.words[0] === "begin";
    const weight = (isEdge ? EDGE_WEIGHT : 1) + heat;
    if (kind === "end" && (begun.get(a) ?? 0) >= hotSince) {
      hotSince = -1;
      heat = 0;
    }
    return weight;
  });
}
