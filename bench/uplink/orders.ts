/**
 * How fast a spool drains in each order: the queue on the store, and a peer that answers in the next turn of the event
 * loop. Each measurement in a process of its own, the first half of the messages to warm up.
 */
import { spawnSync } from "node:child_process";
import path from "node:path";
import { Allowance } from "../../src/base/allowance.ts";
import { SystemClock } from "../../src/base/clock.ts";
import { Counters } from "../../src/base/counters.ts";
import { Log } from "../../src/base/log.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { AnyOrderQueue } from "../../src/core/any-order-queue.ts";
import type { DrainOrder } from "../../src/core/any-order-source.ts";
import { cuttingShared } from "../../src/core/cutting.ts";
import { DeliveryQueue } from "../../src/core/delivery-queue.ts";
import { Ledger } from "../../src/core/ledger.ts";
import { Message } from "../../src/core/message.ts";
import type { Outlet, QueueHost } from "../../src/core/outlet.ts";
import type { Store } from "../../src/core/ports.ts";
import type { QueueLimits } from "../../src/core/queue-limits.ts";
import type { SpoolQueue } from "../../src/core/spool-queue.ts";
import { Turns } from "../../src/core/turns.ts";
import { openStore } from "../../src/store/store.ts";
import { type Figure, median } from "../figures.ts";
import { perSecond, table, threeDigits } from "../table.ts";
import type { UplinkBench, UplinkReport } from "./run.ts";

const ORDERS: readonly DrainOrder[] = ["oldest-first", "newest-first", "interleave"];
const TOPIC_BYTES = 20;
const BODY_BYTES = TOPIC_BYTES + 200;
/** Published before it is waited for that they are stored. */
const BATCH = 2000;
const MEMORY_BYTES = 16 * 2 ** 20;
const LIMITS: QueueLimits = {
  messages: 1e9,
  bytes: 1e12,
  onlineMessages: 1e9,
  onlineBytes: 1e12,
  maxAgeMs: Number.POSITIVE_INFINITY,
  whenFull: "refuse",
  windowBytes: 64 * 1024,
};

interface Drained {
  readonly perSecond: number;
  readonly cpuUs: number;
}

export async function orders({ directory, rounds, messages, windows, progress }: UplinkBench): Promise<UplinkReport> {
  const rows = [["drain, QoS 1", ...windows.flatMap((window) => [`window ${window}`, "CPU us"])]];
  const figures: Figure[] = [];
  const details: Record<string, Drained[]> = {};
  for (const order of ORDERS) {
    const row: string[] = [order];
    for (const window of windows) {
      const all: Drained[] = [];
      for (let round = 0; round < rounds; round++) {
        progress.show(`${order}, window ${window}, round ${round + 1}`);
        all.push(inChild(order, window, messages, path.join(directory, `order-${order}-${window}-${round}`)));
      }
      details[`${order}, window ${window}`] = all;
      const cpu = all.map(({ cpuUs }) => cpuUs);
      figures.push({ name: `${order}, window ${window}: CPU us`, better: "less", values: cpu });
      row.push(perSecond(median(all.map((one) => one.perSecond))), threeDigits(median(cpu)));
    }
    rows.push(row);
  }
  const title = `A spool drained by itself, ${messages} messages of 200 bytes, median of ${rounds}`;
  return { text: `${title}\n\n${table(rows)}`, details, figures };
}

function inChild(order: DrainOrder, window: number, messages: number, directory: string): Drained {
  const args = [...process.execArgv, import.meta.filename, order, String(window), String(messages), directory];
  const child = spawnSync(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" });
  if (child.status !== 0) throw new Error(`${order}: ended with ${child.status}`);
  return JSON.parse(child.stdout) as Drained;
}

async function run(order: DrainOrder, window: number, messages: number, directory: string): Promise<Drained> {
  const clock = new SystemClock();
  const counters = new Counters();
  const store = await openStore({
    dataDir: directory,
    config: { sync: "full", commitDelayMs: 20, commitBytes: 2 ** 24, maxBytes: 2 ** 40 },
    clock,
    log: new Log({ level: "error", format: "text" }),
    counters,
    reserveBytes: 0,
  });
  const host: QueueHost = {
    store,
    time: clock,
    ledger: new Ledger(counters),
    waitingMemory: new Allowance(MEMORY_BYTES),
    cuts: cuttingShared(new TimerWheel(clock), clock, counters, MEMORY_BYTES),
    schedule: new Turns(counters).schedule,
  };
  const record = store.createReceiver("uplink", "cloud");
  const queue: SpoolQueue =
    order === "oldest-first"
      ? new DeliveryQueue(host, "uplink:cloud", record, LIMITS)
      : new AnyOrderQueue(host, "uplink:cloud", record, LIMITS, order, window);
  store.register(queue);
  await drained(store, queue, window, messages);
  const from = { cpu: process.cpuUsage(), ms: 0 };
  await published(store, queue, messages);
  from.cpu = process.cpuUsage();
  from.ms = performance.now();
  await drained(store, queue, window, 0);
  const ms = performance.now() - from.ms;
  // What is left to be deleted belongs to it.
  while (store.status().rows > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const { user, system } = process.cpuUsage(from.cpu);
  await store.close();
  return { perSecond: (messages * 1000) / ms, cpuUs: (user + system) / messages };
}

async function published(store: Store, queue: SpoolQueue, messages: number): Promise<void> {
  const body = Buffer.alloc(BODY_BYTES, "bench/uplink/orders/");
  for (let i = 1; i <= messages; i++) {
    const bytes = Buffer.allocUnsafeSlow(BODY_BYTES);
    body.copy(bytes);
    const message = new Message(bytes, TOPIC_BYTES, TOPIC_BYTES, 1, false, Date.now(), 0, -1);
    message.addReceiver(queue.id, 1);
    store.append(message);
    queue.enqueue(message, 1, null);
    if (i % BATCH !== 0 && i !== messages) continue;
    await new Promise<void>((resolve) => store.barrier({ onStored: () => resolve() }, 0));
  }
}

/** Publishes, connects, and waits until all is acknowledged. */
async function drained(store: Store, queue: SpoolQueue, window: number, messages: number): Promise<void> {
  await published(store, queue, messages);
  let owed: number[] = [];
  await new Promise<void>((resolve) => {
    const answer = (): void => {
      const due = owed;
      owed = [];
      for (const packetId of due) queue.onPuback(packetId);
      if (queue.count === 0) resolve();
    };
    const outlet: Outlet = {
      parts: () => 1,
      partOptions: (_message, _part, options) => options,
      sendPublish: (_message, _part, _options, _identifiers, packetId) => {
        if (owed.push(packetId) === 1) setImmediate(answer);
      },
      sendPubrel: () => {},
      writable: () => true,
    };
    queue.attach(outlet, window, true);
  });
  queue.detach();
}

const [, script, order, window, messages, directory] = process.argv;
if (script === import.meta.filename && directory !== undefined) {
  const result = await run(order as DrainOrder, Number(window), Number(messages), directory);
  process.stdout.write(JSON.stringify(result));
}
