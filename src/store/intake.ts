/**
 * What enters the store: the open group, and what is to be written beside it. Messages that every receiver acknowledged
 * before their group was due leave it and are never written; when nothing is left, no timer runs.
 */
import type { Counter, Counters } from "../base/counters.ts";
import { type Message, OPEN, WITHDRAWN } from "../core/message.ts";
import type { StoreWaiter } from "../core/ports.ts";
import type { Changes } from "./changes.ts";
import { Due } from "./due.ts";
import { Group } from "./group.ts";
import type { Places } from "./places.ts";
import { Soon } from "./soon.ts";

export interface IntakeParts {
  readonly places: Places;
  readonly changes: Changes;
  readonly counters: Counters;
  readonly nowMs: () => number;
  readonly delayMs: () => number;
  readonly widenedMs: (delayMs: number) => number;
  readonly commitBytes: number;
  readonly onDue: () => void;
  readonly onLazyDue: () => void;
  /** A topic has the retained value again that it had before one that is refused. */
  readonly onRetainedWithdrawn: (topic: string) => void;
}

export class Intake {
  readonly #parts: IntakeParts;
  lastSeq: number;
  #open: Group;
  readonly due: Due;
  readonly soon = new Soon();
  readonly #elided: Counter;
  readonly #withdrawn: Counter;

  constructor(parts: IntakeParts, lastSeq: number) {
    this.#parts = parts;
    this.lastSeq = lastSeq;
    this.#open = new Group(lastSeq + 1);
    const { nowMs, delayMs, widenedMs, onDue, onLazyDue, counters } = parts;
    this.due = new Due({
      nowMs,
      delayMs,
      widenedMs,
      messagesDueMs: (delay, least) => this.#open.dueMs(delay, least),
      delayMsMax: (delay) => this.#open.delayMsMax(delay),
      onDue,
      onLazyDue,
    });
    this.#elided = counters.counter("store.elided");
    this.#withdrawn = counters.counter("store.withdrawn");
  }

  get open(): Group {
    return this.#open;
  }

  append(message: Message): void {
    message.seq = ++this.lastSeq;
    message.state = OPEN;
    const nowMs = this.#parts.nowMs();
    const open = this.#open;
    open.add(message, nowMs);
    const ownMs = message.durability === null ? null : message.durability.commitDelayMs;
    if (ownMs === 0 || open.bytes >= this.#parts.commitBytes) this.due.soon();
    else this.due.entered(nowMs, ownMs);
  }

  settle(message: Message, id: number): void {
    if (message.state !== OPEN) return;
    const index = message.receiverIds.indexOf(id);
    if (index < 0) return;
    message.receiverIds[index] = 0;
    if (--message.pending > 0) return;
    message.state = WITHDRAWN;
    this.#open.elide(message);
    this.#elided.value++;
    this.soon.settled(message);
  }

  absorb(id: number, messages: readonly Message[]): void {
    this.#open.isWhole = true;
    for (const { state, receiverIds } of messages) {
      const index = state === OPEN ? receiverIds.indexOf(id) : -1;
      if (index >= 0) receiverIds[index] = 0;
    }
  }

  /** The message's retained value is in `changes`. @param diskFull it stays there, and trying at once would not help */
  retained(message: Message, diskFull: boolean): void {
    const { due } = this;
    const ownMs = message.durability === null ? null : message.durability.commitDelayMs;
    if (message.waiter === null) due.changed();
    else if (message.seq === 0) {
      this.#open.rowless.push(message);
      if (ownMs === null) due.waited();
      else due.waitedFor(ownMs);
    }
    const large = this.#parts.changes.retainedBytes >= this.#parts.commitBytes;
    if ((large || ownMs === 0) && !diskFull) due.soon();
  }

  barrier(waiter: StoreWaiter, token: number): void {
    this.#open.barriers.push({ waiter, token });
    this.due.waited();
  }

  /** Whether there is anything to write, or somebody who waits. @param unfinished deletions are left */
  hasWork(unfinished: boolean): boolean {
    const { count, rowless, barriers } = this.#open;
    const { changes, places } = this.#parts;
    return (
      count > 0 ||
      rowless.length > 0 ||
      barriers.length > 0 ||
      !changes.empty ||
      places.touched.length > 0 ||
      unfinished
    );
  }

  /** The open group was written: the next one begins. */
  next(): void {
    this.due.reset();
    this.#open = new Group(this.lastSeq + 1);
  }

  /**
   * Takes back what is open, and tells whoever waits for it.
   * @param barriersStay who waits for something else goes on waiting, as it will be written
   */
  refuse(reason: number, barriersStay: boolean): void {
    const { changes, places, onRetainedWithdrawn } = this.#parts;
    const group = this.#open;
    this.#open = new Group(this.lastSeq + 1);
    if (barriersStay) {
      this.#open.barriers = group.barriers;
      group.barriers = [];
    }
    changes.withdrawReceived();
    for (const topic of changes.withdrawRetained()) onRetainedWithdrawn(topic);
    this.#withdrawn.value += group.count;
    group.refuse(reason, places);
  }
}
