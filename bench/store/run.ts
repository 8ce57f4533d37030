/**
 * What a durable message costs: 220 bytes of topic and payload, one receiver that acknowledges it as soon as it is on
 * the medium, `sync: full`, commits after 20 ms or 256 KiB. Each workload in a process of its own.
 *
 *   npm run bench -- store [DIRECTORY]      the disk to measure; the system's temporary directory by default
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { SystemClock } from "../../src/base/clock.ts";
import { Counters } from "../../src/base/counters.ts";
import { Log } from "../../src/base/log.ts";
import { Message } from "../../src/core/message.ts";
import type { ReceiverRecord, StoredReceiver, StoreWaiter } from "../../src/core/ports.ts";
import { openStore } from "../../src/store/store.ts";

interface Workload {
  readonly name: string;
  /** Messages that wait for their acknowledgement. */
  readonly window: number;
  /** Messages per second; 0 = as fast as the window allows. */
  readonly rate: number;
}

const WORKLOADS: readonly Workload[] = [
  { name: "firehose, window 1,000", window: 1000, rate: 0 },
  { name: "firehose, window 4,000", window: 4000, rate: 0 },
  { name: "steady, 2,000/s", window: 1000, rate: 2000 },
];
const SECONDS = 4;
/** The runtime compiles what is hot; not counted. */
const WARM_UP_MS = 1000;
const TOPIC_BYTES = 20;
const MESSAGE_BYTES = 220;

const [first, second] = process.argv.slice(2);
if (first === "--workload") await measure(WORKLOADS[Number(second)] as Workload, process.argv[4] as string);
else runAll(first ?? os.tmpdir());

function runAll(base: string): void {
  const dir = fs.mkdtempSync(path.join(base, "sluice-bench-"));
  console.log("workload                     msg/s   CPU us  stall ms   p50 ms   p99 ms   bytes   RSS MB (at rest)");
  for (const index of WORKLOADS.keys()) {
    const args = [...process.execArgv, import.meta.filename, "--workload", String(index), dir];
    spawnSync(process.execPath, args, { stdio: "inherit" });
  }
  fs.rmSync(dir, { recursive: true, force: true });
}

async function measure(workload: Workload, base: string): Promise<void> {
  const dataDir = path.join(base, String(process.pid));
  const counters = new Counters();
  const store = await openStore({
    dataDir,
    config: { sync: "full", commitDelayMs: 20, commitBytes: 256 * 1024, maxBytes: 512 * 1024 * 1024 },
    clock: new SystemClock(),
    log: new Log({ level: "error", format: "text" }),
    counters,
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
      record.bytes = record.count * (MESSAGE_BYTES + 128);
      return record;
    },
    onDurable() {},
    onWithdrawn() {},
  };
  store.register(receiver);

  const body = Buffer.alloc(MESSAGE_BYTES, "x");
  const sentMs = new Float64Array(65_536);
  let latenciesMs: number[] = [];
  let acknowledged = 0;
  let sent = 0;
  let running = true;
  const waiter: StoreWaiter = {
    onStored(token, reason) {
      if (reason !== 0) throw new Error(`refused: ${reason}`);
      acknowledged++;
      head++;
      store.touch(receiver);
      if (token % 64 === 0) latenciesMs.push(performance.now() - (sentMs[token % 65_536] as number));
      if (running && workload.rate === 0) send();
    },
  };
  function send(): void {
    const bytes = Buffer.allocUnsafeSlow(MESSAGE_BYTES);
    body.copy(bytes);
    const message = new Message(bytes, TOPIC_BYTES, TOPIC_BYTES, 1, false, Date.now(), 0, -1);
    message.addReceiver(record.id, 1);
    message.waiter = waiter;
    message.waiterToken = sent;
    sentMs[sent++ % 65_536] = performance.now();
    store.append(message);
    store.touch(receiver);
  }

  const restRss = process.memoryUsage.rss();
  const startMs = performance.now();
  let stallMs = 0;
  let lastMs = startMs;
  let rss = restRss;
  setInterval(() => {
    const nowMs = performance.now();
    stallMs = Math.max(stallMs, nowMs - lastMs - 1);
    lastMs = nowMs;
    while (running && workload.rate > 0 && sent < ((nowMs - startMs) / 1000) * workload.rate) send();
  }, 1);
  setInterval(() => {
    rss = Math.max(rss, process.memoryUsage.rss());
  }, 50);
  if (workload.rate === 0) for (let i = 0; i < workload.window; i++) send();

  await sleep(WARM_UP_MS);
  const from = {
    acknowledged,
    bytes: counters.get("store.bytes_written"),
    cpu: process.cpuUsage(),
    ms: performance.now(),
  };
  stallMs = 0;
  latenciesMs = [];
  await sleep(SECONDS * 1000);
  const count = acknowledged - from.acknowledged;
  const cpu = process.cpuUsage(from.cpu);
  const seconds = (performance.now() - from.ms) / 1000;
  latenciesMs.sort((a, b) => a - b);
  const percentile = (share: number): number => latenciesMs[Math.floor(share * latenciesMs.length)] ?? 0;
  const columns = [
    Math.round(count / seconds)
      .toLocaleString("en")
      .padStart(9),
    ((cpu.user + cpu.system) / count).toFixed(1).padStart(8),
    stallMs.toFixed(1).padStart(9),
    percentile(0.5).toFixed(1).padStart(8),
    percentile(0.99).toFixed(1).padStart(8),
    Math.round((counters.get("store.bytes_written") - from.bytes) / count)
      .toString()
      .padStart(7),
    (rss / 1e6).toFixed(0).padStart(8),
    `(${(restRss / 1e6).toFixed(0)})`,
  ];
  console.log(workload.name.padEnd(25) + columns.join(" "));
  running = false;
  await store.close();
  process.exit(0);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
