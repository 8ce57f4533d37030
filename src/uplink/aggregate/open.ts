/** What is open in memory: a topic with what was sent of it last, its window, the batch of a remote topic. */
import type { Message } from "../../core/message.ts";
import { BATCH_BYTES, type Item } from "./formats.ts";
import { FIELD_BYTES, ITEM_BYTES } from "./limits.ts";
import type { LastSent } from "./on-change.ts";
import type { Hold } from "./place.ts";
import { Reduction } from "./reduce.ts";

/** What a rule's windows, batches and topics are together. */
export interface Book {
  /** In memory, about. */
  bytes: number;
  /** Stamp at which the first of them is due, or before it; Infinity = none is open. */
  dueMs: number;
}

/** A local topic. */
export interface Topic {
  readonly name: string;
  /** In the place in the log. */
  readonly key: number;
  readonly remote: string;
  last: LastSent | null;
  window: Window | null;
  /** Until here its last window went, when that closed early. */
  cutMs: number;
  /** In memory: of itself, and of `last`. */
  readonly ownBytes: number;
  lastBytes: number;
}

/** What readings that become one message hand on to it. */
export class Traits {
  /** Of the newest. */
  retain = false;
  /** Stamp at which the last of them expires; 0 = one never does. */
  expiresMs = -1;

  /** Of a message that comes after the others. */
  add({ retain, expiresMs }: Message): void {
    this.join(retain, expiresMs);
  }

  join(retain: boolean, expiresMs: number): void {
    this.retain = retain;
    if (expiresMs === 0 || this.expiresMs === 0) this.expiresMs = 0;
    else this.expiresMs = Math.max(this.expiresMs, expiresMs);
  }
}

/** Rows that a window or batch stands for. */
export type OwnedHold = Hold<Window | Batch>;

/** Where a window begins and ends. */
export interface Bounds {
  /** Stamps. */
  readonly fromMs: number;
  readonly endMs: number;
  /** Stamp of the first reading. Ages are counted from there: off-time that is learned of later may lie before it. */
  readonly firstMs: number;
  /** Unix ms of `fromMs`; null = the clock was not set. */
  readonly fromWallMs: number | null;
}

/** Readings of one topic in one stretch of time. */
export class Window {
  readonly topic: Topic;
  readonly bounds: Bounds;
  readonly hold: OwnedHold;
  readonly reduction = new Reduction();
  readonly traits = new Traits();
  /** In memory. */
  bytes = 0;

  constructor(topic: Topic, bounds: Bounds, hold: OwnedHold) {
    this.topic = topic;
    this.bounds = bounds;
    this.hold = hold;
    hold.owner = this;
  }
}

/** Items on their way to one remote topic. */
export class Batch {
  readonly remote: string;
  readonly items: Item[] = [];
  readonly holds: OwnedHold[] = [];
  readonly traits = new Traits();
  /** Stamp of the first item. */
  readonly fromMs: number;
  /** Of its payload, about. */
  payloadBytes = BATCH_BYTES;
  /** In memory. */
  bytes = 0;

  constructor(topic: Topic, fromMs: number) {
    this.remote = topic.remote;
    this.fromMs = fromMs;
  }

  /** The hold of a topic whose readings go straight into it. */
  holdOf(key: number): OwnedHold | undefined {
    // Nearly always there is but one.
    for (let i = this.holds.length - 1; i >= 0; i--) if (this.holds[i]?.key === key) return this.holds[i];
    return undefined;
  }
}

/** Estimated bytes of an item in memory. */
export function bytesOf({ payload, fields }: Item): number {
  if (payload !== null) return ITEM_BYTES + payload.length;
  let bytes = ITEM_BYTES;
  for (const [name, value] of fields ?? [])
    bytes += FIELD_BYTES + name.length + (typeof value === "string" ? value.length : 0);
  return bytes;
}
