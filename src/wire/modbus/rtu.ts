/**
 * RTU: `unit | PDU | CRC low | CRC high`. A frame says nowhere how long it is, and the silence that ends it is lost on the
 * way through drivers and terminal servers; but a master knows what it asked, so it knows how every answer begins and
 * how long it is. What does not begin so is passed over byte by byte (noise, the echo of the request, an answer that
 * comes too late), and so is a frame with a wrong CRC.
 *
 * @see MODBUS over Serial Line Specification V1.02 section 2.5.1
 */
import { EXCEPTION, isRead } from "./codes.ts";
import { crc16 } from "./crc.ts";
import type { AnswerReader, AnswerSink, Framing } from "./reader.ts";
import { answerLength, type Request } from "./request.ts";
import { ANSWERS, beginsAnswer, EXCEPTION_PDU_BYTES, judgeAnswer } from "./response.ts";

export const RTU_BYTES_MAX = 256;
const CRC_BYTES = 2;
/** More has to come. */
const INCOMPLETE = -1;

export class RtuFraming implements Framing {
  readonly reader = new RtuReader();

  encode(request: Request, bytes: Buffer, at: number): number {
    bytes[at] = request.unit;
    request.pdu.copy(bytes, at + 1, 0, request.pduLength);
    const end = at + 1 + request.pduLength;
    bytes.writeUInt16LE(crc16(bytes, at, end), end);
    this.reader.onEncoded(bytes, at, end + CRC_BYTES);
    return end + CRC_BYTES;
  }
}

/**
 * One request is waited for at a time. Two-wire converters may bring back what was sent. A write of one coil or register and
 * its confirmation are the same bytes, so whether the wire echoes must be known before: reads tell, as no answer to one
 * is like its request. Where it does, the first frame like the request is the echo.
 */
export class RtuReader implements AnswerReader {
  readonly bytes = Buffer.allocUnsafeSlow(RTU_BYTES_MAX);
  from = 0;
  end = 0;
  badFrames = 0;
  strayBytes = 0;
  echoes = 0;
  readonly outOfStep = false;
  #request: Request | null = null;
  #length = 0;
  readonly #sent = Buffer.allocUnsafeSlow(RTU_BYTES_MAX);
  #sentLength = 0;
  /** The wire brings back what is sent. */
  #wireEchoes = false;
  /** It has brought back this request. */
  #echoed = false;

  /** What goes out is `bytes[from..end)`. */
  onEncoded(bytes: Buffer, from: number, end: number): void {
    this.#sentLength = bytes.copy(this.#sent, 0, from, end);
  }

  expect(request: Request): void {
    this.reset();
    this.#request = request;
    this.#echoed = false;
  }

  forget(_request: Request): void {
    this.reset();
  }

  reset(): void {
    this.strayBytes += this.#length;
    this.#length = 0;
    this.#request = null;
  }

  feed(chunk: Uint8Array, sink: AnswerSink): void {
    for (let at = 0; at < chunk.length; at++) {
      const request = this.#request;
      if (request === null) {
        this.strayBytes += chunk.length - at;
        return;
      }
      this.bytes[this.#length++] = chunk[at] as number;
      const verdict = this.#look(request);
      if (verdict === INCOMPLETE) continue;
      if (isRead(request.functionCode)) this.#wireEchoes = this.#echoed;
      this.#length = 0;
      this.#request = null;
      sink.onAnswer(request, verdict);
    }
  }

  /** Passes over what cannot be the beginning; what is left is shorter than the answer, or is it. */
  #look(request: Request): number {
    while (this.#length > 0) {
      const echoed = this.#mayBeEcho(request);
      const whole = this.#wholeLength(request);
      if (whole > 0 && whole <= this.#length && !(echoed && this.#wireEchoes)) {
        const verdict = this.#judge(request, whole);
        if (verdict >= ANSWERS) return verdict;
        if (!echoed) this.badFrames++;
      }
      if (echoed && this.#length >= this.#sentLength) {
        this.#takeEcho();
      } else if (echoed || whole > this.#length) {
        return INCOMPLETE;
      } else {
        this.bytes.copyWithin(0, 1, this.#length--);
        this.strayBytes++;
      }
    }
    return INCOMPLETE;
  }

  /** Whether what is there is the beginning of what was sent, and an echo is possible. */
  #mayBeEcho({ functionCode }: Request): boolean {
    if (this.#echoed || !(this.#wireEchoes || isRead(functionCode))) return false;
    const known = Math.min(this.#length, this.#sentLength);
    for (let i = 0; i < known; i++) if (this.bytes[i] !== this.#sent[i]) return false;
    return true;
  }

  #takeEcho(): void {
    this.echoes++;
    this.#echoed = true;
    this.#wireEchoes = true;
    this.bytes.copyWithin(0, this.#sentLength, this.#length);
    this.#length -= this.#sentLength;
  }

  #judge(request: Request, whole: number): number {
    if (crc16(this.bytes, 0, whole) !== 0) return INCOMPLETE;
    const verdict = judgeAnswer(request, this.bytes, 1, whole - CRC_BYTES);
    this.from = 1;
    this.end = whole - CRC_BYTES;
    return verdict;
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
