/**
 * RTU: `unit | PDU | CRC low | CRC high`. A frame says nowhere how long it is, and the silence that ends it is lost on the
 * way through drivers and terminal servers; but a master knows what it asked, so it knows how every answer begins and
 * how long it is. What does not begin so is passed over byte by byte (noise, the echo of the request, an answer that
 * comes too late), and so is a frame with a wrong CRC.
 *
 * @see MODBUS over Serial Line Specification V1.02 section 2.5.1
 */
import { EXCEPTION } from "./codes.ts";
import { crc16 } from "./crc.ts";
import { type AnswerReader, type Framing, INCOMPLETE } from "./reader.ts";
import { answerLength, type Request } from "./request.ts";
import { ANSWERS, beginsAnswer, EXCEPTION_PDU_BYTES, judgeAnswer } from "./response.ts";

export const RTU_BYTES_MAX = 256;
const CRC_BYTES = 2;

export class RtuFraming implements Framing {
  readonly reader = new RtuReader();

  encode(request: Request, bytes: Buffer): number {
    bytes[0] = request.unit;
    request.pdu.copy(bytes, 1, 0, request.pduLength);
    const end = 1 + request.pduLength;
    bytes.writeUInt16LE(crc16(bytes, 0, end), end);
    return end + CRC_BYTES;
  }
}

export class RtuReader implements AnswerReader {
  readonly bytes = Buffer.allocUnsafeSlow(RTU_BYTES_MAX);
  from = 0;
  end = 0;
  badFrames = 0;
  strayBytes = 0;
  #request: Request | null = null;
  #length = 0;

  expect(request: Request): void {
    this.strayBytes += this.#length;
    this.#length = 0;
    this.#request = request;
  }

  reset(): void {
    this.strayBytes += this.#length;
    this.#length = 0;
    this.#request = null;
  }

  feed(chunk: Uint8Array): number {
    const request = this.#request;
    if (request === null) {
      this.strayBytes += chunk.length;
      return INCOMPLETE;
    }
    for (let at = 0; at < chunk.length; at++) {
      this.bytes[this.#length++] = chunk[at] as number;
      const verdict = this.#look(request);
      if (verdict === INCOMPLETE) continue;
      this.strayBytes += chunk.length - at - 1;
      this.#length = 0;
      this.#request = null;
      return verdict;
    }
    return INCOMPLETE;
  }

  /** Passes over what cannot be the beginning; what is left is shorter than the answer, or is it. */
  #look(request: Request): number {
    while (this.#length > 0) {
      const whole = this.#wholeLength(request);
      if (whole > this.#length) return INCOMPLETE;
      if (whole > 0) {
        if (crc16(this.bytes, 0, whole) === 0) {
          const verdict = judgeAnswer(request, this.bytes, 1, whole - CRC_BYTES);
          if (verdict >= ANSWERS) {
            this.from = 1;
            this.end = whole - CRC_BYTES;
            return verdict;
          }
        }
        this.badFrames++;
      }
      this.bytes.copyWithin(0, 1, this.#length--);
      this.strayBytes++;
    }
    return INCOMPLETE;
  }

  /** @returns 0 when the bytes do not begin an answer */
  #wholeLength(request: Request): number {
    if (this.bytes[0] !== request.unit) return 0;
    if (this.#length === 1) return RTU_BYTES_MAX;
    if (this.bytes[1] === (request.functionCode | EXCEPTION)) return 1 + EXCEPTION_PDU_BYTES + CRC_BYTES;
    if (!beginsAnswer(request, this.bytes, 1, this.#length)) return 0;
    return 1 + answerLength(request) + CRC_BYTES;
  }
}

/** Of one character on the line: start, data, parity, stop. */
export interface Characters {
  readonly baud: number;
  readonly bits: number;
}

/** Above 19,200 baud the silence is fixed, so that it does not become too short to keep. */
const FAST_BAUD = 19_200;
const FAST_SILENCE_MS = 1.75;
const SILENCE_CHARACTERS = 3.5;

/** Ms of silence that end a frame. @see section 2.5.1.1 */
export function silenceMs({ baud, bits }: Characters): number {
  return baud > FAST_BAUD ? FAST_SILENCE_MS : (SILENCE_CHARACTERS * bits * 1000) / baud;
}
