/**
 * Keeps a connection alive and notices when it is dead: twice per keep alive it looks whether anything was sent and
 * received since. A half without anything sent is followed by a PINGREQ, so that never more than one keep alive passes
 * in silence ([MQTT311-3.1.2-23], [MQTT5-3.1.2-20]); so are two halves without anything received, since a dead path
 * takes our bytes for a long time.
 */
import { type Expirable, Timer, type TimerWheel } from "../base/timer-wheel.ts";

/** From a PINGREQ to any sign of life, at most; shorter with a shorter keep alive. */
export const PING_DEADLINE_MS = 10_000;

/** How much earlier it looks than it needs to: timers are late, and the keep alive is not to be exceeded. */
const EARLY_MS = 200;

const HALF_TIMER = 0;
const PING_TIMER = 1;

export interface KeptAlive {
  sendPingreq(): void;
  /** Bytes not yet taken by the kernel. */
  readonly pendingBytes: number;
  /** We do not read, so that nothing that comes is seen. */
  readonly paused: boolean;
  /** Nothing came back. */
  onDead(): void;
}

export class KeepAlive implements Expirable {
  /** Set by whoever writes a packet. */
  sent = false;
  /** Set by whoever reads bytes. */
  received = false;
  readonly #wheel: TimerWheel;
  readonly #peer: KeptAlive;
  readonly #halfTimer = new Timer(this, HALF_TIMER);
  readonly #pingTimer = new Timer(this, PING_TIMER);
  #keepAliveMs = 0;
  #silentHalves = 0;
  #pendingAtPing = 0;

  constructor(wheel: TimerWheel, peer: KeptAlive) {
    this.#wheel = wheel;
    this.#peer = peer;
  }

  /** @param seconds 0: the path is not watched */
  start(seconds: number): void {
    this.stop();
    this.#keepAliveMs = seconds * 1000;
    this.#silentHalves = 0;
    this.sent = true;
    this.received = true;
    if (seconds > 0) this.#wheel.schedule(this.#halfTimer, this.#halfMs);
  }

  stop(): void {
    this.#wheel.cancel(this.#halfTimer);
    this.#wheel.cancel(this.#pingTimer);
  }

  onTimer(kind: number): void {
    if (kind === HALF_TIMER) this.#onHalf();
    else this.#onPingDeadline();
  }

  get #halfMs(): number {
    return (this.#keepAliveMs - EARLY_MS) / 2;
  }

  #onHalf(): void {
    // With a short keep alive a half may end within the deadline of a PINGREQ that was answered.
    if (this.received) this.#wheel.cancel(this.#pingTimer);
    this.#silentHalves = this.received ? 0 : this.#silentHalves + 1;
    const due = !this.sent || this.#silentHalves >= 2;
    this.sent = false;
    this.received = false;
    this.#wheel.schedule(this.#halfTimer, this.#halfMs);
    if (!due || this.#pingTimer.armed) return;
    this.#silentHalves = 0;
    this.#await();
    this.#peer.sendPingreq();
  }

  #await(): void {
    this.received = false;
    // What earlier turns could not get rid of.
    this.#pendingAtPing = this.#peer.pendingBytes;
    this.#wheel.schedule(this.#pingTimer, Math.min(PING_DEADLINE_MS, this.#keepAliveMs));
  }

  /** A slow path may still be busy with the bytes before the PINGREQ. */
  #onPingDeadline(): void {
    if (this.received) return;
    if (this.#peer.paused || this.#peer.pendingBytes < this.#pendingAtPing) this.#await();
    else this.#peer.onDead();
  }
}
