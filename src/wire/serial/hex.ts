/** Bytes as pairs of hexadecimal digits. */

/** @returns -1 for another character */
function hexDigit(char: number): number {
  if (char >= 0x30 && char <= 0x39) return char - 0x30;
  const lower = char | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** @returns the byte of the two digits at `at`; negative when they are none */
export function hexByte(bytes: Buffer, at: number): number {
  return (hexDigit(bytes[at] as number) << 4) | hexDigit(bytes[at + 1] as number);
}
