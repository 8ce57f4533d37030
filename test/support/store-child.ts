/**
 * A process that writes to a store until it is killed, and says on standard output what it was told. Numbers its
 * messages; each line is written before the next thing happens, so that what was printed was acknowledged.
 *
 *   node store-child.ts DIR JSON      JSON: see Orders
 *
 *     ready                    the store is open
 *     ok N / no N REASON       message N was acknowledged or refused
 *     gone N                   the receiver acknowledges message N (with `marks`)
 *     full / failed / healthy  the store's health changed
 *     stall MS                 the longest stall of the event loop since the last such line, every 250 ms
 */
import fs from "node:fs";
import type { Message } from "../../src/core/message.ts";
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
  /** It acknowledges nothing until so many are stored, then all but `keep` at once. */
  readonly drainAt: number;
  /** See StoreOptions. */
  readonly shrinkFromBytes: number | null;
  /** Pause between messages; 0 = as fast as the window allows. */
  readonly everyMs: number;
  readonly checkpointFrames: number;
  readonly reserveBytes: number;
  readonly maxBytes: number;
  /** Says `gone`. */
  readonly marks: boolean;
}

const [dir, text] = process.argv.slice(2);
if (dir === undefined || text === undefined) throw new Error("usage: store-child.ts DIR JSON");
const orders = JSON.parse(text) as Orders;

function say(line: string): void {
  fs.writeSync(1, `${line}\n`);
}

const { checkpointFrames, reserveBytes, maxBytes, shrinkFromBytes } = orders;
const store = await openStore(
  storeOptions(dir, {
    checkpointFrames,
    reserveBytes,
    maxBytes,
    ...(shrinkFromBytes === null ? {} : { shrinkFromBytes }),
    onHealth: (health) => say(health === "ok" ? "healthy" : health),
  }),
);
const receiver = new FakeReceiver(store, "uplink", "cloud");
receiver.recover();
/** Entered, by number. */
const waiting = new Map<number, Message>();
/** Stored, and not acknowledged by the receiver. */
const stored: Message[] = [];
let next = orders.first;

const waiter: StoreWaiter = {
  onStored(number, reason) {
    const message = waiting.get(number);
    waiting.delete(number);
    say(reason === SETTLED ? `ok ${number}` : `no ${number} ${reason}`);
    if (reason === SETTLED && message !== undefined) stored.push(message);
    if (orders.keep !== null && stored.length >= orders.drainAt) acknowledge(orders.keep);
    if (orders.everyMs === 0) setImmediate(fill);
  },
};

function acknowledge(keep: number): void {
  while (stored.length > keep) {
    const message = stored.shift() as Message;
    if (orders.marks) say(`gone ${message.waiterToken}`);
    receiver.acknowledge(message);
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
  waiting.set(number, message);
  message.addReceiver(receiver.id, 1);
  message.waiter = waiter;
  message.waiterToken = number;
  store.append(message);
  receiver.took(message);
  return true;
}

function fill(): void {
  while (waiting.size < orders.window) {
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
if (orders.everyMs > 0) setInterval(() => waiting.size < orders.window && publishOne(), orders.everyMs);
else fill();
