/** The check of a frame: its sum, where it stands and in which order of bytes. */
import { crc8, crc16Ccitt, crc16Modbus, crc32, sum8, xor8 } from "./crc.ts";

export type CheckType = "sum8" | "xor8" | "crc8" | "crc16-modbus" | "crc16-ccitt" | "crc32";

export interface CheckOptions {
  readonly type: CheckType;
  /** Before or behind the content it is the sum of. */
  readonly position: "start" | "end";
  readonly endian: "big" | "little";
  /** What crc16-ccitt begins with. */
  readonly init: number;
}

export class FrameCheck {
  /** Bytes of the check before and behind the content; one of them is 0. */
  readonly before: number;
  readonly behind: number;
  readonly #type: CheckType;
  readonly #little: boolean;
  readonly #init: number;

  constructor({ type, position, endian, init }: CheckOptions) {
    const width = type === "crc32" ? 4 : type.startsWith("crc16") ? 2 : 1;
    this.before = position === "start" ? width : 0;
    this.behind = position === "end" ? width : 0;
    this.#type = type;
    this.#little = endian === "little";
    this.#init = init;
  }

  /** Whether `bytes[from..end)`, content and check, is as it was sent. */
  holds(bytes: Buffer, from: number, end: number): boolean {
    const contentFrom = from + this.before;
    const contentEnd = end - this.behind;
    if (contentEnd < contentFrom) return false;
    const at = this.before > 0 ? from : contentEnd;
    return this.#read(bytes, at) === this.#sum(bytes, contentFrom, contentEnd);
  }

  /** `content` with its check. */
  added(content: Buffer): Buffer {
    const width = this.before + this.behind;
    const frame = Buffer.allocUnsafe(content.length + width);
    content.copy(frame, this.before);
    const at = this.before > 0 ? 0 : content.length;
    const sum = this.#sum(content, 0, content.length);
    if (this.#little) frame.writeUIntLE(sum, at, width);
    else frame.writeUIntBE(sum, at, width);
    return frame;
  }

  #read(bytes: Buffer, at: number): number {
    const width = this.before + this.behind;
    return this.#little ? bytes.readUIntLE(at, width) : bytes.readUIntBE(at, width);
  }

  #sum(bytes: Buffer, from: number, end: number): number {
    switch (this.#type) {
      case "sum8":
        return sum8(bytes, from, end);
      case "xor8":
        return xor8(bytes, from, end);
      case "crc8":
        return crc8(bytes, from, end);
      case "crc16-modbus":
        return crc16Modbus(bytes, from, end);
      case "crc16-ccitt":
        return crc16Ccitt(bytes, from, end, this.#init);
      case "crc32":
        return crc32(bytes, from, end);
    }
  }
}
