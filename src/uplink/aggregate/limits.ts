/** What an aggregating rule may hold, and what it takes in memory at most. */
import type { Line } from "../../config/budget.ts";
import type { BatchConfig } from "../../config/uplink-aggregate.ts";
import type { ForwardRule } from "../../config/uplink-rules.ts";
import { aggregates } from "./rules.ts";

/** Share of `memory_limit` for topics, readings and figures of one rule, beside two batches at their limit. */
export const HELD_SHARE = 128;
/** Local topics that a rule knows at a time, however large its share is. */
export const TOPICS_MAX = 4096;
/** Topics whose last gathered row the place in the log names. Beyond it the oldest batch closes early, as that shortens the list. */
export const MARKS_MAX = 1024;
/** Rows of the log between the oldest that is held and the newest: a share of the class's limits. Beyond it the oldest batch closes early. */
export const LOG_SHARE = 4;
/** Bytes that are on their way to the class before no more is read from the log. */
export const OUTBOX_BYTES = 64 * 1024;
/** Estimated bytes of a topic, of what was sent last of it, of a window, a batch, an item, a field of an item, a mark. */
export const TOPIC_BYTES = 280;
export const LAST_BYTES = 350;
export const WINDOW_BYTES = 600;
export const BATCH_OBJECT_BYTES = 700;
export const ITEM_BYTES = 300;
export const FIELD_BYTES = 48;
export const MARK_BYTES = 48;

export function heldBytesOf(memoryLimitBytes: number): number {
  return Math.floor(memoryLimitBytes / HELD_SHARE);
}

/** Bytes of what a rule holds in memory; beyond it idle topics are forgotten, then the oldest batch or window closes early. */
export function heldBytesMax(batch: BatchConfig | null, heldBytes: number): number {
  return heldBytes + 2 * (batch?.maxBytes ?? 0);
}

/** @param rules of all uplinks */
export function budget(rules: readonly ForwardRule[], maxPacketBytes: number, memoryLimitBytes: number): Line[] {
  const own = rules.filter(aggregates);
  if (own.length === 0) return [];
  const heldBytes = heldBytesOf(memoryLimitBytes);
  const fixed = heldBytes + MARKS_MAX * MARK_BYTES + OUTBOX_BYTES;
  // A batch that closes is there as readings, encoded, and compressed.
  const batches = own.reduce((sum, { batch }) => sum + 4 * (batch?.maxBytes ?? 0), 0);
  return [
    {
      owner: "uplinks: what rules gather",
      bytes: own.length * fixed + batches + maxPacketBytes,
      how: `${own.length} rules x (1/${HELD_SHARE} of memory_limit + ${fixed - heldBytes}) + 4 x batch.max_bytes each + one packet for all`,
    },
  ];
}
