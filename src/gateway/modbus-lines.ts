/** Lines with a Modbus master, loaded in one piece with the first of them (uplink-rooms.ts says why). */
import type { ModbusLineConfig } from "../config/serial.ts";
import type { DeliveryQueue } from "../core/delivery-queue.ts";
import { charactersOf } from "../protocol/modbus/bus-time.ts";
import { ModbusLine, sysValues } from "../protocol/modbus/modbus-line.ts";
import type { Alarm, ModbusDoor } from "../protocol/modbus/parts.ts";
import type { Ground, Rooms } from "./rooms.ts";
import type { RunningLine } from "./running-line.ts";

export { budget as modbusBudget } from "../protocol/modbus/modbus-line.ts";

/** @param queue for commands at QoS 1; null: QoS 0 */
export function createModbusLine(
  ground: Ground,
  rooms: Rooms,
  device: ModbusDoor,
  config: ModbusLineConfig,
  queue: DeliveryQueue | null,
): RunningLine {
  const { clock, counters, log } = ground;
  const { router, authority, ledger, sys } = rooms;
  const { name, modbus } = config;
  const principal = { name: `serial:${name}`, clientId: `serial:${name}` };
  const { limits } = ground.config;
  const parts = { principal, router, authority, ledger, clock, limits, random: Math.random, log, counters, alarm };
  const line = new ModbusLine(device, { name, characters: charactersOf(config), modbus }, parts, queue);
  const values = sysValues([modbus]);
  if (sys !== null) sys.toldMax += values;
  return {
    start: () => line.start(),
    stop: () => line.stop(),
    leave: () => {
      if (sys !== null) {
        sys.removeOwn({ under: `modbus.${name}.`, except: [] }); // while its gauges are there
        sys.toldMax -= values;
      }
      line.leave();
    },
    status: () => ({ modbus: line.status() }),
  };
}

function alarm(ring: () => void): Alarm {
  let timeout: NodeJS.Timeout | null = null;
  let soon: NodeJS.Immediate | null = null;
  const clear = (): void => {
    if (timeout !== null) clearTimeout(timeout);
    if (soon !== null) clearImmediate(soon);
    timeout = null;
    soon = null;
  };
  const set = (delayMs: number): void => {
    clear();
    // A timer takes a millisecond at least.
    if (delayMs <= 0) soon = setImmediate(ring);
    else timeout = setTimeout(ring, Math.ceil(delayMs));
  };
  return { set, clear };
}
