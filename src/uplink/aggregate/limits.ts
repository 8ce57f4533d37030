/** What an aggregating rule may hold, and what it takes in memory at most. */
import type { Line } from "../../config/budget.ts";
import type { BatchConfig } from "../../config/uplink-aggregate.ts";
import type { ForwardRule } from "../../config/uplink-rules.ts";
import { aggregates } from "./rules.ts";

/** Local topics that a rule knows at a time. A further one takes the place of one that holds nothing; else the oldest batch closes early. */
export const TOPICS_MAX = 512;
/** Topics whose last gathered row the place in the log names. Beyond it the oldest batch closes early, as that shortens the list. */
export const MARKS_MAX = 1024;
/** Rows of the log between the oldest that is held and the newest: a share of the class's limits. Beyond it the oldest batch closes early. */
export const LOG_SHARE = 4;
/** Bytes of topics, readings and figures in memory, beside two batches at their limit. Beyond it the oldest batch closes early. */
export const HELD_BYTES = 256 * 1024;
/** Estimated bytes of a topic without its names, of an item of a batch, and of a mark. */
export const TOPIC_BYTES = 300;
export const ITEM_BYTES = 160;
export const MARK_BYTES = 48;
/** A field of an item that is kept for SenML. */
export const FIELD_BYTES = 48;

/** Bytes of what a rule holds in memory; beyond it the oldest batch closes. */
export function heldBytesMax(batch: BatchConfig | null): number {
  return HELD_BYTES + 2 * (batch?.maxBytes ?? 0);
}

/** @param rules of all uplinks */
export function budget(rules: readonly ForwardRule[], maxPacketBytes: number): Line[] {
  const own = rules.filter(aggregates);
  if (own.length === 0) return [];
  const marks = MARKS_MAX * MARK_BYTES;
  let bytes = 0;
  // A batch that closes is there as readings, encoded, and compressed.
  for (const { batch } of own) bytes += marks + heldBytesMax(batch) + 2 * (batch?.maxBytes ?? 0) + maxPacketBytes;
  return [
    {
      owner: "uplinks: what rules gather",
      bytes,
      how: `${own.length} rules x (${HELD_BYTES} + ${marks} + 4 x batch.max_bytes + a packet of ${maxPacketBytes})`,
    },
  ];
}
