/**
 * The store by itself beside a bare loop of better-sqlite3 with `synchronous=FULL`, which is the limit: as many rows
 * per transaction as messages may wait for their acknowledgement. Each measurement in a process of its own.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import path from "node:path";
import Database from "better-sqlite3";
import { writtenBytes } from "../../scripts/kept/proc.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { Counters } from "../../src/base/counters.ts";
import { Log } from "../../src/base/log.ts";
import { Message } from "../../src/core/message.ts";
import type { ReceiverRecord, StoredReceiver, StoreWaiter } from "../../src/core/ports.ts";
import { openStore } from "../../src/store/store.ts";
import type { Figure } from "../figures.ts";
import { perSecond, table, threeDigits } from "../table.ts";
import type { StoreBench, StoreReport } from "./run.ts";

/**
 * kept: nobody takes them. taken: one receiver acknowledges each as soon as it is stored. elided: it acknowledges
 * before the commit is due. bare: rows of the same size, inserted.
 */
const MODES = ["bare", "kept", "taken", "elided"] as const;
type Mode = (typeof MODES)[number];

/** At most; a short measurement has a short warm-up. */
const WARM_UP_MS_MAX = 500;
const TOPIC = "bench/store/engine--";
/** A batch is written as soon as it is whole. */
const AT_ONCE = { commitDelayMs: 0, sync: null };
const BODY_BYTES = TOPIC.length + 200;

interface Figures {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly bytes: number;
  readonly stallMs: number;
}

export async function engine({ directory, seconds, batches, progress }: StoreBench): Promise<StoreReport> {
  const figures: Record<number, Record<string, Figures>> = {};
  const rows = [
    [
      "messages per commit",
      ...MODES.map((mode) => `${mode}: msg/s`),
      "bare : kept",
      ...MODES.map((mode) => `${mode}: B/msg`),
      ...MODES.map((mode) => `${mode}: CPU us`),
      "kept: worst stall ms",
    ],
  ];
  for (const batch of batches) {
    const all = new Map<Mode, Figures>();
    for (const mode of MODES) {
      progress.show(`${batch} messages per commit: ${mode}`);
      all.set(mode, inChild(mode, batch, seconds, path.join(directory, `engine-${mode}-${batch}`)));
    }
    figures[batch] = Object.fromEntries(all);
    const of = (mode: Mode): Figures => all.get(mode) as Figures;
    rows.push([
      String(batch),
      ...MODES.map((mode) => perSecond(of(mode).perSecond)),
      threeDigits(of("bare").perSecond / of("kept").perSecond),
      ...MODES.map((mode) => of(mode).bytes.toFixed(0)),
      ...MODES.map((mode) => threeDigits(of(mode).cpuUs)),
      of("kept").stallMs.toFixed(1),
    ]);
  }
  const compared = batches.flatMap((batch) =>
    MODES.map((mode): Figure => {
      const name = `engine, ${batch} per commit: ${mode}, CPU us`;
      return { name, better: "less", values: [figures[batch]?.[mode]?.cpuUs ?? 0] };
    }),
  );
  const title = `The store by itself, messages of 200 bytes with a topic of ${TOPIC.length}, each durable`;
  return { text: `${title}\n\n${table(rows)}`, details: figures, figures: compared };
}

