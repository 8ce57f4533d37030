/**
 * Which queue a class of a spool has: one that goes by the log, or one that does not. The latter is loaded when an uplink
 * drains in another order, or did so before, and what it had in flight is in the store.
 */

import { PRIORITY_MAX } from "../../config/uplink-spool.ts";
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { AnyOrderQueue } from "../../core/any-order-queue.ts";
import { isAnyOrder } from "../../core/any-order-record.ts";
import { DeliveryQueue } from "../../core/delivery-queue.ts";
import type { QueueHost } from "../../core/outlet.ts";
import type { PacketIdRange } from "../../core/packet-ids.ts";
import type { ReceiverRecord, Store } from "../../core/ports.ts";
import type { QueueLimits } from "../../core/queue-limits.ts";
import type { SpoolQueue } from "../../core/spool-queue.ts";
import { className } from "./class-name.ts";

export interface Draining {
  readonly order: UplinkConfig["drain"];
  /** Messages in flight at most. */
  readonly windowMax: number;
  /** null = no uplink needs it, and it is not loaded. */
  readonly AnyOrderQueue: typeof AnyOrderQueue | null;
}

export function queueOf(
  { order, windowMax, AnyOrderQueue }: Draining,
  host: QueueHost,
  label: string,
  record: ReceiverRecord,
  limits: QueueLimits,
  range: PacketIdRange,
): SpoolQueue {
  const inOrder = order === "oldest-first" && !isAnyOrder(record.state);
  if (inOrder) return new DeliveryQueue(host, label, record, limits, range);
  if (AnyOrderQueue === null) throw new Error(`${label} needs a queue that is not loaded`);
  return new AnyOrderQueue(host, label, record, limits, order, windowMax, range);
}

/** Whether the uplink needs `AnyOrderQueue`. */
export function needsAnyOrder({ name, drain }: Pick<UplinkConfig, "name" | "drain">, store: Store): boolean {
  if (drain !== "oldest-first") return true;
  for (let priority = 0; priority <= PRIORITY_MAX; priority++) {
    const record = store.loadReceiver("uplink", className(name, priority));
    if (record !== null && isAnyOrder(record.state)) return true;
  }
  return false;
}
