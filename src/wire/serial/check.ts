/**
 * The check of a frame: its sum, where it stands, in which order of bytes, and whether in bytes or in hexadecimal digits.
 *
 *     position end      | skip | content summed | mark | check | tail |      NMEA 0183: skip "$", mark "*", two digits
 *     position start    | check | skip | content summed |
 *     position behind   start | content summed | end | check                 with the end (IEC 62056-21), or both (DSMR P1)
 */
import { crc8, crc16Ccitt, crc16Modbus, crc16X25, crc32, lrc8, sum8, sum16, xor8 } from "./crc.ts";
import { hexByte } from "./hex.ts";

export type CheckType =
  | "sum8"
  | "sum16"
  | "xor8"
  | "lrc8"
  | "crc8"
  | "crc16-modbus"
  | "crc16-arc"
  | "crc16-ccitt"
  | "crc16-x25"
  | "crc32";

export interface CheckOptions {
  readonly type: CheckType;
  /** Before or behind the content it is the sum of, or behind the end bytes of a start-end framing. */
  readonly position: "start" | "end" | "behind";
  readonly endian: "big" | "little";
  /** What crc16-ccitt begins with. */
  readonly init: number;
  /** As hexadecimal digits, two for each byte; upper case is written. */
  readonly digits?: boolean;
  /** Bytes at the beginning of the content that are not summed. */
  readonly skip?: number;
  /** Between the content and a check at its end; neither summed nor published. */
  readonly mark?: ArrayLike<number>;
  /** Behind a check at the end; neither summed nor published (the 0x16 of M-Bus). */
  readonly tail?: ArrayLike<number>;
  /** What a check behind the end is also the sum of: the end bytes, or start and end bytes. */
  readonly covers?: "content" | "end" | "both";
  /** Mark, check and tail are part of what is published. */
  readonly keep?: boolean;
}

const NONE: ArrayLike<number> = [];

export class FrameCheck {
  /** Bytes of the check before the content, and of mark, check and tail behind it; one of them is 0. */
  readonly before: number;
  readonly behind: number;
  /** Bytes of a check behind the end bytes. */
  readonly aside: number;
  /** Bytes that are not published, before and behind the content. */
  readonly cutBefore: number;
  readonly cutBehind: number;
  readonly options: CheckOptions;
  readonly #width: number;
  readonly #skip: number;
  readonly #mark: Buffer;
  readonly #tail: Buffer;

  constructor(options: CheckOptions) {
    const { type, position, digits = false, skip = 0, mark = NONE, tail = NONE, keep = false } = options;
    this.options = options;
    this.#width = sumBytes(type);
    this.#skip = skip;
    this.#mark = Buffer.from(mark);
    this.#tail = Buffer.from(tail);
    const bytes = checkBytes(type, digits);
    this.before = position === "start" ? bytes : 0;
    this.behind = position === "end" ? this.#mark.length + bytes + this.#tail.length : 0;
    this.aside = position === "behind" ? bytes : 0;
    this.cutBefore = keep ? 0 : this.before;
    this.cutBehind = keep ? 0 : this.behind;
  }

  /** Whether `bytes[from..end)`, content and check, is as it was sent. */
  holds(bytes: Buffer, from: number, end: number): boolean {
    const contentFrom = from + this.before;
    const contentEnd = end - this.behind;
    if (contentEnd < contentFrom) return false;
    if (!stands(this.#mark, bytes, contentEnd) || !stands(this.#tail, bytes, end - this.#tail.length)) return false;
    return this.says(bytes, contentFrom, contentEnd, this.before > 0 ? from : contentEnd + this.#mark.length);
  }

  /** Whether the check at `at` is the one of `bytes[from..end)`. */
  says(bytes: Buffer, from: number, end: number, at: number): boolean {
    return this.#read(bytes, at) === this.#sum(bytes, from + this.#skip, end);
  }

  /** `content` with its check, unless that stands behind the end bytes. */
  added(content: Buffer): Buffer {
    const frame = Buffer.allocUnsafe(this.before + content.length + this.behind);
    content.copy(frame, this.before);
    this.#mark.copy(frame, content.length);
    this.#tail.copy(frame, frame.length - this.#tail.length);
    this.write(frame, this.before > 0 ? 0 : content.length + this.#mark.length, content, 0, content.length);
    return frame;
  }

  /** Writes the check of `bytes[from..end)` to `out` at `at`. */
  write(out: Buffer, at: number, bytes: Buffer, from: number, end: number): void {
    const width = this.#width;
    const sum = this.#sum(bytes, from + this.#skip, end);
    const binary = this.options.digits ? Buffer.allocUnsafe(width) : out;
    const binaryAt = this.options.digits ? 0 : at;
    if (this.options.endian === "little") binary.writeUIntLE(sum, binaryAt, width);
    else binary.writeUIntBE(sum, binaryAt, width);
    if (this.options.digits) out.write(binary.toString("hex").toUpperCase(), at, "latin1");
  }

  /** @returns a value that is no sum for what are no digits */
  #read(bytes: Buffer, at: number): number {
    const width = this.#width;
    const little = this.options.endian === "little";
    if (!this.options.digits) return little ? bytes.readUIntLE(at, width) : bytes.readUIntBE(at, width);
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const byte = hexByte(bytes, at + 2 * (little ? width - 1 - i : i));
      if (byte < 0) return -1;
      sum = sum * 256 + byte;
    }
    return sum;
  }

  #sum(bytes: Buffer, from: number, end: number): number {
    switch (this.options.type) {
      case "sum8":
        return sum8(bytes, from, end);
      case "sum16":
        return sum16(bytes, from, end);
      case "xor8":
        return xor8(bytes, from, end);
      case "lrc8":
        return lrc8(bytes, from, end);
      case "crc8":
        return crc8(bytes, from, end);
      case "crc16-modbus":
        return crc16Modbus(bytes, from, end);
      case "crc16-arc":
        return crc16Modbus(bytes, from, end, 0);
      case "crc16-ccitt":
        return crc16Ccitt(bytes, from, end, this.options.init);
      case "crc16-x25":
        return crc16X25(bytes, from, end);
      case "crc32":
        return crc32(bytes, from, end);
    }
  }
}

function stands(what: Buffer, bytes: Buffer, at: number): boolean {
  for (let i = 0; i < what.length; i++) if (bytes[at + i] !== what[i]) return false;
  return true;
}

function sumBytes(type: CheckType): number {
  if (type === "crc32") return 4;
  return type.includes("16") ? 2 : 1;
}

/** On the wire, without a mark. */
function checkBytes(type: CheckType, digits: boolean): number {
  return sumBytes(type) * (digits ? 2 : 1);
}
