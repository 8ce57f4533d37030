/**
 * Which requests read a poll group: its points by table and address, neighbours in one request as far as one may ask.
 *
 *     points    0 1 2 3     | 10 11 |    a point is never cut in two
 *     requests  [ 0 - 3 ]     [10-11]    max_gap: 6 or more would make them one
 */
import type { ModbusGroup } from "../../config/serial-modbus.ts";
import type { ModbusPoint, ModbusTable } from "../../config/serial-modbus-point.ts";
import {
  READ_BITS_MAX,
  READ_COILS,
  READ_DISCRETE_INPUTS,
  READ_HOLDING_REGISTERS,
  READ_INPUT_REGISTERS,
  READ_REGISTERS_MAX,
} from "../../wire/modbus/codes.ts";

export interface PlannedRead {
  readonly functionCode: number;
  readonly address: number;
  count: number;
  readonly points: ModbusPoint[];
}

export const FUNCTION_OF: Readonly<Record<ModbusTable, number>> = {
  coil: READ_COILS,
  discrete: READ_DISCRETE_INPUTS,
  holding: READ_HOLDING_REGISTERS,
  input: READ_INPUT_REGISTERS,
};

/** Two reads of half of its points each. @param read of two points at least */
export function splitRead({ functionCode, points }: PlannedRead): [PlannedRead, PlannedRead] {
  const half = points.length >> 1;
  const readOf = (some: ModbusPoint[]): PlannedRead => {
    const address = Math.min(...some.map((point) => point.address));
    const end = Math.max(...some.map((point) => point.address + point.count));
    return { functionCode, address, count: end - address, points: some };
  };
  return [readOf(points.slice(0, half)), readOf(points.slice(half))];
}

/** @param maxGap bits or registers that nobody asked for, and are read all the same to save a request */
export function planReads({ points }: Pick<ModbusGroup, "points">, maxGap: number): PlannedRead[] {
  const reads: PlannedRead[] = [];
  const ordered = [...points].sort(
    (a, b) => FUNCTION_OF[a.table] - FUNCTION_OF[b.table] || a.address - b.address || a.count - b.count,
  );
  for (const point of ordered) {
    const functionCode = FUNCTION_OF[point.table];
    const max = functionCode <= READ_DISCRETE_INPUTS ? READ_BITS_MAX : READ_REGISTERS_MAX;
    const last = reads.at(-1);
    const end = point.address + point.count;
    if (
      last !== undefined &&
      last.functionCode === functionCode &&
      point.address <= last.address + last.count + maxGap &&
      end - last.address <= max
    ) {
      last.count = Math.max(last.count, end - last.address);
      last.points.push(point);
    } else {
      reads.push({ functionCode, address: point.address, count: point.count, points: [point] });
    }
  }
  return reads;
}
