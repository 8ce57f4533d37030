/** Function and exception codes. @see MODBUS Application Protocol Specification V1.1b3 sections 6 and 7 */

export const READ_COILS = 1;
export const READ_DISCRETE_INPUTS = 2;
export const READ_HOLDING_REGISTERS = 3;
export const READ_INPUT_REGISTERS = 4;
export const WRITE_SINGLE_COIL = 5;
export const WRITE_SINGLE_REGISTER = 6;
export const WRITE_MULTIPLE_COILS = 15;
export const WRITE_MULTIPLE_REGISTERS = 16;
export const MASK_WRITE_REGISTER = 22;
/** Added to the function code of an answer that is an exception. */
export const EXCEPTION = 0x80;

/** A request to it goes to all, and none of them answers. @see MODBUS over Serial Line Specification V1.02 section 2.1 */
export const BROADCAST = 0;

export const ILLEGAL_DATA_ADDRESS = 2;
export const ILLEGAL_DATA_VALUE = 3;
export const SERVER_DEVICE_BUSY = 6;
export const GATEWAY_PATH_UNAVAILABLE = 0x0a;
export const GATEWAY_TARGET_SILENT = 0x0b;

/** Most that one request may ask for. */
export const READ_BITS_MAX = 2000;
export const READ_REGISTERS_MAX = 125;
/** Function code and what follows it. */
export const PDU_BYTES_MAX = 253;

const EXCEPTION_TEXTS: Readonly<Record<number, string>> = {
  1: "illegal function",
  2: "illegal data address",
  3: "illegal data value",
  4: "server device failure",
  5: "acknowledge",
  6: "server device busy",
  8: "memory parity error",
  10: "gateway path unavailable",
  11: "gateway target device failed to respond",
};

export function exceptionText(code: number): string {
  return EXCEPTION_TEXTS[code] ?? `exception ${code}`;
}

/** Whether `code` reads or writes single bits. */
export function isOfBits(code: number): boolean {
  return (
    code === READ_COILS || code === READ_DISCRETE_INPUTS || code === WRITE_SINGLE_COIL || code === WRITE_MULTIPLE_COILS
  );
}

export function isRead(code: number): boolean {
  return code >= READ_COILS && code <= READ_INPUT_REGISTERS;
}
