/**
 * Frames that take turns on the wire, as `gap` and `request` want it: one write at a time, a pause between them, and a
 * request keeps the wire until its response is here or will not come.
 *
 *     IDLE ---> RESTING ---- gap over ----> WRITING ---- written ----> AWAITING --- response, last timeout ---> IDLE
 *                  ^                           |                           |
 *                  |                           +-- no request: IDLE        |
 *                  +------------------------ timeout, tries left ----------+
 *
 * A response counts from the moment its request is being written: the word that it is written may come later. What was
 * read together with a response was there before the next request, which is written afterwards. An answer that comes
 * after its timeout is taken for the one to the request then on the wire, unless `match` tells them apart.
 *
 * A frame of QoS 1 is acknowledged when it was written; a request when it has its response, or will have none: when the
 * port goes away before, it is written again. While the gateway takes no responses no request is written, nor times out.
 */
import { RingBuffer } from "../../base/ring-buffer.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import { matchesPattern } from "./byte-pattern.ts";
import type { ResponseTaker, SerialDevice, SerialParts } from "./parts.ts";
import { REPLY_BYTES_MAX, type Replies, STORING_BYTES_MAX, UNWRITTEN_MAX } from "./replies.ts";
import { BATCH_BYTES, type Frame, type LaneOwner, type WriteLane } from "./write-lane.ts";

/** Frames that wait for their turn; of QoS 0 so many, of those that the queue has fewer. */
export const TURNS_MAX = 64;
const QUEUED_MAX = 2;
/** The next request waits until what was read with a response is dealt with; a timer says so where no reading does. */
const READ_MS = 1;
/** Between two looks whether the gateway takes responses again. */
const HELD_MS = 100;

const IDLE = 0;
const RESTING = 1;
const WRITING = 2;
const AWAITING = 3;

export class WriteTurns implements WriteLane, ResponseTaker, Expirable {
  readonly #device: SerialDevice;
  readonly #owner: LaneOwner;
  readonly #parts: SerialParts;
  readonly #replies: Replies;
  readonly #wheel: TimerWheel;
  readonly #waiting = new RingBuffer<Frame>(TURNS_MAX);
  #waitingBytes = 0;
  #state = IDLE;
  /** Whose turn it is; null between two. */
  #current: Frame | null = null;
  #retriesLeft = 0;
  #answered = false;
  /** The port is paused, as the gateway does not take what the device says. */
  #inputHeld = false;
  /** End of what was last on the wire, and the gap that the frame before wants behind it. */
  #quietSinceMs = Number.NEGATIVE_INFINITY;
  #lastGapMs = 0;
  readonly #timer = new Timer(this, 0);

  constructor(device: SerialDevice, owner: LaneOwner, parts: SerialParts, replies: Replies) {
    this.#device = device;
    this.#owner = owner;
    this.#parts = parts;
    this.#replies = replies;
    this.#wheel = parts.busWheel();
  }

  get isFull(): boolean {
    return this.#waiting.length >= TURNS_MAX || this.#waitingBytes >= BATCH_BYTES;
  }

  get wantsMore(): boolean {
    return this.#waiting.length < QUEUED_MAX && !this.isFull;
  }

