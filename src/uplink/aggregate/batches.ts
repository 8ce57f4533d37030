/** `batch`: the batches that are open, by remote topic. */
import type { BatchConfig } from "../../config/uplink-aggregate.ts";
import type { Message } from "../../core/message.ts";
import type { Closing } from "./closing.ts";
import { type Item, itemBytes } from "./formats.ts";
import { BATCH_OBJECT_BYTES } from "./limits.ts";
import { Batch, type Book, bytesOf, type OwnedHold, type Topic, type Traits } from "./open.ts";
import type { Outbox } from "./outbox.ts";
import type { Place } from "./place.ts";
import type { Times } from "./times.ts";

export class Batches {
  readonly #limits: BatchConfig;
  readonly #closing: Closing;
  readonly #outbox: Outbox;
  readonly #place: Place;
  readonly #book: Book;
  readonly #open = new Map<string, Batch>();

  constructor(limits: BatchConfig, closing: Closing, outbox: Outbox, place: Place, book: Book) {
    this.#limits = limits;
    this.#closing = closing;
    this.#outbox = outbox;
    this.#place = place;
    this.#book = book;
  }

  of(remote: string): Batch | undefined {
    return this.#open.get(remote);
  }

  /** Everything is forgotten, and read again. */
  clear(): void {
    this.#open.clear();
  }

  /** A reading goes straight into a batch. */
  addReading(topic: Topic, item: Item, message: Message): void {
    const batch = this.#for(topic, item);
    batch.traits.add(message);
    const held = batch.holdOf(topic.key);
    if (held === undefined) this.#keep(batch, this.#place.hold(topic.key, message) as OwnedHold);
    else this.#place.add(held, message);
    this.#push(batch, item);
  }

  /** The figures of a window, with its hold. */
  addFigures(topic: Topic, item: Item, traits: Traits, hold: OwnedHold): void {
    const batch = this.#for(topic, item);
    batch.traits.join(traits.retain, traits.expiresMs);
    this.#keep(batch, hold);
    this.#push(batch, item);
  }

  /** The batch that `item` goes into. */
  #for(topic: Topic, item: Item): Batch {
    let batch = this.#open.get(topic.remote);
    if (batch !== undefined) {
      const isOld = item.stampMs - batch.fromMs >= this.#limits.maxDelayMs;
      if (isOld || batch.payloadBytes + itemBytes(item) > this.#limits.maxBytes) {
        this.close(batch);
        batch = undefined;
      }
    }
    if (batch === undefined) {
      batch = new Batch(topic, item.stampMs);
      batch.bytes = BATCH_OBJECT_BYTES;
      this.#book.bytes += BATCH_OBJECT_BYTES;
      this.#book.dueMs = Math.min(this.#book.dueMs, item.stampMs + this.#limits.maxDelayMs);
      this.#open.set(topic.remote, batch);
    }
    return batch;
  }

  #keep(batch: Batch, hold: OwnedHold): void {
    hold.owner = batch;
    batch.holds.push(hold);
  }

  #push(batch: Batch, item: Item): void {
    const bytes = bytesOf(item);
    batch.items.push(item);
    batch.payloadBytes += itemBytes(item);
    batch.bytes += bytes;
    this.#book.bytes += bytes;
    if (batch.items.length >= this.#limits.maxMessages) this.close(batch);
  }

  close(batch: Batch): void {
    this.#open.delete(batch.remote);
    this.#book.bytes -= batch.bytes;
    for (const hold of batch.holds) hold.owner = null;
    this.#outbox.push(this.#closing.batch(batch));
  }

  /** Closes those whose time has come, and notes when the next has. */
  closeDue(times: Times): void {
    const nowMs = times.nowStampMs();
    for (const batch of this.#open.values()) {
      const leftMs = this.#limits.maxDelayMs - times.elapsedMs(batch.fromMs);
      if (leftMs <= 0) this.close(batch);
      else this.#book.dueMs = Math.min(this.#book.dueMs, nowMs + leftMs);
    }
  }
}
