/**
 * Copies of the large retained values that clients fetch block by block just now, so that not each block reads and hashes
 * the whole value. They lie in the memory for uploads as long as those leave it, so they cost none; a value that changes
 * takes its copy along.
 */
import type { Line } from "../../../config/budget.ts";
import type { Message } from "../../../core/message.ts";
import type { TimeSource } from "../../../core/ports.ts";
import type { RetainedWatcher } from "../../../core/retained.ts";
import type { Payload, Representation } from "../resources/content.ts";
import { type BlockMemory, NO_PAGE, PAGE_BYTES } from "./block-memory.ts";

export const READS_MAX = 8;
/** Estimated bytes of a copy's record, with its topic. */
const READ_BYTES = 1_280;

/** A payload in a chain of pages. */
class Copy implements Payload {
  readonly length: number;
  readonly first: number;
  readonly #memory: BlockMemory;

  constructor(memory: BlockMemory, first: number, length: number) {
    this.#memory = memory;
    this.first = first;
    this.length = length;
  }

  subarray(from: number, end: number): Buffer {
    const into = Buffer.allocUnsafe(end - from);
    this.#memory.read(this.first, from, end, into, 0);
    return into;
  }
}

/** A copy of a message's value, without the message. */
class Read implements Representation {
  readonly format: number;
  readonly entityTag: Buffer;
  readonly payload: Copy;
  readonly #time: TimeSource;
  readonly #acceptedMs: number;
  readonly #expiresMs: number;

  constructor({ format, entityTag }: Representation, payload: Copy, message: Message, time: TimeSource) {
    this.format = format;
    this.entityTag = entityTag;
    this.payload = payload;
    this.#time = time;
    this.#acceptedMs = message.acceptedMs;
    this.#expiresMs = message.expiresMs;
  }

  get maxAgeSeconds(): number {
    if (this.#expiresMs === 0) return Number.POSITIVE_INFINITY;
    const leftMs = this.#expiresMs - this.#acceptedMs - this.#time.elapsedMs(this.#acceptedMs);
    return Math.max(0, Math.ceil(leftMs / 1000));
  }
}

export class LargeReads implements RetainedWatcher {
  readonly #memory: BlockMemory;
  readonly #time: TimeSource;
  /** By topic, the one not read for longest first. */
  readonly #reads = new Map<string, Read>();

  constructor(memory: BlockMemory, time: TimeSource) {
    this.#memory = memory;
    this.#time = time;
    memory.onWanted = () => this.#giveUpOldest();
  }

  get count(): number {
    return this.#reads.size;
  }

  find(topic: string): Representation | null {
    const read = this.#reads.get(topic);
    if (read === undefined) return null;
    if (read.maxAgeSeconds === 0) {
      this.onRetainedChanged(topic); // it has expired
      return null;
    }
    this.#reads.delete(topic);
    this.#reads.set(topic, read);
    return read;
  }

  /** Copies the value of `message` if there is room. @param content  what it is shown as */
  keep(topic: string, content: Representation, message: Message): void {
    const { payload } = message;
    this.onRetainedChanged(topic);
    if (this.#reads.size === READS_MAX) this.#giveUpOldest();
    let first = NO_PAGE;
    let last = NO_PAGE;
    for (let at = 0; at < payload.length; at += PAGE_BYTES) {
      const page = this.#memory.take();
      if (page === NO_PAGE) {
        this.#memory.give(first);
        return;
      }
      if (first === NO_PAGE) first = page;
      else this.#memory.chain(last, page);
      last = page;
      this.#memory.write(page, 0, payload, at, Math.min(at + PAGE_BYTES, payload.length));
    }
    this.#reads.set(topic, new Read(content, new Copy(this.#memory, first, payload.length), message, this.#time));
  }

  onRetainedChanged(topic: string): void {
    const read = this.#reads.get(topic);
    if (read === undefined) return;
    this.#reads.delete(topic);
    this.#memory.give(read.payload.first);
  }

  /** @returns whether there was one */
  #giveUpOldest(): boolean {
    for (const topic of this.#reads.keys()) {
      this.onRetainedChanged(topic);
      return true;
    }
    return false;
  }
}

/** Worst case of all CoAP listeners together. */
export function budget(): Line {
  const bytes = READS_MAX * READ_BYTES;
  return { owner: "coap large reads", bytes, how: `${READS_MAX} x ${READ_BYTES} B, in memory that uploads leave` };
}
