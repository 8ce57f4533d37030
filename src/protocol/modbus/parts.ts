/** What a Modbus line needs from the rest of the gateway, and its counters. */
import type { Counter, Counters } from "../../base/counters.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import type { DeviceRouter } from "../../core/device-receiver.ts";
import type { Ledger } from "../../core/ledger.ts";
import type { PlainLimits, Publisher } from "../../core/plain-publish.ts";
import type { Authority, Principal, TimeSource } from "../../core/ports.ts";

/** The port: `SerialPort` of transport, or a TCP connection in its place. */
export interface ModbusDoor {
  readonly isOpen: boolean;
  handler: ModbusDoorHandler | null;
  start(): void;
  /** One at a time; the handler hears `onWritten`. */
  write(bytes: Buffer): void;
  /** Closes what is open, to be opened anew; the handler hears `onAway` before it returns. */
  hangUp(why: string): void;
  close(): Promise<void>;
}

export interface ModbusDoorHandler {
  /** The bus waits for each answer, so bytes are not to wait for each other. */
  readonly prompt?: boolean;
  /** All that is written is answered, so nobody has to ask the kernel whether it has arrived. */
  readonly answered?: boolean;
  onOpen(): void;
  /** `chunk` is valid until return. */
  onData(chunk: Buffer): void;
  onWritten(): void;
  /** What was being written is not confirmed any more. */
  onAway(): void;
}

/** Rings once, `set` again or not; a bus waits for milliseconds, for which the gateway's wheel is too coarse. */
export interface Alarm {
  /** Replaces what was set. */
  set(delayMs: number): void;
  clear(): void;
}

export type ModbusRouter = Publisher & DeviceRouter;

/** For one line. */
export interface ModbusParts {
  /** `serial:<name>` */
  readonly principal: Principal;
  readonly router: ModbusRouter;
  readonly authority: Pick<Authority, "mayPublish">;
  readonly ledger: Pick<Ledger, "record">;
  readonly clock: TimeSource;
  readonly limits: PlainLimits;
  readonly random: Random;
  readonly log: Log;
  readonly counters: Counters;
  readonly alarm: (ring: () => void) => Alarm;
}

/** Of all lines of the process. */
export class ModbusCounters {
  readonly requests: Counter;
  readonly timeouts: Counter;
  readonly exceptions: Counter;
  readonly badFrames: Counter;
  readonly strayBytes: Counter;
  readonly echoes: Counter;
  readonly pollsMissed: Counter;
  readonly valuesPublished: Counter;
  readonly valuesRefused: Counter;
  readonly valuesDenied: Counter;
  readonly valuesNotFinite: Counter;
  readonly writesDone: Counter;
  readonly writesFailed: Counter;
  readonly writesInvalid: Counter;
  readonly writesDropped: Counter;
  readonly writesExpired: Counter;
  readonly resultsRefused: Counter;

  constructor(counters: Counters) {
    this.requests = counters.counter("modbus.requests");
    this.timeouts = counters.counter("modbus.timeouts");
    this.exceptions = counters.counter("modbus.exceptions");
    this.badFrames = counters.counter("modbus.bad_frames");
    this.strayBytes = counters.counter("modbus.stray_bytes");
    this.echoes = counters.counter("modbus.echoes");
    this.pollsMissed = counters.counter("modbus.polls_missed");
    this.valuesPublished = counters.counter("modbus.values_published");
    this.valuesRefused = counters.counter("modbus.values_refused");
    this.valuesDenied = counters.counter("modbus.values_denied");
    this.valuesNotFinite = counters.counter("modbus.values_not_finite");
    this.writesDone = counters.counter("modbus.writes_done");
    this.writesFailed = counters.counter("modbus.writes_failed");
    this.writesInvalid = counters.counter("modbus.writes_invalid");
    this.writesDropped = counters.counter("modbus.writes_dropped");
    this.resultsRefused = counters.counter("modbus.results_refused");
    this.writesExpired = counters.counter("modbus.writes_expired");
  }
}
