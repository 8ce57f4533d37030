/**
 * Messages in memory that wait for a receiver's window, in order; bounded in number and bytes, for itself and together
 * with all others (`QueueHost.waitingMemory`).
 */
import type { Allowance } from "../base/allowance.ts";
import { RingBuffer } from "../base/ring-buffer.ts";
import type { Line } from "../config/budget.ts";
import { MESSAGE_OVERHEAD_BYTES, type Message } from "./message.ts";
import type { QueueLimits } from "./queue-limits.ts";

/** Messages that wait in memory for one receiver with a log, at most; beyond it the log holds them. */
export const WAITING_MAX = 1024;

export interface WaitingEntry {
  readonly message: Message;
  readonly options: number;
  readonly subscriptionIds: readonly number[] | null;
  /** Parts sent already, when the window closed in the middle. */
  partsSent: number;
  /** In a queue without the order of the log: the first one that it has; -1 = none. */
  ordinal: number;
}

export class Waiting {
  readonly #bytesMax: number;
  readonly #spills: boolean;
  readonly #ring: RingBuffer<WaitingEntry>;
  readonly #memory: Allowance;
  #bytes = 0;

  /**
   * @param hasLog  the log takes over beyond `limits.windowBytes`; without one, memory holds all that admission took:
   *   as many as the smallest messages make, and the one that drop-oldest makes room for
   */
  constructor(limits: QueueLimits, hasLog: boolean, memory: Allowance) {
    this.#memory = memory;
    this.#spills = limits.spills === true;
    this.#bytesMax = hasLog ? limits.windowBytes : Number.POSITIVE_INFINITY;
    this.#ring = new RingBuffer(hasLog ? WAITING_MAX : 1 + Math.ceil(limits.onlineBytes / MESSAGE_OVERHEAD_BYTES));
  }

  get length(): number {
    return this.#ring.length;
  }

  /** Of the messages (Message.size). */
  get bytes(): number {
    return this.#bytes;
  }

  peek(): WaitingEntry | undefined {
    return this.#ring.peek();
  }

  /** Whether one more may enter; the first always may, or nothing would ever move. */
  hasRoom(): boolean {
    if (this.#ring.length === 0) return true;
    const within = this.#bytes < this.#bytesMax && this.#ring.length < this.#ring.capacityMax;
    return within && this.#memory.used < this.#memory.bytesMax;
  }

  /** Whether a message is there that only the log should hold. */
  get isOverfull(): boolean {
    return this.#spills && this.#bytes > this.#bytesMax;
  }

  /** Leaves out the last ones, so that the rest fits; not one of which a part is sent. @returns the first left out */
  spill(): Message | null {
    let bytes = 0;
    let spilled: Message | null = null;
    this.retain(({ message, partsSent }) => {
      bytes += message.size;
      if (partsSent > 0) return true;
      if (bytes > this.#bytesMax) spilled ??= message;
      return spilled === null;
    });
    return spilled;
  }

  /** Whether it has a part in memory running short. */
  get isTight(): boolean {
    return this.#ring.length > 0 && this.#memory.used > this.#memory.bytesMax / 2;
  }

  push(message: Message, options: number, subscriptionIds: readonly number[] | null): void {
    if (!this.#ring.push({ message, options, subscriptionIds, partsSent: 0, ordinal: -1 })) return;
    this.#bytes += message.size;
    this.#memory.takeAnyway(message.size);
  }

  shift(): WaitingEntry | undefined {
    const entry = this.#ring.shift();
    if (entry === undefined) return undefined;
    this.#bytes -= entry.message.size;
    this.#memory.give(entry.message.size);
    return entry;
  }

  /** The entry `i` places behind the first. */
  at(i: number): WaitingEntry | undefined {
    return this.#ring.at(i);
  }

  /** Goes through all entries from the first on, and leaves out those for which `keep` says no. */
  retain(keep: (entry: WaitingEntry) => boolean): void {
    for (let rest = this.#ring.length; rest > 0; rest--) {
      const entry = this.#ring.shift() as WaitingEntry;
      if (keep(entry)) {
        this.#ring.push(entry);
      } else {
        this.#bytes -= entry.message.size;
        this.#memory.give(entry.message.size);
      }
    }
  }

  clear(): void {
    this.#ring.clear();
    this.#memory.give(this.#bytes);
    this.#bytes = 0;
  }
}

/** Share of `memory_limit` for messages that wait, all queues together. */
const WAITING_SHARE = 40;

export function waitingBytesOf(memoryLimitBytes: number): number {
  return Math.floor(memoryLimitBytes / WAITING_SHARE);
}

export function budget(memoryLimitBytes: number): Line[] {
  return [
    {
      owner: "messages waiting for receivers",
      bytes: waitingBytesOf(memoryLimitBytes),
      how: `1/${WAITING_SHARE} of memory_limit for all receivers together; beyond it the log holds them`,
    },
  ];
}
