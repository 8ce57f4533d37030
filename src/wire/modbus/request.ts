/** A request as a master sends it: which slave, which function, and its PDU. One is filled again and again. */

import { assert } from "../../base/assert.ts";
import {
  isOfBits,
  isRead,
  MASK_WRITE_REGISTER,
  PDU_BYTES_MAX,
  READ_BITS_MAX,
  READ_REGISTERS_MAX,
  WRITE_MULTIPLE_COILS,
  WRITE_MULTIPLE_REGISTERS,
  WRITE_SINGLE_COIL,
  WRITE_SINGLE_REGISTER,
} from "./codes.ts";

const COIL_ON = 0xff00;

export class Request {
  /** 0 to 255. */
  unit = 0;
  /** Of the MBAP header; encoding sets it. */
  transaction = 0;
  functionCode = 0;
  /** Of the first bit or register, from 0. */
  address = 0;
  /** Bits or registers. */
  count = 0;
  readonly pdu = Buffer.allocUnsafeSlow(PDU_BYTES_MAX);
  pduLength = 0;

  read(unit: number, functionCode: number, address: number, count: number): void {
    assert(isRead(functionCode), "a function that reads");
    assert(count >= 1 && count <= (isOfBits(functionCode) ? READ_BITS_MAX : READ_REGISTERS_MAX), "a count to read");
    this.#begin(unit, functionCode, address, count);
    this.pdu.writeUInt16BE(count, 3);
    this.pduLength = 5;
  }

  writeCoil(unit: number, address: number, on: boolean): void {
    this.#begin(unit, WRITE_SINGLE_COIL, address, 1);
    this.pdu.writeUInt16BE(on ? COIL_ON : 0, 3);
    this.pduLength = 5;
  }

  /** The same with the function that writes several, for devices that know no other. */
  writeCoils(unit: number, address: number, on: readonly boolean[]): void {
    this.#begin(unit, WRITE_MULTIPLE_COILS, address, on.length);
    const bytes = Math.ceil(on.length / 8);
    this.pdu.writeUInt16BE(on.length, 3);
    this.pdu[5] = bytes;
    this.pdu.fill(0, 6, 6 + bytes);
    for (let i = 0; i < on.length; i++) if (on[i]) (this.pdu[6 + (i >> 3)] as number) |= 1 << (i & 7);
    this.pduLength = 6 + bytes;
  }

  /** @param registers two bytes, big-endian */
  writeRegister(unit: number, address: number, registers: Uint8Array): void {
    assert(registers.length === 2, "one register");
    this.#begin(unit, WRITE_SINGLE_REGISTER, address, 1);
    this.pdu.set(registers, 3);
    this.pduLength = 5;
  }

  /** @param registers two bytes each, at most 123 of them */
  writeRegisters(unit: number, address: number, registers: Uint8Array): void {
    this.#begin(unit, WRITE_MULTIPLE_REGISTERS, address, registers.length / 2);
    this.pdu.writeUInt16BE(this.count, 3);
    this.pdu[5] = registers.length;
    this.pdu.set(registers, 6);
    this.pduLength = 6 + registers.length;
  }

  /**
   * Changes bits of a register: what it holds AND `and`, with `or` where `and` is 0.
   * @see MODBUS Application Protocol V1.1b3 section 6.16
   */
  maskWrite(unit: number, address: number, and: number, or: number): void {
    this.#begin(unit, MASK_WRITE_REGISTER, address, 1);
    this.pdu.writeUInt16BE(and, 3);
    this.pdu.writeUInt16BE(or, 5);
    this.pduLength = 7;
  }

  #begin(unit: number, functionCode: number, address: number, count: number): void {
    assert(address >= 0 && address + count <= 0x1_0000, "addresses of 16 bits");
    this.unit = unit;
    this.functionCode = functionCode;
    this.address = address;
    this.count = count;
    this.pdu[0] = functionCode;
    this.pdu.writeUInt16BE(address, 1);
  }
}

/** Bytes of the PDU that answers `request`, unless it is an exception. */
export function answerLength({ functionCode, count }: Request): number {
  if (functionCode === MASK_WRITE_REGISTER) return 7;
  if (!isRead(functionCode)) return 5;
  return 2 + (isOfBits(functionCode) ? Math.ceil(count / 8) : 2 * count);
}
