/**
 * Connections whose reading is paused because a receiver of what they publish is too far behind. They go on when it
 * has caught up, or after `limits.pause_max`: a paused socket also hides the peer's acknowledgements and pings.
 */
import type { Counter, Counters } from "../../base/counters.ts";
import type { Receiver } from "../../core/receiver.ts";

/** How often the paused are looked at, while there are any. */
const CHECK_MS = 5;

export interface PausedReader {
  resumeReading(): void;
}

interface Entry {
  readonly receiver: Receiver;
  readonly untilMs: number;
}

export class PausedReaders {
  readonly #entries = new Map<PausedReader, Entry>();
  readonly #pauses: Counter;
  #timer: NodeJS.Timeout | null = null;

  constructor(counters: Counters) {
    this.#pauses = counters.counter("mqtt.reader_paused");
  }

  add(reader: PausedReader, receiver: Receiver, pauseMaxMs: number): void {
    if (this.#entries.has(reader)) return;
    this.#pauses.value++;
    this.#entries.set(reader, { receiver, untilMs: performance.now() + pauseMaxMs });
    this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
  }

  remove(reader: PausedReader): void {
    this.#entries.delete(reader);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #check(): void {
    const now = performance.now();
    for (const [reader, { receiver, untilMs }] of this.#entries) {
      if (receiver.congested() && now < untilMs) continue;
      this.#entries.delete(reader);
      reader.resumeReading();
    }
    if (this.#entries.size === 0) this.stop();
  }
}
