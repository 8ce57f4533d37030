/**
 * CRC-16/MODBUS: polynomial 0xA001 (reflected), start 0xFFFF, low byte first on the wire.
 * @see MODBUS over Serial Line Specification V1.02 section 2.5.1.2
 */

const TABLE = new Uint16Array(256);
for (let i = 0; i < 256; i++) {
  let crc = i;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  TABLE[i] = crc;
}

/** Of `bytes[from..end)`. Over a frame with its CRC it is 0. */
export function crc16(bytes: Uint8Array, from: number, end: number): number {
  let crc = 0xffff;
  for (let i = from; i < end; i++) crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number);
  return crc;
}
