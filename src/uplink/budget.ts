/** Memory of the uplinks, for the sum at start. */
import type { Line } from "../config/budget.ts";
import type { UplinkConfig } from "../config/uplinks.ts";
import { PLACE_IN_RING_BYTES } from "../core/inflight.ts";
import { WAITING_MAX } from "../core/waiting.ts";
import { budget as gathering } from "./aggregate/limits.ts";
import { HELD_BYTES_MAX } from "./in/receive.ts";
import { isMetered } from "./link/uplink-connection.ts";
import { IN_FLIGHT_BYTES_MAX } from "./out/spool.ts";
import { CLASS_RING_PLACES, SPOOL_WINDOW_BYTES } from "./out/spool-class.ts";
import { TABLE_SLOT_BYTES, TABLE_SLOTS } from "./topic-map.ts";

type Rules = Pick<UplinkConfig, "forward" | "urls" | "drain" | "window" | "pace" | "dataCap" | "connect">;

/** Packet ids of one way from or to a server, when there are many, and their record in the store. */
const SERVER_BYTES = 8192 + 400;

/** Measured: buckets, period, traffic, schedule with their timers and counters. */
const METERED_BYTES = 5 * 1024;

/** Of one row in a set of numbers (core/unread.ts). */
const APART_BYTES = 32;

function unorderedBytes(window: number, packet: number): number {
  return 2 * packet + APART_BYTES * (window + WAITING_MAX);
}

export function budget(
  limits: { readonly maxPacketBytes: number },
  configs: readonly Rules[],
  memoryLimitBytes: number,
): Line[] {
  const uplinks = configs.length;
  if (uplinks === 0) return [];
  const packet = limits.maxPacketBytes;
  const classes = configs.reduce((sum, config) => sum + classesOf(config), 0);
  // What waits for the window and what is in flight: each may exceed its bound by one message. Priorities share both.
  const waiting = SPOOL_WINDOW_BYTES + packet;
  const inFlight = IN_FLIGHT_BYTES_MAX + packet;
  // Refused messages, one beyond the bound, and the packet that is coming in.
  const held = HELD_BYTES_MAX + 2 * packet;
  const tables = 2 * TABLE_SLOTS * TABLE_SLOT_BYTES;
  // Those that came from an only server are kept under the uplink's own record.
  const servers = configs.reduce((sum, { urls }) => sum + (urls.length > 1 ? 2 * urls.length : 1), 0);
  const lines = [
    {
      owner: "uplinks: messages on their way out",
      bytes: uplinks * (waiting + inFlight),
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
    {
      owner: "uplinks: packet ids in flight",
      bytes: classes * CLASS_RING_PLACES * PLACE_IN_RING_BYTES,
      how: `${classes} priorities x ${CLASS_RING_PLACES}, ${PLACE_IN_RING_BYTES} B each; beyond them with those of sessions`,
    },
    ...gathering(
      configs.flatMap(({ forward }) => forward),
      packet,
      memoryLimitBytes,
    ),
  ];
  const unordered = configs.filter(({ drain }) => drain !== "oldest-first");
  if (unordered.length > 0) {
    // Live messages, the backlog and what is sent again wait apart: each may exceed its share by one message.
    const bytes = unordered.reduce((sum, config) => sum + classesOf(config) * unorderedBytes(config.window, packet), 0);
    const how = `each priority: 2 packets of ${packet}, ${APART_BYTES} for each place in the window, and waiting`;
    lines.push({ owner: "uplinks: drained newest-first or interleaved", bytes, how });
  }
  const metered = configs.filter(isMetered).length;
  if (metered > 0) {
    const owner = "uplinks: pace, data cap, schedule";
    lines.push({ owner, bytes: metered * METERED_BYTES, how: `${metered} x ${METERED_BYTES}` });
  }
  const owner = "uplinks: packet ids by server";
  lines.push({ owner, bytes: servers * SERVER_BYTES, how: `${servers} ways from or to a server x ${SERVER_BYTES}` });
  return lines;
}

/** Priorities in use; 0 always is. */
function classesOf({ forward }: Rules): number {
  return new Set([0, ...forward.map(({ priority }) => priority)]).size;
}
