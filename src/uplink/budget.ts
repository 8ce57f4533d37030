/** Memory of the uplinks, for the sum at start. */
import type { Line } from "../config/budget.ts";
import { HELD_BYTES_MAX } from "./receive.ts";
import { IN_FLIGHT_BYTES_MAX, SPOOL_WINDOW_BYTES } from "./spool.ts";
import { TABLE_SLOT_BYTES, TABLE_SLOTS } from "./topic-map.ts";

/** @param uplinks how many */
export function budget(limits: { readonly maxPacketBytes: number }, uplinks: number): Line[] {
  if (uplinks === 0) return [];
  const packet = limits.maxPacketBytes;
  // What waits for the window and what is in flight: each may exceed its bound by one message.
  const out = SPOOL_WINDOW_BYTES + IN_FLIGHT_BYTES_MAX + 2 * packet;
  // Refused messages, one beyond the bound, and the packet that is coming in.
  const held = HELD_BYTES_MAX + 2 * packet;
  const tables = 2 * TABLE_SLOTS * TABLE_SLOT_BYTES;
  return [
    {
      owner: "uplinks: messages on their way out",
      bytes: uplinks * out,
      how: `${uplinks} x (${SPOOL_WINDOW_BYTES} waiting + ${IN_FLIGHT_BYTES_MAX} in flight + 2 packets of ${packet})`,
    },
    {
      owner: "uplinks: messages on their way in",
      bytes: uplinks * held + packet,
      how: `${uplinks} x (${HELD_BYTES_MAX} held + 2 packets of ${packet}) + one packet for all`,
    },
    {
      owner: "uplinks: topics of rules",
      bytes: uplinks * tables,
      how: `${uplinks} x 2 tables of ${TABLE_SLOTS} topics`,
    },
  ];
}
