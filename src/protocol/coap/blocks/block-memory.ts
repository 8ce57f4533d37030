/**
 * Memory for payloads that come in blocks: one buffer for all listeners, cut into pages. An upload holds a chain of
 * them, a page more each time that it has filled one, so what a peer announces costs nothing.
 *
 *     page   0     1     2     3     4     5          6 ..
 *          | A 0 | B 0 | A 1 | free| A 2 | B 1 | never used |
 *     next   2     5     4    ...   NONE  NONE
 *
 * The buffer is there from the first upload on; a page that was never taken is not touched.
 */
import { copyBytes } from "../../../base/copy-bytes.ts";

export const PAGE_BYTES = 1024;
/** No page: there is none to be had, or the chain ends. */
export const NO_PAGE = -1;

export class BlockMemory {
  readonly pages: number;
  #bytes: Buffer | null = null;
  readonly #next: Int32Array;
  /** Head of the chain of pages given back. */
  #free = NO_PAGE;
  /** Pages from here on were never taken. */
  #untouched = 0;
  #used = 0;
  /** Gives pages back that are held only while nobody wants them. @returns whether it gave any */
  onWanted: () => boolean = () => false;

  /** @param bytes at least this many */
  constructor(bytes: number) {
    this.pages = Math.ceil(bytes / PAGE_BYTES);
    this.#next = new Int32Array(this.pages);
  }

  get usedPages(): number {
    return this.#used;
  }

  /** @returns a page that ends its chain, or NO_PAGE */
  take(): number {
    for (;;) {
      const page = this.#takeFree();
      if (page !== NO_PAGE || !this.onWanted()) return page;
    }
  }

  #takeFree(): number {
    let page = this.#free;
    if (page !== NO_PAGE) this.#free = this.#next[page]!;
    else if (this.#untouched < this.pages) page = this.#untouched++;
    else return NO_PAGE;
    this.#used++;
    this.#next[page] = NO_PAGE;
    return page;
  }

  /** Lets `page` follow `last`, which ended its chain. */
  chain(last: number, page: number): void {
    this.#next[last] = page;
  }

  /** Gives the chain back that begins with `first`. */
  give(first: number): void {
    for (let page = first; page !== NO_PAGE; ) {
      const next = this.#next[page]!;
      this.#next[page] = this.#free;
      this.#free = page;
      this.#used--;
      page = next;
    }
  }

  /** Copies `from[at..end)` into `page` at `offset`; it fits. */
  write(page: number, offset: number, from: Buffer, at: number, end: number): void {
    this.#bytes ??= Buffer.allocUnsafeSlow(this.pages * PAGE_BYTES);
    copyBytes(from, at, end - at, this.#bytes, page * PAGE_BYTES + offset);
  }

  /** Copies what a chain holds in [from..end) into `into` at `at`. */
  read(first: number, from: number, end: number, into: Buffer, at: number): void {
    const bytes = this.#bytes;
    if (bytes === null) return;
    let page = first;
    let skip = from;
    for (; skip >= PAGE_BYTES; skip -= PAGE_BYTES) page = this.#next[page]!;
    for (let done = 0; done < end - from; ) {
      const part = Math.min(PAGE_BYTES - skip, end - from - done);
      copyBytes(bytes, page * PAGE_BYTES + skip, part, into, at + done);
      done += part;
      skip = 0;
      page = this.#next[page]!;
    }
  }

  /** Whether `payload` is what a chain holds from `from` on. */
  equals(first: number, from: number, payload: Buffer): boolean {
    const bytes = this.#bytes;
    if (bytes === null) return payload.length === 0;
    let page = first;
    let skip = from;
    for (; skip >= PAGE_BYTES; skip -= PAGE_BYTES) page = this.#next[page]!;
    for (let done = 0; done < payload.length; ) {
      const part = Math.min(PAGE_BYTES - skip, payload.length - done);
      const at = page * PAGE_BYTES + skip;
      if (bytes.compare(payload, done, done + part, at, at + part) !== 0) return false;
      done += part;
      skip = 0;
      page = this.#next[page]!;
    }
    return true;
  }
}
