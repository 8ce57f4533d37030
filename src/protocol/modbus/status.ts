/** How a bus stands: what it has time for, and which slave answers. */
import type { Master } from "./master.ts";
import type { Slave, SlaveState } from "./slave.ts";

export interface ModbusStatus {
  /** Of the last ten seconds. */
  readonly busUsedPercent: number;
  readonly pollsWantedPerSecond: number;
  readonly pollsPerSecond: number;
  /** Since the line was made: frames with a wrong check or header, bytes of no answer, requests that the wire brought back. */
  readonly badFrames: number;
  readonly strayBytes: number;
  readonly echoes: number;
  readonly slaves: readonly SlaveStatus[];
}

export interface SlaveStatus {
  readonly name: string;
  readonly unit: number;
  readonly state: SlaveState;
  /** Of one that is silent. */
  readonly nextTryMs: number;
  readonly pollsWantedPerSecond: number;
  readonly pollsPerSecond: number;
  /** There was no time for. */
  readonly pollsMissed: number;
  readonly timeouts: number;
  readonly exceptions: number;
  readonly lastError: string | null;
}

export function statusOf(master: Master, slaves: readonly Slave[], nowMs: number): ModbusStatus {
  const { badFrames, strayBytes, echoes } = master.reader;
  const each = slaves.map((slave) => slaveStatus(slave, nowMs));
  const sum = (of: (slave: SlaveStatus) => number): number => hundredths(each.reduce((all, one) => all + of(one), 0));
  return {
    busUsedPercent: Math.round(master.busyPercent()),
    pollsWantedPerSecond: sum(({ pollsWantedPerSecond }) => pollsWantedPerSecond),
    pollsPerSecond: sum(({ pollsPerSecond }) => pollsPerSecond),
    badFrames,
    strayBytes,
    echoes,
    slaves: each,
  };
}

function slaveStatus(slave: Slave, nowMs: number): SlaveStatus {
  const { name, unit, state, timeouts, exceptions, pollsMissed, lastError } = slave;
  return {
    name,
    unit,
    state,
    nextTryMs: state === "silent" ? Math.max(0, Math.round(slave.blockedUntilMs - nowMs)) : 0,
    pollsWantedPerSecond: hundredths(slave.wantedPerSecond),
    pollsPerSecond: hundredths(slave.polls.perSecond(nowMs)),
    pollsMissed,
    timeouts,
    exceptions,
    lastError,
  };
}

export function hundredths(value: number): number {
  return Math.round(value * 100) / 100;
}
