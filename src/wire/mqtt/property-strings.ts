/** How long the strings of a property block are: MQTT 5.0 sections 1.5.4 and 1.5.7. */
import { readU16 } from "./primitives.ts";
import { PAIR, propertyEnd, TEXT, TYPE_OF } from "./property-table.ts";

/** Bytes of the longest string in the block `frame[from..end)`, which was decoded before; 0 when it has none. */
export function longestStringBytes(frame: Uint8Array, from: number, end: number): number {
  let longest = 0;
  for (let at = from; at >= 0 && at < end; at = propertyEnd(frame, at, end)) {
    const type = TYPE_OF[frame[at] as number];
    if (type !== TEXT && type !== PAIR) continue;
    const bytes = readU16(frame, at + 1);
    longest = Math.max(longest, bytes);
    if (type === PAIR) longest = Math.max(longest, readU16(frame, at + 3 + bytes));
  }
  return longest;
}
