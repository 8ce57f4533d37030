/** How a Modbus bus stands, for people: one line, and below it one for each slave, or for those with trouble. */
import { durationText } from "../config/units.ts";

/** The parts of `ModbusStatus` (protocol/modbus/status.ts) that are printed. */
export interface ModbusStatus {
  readonly busUsedPercent: number;
  readonly pollsWantedPerSecond: number;
  readonly pollsPerSecond: number;
  readonly badFrames: number;
  readonly strayBytes: number;
  readonly echoes: number;
  readonly slaves: readonly SlaveStatus[];
}

interface SlaveStatus {
  readonly name: string;
  readonly unit: number;
  readonly state: string;
  readonly nextTryMs: number;
  readonly pollsWantedPerSecond: number;
  readonly pollsPerSecond: number;
  readonly pollsMissed: number;
  readonly timeouts: number;
  readonly exceptions: number;
  readonly lastError: string | null;
}

/** With more of them only those with trouble are named. */
const SLAVES_NAMED = 16;
/** Less than this of what was asked for is trouble. */
const ENOUGH = 0.9;

export function modbusLines(status: ModbusStatus): string[] {
  const { slaves, badFrames, strayBytes, echoes } = status;
  const errors = counts([
    [badFrames, "bad frames"],
    [strayBytes, "stray bytes"],
    [echoes, "echoes"],
  ]);
  const bus = `bus ${status.busUsedPercent} % used, ${ratesText(status)}${errors}`;
  const named = slaves.length <= SLAVES_NAMED ? slaves : slaves.filter((slave) => !isWell(slave));
  const others = slaves.length - named.length;
  return [
    bus,
    ...named.map(slaveText),
    ...(others === 0 ? [] : [`${others} ${named.length > 0 ? "other " : ""}slaves answer`]),
  ];
}

function isWell({ state, pollsPerSecond, pollsWantedPerSecond }: SlaveStatus): boolean {
  return state === "answers" && pollsPerSecond >= ENOUGH * pollsWantedPerSecond;
}

function slaveText(slave: SlaveStatus): string {
  const { name, unit, state, nextTryMs, lastError } = slave;
  const called = name === `${unit}` ? `slave ${unit}` : `${name} (unit ${unit})`;
  const next = state === "silent" ? `, asked again in ${durationText(Math.ceil(nextTryMs / 1000) * 1000)}` : "";
  const errors = counts([
    [slave.pollsMissed, "polls missed"],
    [slave.timeouts, "timeouts"],
    [slave.exceptions, "exceptions"],
  ]);
  const last = lastError === null ? "" : `, last error: ${lastError}`;
  return `${called} ${stateText(slave)}${next}, ${ratesText(slave)}${errors}${last}`;
}

function stateText({ state, pollsWantedPerSecond }: SlaveStatus): string {
  if (state === "unknown") return pollsWantedPerSecond === 0 ? "is not polled" : "was not asked yet";
  return state === "answers" ? "answers" : "is silent";
}

function ratesText({
  pollsPerSecond,
  pollsWantedPerSecond,
}: {
  pollsPerSecond: number;
  pollsWantedPerSecond: number;
}): string {
  return `${pollsPerSecond} of ${pollsWantedPerSecond} polls a second`;
}

/** Those that are not 0. */
function counts(all: readonly (readonly [number, string])[]): string {
  const some = all.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`);
  return some.length === 0 ? "" : `; ${some.join(", ")}`;
}
