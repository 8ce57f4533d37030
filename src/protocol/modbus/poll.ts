/**
 * One read of a poll group, due again and again. Dues keep their phase. Those that the bus had no
 * time for are missed, and counted; those of a slave that is silent are not.
 */
import { Backoff } from "../../base/backoff.ts";
import {
  exceptionText,
  GATEWAY_PATH_UNAVAILABLE,
  GATEWAY_TARGET_SILENT,
  ILLEGAL_DATA_ADDRESS,
  ILLEGAL_DATA_VALUE,
  READ_DISCRETE_INPUTS,
  READ_HOLDING_REGISTERS,
  READ_INPUT_REGISTERS,
  SERVER_DEVICE_BUSY,
} from "../../wire/modbus/codes.ts";
import type { Request } from "../../wire/modbus/request.ts";
import { VALUES_AT } from "../../wire/modbus/response.ts";
import { type Job, SILENT } from "./job.ts";
import type { ModbusCounters, ModbusParts } from "./parts.ts";
import { NEWS, NOT_FINITE, type Point } from "./point.ts";
import type { PlannedRead } from "./poll-plan.ts";
import type { Slave } from "./slave.ts";

export interface PollParts extends Pick<ModbusParts, "random" | "log"> {
  readonly line: string;
  readonly counters: ModbusCounters;
  readonly backoff: { readonly baseMs: number; readonly capMs: number };
  /** A value to be told. */
  readonly onNews: (point: Point, nowMs: number) => void;
  /** It was answered, or will not be. Absent: nobody wants to know. */
  readonly onEnd?: (poll: Poll, nowMs: number) => void;
  /** The slave does not have all that it reads together: two are to take its place. */
  readonly onSplit: (poll: Poll, nowMs: number) => void;
}

export class Poll implements Job {
  readonly slave: Slave;
  readonly intervalMs: number;
  readonly points: readonly Point[];
  dueMs: number;
  /** When it went last. */
  begunMs = Number.NEGATIVE_INFINITY;
  readonly read: PlannedRead;
  readonly #parts: PollParts;
  /** Of a read that the slave refuses; the slave's other ones go on. */
  #refusals: Backoff | null = null;
  #blockedUntilMs = 0;

  constructor(
    slave: Slave,
    read: PlannedRead,
    points: readonly Point[],
    intervalMs: number,
    parts: PollParts,
    nowMs: number,
  ) {
    this.slave = slave;
    this.read = read;
    this.points = points;
    this.intervalMs = intervalMs;
    this.#parts = parts;
    this.dueMs = nowMs;
  }

  /** When it may go. */
  get readyMs(): number {
    const { blockedUntilMs, heldUntilMs } = this.slave;
    return Math.max(this.dueMs, blockedUntilMs, heldUntilMs, this.#blockedUntilMs);
  }

  /** It goes now: the next due. */
  onBegin(nowMs: number): void {
    const missed = this.#intervalsSince(this.readyMs, nowMs);
    this.#parts.counters.pollsMissed.value += missed;
    this.slave.pollsMissed += missed;
    this.dueMs += (this.#intervalsSince(this.dueMs, nowMs) + 1) * this.intervalMs;
    this.begunMs = nowMs;
  }

  #intervalsSince(fromMs: number, nowMs: number): number {
    return Math.max(0, Math.floor((nowMs - fromMs) / this.intervalMs));
  }

  /** What was due while the port was away is due now, and was not missed for want of time. */
  onOpen(nowMs: number): void {
    this.dueMs = Math.max(this.dueMs, nowMs);
  }

  /** It is due at once when the port is back. */
  onLost(): void {
    this.dueMs = this.begunMs;
  }

  fill(request: Request): void {
    request.read(this.slave.unit, this.read.functionCode, this.read.address, this.read.count);
  }

  onAnswer(bytes: Buffer, from: number, _end: number, nowMs: number): boolean {
    this.slave.onAnswer();
    this.slave.polls.add(nowMs, 1);
    if (this.#refusals !== null) {
      this.#refusals = null;
      this.#parts.log.info("modbus-read-taken-again", this.#words());
    }
    this.#blockedUntilMs = 0;
    for (const point of this.points) {
      const verdict = point.take(bytes, from + VALUES_AT, point.config.address - this.read.address, nowMs);
      if (verdict === NEWS) this.#parts.onNews(point, nowMs);
      else if (verdict === NOT_FINITE) this.#parts.counters.valuesNotFinite.value++;
    }
    this.#parts.onEnd?.(this, nowMs);
    return true;
  }

  onFailure(code: number, nowMs: number): void {
    if (code === SILENT) {
      this.slave.onSilence(nowMs, "no answer");
    } else if (isAway(code)) {
      this.slave.onSilence(nowMs, exceptionText(code));
    } else {
      this.slave.onAnswer();
      this.slave.lastError = exceptionText(code);
      if (isAboutExtent(code) && this.points.length > 1) {
        this.#parts.onSplit(this, nowMs);
        return;
      }
      if (this.#refusals === null) {
        this.#refusals = new Backoff(this.#parts.backoff, this.#parts.random);
        this.#parts.log.warn("modbus-read-refused", {
          ...this.#words(),
          exception: exceptionText(code),
          ...adviceOf(this.read, code),
        });
      }
      this.#blockedUntilMs = nowMs + this.#refusals.next();
    }
    for (const point of this.points) point.known = false;
    this.#parts.onEnd?.(this, nowMs);
  }

  #words(): Record<string, string | number> {
    const { functionCode, address, count } = this.read;
    return { name: this.#parts.line, slave: this.slave.name, function: functionCode, address, count };
  }
}

/** Data sheets count from 1, behind a digit for the table: 40001 is holding register 0. */
const SHEET_FROM: Readonly<Record<number, number>> = {
  [READ_DISCRETE_INPUTS]: 10_001,
  [READ_HOLDING_REGISTERS]: 40_001,
  [READ_INPUT_REGISTERS]: 30_001,
};
const SHEET_NUMBERS = 9999;

function adviceOf({ functionCode, address }: PlannedRead, code: number): { advice?: string } {
  const wire = address - (SHEET_FROM[functionCode] ?? 0);
  if (code !== ILLEGAL_DATA_ADDRESS || wire < 0 || wire >= SHEET_NUMBERS || wire === address) return {};
  return { advice: `if ${address} is a number of a data sheet, its address is ${wire}` };
}

/** Exceptions that single points may be free of: one of them is not there, or they are too many for one request. */
function isAboutExtent(code: number): boolean {
  return code === ILLEGAL_DATA_ADDRESS || code === ILLEGAL_DATA_VALUE;
}

/** Exceptions that are about the slave as a whole, not about what was asked. */
export function isAway(code: number): boolean {
  return code === SERVER_DEVICE_BUSY || code === GATEWAY_PATH_UNAVAILABLE || code === GATEWAY_TARGET_SILENT;
}