  push(frame: Frame): void {
    this.#waiting.push(frame);
    this.#waitingBytes += costOf(frame);
    if (this.#state === IDLE) this.#next();
  }

  onWritten(): void {
    const frame = this.#current;
    if (this.#state !== WRITING || frame === null) return;
    const { request } = frame.rule.config;
    this.#quietSinceMs = this.#parts.clock.nowMs();
    if (request === null || this.#answered) {
      this.#end();
    } else {
      this.#state = AWAITING;
      this.#wheel.schedule(this.#timer, request.timeoutMs);
    }
    if (request === null) this.#owner.acknowledge(frame.packetId);
    this.#owner.onRoom();
  }

  /**
   * A frame of the device.
   * @returns true when it was the response to a request and went to where that wants it
   */
  takeResponse(bytes: Buffer, from: number, end: number): boolean {
    const frame = this.#current;
    const request = frame?.rule.config.request ?? null;
    if (frame === null || request === null || this.#answered) return false;
    const { match } = frame.rule;
    if (match !== null && !matchesPattern(match, bytes, from, end)) return false;
    this.#answered = true;
    this.#parts.counters.responses.value++;
    this.#quietSinceMs = this.#parts.clock.nowMs();
    // While it is being written `onWritten` ends its turn.
    if (this.#state !== WRITING) {
      this.#current = null;
      this.#rest(READ_MS);
    }
    return this.#replies.answer(frame, bytes.subarray(from, end));
  }

  onRead(): void {
    if (this.#state !== RESTING) return;
    this.#next();
    this.#owner.onRoom();
  }

  onInputHeld(held: boolean): void {
    this.#inputHeld = held;
    if (!held) this.onRepliesOpen();
  }

  /** Responses can be taken again. */
  onRepliesOpen(): void {
    if (this.#state === IDLE) this.#next();
  }

  /** Whether a response would be taken. */
  get #mayAsk(): boolean {
    return this.#replies.isOpen && !this.#inputHeld;
  }

  onTimer(): void {
    if (this.#state === RESTING) this.#next();
    else if (this.#state === AWAITING) this.#timedOut();
    this.#owner.onRoom();
  }

  onAway(): number {
    this.#wheel.cancel(this.#timer);
    const frame = this.#current;
    this.#state = IDLE;
    this.#current = null;
    this.#quietSinceMs = Number.NEGATIVE_INFINITY;
    this.#waitingBytes = 0;
    this.#replies.onAway();
    let lost = frame !== null && !this.#answered && this.#lose(frame) ? 1 : 0;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (this.#lose(next)) lost++;
    }
    return lost;
  }

  /** @returns false for one that is written again when the port is back */
  #lose(frame: Frame): boolean {
    if (frame.packetId !== 0) return false;
    this.#replies.fail(frame, "away");
    return true;
  }

  /** The next one that has not expired, left in its place. */
  #first(): Frame | undefined {
    const nowMs = this.#parts.clock.nowMs();
    for (let frame = this.#waiting.peek(); frame !== undefined; frame = this.#waiting.peek()) {
      if (frame.expiresMs > nowMs) return frame;
      this.#waiting.shift();
      this.#waitingBytes -= costOf(frame);
      this.#owner.onExpired(frame);
    }
    return undefined;
  }

  /** Writes the next frame, or waits until it may. */
  #next(): void {
    this.#state = RESTING; // what is pushed meanwhile waits
    const frame = this.#current ?? this.#first();
    if (frame === undefined || (frame.rule.config.request !== null && !this.#mayAsk)) {
      this.#wheel.cancel(this.#timer);
      this.#state = IDLE;
      return;
    }
    const { gapMs, request } = frame.rule.config;
    const { clock, counters } = this.#parts;
    const restMs = this.#quietSinceMs + Math.max(gapMs, this.#lastGapMs) - clock.nowMs();
    if (restMs > 0) {
      this.#rest(restMs);
      return;
    }
    if (this.#current === null) {
      this.#waiting.shift();
      this.#waitingBytes -= costOf(frame);
      this.#current = frame;
      this.#answered = false;
      this.#retriesLeft = request?.retries ?? 0;
      if (request !== null) counters.requests.value++;
    }
    this.#wheel.cancel(this.#timer);
    this.#lastGapMs = gapMs;
    this.#state = WRITING;
    counters.linesWritten.value++;
    this.#device.write(frame.bytes);
  }

  #rest(ms: number): void {
    this.#state = RESTING;
    this.#wheel.schedule(this.#timer, ms);
  }

  #timedOut(): void {
    const frame = this.#current as Frame;
    if (!this.#mayAsk) {
      this.#wheel.schedule(this.#timer, HELD_MS);
      return;
    }
    if (this.#retriesLeft > 0) {
      this.#retriesLeft--;
      this.#parts.counters.requestRetries.value++;
      this.#next();
      return;
    }
    this.#parts.counters.requestTimeouts.value++;
    this.#end();
    this.#replies.fail(frame, "timeout");
  }

  #end(): void {
    this.#current = null;
    this.#next();
  }
}

function costOf({ bytes, reply }: Frame): number {
  return bytes.length + (reply?.bytes ?? 0);
}

/** Records of a frame, and its response's address: estimated. */
const RECORD_BYTES = 256;

/** Worst case of what a line with turns holds beside the frames that are written. @param frame bytes of the longest */
export function turnsBytes(frame: number, requests: boolean): number {
  const turns = TURNS_MAX * RECORD_BYTES + BATCH_BYTES;
  if (!requests) return turns;
  const responses = STORING_BYTES_MAX + 2 * frame + REPLY_BYTES_MAX;
  return turns + 2 * REPLY_BYTES_MAX + responses + UNWRITTEN_MAX * (RECORD_BYTES + REPLY_BYTES_MAX);
}
