/** Rows of the log that a rule has not read yet: from where on, and how many, as far as is known. */
import type { Message } from "../../core/message.ts";
import type { BacklogSink, ReceiverRecord, Store } from "../../core/ports.ts";

export class Unread {
  /** There may be some, from `cursor` on. */
  behind: boolean;
  /** Next row to be read. */
  cursor: number;
  #rows: number;
  #bytes: number;

  constructor({ count, bytes, headSeq }: ReceiverRecord) {
    this.behind = count > 0;
    this.cursor = headSeq;
    this.#rows = count;
    this.#bytes = bytes;
  }

  /** At least one while there may be some: what a record calls empty is deleted. */
  get rows(): number {
    return this.behind ? Math.max(1, this.#rows) : 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A row comes behind the others. */
  entered({ seq, size }: Message): void {
    if (!this.behind) this.cursor = seq;
    this.behind = true;
    this.#rows++;
    this.#bytes += size;
  }

  /** A row was read, or taken back by the disk. */
  left({ size }: Message): void {
    this.#rows = Math.max(0, this.#rows - 1);
    this.#bytes = Math.max(0, this.#bytes - size);
  }

  /** All from `seq` on are to be read again, about so many. */
  again(seq: number, rows: number, bytes: number): void {
    this.behind = true;
    this.cursor = seq;
    this.#rows = rows;
    this.#bytes = bytes;
  }

  /** Reads one slice. */
  read(store: Store, id: number, maxBytes: number, sink: BacklogSink): void {
    this.cursor = store.read(id, this.cursor, maxBytes, sink);
    if (this.cursor <= store.lastSeq) return;
    this.behind = false;
    this.#rows = 0;
    this.#bytes = 0;
  }
}
