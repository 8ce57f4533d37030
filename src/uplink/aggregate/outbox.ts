/**
 * What is closed and on its way to its priority class, in order: compressed where the rule says so, one at a time in
 * libuv's pool, which syncs need too; then entered in the store's open group. What the store or the class does not take
 * now waits and is tried again: the rows it was made of are still in the log.
 */
import { Semaphore } from "../../base/semaphore.ts";
import type { Hold } from "./place.ts";

/** Something that is to be sent, or rows of which nothing is. */
export interface Closed {
  /** Remote topic; null = nothing is sent. */
  readonly topic: Buffer | null;
  readonly properties: Buffer;
  payload: Buffer;
  /** Rows that are done with when it is sent. */
  readonly holds: readonly Hold[];
  readonly retain: boolean;
  /** Stamp of what it is as old as; 0 = now. */
  readonly acceptedMs: number;
  /** Stamp; 0 = never. */
  readonly expiresMs: number;
  /** "ready": it can be entered. */
  state: "ready" | "to-compress" | "compressing";
}

const NOTHING: Buffer = Buffer.alloc(0);

/** Rows of which nothing is sent: they are done with in their turn, or those before them would be, too. */
export function leavingOut(hold: Hold): Closed {
  const empty = { topic: null, properties: NOTHING, payload: NOTHING, retain: false };
  return { ...empty, holds: [hold], acceptedMs: 0, expiresMs: 0, state: "ready" };
}

/** Answers of `enter`. */
export const ENTERED = 0;
export const LATER = 1;

/** All rules of all uplinks share one thread. */
const pool = new Semaphore(1);

export class Outbox {
  #closed: Closed[] = [];
  /** Bytes of payloads in it. */
  bytes = 0;
  readonly #enter: (closed: Closed) => number;
  readonly #onReady: () => void;

  /**
   * @param enter   takes the first; LATER stops the pump
   * @param onReady the first was not ready, and is now
   */
  constructor(enter: (closed: Closed) => number, onReady: () => void) {
    this.#enter = enter;
    this.#onReady = onReady;
  }

  get length(): number {
    return this.#closed.length;
  }

  /** Whether there is more to be pumped. */
  get isReady(): boolean {
    return this.#closed[0] !== undefined && this.#closed[0].state !== "compressing";
  }

  push(closed: Closed): void {
    this.#closed.push(closed);
    this.bytes += closed.payload.length;
  }

  /** Nothing of it is to be sent: the log is read again. */
  clear(): void {
    this.#closed = [];
    this.bytes = 0;
  }

  /** Enters what is ready, at most `max`. @returns LATER when the first is ready and was not taken */
  pump(max: number): number {
    for (let n = 0; n < max; n++) {
      const [first] = this.#closed;
      if (first === undefined) return ENTERED;
      if (first.state === "to-compress") this.#compress(first);
      if (first.state !== "ready") return ENTERED;
      if (this.#enter(first) === LATER) return LATER;
      this.#closed.shift();
      this.bytes -= first.payload.length;
    }
    return ENTERED;
  }

  #compress(closed: Closed): void {
    closed.state = "compressing";
    void pool.run(async () => {
      const { gzipped } = await import("./gzip.ts");
      const payload = await gzipped(closed.payload);
      if (this.#closed[0] !== closed) return; // given up meanwhile
      this.bytes += payload.length - closed.payload.length;
      closed.payload = payload;
      closed.state = "ready";
      this.#onReady();
    });
  }
}