function inChild(mode: Mode, batch: number, seconds: number, directory: string): Figures {
  const args = [...process.execArgv, import.meta.filename, mode, String(batch), String(seconds), directory];
  const child = spawnSync(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
  if (child.status !== 0) throw new Error(`${mode}, ${batch} messages per commit: ended with ${child.status}`);
  return JSON.parse(child.stdout) as Figures;
}

/** Counts what `run` acknowledges between the end of the warm-up and the end. */
class Meter {
  acknowledged = 0;
  #from = { acknowledged: 0, bytes: 0, cpu: process.cpuUsage(), ms: 0 };
  #lastMs = 0;
  #stallMs = 0;

  warm(): void {
    const ms = performance.now();
    this.#from = { acknowledged: this.acknowledged, bytes: writtenBytes(process.pid), cpu: process.cpuUsage(), ms };
    this.#stallMs = 0;
  }

  /** Every millisecond, if the event loop lets it. */
  tick(): void {
    const nowMs = performance.now();
    this.#stallMs = Math.max(this.#stallMs, nowMs - this.#lastMs - 1);
    this.#lastMs = nowMs;
  }

  figures(): Figures {
    const from = this.#from;
    const count = this.acknowledged - from.acknowledged;
    const cpu = process.cpuUsage(from.cpu);
    return {
      perSecond: (count * 1000) / (performance.now() - from.ms),
      cpuUs: (cpu.user + cpu.system) / count,
      bytes: (writtenBytes(process.pid) - from.bytes) / count,
      stallMs: this.#stallMs,
    };
  }
}

function runBare(batch: number, seconds: number, directory: string): Figures {
  mkdirSync(directory);
  const db = new Database(path.join(directory, "bare.db"));
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec("CREATE TABLE log (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT");
  const insert = db.prepare("INSERT INTO log (bytes) VALUES (?)");
  const body = Buffer.alloc(BODY_BYTES, "x");
  const commit = db.transaction(() => {
    for (let i = 0; i < batch; i++) insert.run(body);
  });
  const meter = new Meter();
  const run = (ms: number): void => {
    for (const endMs = performance.now() + ms; performance.now() < endMs; meter.acknowledged += batch) commit();
  };
  run(Math.min(WARM_UP_MS_MAX, seconds * 1000));
  meter.warm();
  run(seconds * 1000);
  const figures = meter.figures();
  db.close();
  return figures;
}

async function runStore(mode: Mode, batch: number, seconds: number, directory: string): Promise<Figures> {
  const store = await openStore({
    dataDir: directory,
    config: { sync: "full", commitDelayMs: 20, commitBytes: 2 ** 24, maxBytes: 2 ** 40 },
    clock: new SystemClock(),
    log: new Log({ level: "error", format: "text" }),
    counters: new Counters(),
    reserveBytes: 0,
  });
  const record: ReceiverRecord = store.createReceiver("uplink", "cloud");
  /** Sequence numbers it has not acknowledged begin here. */
  let head = 1;
  const receiver: StoredReceiver = {
    id: record.id,
    get headSeq() {
      return head > store.lastSeq ? Number.POSITIVE_INFINITY : head;
    },
    needs: (seq) => seq >= head,
    save() {
      record.headSeq = head;
      record.count = store.lastSeq + 1 - head;
      record.bytes = record.count * (BODY_BYTES + 128);
      return record;
    },
    onDurable() {},
    onWithdrawn() {},
  };
  store.register(receiver);
  const meter = new Meter();
  const body = Buffer.alloc(BODY_BYTES, TOPIC);
  let running = true;
  const waiter: StoreWaiter = {
    onStored(token, reason) {
      if (reason !== 0) throw new Error(`refused: ${reason}`);
      meter.acknowledged++;
      if (mode !== "kept") {
        head++;
        store.touch(receiver);
      }
      const left = (waiting[token] as number) - 1;
      waiting[token] = left;
      if (left === 0 && running) setImmediate(send, token);
    },
  };
  // Half of the window is on its way to the medium while the other half is written.
  const waiting = batch === 1 ? [0] : [0, 0];
  function send(half: number): void {
    const count = batch / waiting.length;
    waiting[half] = count;
    for (let i = 0; i < count; i++) {
      const bytes = Buffer.allocUnsafeSlow(BODY_BYTES);
      body.copy(bytes);
      const message = new Message(bytes, TOPIC.length, TOPIC.length, 1, false, Date.now(), 0, -1);
      message.addReceiver(record.id, 1);
      message.waiter = waiter;
      message.waiterToken = half;
      if (mode !== "elided") message.durability = AT_ONCE;
      store.append(message);
      store.touch(receiver);
      if (mode === "elided") store.settle(message, record.id);
    }
  }
  setInterval(() => meter.tick(), 1);
  for (const half of waiting.keys()) setImmediate(send, half);
  await sleep(Math.min(WARM_UP_MS_MAX, seconds * 1000));
  meter.warm();
  await sleep(seconds * 1000);
  const figures = meter.figures();
  running = false;
  return figures;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (process.argv[1] === import.meta.filename) {
  const [mode, batch, seconds, directory] = process.argv.slice(2) as [Mode, string, string, string];
  const figures =
    mode === "bare"
      ? runBare(Number(batch), Number(seconds), directory)
      : await runStore(mode, Number(batch), Number(seconds), directory);
  process.stdout.write(JSON.stringify(figures));
  process.exit(0);
}
