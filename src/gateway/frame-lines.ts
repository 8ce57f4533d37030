/** Lines whose frames are messages by themselves, loaded in one piece with the first of them (uplink-rooms.ts says why). */
import type { FramesLineConfig } from "../config/serial.ts";
import type { DeliveryQueue } from "../core/delivery-queue.ts";
import type { FrameMapping } from "../protocol/serial/parts.ts";
import { type SerialDoor, SerialLine, type SerialLineParts } from "../protocol/serial/serial-line.ts";
import type { Mapping } from "./mapping-room.ts";
import type { Ground, Rooms } from "./rooms.ts";
import type { RunningLine } from "./running-line.ts";

export { budget as serialBudget } from "../protocol/serial/serial-line.ts";

/**
 * @param queue    of what is written at QoS 1; null: QoS 0
 * @param mappings null where no line asks for more than each frame as it is to one topic
 */
export function createFrameLine(
  { clock, counters, log, config: { limits } }: Ground,
  { wheel, ledger, router, authority }: Rooms,
  busWheel: SerialLineParts["busWheel"],
  mappings: typeof Mapping | null,
  device: SerialDoor,
  config: FramesLineConfig,
  queue: DeliveryQueue | null,
): RunningLine {
  const { name } = config;
  let publish: FramesLineConfig["publish"] | FrameMapping = config.publish;
  if (config.mapping !== null && mappings !== null)
    publish = new mappings(config.mapping, { name, clock, counters, log, limits });
  const parts = { wheel, counters, log, busWheel, router, authority, ledger, clock, limits };
  return new SerialLine(device, { ...config, publish }, parts, queue);
}
