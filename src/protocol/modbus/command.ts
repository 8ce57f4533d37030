/**
 * One write, with what goes before and after it. Nothing else is asked in between, as far as this bus is concerned.
 *
 *     MODIFY: read the register that has the bits, where the slave has no mask write
 *     WRITE
 *     VERIFY: read it back (`verify: true`)
 */
import { BROADCAST, exceptionText } from "../../wire/modbus/codes.ts";
import type { Request } from "../../wire/modbus/request.ts";
import { VALUES_AT } from "../../wire/modbus/response.ts";
import { bitAt } from "../../wire/modbus/values.ts";
import { type Job, SILENT } from "./job.ts";
import { type Point, valueText } from "./point.ts";
import { isAway, type Poll } from "./poll.ts";
import { FUNCTION_OF } from "./poll-plan.ts";
import type { Mask, Write } from "./set-value.ts";
import type { Slave } from "./slave.ts";

/** A point that may be written. */
export interface Target {
  readonly point: Point;
  readonly slave: Slave;
  /** That reads it back; null = nobody does, all slaves are written to. */
  readonly poll: Poll | null;
}

/** Who sent it, and how to tell what came of it. */
export interface Origin {
  /** In the queue; 0 at QoS 0. */
  readonly packetId: number;
  /** Not to be written from then on. */
  readonly expiresMs: number;
  readonly responseTopic: string | null;
  readonly correlation: Buffer | null;
}

const MODIFY = 0;
const WRITE = 1;
const VERIFY = 2;
const REGISTER = 0xffff;

export class Command implements Job {
  readonly slave: Slave;
  readonly target: Target;
  readonly origin: Origin;
  /** Or what is wrong with it. */
  readonly write: Write | string;
  readonly #done: (command: Command, problem: string | null) => void;
  #step: typeof MODIFY | typeof WRITE | typeof VERIFY = WRITE;
  /** Of MODIFY: the register as it is to be. */
  #register: Buffer | null = null;

  constructor(
    target: Target,
    origin: Origin,
    write: Write | string,
    done: (command: Command, problem: string | null) => void,
  ) {
    this.target = target;
    this.slave = target.slave;
    this.origin = origin;
    this.write = write;
    this.#done = done;
    if (typeof write !== "string" && isMask(write.bits) && !target.point.config.maskWrite) this.#step = MODIFY;
  }

  fill(request: Request): void {
    const { table, address, count } = this.target.point.config;
    if (this.#step === WRITE) this.#fillWrite(request, (this.write as Write).bits);
    else request.read(this.slave.unit, FUNCTION_OF[table], address, count);
  }

  #fillWrite(request: Request, bits: Write["bits"]): void {
    const { address, writeMultiple } = this.target.point.config;
    const { unit } = this.slave;
    const registers = this.#register ?? bits;
    if (typeof registers === "boolean") {
      if (writeMultiple) request.writeCoils(unit, address, [registers]);
      else request.writeCoil(unit, address, registers);
    } else if (isMask(registers)) {
      request.maskWrite(unit, address, registers.and, registers.or);
    } else if (registers.length === 2 && !writeMultiple) {
      request.writeRegister(unit, address, registers);
    } else {
      request.writeRegisters(unit, address, registers);
    }
  }

  onAnswer(bytes: Buffer, from: number, _end: number, nowMs: number): boolean {
    if (this.target.poll !== null) this.slave.onAnswer();
    const at = from + VALUES_AT;
    if (this.#step === MODIFY) {
      const { and, or } = (this.write as Write).bits as Mask;
      this.#register = Buffer.alloc(2);
      this.#register.writeUInt16BE((bytes.readUInt16BE(at) & and) | (or & ~and & REGISTER));
      this.#step = WRITE;
      return false;
    }
    if (this.#step === WRITE && this.target.point.config.verify) {
      this.#step = VERIFY;
      return false;
    }
    const { poll, point } = this.target;
    if (poll !== null) poll.dueMs = Math.min(poll.dueMs, nowMs);
    const holds = this.#step !== VERIFY || this.#isIn(bytes, at);
    this.#done(this, holds ? null : `written, but read back as ${valueText(point.decode(bytes, at, 0))}`);
    return true;
  }

  onFailure(code: number, nowMs: number): void {
    const words = code === SILENT ? "no answer" : exceptionText(code);
    if (code === SILENT || isAway(code)) this.slave.onSilence(nowMs, words);
    else this.slave.onAnswer();
    this.slave.lastError = words;
    this.#done(this, this.#step === VERIFY ? `written, but not read back: ${words}` : words);
  }

  /** Whether what was written is what was read. */
  #isIn(bytes: Buffer, at: number): boolean {
    const { bits } = this.write as Write;
    if (typeof bits === "boolean") return bitAt(bytes, at, 0) === bits;
    if (isMask(bits)) return ((bytes.readUInt16BE(at) ^ bits.or) & ~bits.and & REGISTER) === 0;
    return bytes.compare(bits, 0, bits.length, at, at + bits.length) === 0;
  }
}

function isMask(bits: Write["bits"]): bits is Mask {
  return typeof bits === "object" && "and" in bits;
}

/** Whether a request to `unit` of a bus goes to all slaves. */
export function isBroadcast(transport: "rtu" | "tcp", unit: number): boolean {
  return transport === "rtu" && unit === BROADCAST;
}
