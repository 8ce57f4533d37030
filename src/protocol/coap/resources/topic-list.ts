/**
 * One list of the topics that match a filter and hold a value, handed out block by block (RFC 7959 section 2.4) while
 * it is made. What was handed out is not kept, so blocks come in order; the last one may be asked for again.
 *
 *      links   </ps/a>;sz=1,</ps/b>;sz=2,</ps/c>;sz=3,</ps/d>;sz=4
 *              | last           | tail  |
 *            lastFrom           from    the walk: its place is a topic
 *
 * Values may come and go while it is made: a topic that holds one all the time is in the list, once. Its ETag is its
 * own, so nobody takes blocks of two lists for one.
 */
import type { Principal } from "../../../core/ports.ts";
import type { WalkPlace } from "../../../core/retained-index.ts";
import type { Sliced } from "../../../core/turns.ts";
import type { Reply } from "../message/reply.ts";

/** Estimated bytes of a list without what it holds. */
export const LIST_BYTES = 320;

export class TopicList implements Sliced, WalkPlace {
  readonly key: string;
  readonly filter: string;
  readonly entityTag: Buffer;
  /** Where the walk through the retained values has come to. */
  place = "";
  ended = false;
  /** Bytes handed out before the tail. */
  from = 0;
  tail: Buffer = NO_BYTES;
  /** The last block, and where it began. */
  last: Buffer = NO_BYTES;
  lastFrom = 0;
  /** It is being made for this request; null = it rests. */
  reply: Reply | null = null;
  /** Whose rights are looked up for each topic. */
  principal: Principal;
  /** Of the block that is being made. */
  szx = 0;
  /** The client named a block. */
  asked = false;
  /** Bytes that its owner has counted for it. */
  counted = 0;
  readonly #go: (list: TopicList) => void;

  /** @param go  what is done when its turn has come */
  constructor(key: string, filter: string, entityTag: Buffer, principal: Principal, go: (list: TopicList) => void) {
    this.key = key;
    this.filter = filter;
    this.entityTag = entityTag;
    this.principal = principal;
    this.#go = go;
  }

  runScheduled(): void {
    this.#go(this);
  }

  /** Of memory. */
  get bytes(): number {
    return LIST_BYTES + this.tail.length + this.last.length + 2 * (this.place.length + this.filter.length);
  }

  add(link: string): void {
    const first = this.from === 0 && this.tail.length === 0;
    this.tail = Buffer.concat([this.tail, Buffer.from(first ? link : `,${link}`)]);
  }

  /** Goes back to the last block when `from` is where that began. @returns false when it is neither that nor the next */
  goTo(from: number): boolean {
    if (from === this.from) return this.tail.length > 0 || !this.ended;
    if (from !== this.lastFrom) return false;
    this.tail = Buffer.concat([this.last, this.tail]);
    this.from = from;
    return true;
  }

  /** Takes the next block off the tail. @returns whether more follow */
  cut(size: number): boolean {
    this.last = Buffer.copyBytesFrom(this.tail, 0, Math.min(size, this.tail.length));
    this.tail = Buffer.copyBytesFrom(this.tail, this.last.length); // of its own: a part keeps all of what it is cut from
    this.lastFrom = this.from;
    this.from += this.last.length;
    return this.tail.length > 0 || !this.ended;
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0);
