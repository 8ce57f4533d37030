/** The store by itself: messages of 200 bytes to one receiver, acknowledged when they are on the medium. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { SystemClock } from "../../src/base/clock.ts";
import { Counters } from "../../src/base/counters.ts";
import { Log } from "../../src/base/log.ts";
import { Message } from "../../src/core/message.ts";
import type { ReceiverRecord, StoredReceiver } from "../../src/core/ports.ts";
import { openStore, type SqliteStore } from "../../src/store/store.ts";
import { type MicroCase, sink } from "./case.ts";

const TOPIC = Buffer.from("sensors/building-7/floor-3/temperature");
const PAYLOAD_BYTES = 162; // 200 with the topic

/** Takes everything, and needs nothing once a group is durable. */
class Receiver implements StoredReceiver {
  readonly id: number;
  headSeq = Number.POSITIVE_INFINITY;
  readonly #record: ReceiverRecord;

  constructor(record: ReceiverRecord) {
    this.id = record.id;
    this.#record = record;
  }

  needs(seq: number): boolean {
    return seq >= this.headSeq;
  }

  save(): ReceiverRecord {
    this.#record.headSeq = this.headSeq;
    return this.#record;
  }

  onDurable(): void {}

  onWithdrawn(): void {}
}

/** Closes its group at the end of the turn. */
const AT_ONCE = { commitDelayMs: 0, sync: null };

/** Groups of `groupMessages`, each durable before the next begins. */
async function batchCase(sync: "full" | "normal", groupMessages: number): Promise<MicroCase> {
  const directory = mkdtempSync(`${tmpdir()}/sluice-micro-`);
  const clock = new SystemClock();
  const store = await openStore({
    dataDir: directory,
    config: { sync, commitDelayMs: 0, commitBytes: 2 ** 20, maxBytes: 2 ** 30 },
    clock,
    log: new Log({ level: "error", format: "text" }),
    counters: new Counters(),
  });
  const receiver = new Receiver(store.createReceiver("session", "bench"));
  store.register(receiver);
  return {
    name: `store: ${groupMessages} messages of 200 bytes a group, sync ${sync}`,
    run: async (times) => {
      for (let done = 0; done < times; done += groupMessages) {
        await group(store, receiver, Math.min(groupMessages, times - done), clock.wallMs());
      }
    },
    close: async () => {
      await store.close();
      rmSync(directory, { recursive: true });
    },
  };
}

function group(store: SqliteStore, receiver: Receiver, messages: number, wallMs: number): Promise<void> {
  return new Promise((resolve) => {
    receiver.headSeq = store.lastSeq + 1;
    store.touch(receiver);
    for (let i = 0; i < messages; i++) {
      const bytes = Buffer.allocUnsafeSlow(TOPIC.length + PAYLOAD_BYTES);
      TOPIC.copy(bytes);
      const message = new Message(bytes, TOPIC.length, TOPIC.length, 1, false, wallMs, 0, -1);
      message.addReceiver(receiver.id, 1);
      if (i === messages - 1) message.durability = AT_ONCE;
      store.append(message);
    }
    const onStored = (_token: number, reason: number): void => {
      if (reason !== 0) throw new Error(`the store refused with ${reason}`);
      sink.value++;
      resolve();
    };
    store.barrier({ onStored }, 0);
  });
}

export const storeCases: readonly (() => Promise<MicroCase>)[] = [
  () => batchCase("full", 1),
  () => batchCase("full", 100),
  () => batchCase("full", 1_000),
  () => batchCase("normal", 100),
];
