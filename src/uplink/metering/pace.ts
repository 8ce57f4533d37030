/**
 * How fast an uplink sends: token buckets for PUBLISH packets and their bytes, as they go out. What was published before
 * the connection came, or fell behind, is backlog; the rest is live.
 *
 *     backlog ──> `drain` ──┐
 *                           ├──> all ──> the link          each: messages a second, bytes a second
 *     live ─────> `live` ───┘
 *
 * A packet takes from both on its way. Of those that wait for the same tokens, the class of the highest priority gets
 * them: what it waits for is not taken by small packets of the others. Acknowledgements and pings are not paced: they
 * are few, and what they answer would come again.
 */
import type { Counter } from "../../base/counters.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import { TokenBucket } from "../../base/token-bucket.ts";
import type { PaceConfig, RateConfig } from "../../config/uplink-pace.ts";
import type { Message } from "../../core/message.ts";
import type { TimeSource } from "../../core/ports.ts";
import type { Gate } from "../out/spool-class.ts";

/** How late the timer that ends a wait may be for the rate to be kept exactly: the wheel's resolution, and a busy loop. */
export const SLACK_MS = 100;
const NOBODY = -1;

export interface PaceParts {
  readonly time: Pick<TimeSource, "nowMs">;
  readonly wheel: TimerWheel;
  /** Times that the pace held up what could have gone. */
  readonly paced: Counter;
  /** There are tokens again: to pump all classes, the highest first. */
  readonly onTokens: () => void;
}

export class Pace implements Gate, Expirable {
  readonly #parts: PaceParts;
  readonly #all: Lane;
  readonly #drain: Lane;
  readonly #live: Lane;
  readonly #timer = new Timer(this, 0);
  #backlogEndSeq = 0;
  /** What the timer is armed for, if it is. */
  #dueMs = 0;

  constructor(config: PaceConfig, parts: PaceParts) {
    this.#parts = parts;
    this.#all = new Lane(config.all, parts.time);
    this.#drain = new Lane(config.drain, parts.time);
    this.#live = new Lane(config.live, parts.time);
  }

  // ---- Gate --------------------------------------------------------------------------------------------------

  begin(backlogEndSeq: number): void {
    this.#backlogEndSeq = backlogEndSeq;
  }

  /** The connection is gone, and with it who waited. What was spent stays so. */
  end(): void {
    this.#parts.wheel.cancel(this.#timer);
    this.#forgetWaiting();
  }

  opens(priority: number, message: Message, packetBytes: number): boolean {
    return this.allows(priority, this.#isBacklog(message), packetBytes);
  }

  /** It takes nothing that somebody of its class or a higher one waits for. */
  opensNow(priority: number, packetBytes: number): boolean {
    const above = priority - 1;
    return this.#live.waitMs(above, packetBytes) === 0 && this.#all.waitMs(above, packetBytes) === 0;
  }

  passed(_priority: number, message: Message | null, packetBytes: number): void {
    this.spend(message !== null && this.#isBacklog(message), packetBytes);
  }

  /** What was read back from the log has no receivers of its own. */
  #isBacklog({ seq, receiverIds }: Message): boolean {
    return seq <= this.#backlogEndSeq || receiverIds.length === 0;
  }

  // ---- tokens ------------------------------------------------------------------------------------------------

  /**
   * Whether a PUBLISH of class `priority` may go now; when not, `onTokens` follows.
   * @param bytes of the packet; several packets of one message: of the largest
   */
  allows(priority: number, backlog: boolean, bytes: number): boolean {
    const own = backlog ? this.#drain : this.#live;
    const ownMs = own.waitMs(priority, bytes);
    const allMs = this.#all.waitMs(priority, bytes);
    if (ownMs === 0 && allMs === 0) {
      own.waiting = NOBODY;
      this.#all.waiting = NOBODY;
      return true;
    }
    // While a higher class waits, its timer is armed.
    const waitMs = Math.max(ownMs, allMs);
    if (waitMs === Number.POSITIVE_INFINITY) return false;
    // Only for what it lacks longest: what else it lacks now may go to others meanwhile.
    (ownMs >= allMs ? own : this.#all).waiting = priority;
    this.#wait(waitMs);
    return false;
  }

  /** A PUBLISH of so many bytes went out. */
  spend(backlog: boolean, bytes: number): void {
    this.#all.spend(bytes);
    (backlog ? this.#drain : this.#live).spend(bytes);
  }

  /** Ms until there are tokens for who waits; 0 = nobody does. */
  get waitMs(): number {
    return this.#timer.armed ? Math.max(0, this.#dueMs - this.#parts.time.nowMs()) : 0;
  }

  #wait(ms: number): void {
    const { wheel, time, paced } = this.#parts;
    const dueMs = time.nowMs() + ms;
    if (this.#timer.armed && dueMs >= this.#dueMs) return;
    if (!this.#timer.armed) paced.value++;
    this.#dueMs = dueMs;
    wheel.schedule(this.#timer, ms);
  }

  onTimer(): void {
    // Who still waits says so again; who does not, holds up nobody.
    this.#forgetWaiting();
    this.#parts.onTokens();
  }

  #forgetWaiting(): void {
    for (const lane of [this.#all, this.#drain, this.#live]) lane.waiting = NOBODY;
  }
}

/** One rate, in messages and in bytes. */
class Lane {
  readonly #messages: TokenBucket | null;
  readonly #bytes: TokenBucket | null;
  /** The highest class that waits for its tokens. */
  waiting = NOBODY;

  constructor({ messagesPerSecond: messages, bytesPerSecond: bytes }: RateConfig, time: Pick<TimeSource, "nowMs">) {
    const slack = ((messages ?? 0) * SLACK_MS) / 1000;
    this.#messages =
      messages === null ? null : new TokenBucket(messages, Math.max(messages, 1 + slack), time, SLACK_MS);
    this.#bytes = bytes === null ? null : new TokenBucket(bytes, bytes, time, SLACK_MS);
  }

  /** Ms until class `priority` may take a packet; Infinity = a higher one waits. */
  waitMs(priority: number, bytes: number): number {
    if (this.waiting > priority) return Number.POSITIVE_INFINITY;
    return Math.max(this.#messages?.waitMs() ?? 0, this.#bytes?.waitMs(bytes) ?? 0);
  }

  spend(bytes: number): void {
    this.#messages?.spend(1);
    this.#bytes?.spend(bytes);
  }
}
