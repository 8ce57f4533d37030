/**
 * When an uplink connects that is not to be there all the time: for a while, again and again.
 *
 *     start            start + phase       start + phase + every
 *       |<-- for -->|          |<-- for -->|          |<-- for -->|
 *
 * The first window opens at the start; the others lie where a random phase puts them, so that gateways that got their
 * power back together do not all come together. A window is time alone: a connection that fails is made again within it, one
 * that stands is left in order at its end. Only monotonic time counts.
 *
 * A message of the urgent priority, or a higher one, that finds no connection opens a window from that moment on.
 */
import type { Random } from "../../base/random.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import type { ConnectConfig } from "../../config/uplink-pace.ts";
import type { TimeSource } from "../../core/ports.ts";
import { momentWords, spanWords } from "../words.ts";

export interface ScheduleParts {
  readonly time: Pick<TimeSource, "nowMs" | "wallMs">;
  /** Whether the wall clock is to be believed. */
  readonly isClockSet: () => boolean;
  readonly wheel: TimerWheel;
  readonly random: Random;
  /** The uplink has to stay away. @param words for people, of the moment they are asked for */
  readonly hold: (words: () => string) => void;
  readonly release: () => void;
  /** The uplink is connected. */
  readonly isOnline: () => boolean;
}

export interface ScheduleStatus {
  readonly open: boolean;
  /** Ms until that ends. */
  readonly forMs: number;
}

export class Schedule implements Expirable {
  readonly #config: ConnectConfig;
  readonly #parts: ScheduleParts;
  readonly #timer = new Timer(this, 0);
  #open = false;
  /** End of the window, while open. */
  #endMs = 0;
  /** When the next one opens by the schedule; 0 = it has not started, or is stopped. */
  #nextMs = 0;

  constructor(config: ConnectConfig, parts: ScheduleParts) {
    this.#config = config;
    this.#parts = parts;
  }

  start(): void {
    const { time, random } = this.#parts;
    this.#nextMs = time.nowMs() + random() * this.#config.everyMs;
    this.#openUntil(time.nowMs() + this.#config.forMs);
  }

  stop(): void {
    this.#nextMs = 0;
    this.#parts.wheel.cancel(this.#timer);
  }

  /** A message of class `priority` waits for a connection, or for the next one, as this one is being left. */
  onWaiting(priority: number): void {
    const { urgentPriority, forMs } = this.#config;
    if (urgentPriority === null || priority < urgentPriority || this.#nextMs === 0) return;
    if (this.#open && this.#parts.isOnline()) return;
    this.#openUntil(this.#parts.time.nowMs() + forMs);
  }

  status(): ScheduleStatus {
    const nowMs = this.#parts.time.nowMs();
    return { open: this.#open, forMs: Math.max(0, Math.ceil((this.#open ? this.#endMs : this.#nextMs) - nowMs)) };
  }

  onTimer(): void {
    const nowMs = this.#parts.time.nowMs();
    if (nowMs >= this.#nextMs) {
      const { everyMs, forMs } = this.#config;
      const openedMs = this.#nextMs + Math.floor((nowMs - this.#nextMs) / everyMs) * everyMs;
      this.#nextMs = openedMs + everyMs;
      if (openedMs + forMs > nowMs) this.#openUntil(openedMs + forMs);
    }
    if (this.#open && nowMs >= this.#endMs) this.#close();
    this.#arm();
  }

  /** Opens a window, or lets the one that is open last longer. */
  #openUntil(endMs: number): void {
    this.#endMs = this.#open ? Math.max(endMs, this.#endMs) : endMs;
    const wasOpen = this.#open;
    this.#open = true;
    this.#arm();
    if (!wasOpen) this.#parts.release();
  }

  #close(): void {
    this.#open = false;
    this.#parts.hold(() => this.#words());
  }

  #arm(): void {
    const { time, wheel } = this.#parts;
    const dueMs = this.#open ? Math.min(this.#endMs, this.#nextMs) : this.#nextMs;
    wheel.schedule(this.#timer, Math.max(0, dueMs - time.nowMs()));
  }

  #words(): string {
    const { time, isClockSet } = this.#parts;
    const { forMs } = this.status();
    return isClockSet()
      ? `connects at ${momentWords(time.wallMs() + forMs, time.wallMs())}`
      : `connects in ${spanWords(forMs)}`;
  }
}
