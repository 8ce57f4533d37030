/**
 * Deadlines by the thousand (keep-alives, retries, expiries) without a node timer each: a timer is a record that its
 * owner keeps and re-arms; arming and disarming relink it and allocate nothing.
 *
 * Time is cut into ticks of `resolutionMs`. A tick number is read as seven digits to the base 64, a wheel of 64 slots
 * per digit. A timer lies on the wheel of the highest digit in which its expiry differs from the present:
 *
 *     wheel 2 | . . . . . . |   one slot = 4096 ticks
 *     wheel 1 | . . x . . . |   one slot = 64 ticks; when the present reaches x, its timers move to wheel 0
 *     wheel 0 | . . . . y . |   one slot = one tick; when the present reaches y, its timers expire
 *
 * so all slots that hold timers lie ahead of the present's own digit, and the next thing to do is the first occupied
 * slot of the lowest wheel that has one. Timers never expire early, and late by at most one resolution (plus what the
 * event loop lags).
 */
import type { Clock } from "./clock.ts";

export interface Expirable {
  /** @param kind what the timer was made with, for owners that have several */
  onTimer(kind: number): void;
}

const DIGIT = 64;
const WHEELS = 7;
/** The last tick that seven digits can name: 139 years at a resolution of 1 ms. */
const TICK_MAX = DIGIT ** WHEELS - 1;
/** setTimeout takes at most 2^31 - 1 ms. */
const SLEEP_MS_MAX = 2 ** 30;

export class Timer {
  readonly owner: Expirable;
  readonly kind: number;
  // The rest is the wheel's.
  next: Timer | null = null;
  previous: Timer | null = null;
  /** Index into the wheel's slots; -1 = not armed. */
  slot = -1;
  expiryTick = 0;

  constructor(owner: Expirable, kind: number) {
    this.owner = owner;
    this.kind = kind;
  }

  get armed(): boolean {
    return this.slot >= 0;
  }
}

export class TimerWheel {
  readonly #clock: Clock;
  readonly #resolutionMs: number;
  readonly #slots: (Timer | null)[] = new Array(DIGIT * WHEELS).fill(null);
  /** All ticks up to and including this one have been dealt with. */
  #tick: number;
  #armed = 0;
  #running = false;
  #sleep: NodeJS.Timeout | null = null;
  /** Tick that the sleep ends at; Infinity without one. */
  #wakeTick = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, resolutionMs = 50) {
    this.#clock = clock;
    this.#resolutionMs = resolutionMs;
    this.#tick = this.#presentTick();
  }

  /** Number of armed timers. */
  get armed(): number {
    return this.#armed;
  }

  /** Arms `timer` to expire once, `delayMs` from now (0 to 2^31 s); one that is armed already is moved. */
  schedule(timer: Timer, delayMs: number): void {
    if (timer.slot >= 0) this.#unlink(timer);
    const tick = Math.ceil((this.#clock.nowMs() + delayMs) / this.#resolutionMs);
    timer.expiryTick = Math.min(Math.max(tick, this.#tick + 1), TICK_MAX);
    this.#link(timer);
    if (timer.expiryTick < this.#wakeTick && this.#running) this.#plan();
  }

  /** Disarms; without effect on a timer that is not armed. */
  cancel(timer: Timer): void {
    if (timer.slot >= 0) this.#unlink(timer);
  }

  /** Expires what is due. Owners may arm and disarm any timer from `onTimer`. */
  tick(): void {
    const present = this.#presentTick();
    for (;;) {
      const due = this.#nextOccupiedTick();
      if (due > present) break;
      this.#tick = due;
      this.#enter();
    }
    if (present > this.#tick) this.#tick = present; // nothing lies between
  }

  /** From now on ticks by itself, with one node timer that is there only while timers are armed. */
  start(): void {
    this.#running = true;
    this.#plan();
  }

  stop(): void {
    this.#running = false;
    this.#clearSleep();
  }

  #presentTick(): number {
    return Math.floor(this.#clock.nowMs() / this.#resolutionMs);
  }

  /** The present has reached an occupied slot: moves its timers to lower wheels, or expires them. */
  #enter(): void {
    let unit = DIGIT ** (WHEELS - 1);
    for (let wheel = WHEELS - 1; wheel > 0; wheel--, unit /= DIGIT) {
      if (this.#tick % unit !== 0) continue;
      const slot = wheel * DIGIT + (Math.floor(this.#tick / unit) % DIGIT);
      for (let timer = this.#slots[slot] ?? null; timer !== null; timer = this.#slots[slot] ?? null) {
        this.#unlink(timer);
        this.#link(timer);
      }
    }
    const slot = this.#tick % DIGIT;
    for (let timer = this.#slots[slot] ?? null; timer !== null; timer = this.#slots[slot] ?? null) {
      this.#unlink(timer);
      timer.owner.onTimer(timer.kind);
    }
  }

  /** The first tick ahead at which there is something to do; Infinity when nothing is armed. */
  #nextOccupiedTick(): number {
    if (this.#armed === 0) return Number.POSITIVE_INFINITY;
    let unit = 1;
    for (let wheel = 0; wheel < WHEELS; wheel++, unit *= DIGIT) {
      const turn = Math.floor(this.#tick / unit);
      const digit = turn % DIGIT;
      for (let i = digit + 1; i < DIGIT; i++) {
        if (this.#slots[wheel * DIGIT + i] !== null) return (turn - digit + i) * unit;
      }
    }
    return Number.POSITIVE_INFINITY;
  }

  #link(timer: Timer): void {
    let wheel = 0;
    let expiry = timer.expiryTick;
    let present = this.#tick;
    while (wheel < WHEELS - 1 && Math.floor(expiry / DIGIT) !== Math.floor(present / DIGIT)) {
      expiry = Math.floor(expiry / DIGIT);
      present = Math.floor(present / DIGIT);
      wheel++;
    }
    const slot = wheel * DIGIT + (expiry % DIGIT);
    const head = this.#slots[slot] ?? null;
    timer.slot = slot;
    timer.previous = null;
    timer.next = head;
    if (head !== null) head.previous = timer;
    this.#slots[slot] = timer;
    this.#armed++;
  }

  #unlink(timer: Timer): void {
    if (timer.previous !== null) timer.previous.next = timer.next;
    else this.#slots[timer.slot] = timer.next;
    if (timer.next !== null) timer.next.previous = timer.previous;
    timer.next = null;
    timer.previous = null;
    timer.slot = -1;
    this.#armed--;
  }

  #plan(): void {
    this.#clearSleep();
    const tick = this.#nextOccupiedTick();
    if (tick === Number.POSITIVE_INFINITY) return;
    this.#wakeTick = tick;
    const delayMs = tick * this.#resolutionMs - this.#clock.nowMs();
    this.#sleep = setTimeout(() => this.#wake(), Math.min(Math.max(delayMs, 1), SLEEP_MS_MAX));
  }

  #wake(): void {
    this.#sleep = null;
    this.#wakeTick = 0; // no re-planning while owners re-arm
    this.tick();
    if (this.#running) this.#plan();
  }

  #clearSleep(): void {
    if (this.#sleep !== null) clearTimeout(this.#sleep);
    this.#sleep = null;
    this.#wakeTick = Number.POSITIVE_INFINITY;
  }
}
