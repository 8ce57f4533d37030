/** What Modbus RTU frames say. On one wire there are requests and answers, and nothing but their form tells them apart. */

import { EXCEPTION, exceptionText } from "../../wire/modbus/codes.ts";
import { crc16 } from "../../wire/modbus/crc.ts";
import { silenceMs } from "../../wire/modbus/rtu.ts";
import { ModbusFrames } from "./modbus-frames.ts";
import { type Judgement, judgement, type Reading } from "./reading.ts";

const CRC_BYTES = 2;
const NAMES: Readonly<Record<number, string>> = {
  1: "read coils",
  2: "read discrete inputs",
  3: "read holding registers",
  4: "read input registers",
  5: "write coil",
  6: "write register",
  7: "read exception status",
  8: "diagnostics",
  15: "write coils",
  16: "write registers",
  17: "report server id",
  22: "mask write register",
  23: "read and write registers",
  43: "encapsulated interface",
};

export function modbusReading({ baud, dataBits, parity, stopBits }: Line): Reading {
  const bits = 1 + dataBits + (parity === "none" ? 0 : 1) + stopBits;
  const words = new Conversation();
  return {
    decoder: new ModbusFrames(silenceMs({ baud, bits })),
    name: "Modbus RTU, crc16-modbus",
    strength: "strong",
    judge: (frame) => words.judge(frame),
  };
}

interface Line {
  readonly baud: number;
  readonly dataBits: number;
  readonly parity: string;
  readonly stopBits: number;
}

/** An answer has the unit and function of the request before it. */
class Conversation {
  #asked = -1;

  judge(frame: Buffer): Judgement {
    const contentEnd = frame.length - CRC_BYTES;
    if (contentEnd < 2) return judgement("check");
    if (crc16(frame, 0, frame.length) !== 0) {
      const expected = Buffer.alloc(CRC_BYTES);
      expected.writeUInt16LE(crc16(frame, 0, contentEnd));
      return judgement("check", null, expected);
    }
    const unit = frame[0] as number;
    const code = frame[1] as number;
    const who = unit === 0 ? "all units" : `unit ${unit}`;
    if (code >= EXCEPTION) {
      this.#asked = -1;
      return judgement("ok", `${who} answers ${nameOf(code - EXCEPTION)}: ${exceptionText(frame[2] ?? 0)}`);
    }
    const key = unit * 256 + code;
    const answer = answerWords(frame, contentEnd);
    const request = requestWords(frame, contentEnd);
    const isAnswer = answer !== null && (request === null || this.#asked === key);
    this.#asked = isAnswer ? -1 : key;
    if (isAnswer) return judgement("ok", `${who} answers ${nameOf(code)}: ${answer}`);
    return judgement("ok", `${who}: ${nameOf(code)}${request === null ? "" : ` ${request}`}`);
  }
}

function nameOf(code: number): string {
  return NAMES[code] ?? `function ${code}`;
}

/** @see MODBUS Application Protocol V1.1b3 section 6 */
function requestWords(frame: Buffer, end: number): string | null {
  const code = frame[1] as number;
  const at = (): number => frame.readUInt16BE(2);
  const value = (): number => frame.readUInt16BE(4);
  if (code >= 1 && code <= 4) return end === 6 ? `${at()}, ${value()} of them` : null;
  if (code === 5 && end === 6) return `${at()} = ${value() === 0xff00 ? "on" : value() === 0 ? "off" : value()}`;
  if (code === 6 && end === 6) return `${at()} = ${value()}`;
  if ((code === 15 || code === 16) && end > 7 && end === 7 + (frame[6] as number)) {
    return `${at()}, ${value()} of them${code === 16 ? ` = ${registers(frame, 7, end)}` : ""}`;
  }
  return null;
}

function answerWords(frame: Buffer, end: number): string | null {
  const code = frame[1] as number;
  if (code >= 1 && code <= 4) {
    const bytes = frame[2] as number;
    if (end !== 3 + bytes || (code >= 3 && bytes % 2 !== 0)) return null;
    return code >= 3 ? registers(frame, 3, end) : frame.toString("hex", 3, end);
  }
  if (code === 5 || code === 6) return requestWords(frame, end);
  if (code === 15 || code === 16)
    return end === 6 ? `${frame.readUInt16BE(2)}, ${frame.readUInt16BE(4)} of them` : null;
  return null;
}

/** "230, 51": each as an unsigned number. */
function registers(frame: Buffer, from: number, end: number): string {
  const values: number[] = [];
  for (let at = from; at + 1 < end; at += 2) values.push(frame.readUInt16BE(at));
  return values.join(", ");
}
