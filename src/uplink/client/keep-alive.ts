/**
 * Keeps a connection alive and notices when it is dead: twice per keep alive it looks whether anything was sent and
 * received since. A half without anything sent is followed by a PINGREQ, so that never more than one keep alive passes
 * in silence ([MQTT311-3.1.2-23], [MQTT5-3.1.2-20]); so is one without anything received, since a dead path takes our
 * bytes for a long time. So it is left after one and a half keep alives at most, of those from 4 s on. Where the server owes an answer, ten seconds without anything are enough to ask.
 *
 * A slow path is no dead one: as long as the bytes before the PINGREQ get fewer, here or in the kernel, it goes on.
 */
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";

/** From a PINGREQ to any sign of life, at most; half a shorter keep alive, but not less than any link needs. */
export const PING_DEADLINE_MS = 10_000;
const PING_DEADLINE_MS_MIN = 2000;

/** How much earlier it looks than it needs to: timers are late, and the keep alive is not to be exceeded. */
const EARLY_MS = 200;

/** While the server owes an answer: two such spells in silence are followed by a PINGREQ. */
export const QUIET_MS = 5000;
/** From that PINGREQ to any sign of life. */
export const OWED_DEADLINE_MS = 15_000;

const HALF_TIMER = 0;
const PING_TIMER = 1;
const QUIET_TIMER = 2;

export interface KeptAlive {
  sendPingreq(): void;
  /** Bytes that the server's machine has not acknowledged. */
  readonly unsentBytes: number;
  /** The server owes an answer; undefined = nobody knows. */
  readonly awaitsAnswer: boolean | undefined;
  /** We do not read, so that nothing that comes is seen. */
  readonly paused: boolean;
  /** Nothing came back. */
  onDead(): void;
}

export class KeepAlive implements Expirable {
  /** Set by whoever writes a packet. */
  sent = false;
  /** Something came since a half began, or since a PINGREQ. */
  received = false;
  /** Something came in this spell. */
  #heard = false;
  #quietSpells = 0;
  readonly #wheel: TimerWheel;
  readonly #peer: KeptAlive;
  readonly #halfTimer = new Timer(this, HALF_TIMER);
  readonly #pingTimer = new Timer(this, PING_TIMER);
  #keepAliveMs = 0;
  readonly #quietTimer = new Timer(this, QUIET_TIMER);
  #unsentAtPing = 0;
  #deadlineMs = 0;

  constructor(wheel: TimerWheel, peer: KeptAlive) {
    this.#wheel = wheel;
    this.#peer = peer;
  }

  /** @param seconds 0: the path is not watched */
  start(seconds: number): void {
    this.stop();
    this.#keepAliveMs = seconds * 1000;
    this.sent = true;
    this.received = true;
    if (seconds > 0) this.#wheel.schedule(this.#halfTimer, this.#halfMs);
    this.#quietSpells = 0;
    // With a shorter one the halves are as soon.
    if (this.#keepAliveMs > 4 * QUIET_MS && this.#peer.awaitsAnswer !== undefined) this.#nextSpell();
  }

  /** Bytes came. */
  hears(): void {
    this.received = true;
    this.#heard = true;
  }

  stop(): void {
    this.#wheel.cancel(this.#halfTimer);
    this.#wheel.cancel(this.#pingTimer);
    this.#wheel.cancel(this.#quietTimer);
  }

  onTimer(kind: number): void {
    if (kind === HALF_TIMER) this.#onHalf();
    else if (kind === QUIET_TIMER) this.#onSpell();
    else this.#onPingDeadline();
  }

  get #halfMs(): number {
    return (this.#keepAliveMs - EARLY_MS) / 2;
  }

  #onHalf(): void {
    // With a short keep alive a half may end within the deadline of a PINGREQ that was answered.
    if (this.received) this.#wheel.cancel(this.#pingTimer);
    const due = !this.sent || !this.received;
    this.sent = false;
    this.received = false;
    this.#wheel.schedule(this.#halfTimer, this.#halfMs);
    if (!due || this.#pingTimer.armed) return;
    this.#ask(Math.min(PING_DEADLINE_MS, Math.max(this.#keepAliveMs / 2, PING_DEADLINE_MS_MIN)));
  }

  #nextSpell(): void {
    this.#heard = false;
    this.#wheel.schedule(this.#quietTimer, QUIET_MS);
  }

  #onSpell(): void {
    this.#quietSpells = this.#heard || !this.#peer.awaitsAnswer ? 0 : this.#quietSpells + 1;
    this.#nextSpell();
    if (this.#quietSpells < 2 || this.#pingTimer.armed) return;
    this.#quietSpells = 0;
    this.#ask(OWED_DEADLINE_MS);
  }

  #ask(deadlineMs: number): void {
    this.#deadlineMs = deadlineMs;
    this.#await();
    this.#peer.sendPingreq();
  }

  #await(): void {
    this.received = false;
    // What earlier turns could not get rid of.
    this.#unsentAtPing = this.#peer.unsentBytes;
    this.#wheel.schedule(this.#pingTimer, this.#deadlineMs);
  }

  /** A slow path may still be busy with the bytes before the PINGREQ. */
  #onPingDeadline(): void {
    if (this.received) return;
    if (this.#peer.paused || this.#peer.unsentBytes < this.#unsentAtPing) this.#await();
    else this.#peer.onDead();
  }
}
