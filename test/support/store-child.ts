/**
 * A process that writes to a store until it is killed, and says on standard output what it was told. Numbers its
 * messages; each line is written before the next thing happens, so that what was printed was acknowledged.
 *
 *   node store-child.ts DIR JSON      JSON: see Orders
 *
 *     ready                    the store is open
 *     ok N / no N REASON       message N was acknowledged or refused
 *     full / failed / healthy  the store's health changed
 *     stall MS                 the longest stall of the event loop since the last such line, every 250 ms
 */
import fs from "node:fs";
import { SETTLED, type StoreWaiter } from "../../src/core/ports.ts";
import { openStore } from "../../src/store/store.ts";
import { FakeReceiver, messageOfText, storeOptions } from "./store-fixture.ts";

export interface Orders {
  /** Number of the first message. */
  readonly first: number;
  /** Messages waiting for their acknowledgement at most. */
  readonly window: number;
  readonly bytes: number;
  /** The receiver acknowledges what is stored, but for the last so many messages. */
  readonly keep: number | null;
  /** Pause between messages; 0 = as fast as the window allows. */
  readonly everyMs: number;
  readonly checkpointFrames: number;
  readonly reserveBytes: number;
  readonly maxBytes: number;
}

const [dir, text] = process.argv.slice(2);
if (dir === undefined || text === undefined) throw new Error("usage: store-child.ts DIR JSON");
const orders = JSON.parse(text) as Orders;

function say(line: string): void {
  fs.writeSync(1, `${line}\n`);
}

const { checkpointFrames, reserveBytes, maxBytes } = orders;
const store = await openStore(
  storeOptions(dir, {
    checkpointFrames,
    reserveBytes,
    maxBytes,
    onHealth: (health) => say(health === "ok" ? "healthy" : health),
  }),
);
const receiver = new FakeReceiver(store, "uplink", "cloud");
receiver.recover();
const stored: { seq: number; size: number }[] = [];
let next = orders.first;
let waiting = 0;

const waiter: StoreWaiter = {
  onStored(number, reason) {
    waiting--;
    say(reason === SETTLED ? `ok ${number}` : `no ${number} ${reason}`);
    if (orders.keep !== null) acknowledge(orders.keep);
    if (orders.everyMs === 0) setImmediate(fill);
  },
};

function acknowledge(keep: number): void {
  while (stored.length > keep) {
    const entry = stored.shift();
    if (entry !== undefined) receiver.open.delete(entry.seq);
    store.touch(receiver);
  }
}

/** @returns false when the store does not take it */
function publishOne(): boolean {
  const number = next++;
  const message = messageOfText(`${number} ${"x".repeat(orders.bytes)}`);
  const refusal = store.admits(message.size);
  if (refusal !== SETTLED) {
    say(`no ${number} ${refusal}`);
    return false;
  }
  waiting++;
  message.addReceiver(receiver.id, 1);
  message.waiter = waiter;
  message.waiterToken = number;
  store.append(message, false);
  receiver.took(message);
  stored.push(message);
  return true;
}

function fill(): void {
  while (waiting < orders.window) {
    if (publishOne()) continue;
    setTimeout(fill, 10);
    return;
  }
}

let longestMs = 0;
let lastMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  longestMs = Math.max(longestMs, nowMs - lastMs - 1);
  lastMs = nowMs;
}, 1);
setInterval(() => {
  say(`stall ${longestMs.toFixed(1)}`);
  longestMs = 0;
}, 250);

process.on("SIGTERM", async () => {
  await store.close();
  process.exit(0);
});

say("ready");
if (orders.everyMs > 0) setInterval(() => waiting < orders.window && publishOne(), orders.everyMs);
else fill();
