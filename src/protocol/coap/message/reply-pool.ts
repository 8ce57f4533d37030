/**
 * The replies of all listeners: made as needed, up to `repliesMax`, and used again; one source address gets half of them.
 * Beyond it a request is refused by `refusal`, within the call. Responses that wait (to be acknowledged, for their time after a multicast) share
 * `responseBytesMax`.
 */
import type { Counters } from "../../../base/counters.ts";
import { TOKEN_BYTES_MAX } from "../../../wire/coap/header.ts";
import { Reply } from "./reply.ts";
import { SourceShares } from "./source-shares.ts";

export interface ReplyLimits {
  /** Requests under way at a time: those that wait for the store or a login, and separate responses in flight. */
  readonly repliesMax: number;
  /** Of them, those of one source address. */
  readonly perSourceMax: number;
  /** Bytes of responses that wait. */
  readonly responseBytesMax: number;
}

export const REPLY_LIMITS: ReplyLimits = { repliesMax: 256, perSourceMax: 128, responseBytesMax: 78 * 1024 };
/** Bytes of a reply: 680 measured for record, timers and message of its own, and 150 for what holds a response that waits. */
export const REPLY_BYTES = 838;

export class ReplyPool {
  readonly limits: ReplyLimits;
  readonly refusal: Reply;
  readonly #tokens: Buffer;
  readonly #all: Reply[] = [];
  readonly #free: Reply[] = [];
  readonly #shares = new SourceShares();
  #responseBytes = 0;

  constructor(counters: Counters, limits: ReplyLimits = REPLY_LIMITS) {
    this.limits = limits;
    this.#tokens = Buffer.allocUnsafeSlow((limits.repliesMax + 1) * TOKEN_BYTES_MAX);
    this.refusal = new Reply(this.#tokens, limits.repliesMax * TOKEN_BYTES_MAX);
    counters.gauge("coap.requests_under_way", () => this.inUse);
  }

  get inUse(): number {
    return this.#all.length - this.#free.length;
  }

  /** @param sourceHash  of the address that asks, seeded  @returns `refusal` when there is none for it */
  take(sourceHash: number): Reply {
    const { repliesMax, perSourceMax } = this.limits;
    if (this.inUse === repliesMax || this.#shares.of(sourceHash) >= perSourceMax) return this.refusal;
    this.#shares.take(sourceHash);
    const reply = this.#free.pop() ?? this.#make();
    reply.sourceHash = sourceHash;
    return reply;
  }

  #make(): Reply {
    const made = new Reply(this.#tokens, this.#all.length * TOKEN_BYTES_MAX);
    this.#all.push(made);
    return made;
  }

  give(reply: Reply): void {
    if (reply === this.refusal) return;
    this.#shares.give(reply.sourceHash);
    this.#free.push(reply);
  }

  /** @returns false when that is too much */
  takeBytes(bytes: number): boolean {
    if (this.#responseBytes + bytes > this.limits.responseBytesMax) return false;
    this.#responseBytes += bytes;
    return true;
  }

  giveBytes(bytes: number): void {
    this.#responseBytes -= bytes;
  }

  /** Those in the pool among them. */
  get all(): readonly Reply[] {
    return this.#all;
  }
}
