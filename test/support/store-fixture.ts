/** A durable store on real files in a directory of its own, and the little it needs around it. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { TestContext } from "node:test";
import { SystemClock } from "../../src/base/clock.ts";
import { Counters } from "../../src/base/counters.ts";
import { Log } from "../../src/base/log.ts";
import { Message } from "../../src/core/message.ts";
import type { BacklogSink, Durability, ReceiverRecord, StoredReceiver, StoreWaiter } from "../../src/core/ports.ts";
import type { StoreOptions } from "../../src/store/options.ts";
import { openStore, type SqliteStore } from "../../src/store/store.ts";

export interface OpenedStore {
  readonly store: SqliteStore;
  readonly counters: Counters;
  /** Log lines. */
  readonly lines: string[];
}

export type Overrides = Partial<Omit<StoreOptions, "config">> & Partial<StoreOptions["config"]>;

const openedIn = new Map<string, SqliteStore[]>();

/**
 * A data directory that goes with the test, after the stores in it were closed.
 * @param mebibytes on a file system of its own, of this size (needs root); 0 = on the machine's
 */
export function dataDir(t: TestContext, mebibytes = 0): string {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-store-"));
  if (mebibytes > 0) execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", dir]);
  t.after(async () => {
    for (const store of openedIn.get(dir) ?? []) await store.close();
    openedIn.delete(dir);
    if (mebibytes > 0) execFileSync("umount", ["--lazy", dir]);
    fs.rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

/** A directory with what a gateway would find that starts after `kill -9` of the one in `dir`. */
export function crashImage(t: TestContext, dir: string): string {
  const image = dataDir(t);
  // Another process copies: closing a descriptor of the database here would drop SQLite's locks on it.
  const names = fs.readdirSync(dir).filter((name) => name.startsWith("sluice.db"));
  execFileSync("cp", [...names.map((name) => path.join(dir, name)), image]);
  return image;
}

export function storeOptions(dir: string, overrides: Overrides = {}): StoreOptions & { counters: Counters } {
  const { sync, commitDelayMs, commitBytes, maxBytes, writeBudgetPerDay, endurance, ...rest } = overrides;
  const options = {
    dataDir: dir,
    config: {
      sync: sync ?? "full",
      commitDelayMs: commitDelayMs ?? 5,
      commitBytes: commitBytes ?? 256 * 1024,
      maxBytes: maxBytes ?? 512 * 1024 * 1024,
      writeBudgetPerDay: writeBudgetPerDay ?? "off",
      endurance: endurance ?? null,
    },
    clock: new SystemClock(),
    log: new Log({ level: "debug", format: "text", write: () => {} }),
    counters: new Counters(),
    reserveBytes: 0,
    ...rest,
  } satisfies StoreOptions;
  return options;
}

/** Opens the store in a directory of `dataDir`; the test's end closes it if the test has not. */
export async function openTestStore(dir: string, overrides: Overrides = {}): Promise<OpenedStore> {
  const lines: string[] = [];
  const log = new Log({ level: "debug", format: "text", write: (line) => lines.push(line) });
  const options = storeOptions(dir, { log, ...overrides });
  const store = await openStore(options);
  openedIn.set(dir, [...(openedIn.get(dir) ?? []), store]);
  return { store, counters: options.counters, lines };
}

export function messageOfText(text: string, topic = "t", qos = 1, retain = false): Message {
  const topicLength = Buffer.byteLength(topic);
  const bytes = Buffer.from(topic + text);
  return new Message(bytes, topicLength, topicLength, qos, retain, 1_700_000_000_000, 0, -1);
}

/** The simplest durable receiver: acknowledges in any order, keeps what it has not acknowledged as a set. */
export class FakeReceiver implements StoredReceiver, BacklogSink {
  readonly id: number;
  readonly record: ReceiverRecord;
  readonly #store: SqliteStore;
  /** What it waits for, by sequence number: size. */
  readonly open = new Map<number, number>();
  readonly withdrawn: string[] = [];
  /** Payloads in the order the backlog gave them. */
  readonly seen: string[] = [];
  readonly seenMessages: Message[] = [];
  durable = 0;

  constructor(store: SqliteStore, kind: string, name: string) {
    this.#store = store;
    this.record = store.createReceiver(kind, name);
    this.id = this.record.id;
    store.register(this);
  }

  get headSeq(): number {
    const first = this.open.keys().next();
    return first.done === true ? Number.POSITIVE_INFINITY : first.value;
  }

  needs(seq: number): boolean {
    return this.open.has(seq);
  }

  save(): ReceiverRecord {
    const head = this.headSeq;
    this.record.headSeq = head === Number.POSITIVE_INFINITY ? this.#store.lastSeq + 1 : head;
    this.record.count = this.open.size;
    this.record.bytes = [...this.open.values()].reduce((sum, size) => sum + size, 0);
    return this.record;
  }

  /** Gives up a row before its turn. */
  strike(seq: number): boolean {
    this.open.delete(seq);
    return this.#store.strike(seq, this.id);
  }

  onDurable(): void {
    this.durable++;
  }

  onWithdrawn(message: Message): void {
    this.open.delete(message.seq);
    this.withdrawn.push(message.payload.toString());
  }

  onBacklog(message: Message): boolean {
    this.seen.push(message.payload.toString());
    this.seenMessages.push(message);
    return true;
  }

  /** As the queue of a session would, when the router gives it a message. */
  took(message: Message): void {
    this.open.set(message.seq, message.size);
    this.#store.touch(this);
  }

  acknowledge(message: Message): void {
    this.open.delete(message.seq);
    this.#store.settle(message, this.id);
    this.#store.touch(this);
  }

  /** Reads everything from `from` on. @returns payloads */
  readAll(from = this.record.headSeq): string[] {
    this.seen.length = 0;
    this.seenMessages.length = 0;
    for (let at = from; at <= this.#store.lastSeq; ) at = this.#store.read(this.id, at, 64 * 1024, this);
    return [...this.seen];
  }

  /** Takes what the log has for it, as after a restart. */
  recover(): string[] {
    const texts = this.readAll();
    for (const message of this.seenMessages) this.open.set(message.seq, message.size);
    return texts;
  }
}

/** Answers of the store, as promises. */
export class Answers implements StoreWaiter {
  /** Tokens in the order they were told, with their reasons. */
  readonly told: [number, number][] = [];
  readonly #waiting = new Map<number, (reason: number) => void>();
  #next = 1;

  onStored(token: number, reason: number): void {
    this.told.push([token, reason]);
    this.#waiting.get(token)?.(reason);
    this.#waiting.delete(token);
  }

  /** Makes `message` wait; resolves with the reason. */
  expect(message: Message): Promise<number> {
    message.waiter = this;
    message.waiterToken = this.#next++;
    return this.#promise(message.waiterToken);
  }

  /** For somebody who makes the message: who waits, and the answer. */
  expected(): { waiter: StoreWaiter; token: number; stored: Promise<number> } {
    const token = this.#next++;
    return { waiter: this, token, stored: this.#promise(token) };
  }

  barrier(store: SqliteStore): Promise<number> {
    const token = this.#next++;
    const promise = this.#promise(token);
    store.barrier(this, token);
    return promise;
  }

  #promise(token: number): Promise<number> {
    return new Promise((resolve) => this.#waiting.set(token, resolve));
  }
}

/** Enters `text` for the receivers and answers when it is stored. */
export function publish(
  store: SqliteStore,
  answers: Answers,
  receivers: FakeReceiver[],
  text: string,
  topic = "t",
  durability: Durability | null = null,
): { message: Message; stored: Promise<number> } {
  const message = messageOfText(text, topic);
  message.durability = durability;
  for (const receiver of receivers) message.addReceiver(receiver.id, 1);
  const stored = answers.expect(message);
  store.append(message);
  for (const receiver of receivers) receiver.took(message);
  return { message, stored };
}
