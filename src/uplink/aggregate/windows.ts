/** `reduce`: the windows that are open, one for each topic. */
import type { ReduceConfig } from "../../config/uplink-aggregate.ts";
import type { Message } from "../../core/message.ts";
import { WINDOW_BYTES } from "./limits.ts";
import { type Book, type Bounds, type OwnedHold, type Topic, Window } from "./open.ts";
import type { Place } from "./place.ts";
import { type Fields, namesBytes } from "./reading.ts";
import { FIGURES_BYTES } from "./reduce.ts";
import type { Times } from "./times.ts";

const NEVER = Number.POSITIVE_INFINITY;

export class Windows {
  readonly #rule: ReduceConfig;
  readonly #times: Times;
  readonly #place: Place;
  readonly #book: Book;
  readonly #onClosed: (window: Window, cutMs: number) => void;
  readonly #open = new Set<Window>();

  /** @param onClosed told of each that closes; `cutMs`: the stamp at which it closed early, Infinity = its time was over */
  constructor(
    rule: ReduceConfig,
    times: Times,
    place: Place,
    book: Book,
    onClosed: (window: Window, cutMs: number) => void,
  ) {
    this.#place = place;
    this.#rule = rule;
    this.#times = times;
    this.#book = book;
    this.#onClosed = onClosed;
  }

  /** Everything is forgotten, and read again. */
  clear(): void {
    this.#open.clear();
  }

  /** A reading goes into the window of its topic. */
  add(topic: Topic, fields: Fields, message: Message): void {
    let { window } = topic;
    if (window !== null && message.acceptedMs >= window.bounds.endMs) {
      this.close(window, NEVER);
      window = null;
    }
    if (window === null) {
      window = new Window(
        topic,
        this.#boundsOf(topic, message.acceptedMs),
        this.#place.hold(topic.key, message) as OwnedHold,
      );
      topic.window = window;
      this.#open.add(window);
      this.#book.dueMs = Math.min(this.#book.dueMs, window.bounds.endMs);
      this.#take(window, WINDOW_BYTES);
    } else {
      this.#place.add(window.hold, message);
    }
    const lacks = window.reduction.lacks(fields);
    if (lacks > 0) this.#take(window, lacks * FIGURES_BYTES + namesBytes(fields));
    window.reduction.add(fields);
    window.traits.add(message);
  }

  #take(window: Window, bytes: number): void {
    window.bytes += bytes;
    this.#book.bytes += bytes;
  }

  #boundsOf({ cutMs }: Topic, stampMs: number): Bounds {
    const { windowMs } = this.#rule;
    if (!this.#times.isSet) return { fromMs: stampMs, endMs: stampMs + windowMs, firstMs: stampMs, fromWallMs: null };
    const wallMs = this.#times.wallMs(stampMs);
    const startMs = stampMs - (wallMs - Math.floor(wallMs / windowMs) * windowMs);
    // What was sent of this window already ends where the rest begins.
    const fromMs = Math.max(startMs, Math.min(cutMs, stampMs));
    return { fromMs, endMs: startMs + windowMs, firstMs: stampMs, fromWallMs: wallMs - (stampMs - fromMs) };
  }

  /** @param cutMs stamp at which it closes early; Infinity = its time is over */
  close(window: Window, cutMs: number): void {
    const { topic } = window;
    topic.window = null;
    topic.cutMs = cutMs === NEVER ? 0 : cutMs;
    this.#open.delete(window);
    this.#book.bytes -= window.bytes;
    window.hold.owner = null;
    this.#onClosed(window, cutMs);
  }

  /** Closes those whose time is over, and notes when the next one's is. */
  closeDue(): void {
    const nowMs = this.#times.nowStampMs();
    for (const window of this.#open) {
      const { firstMs, endMs } = window.bounds;
      const leftMs = endMs - firstMs - this.#times.elapsedMs(firstMs);
      if (leftMs <= 0) this.close(window, NEVER);
      else this.#book.dueMs = Math.min(this.#book.dueMs, nowMs + leftMs);
    }
  }
}
