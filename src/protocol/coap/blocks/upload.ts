/**
 * A request's payload on its way in blocks, and for some minutes after it what became of it.
 *
 *      RECEIVING -- last block --> SETTLING -- stored --> SETTLED   pages are given back with the last block
 *          | 4.13, another          | refused
 *          v first block, time      v
 *        gone                     gone
 *
 * A client that lost the final response sends the last block again: by the same message, which the message layer
 * answers, or by a new one, which is answered from here; the payload is published once.
 */
import { SETTLED as STORED, type StoreWaiter } from "../../../core/ports.ts";
import { BLOCK1, CHANGED } from "../../../wire/coap/codes.ts";
import { blockOption } from "../../../wire/coap/options.ts";
import type { Reply } from "../message/reply.ts";
import { NO_PAGE } from "./block-memory.ts";

export const RECEIVING = 0;
export const SETTLING = 1;
export const SETTLED = 2;
/** Given up, or replaced by another one. */
export const GONE = 3;

/** What an upload tells who keeps it. */
export interface UploadKeeper {
  /** Nobody has the payload: a last block that is sent again is one of an upload that is not known. */
  onUploadRefused(upload: Upload): void;
}

export class Upload implements StoreWaiter {
  readonly #keeper: UploadKeeper;
  /** Of peer, method, path and all else that tells one operation from another. */
  readonly key: string;
  readonly address: string;
  /** Content-Format of all of its blocks. */
  readonly format: number;
  /** Its peer's address was proven when it began: it does not give way to one whose was not. */
  readonly proven: boolean;
  state = RECEIVING;

  /** Bytes received, without a gap. */
  length = 0;
  firstPage = NO_PAGE;
  lastPage = NO_PAGE;
  pages = 0;
  /** When the last block came. */
  blockMs = 0;
  /** When it last took a page: an upload that is idle, or slow, has an old one. */
  pageMs = 0;

  /** NUM and SZX of the last block, and a hash of it, once it was received. */
  lastNum = 0;
  lastSzx = 0;
  lastDigest = "";
  /** The response code when it is stored. */
  settledCode = CHANGED;
  /** Requests with the last block that wait for the store. */
  #replies: Reply[] = NO_REPLIES;

  constructor(keeper: UploadKeeper, key: string, address: string, format: number, proven: boolean) {
    this.#keeper = keeper;
    this.key = key;
    this.address = address;
    this.format = format;
    this.proven = proven;
  }

  get waiting(): number {
    return this.#replies.length;
  }

  /** `reply` is answered when the store has spoken. */
  await(reply: Reply): void {
    reply.awaited++;
    this.#replies = [...this.#replies, reply];
  }

  /** All durable receivers have it. */
  settle(): void {
    if (this.state !== GONE) this.state = SETTLED;
  }

  /** Nobody has it. */
  refuse(): void {
    this.#keeper.onUploadRefused(this);
  }

  /** Prepares what the first request with the last block got, or is to get. */
  prepare(reply: Reply): void {
    reply.settledCode = this.settledCode;
    reply.settledOptions = [blockOption(BLOCK1, this.lastNum, false, this.lastSzx)];
  }

  onStored(_token: number, reason: number): void {
    if (reason === STORED) this.settle();
    else this.refuse();
    const replies = this.#replies;
    this.#replies = NO_REPLIES;
    for (const reply of replies) reply.onStored(0, reason);
  }
}

const NO_REPLIES: Reply[] = [];
