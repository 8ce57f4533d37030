/**
 * Time for framings in which silence says that a frame is over. A chunk that comes after the gap ends what was under
 * way before it; when nothing comes, the timer does.
 *
 *     chunk --- less than gapMs ---> chunk --- gapMs or more ---> | chunk
 *                                                                 onFrameGap
 *
 * The timer is not moved for each chunk: it looks at the last one when it expires.
 */
import type { Clock } from "../../base/clock.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";

export interface GapOwner {
  /** Whether a frame is under way. */
  readonly underWay: boolean;
  onFrameGap(): void;
}

export class FrameGap implements Expirable {
  readonly #owner: GapOwner;
  readonly #gapMs: number;
  readonly #clock: Clock;
  readonly #wheel: TimerWheel;
  readonly #timer = new Timer(this, 0);
  #lastMs = 0;

  constructor(owner: GapOwner, gapMs: number, clock: Clock, wheel: TimerWheel) {
    this.#owner = owner;
    this.#gapMs = gapMs;
    this.#clock = clock;
    this.#wheel = wheel;
  }

  /** A chunk is there, and not yet decoded. */
  beforeChunk(): void {
    const nowMs = this.#clock.nowMs();
    if (this.#owner.underWay && nowMs - this.#lastMs >= this.#gapMs) this.#owner.onFrameGap();
    this.#lastMs = nowMs;
  }

  /** It has been decoded. */
  afterChunk(): void {
    if (!this.#timer.armed && this.#owner.underWay) this.#wheel.schedule(this.#timer, this.#gapMs);
  }

  /** Silence while the port was paused was none of the device's: counting begins now. */
  restart(): void {
    this.#lastMs = this.#clock.nowMs();
    this.afterChunk();
  }

  stop(): void {
    this.#wheel.cancel(this.#timer);
  }

  onTimer(): void {
    if (!this.#owner.underWay) return;
    const restMs = this.#lastMs + this.#gapMs - this.#clock.nowMs();
    if (restMs > 0) this.#wheel.schedule(this.#timer, restMs);
    else this.#owner.onFrameGap();
  }
}
