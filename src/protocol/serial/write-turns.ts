/**
 * Frames that take turns on the wire, as `gap` and `request` want it: one write at a time, a pause between them, and a
 * request keeps the wire until its response is here or will not come.
 *
 *     IDLE ---> RESTING ---- gap over ----> WRITING ---- written ----> AWAITING --- response, last timeout ---> IDLE
 *                  ^                           |                           |
 *                  |                           +-- no request: IDLE        |
 *                  +------------------------ timeout, tries left ----------+
 *
 * A response counts from the moment its request is being written: the word that it is written may come later. What
 * comes at no request's turn, or does not match, is none; an answer that comes after its timeout is taken for the one to
 * the request then on the wire, unless `match` tells them apart.
 */
import { RingBuffer } from "../../base/ring-buffer.ts";
import { type Expirable, Timer, type TimerWheel } from "../../base/timer-wheel.ts";
import { matchesPattern } from "./byte-pattern.ts";
import type { ResponseTaker, SerialDevice, SerialParts } from "./parts.ts";
import { REPLIES_STORING_MAX, REPLY_BYTES_MAX, type Replies } from "./replies.ts";
import { BATCH_BYTES, type Frame, type LaneOwner, type WriteLane } from "./write-lane.ts";

/** Frames that wait for their turn. */
export const TURNS_MAX = 64;

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

  push(frame: Frame): void {
    this.#waiting.push(frame);
    this.#waitingBytes += costOf(frame);
    if (this.#state === IDLE) this.#next();
  }

  onWritten(): void {
    const frame = this.#current;
    if (this.#state !== WRITING || frame === null) return;
    const { packetId } = frame;
    const { request } = frame.rule.config;
    frame.packetId = 0;
    this.#quietSinceMs = this.#parts.clock.nowMs();
    if (request === null || this.#answered) {
      this.#end();
    } else {
      this.#state = AWAITING;
      this.#wheel.schedule(this.#timer, request.timeoutMs);
    }
    if (packetId !== 0) this.#owner.acknowledge(packetId);
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
    const taken = this.#replies.answer(frame, bytes.subarray(from, end));
    if (this.#state === WRITING || this.#current !== frame) return taken; // `onWritten` ends its turn
    this.#end();
    this.#owner.onRoom();
    return taken;
  }

  onTimer(): void {
    if (this.#state === RESTING) this.#next();
    else if (this.#state === AWAITING) this.#timedOut();
    this.#owner.onRoom();
  }

  onAway(): number {
    this.#wheel.cancel(this.#timer);
    let lost = 0;
    for (let frame = this.#waiting.shift(); frame !== undefined; frame = this.#waiting.shift()) {
      if (frame.packetId === 0) lost++;
    }
    this.#waitingBytes = 0;
    const frame = this.#current;
    this.#state = IDLE;
    this.#current = null;
    this.#quietSinceMs = Number.NEGATIVE_INFINITY;
    // One that is not acknowledged is written again when the port is back.
    if (frame?.reply != null && frame.packetId === 0 && !this.#answered) this.#replies.fail(frame, "away");
    return lost;
  }

  /** Writes the next frame, or waits until it may. */
  #next(): void {
    const frame = this.#current ?? this.#waiting.peek();
    if (frame === undefined) {
      this.#state = IDLE;
      return;
    }
    const { gapMs, request } = frame.rule.config;
    const { clock, counters } = this.#parts;
    const restMs = this.#quietSinceMs + Math.max(gapMs, this.#lastGapMs) - clock.nowMs();
    if (restMs > 0) {
      this.#state = RESTING;
      this.#wheel.schedule(this.#timer, restMs);
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
    this.#lastGapMs = gapMs;
    this.#state = WRITING;
    counters.linesWritten.value++;
    this.#device.write(frame.bytes);
  }

  #timedOut(): void {
    const frame = this.#current as Frame;
    if (this.#retriesLeft > 0) {
      this.#retriesLeft--;
      this.#parts.counters.requestRetries.value++;
      this.#next();
      return;
    }
    this.#parts.counters.requestTimeouts.value++;
    this.#answered = true; // what comes while the failure is published is none
    this.#replies.fail(frame, "timeout");
    if (this.#current === frame) this.#end();
  }

  #end(): void {
    this.#wheel.cancel(this.#timer);
    this.#current = null;
    this.#state = IDLE;
    this.#next();
  }
}

function costOf({ bytes, reply }: Frame): number {
  return bytes.length + (reply?.bytes ?? 0);
}

/** Records of a frame, its response's address, and a response that waits for the store: estimated. */
const RECORD_BYTES = 256;

/** Worst case of what a line with turns holds beside the frames themselves. */
export function turnsBytes(): number {
  return (
    TURNS_MAX * RECORD_BYTES +
    BATCH_BYTES +
    2 * REPLY_BYTES_MAX +
    REPLIES_STORING_MAX * (RECORD_BYTES + REPLY_BYTES_MAX)
  );
}
