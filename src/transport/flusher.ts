/**
 * The end of a turn of the event loop, once for all outputs: those that were written to are flushed, those who asked
 * are told. Also the outputs' common memory: who has to go when it is short.
 */
import type { Counter, Counters } from "../base/counters.ts";
import { LateCopy } from "./late-copy.ts";
import { READ_BUDGET_BYTES, READ_BUDGET_BYTES_MIN } from "./link.ts";
import type { Output } from "./output.ts";
import { LARGE_BYTES, OutputBuffers, type OutputMemory } from "./output-buffers.ts";
import { SharedBytes } from "./shared-bytes.ts";
import { TurnQueue } from "./turn-queue.ts";

const NOTHING: Buffer = Buffer.alloc(0);
/** Bytes of all links that a turn should not take many more of. */
const TURN_BYTES = 1024 * 1024;

/** Who wants to know of the end of a turn. */
export interface TurnListener {
  onTurnEnd(): void;
}

export class Flusher {
  readonly buffers: OutputBuffers;
  readonly shared = new SharedBytes(this);
  readonly late = new LateCopy();
  /** Links that wait for a turn. */
  readonly turns: TurnQueue;
  /** Bytes that may wait for one socket; beyond it the link is destroyed. */
  readonly outputBytesMax: number;
  readonly bytesSent: Counter;
  readonly overflows: Counter;
  readonly #evictions: Counter;
  /** Outputs whose socket holds a buffer. */
  readonly busy = new Set<Output>();
  /** Number of the present turn; goes up only at the ends of turns that `scheduleEnd` was called in. */
  turn = 0;
  /** Links that brought something in in this turn. */
  readers = 0;
  /** What each link may bring in in this turn, by how many did in the last one. */
  readBudgetBytes = READ_BUDGET_BYTES;
  #dirty: Output[] = [];
  #spare: Output[] = [];
  #waiting: TurnListener[] = [];
  #scheduled = false;
  #wasteland = NOTHING;

  /** @param outputBytes  limits.output_bytes: callers stop there, the link is destroyed at twice as much */
  constructor(outputBytes: number, memory: OutputMemory, counters: Counters) {
    this.buffers = new OutputBuffers(memory, counters);
    this.turns = new TurnQueue(counters);
    this.outputBytesMax = 2 * outputBytes;
    this.bytesSent = counters.counter("transport.bytes_sent");
    this.overflows = counters.counter("transport.output_overflow");
    this.#evictions = counters.counter("transport.output_evicted");
    counters.gauge("transport.unsent_bytes", () => this.#unsentBytes());
  }

  mark(output: Output): void {
    this.#dirty.push(output);
    if (!this.#scheduled) this.scheduleEnd();
  }

  /** Makes the present turn end with `endTurn`. */
  scheduleEnd(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(endTurn, this);
  }

  /** Tells `listener` once, at the end of this turn, after all outputs have been flushed. */
  awaitEnd(listener: TurnListener): void {
    this.#waiting.push(listener);
    this.scheduleEnd();
  }

  /** Ends the turn. What is written meanwhile goes out in the next. */
  endTurn(): void {
    const dirty = this.#dirty;
    this.#dirty = this.#spare;
    this.#spare = dirty;
    this.#scheduled = false;
    this.turn++;
    const share = Math.floor(TURN_BYTES / Math.max(this.readers, 1));
    this.readBudgetBytes = Math.min(Math.max(share, READ_BUDGET_BYTES_MIN), READ_BUDGET_BYTES);
    this.readers = 0;
    for (let i = 0; i < dirty.length; i++) (dirty[i] as Output).endTurn();
    dirty.length = 0;
    this.shared.release();
    if (this.#waiting.length > 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const listener of waiting) listener.onTurnEnd();
    }
    if (this.turns.empty) return;
    this.turns.run();
    this.scheduleEnd();
  }

  /** A buffer of at least `bytes`. When memory is short: flushes all, then gives up the output that holds most. */
  take(bytes: number): Buffer {
    const buffer = this.buffers.take(bytes);
    if (this.buffers.exhausted) this.#relieve();
    return buffer;
  }

  /** Where the bytes for a closed output go. */
  wasteland(bytes: number): Buffer {
    if (this.#wasteland.length < bytes) this.#wasteland = Buffer.allocUnsafeSlow(Math.max(bytes, LARGE_BYTES));
    return this.#wasteland;
  }

  /** What sockets have not taken. */
  #unsentBytes(): number {
    let bytes = 0;
    for (const output of this.busy) bytes += output.pendingBytes;
    return bytes;
  }

  #relieve(): void {
    for (const output of this.#dirty) output.flush();
    if (!this.buffers.exhausted) return;
    let largest: Output | null = null;
    for (const output of this.busy) {
      if (largest === null || output.pendingBytes > largest.pendingBytes) largest = output;
    }
    if (largest === null) return;
    this.#evictions.value++;
    this.busy.delete(largest);
    largest.overflow();
  }
}

function endTurn(flusher: Flusher): void {
  flusher.endTurn();
}
