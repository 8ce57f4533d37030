/**
 * MBAP, the header of Modbus TCP: `transaction (2) | protocol 0 (2) | length (2) | unit | PDU`. An answer carries its
 * request's transaction, so one that comes too late is known as such.
 *
 * @see MODBUS Messaging on TCP/IP Implementation Guide V1.0b section 3.1.3
 */
import { PDU_BYTES_MAX } from "./codes.ts";
import { ADU_BYTES_MAX, type AnswerReader, type AnswerSink, type Framing } from "./reader.ts";
import type { Request } from "./request.ts";
import { judgeAnswer, NO_ANSWER } from "./response.ts";

/** Up to the length; the unit is counted by it. */
const PREFIX_BYTES = 6;
const LENGTH_MIN = 3;
const LENGTH_MAX = 1 + PDU_BYTES_MAX;

export class TcpFraming implements Framing {
  readonly reader = new TcpReader();
  #transaction = 0;

  encode(request: Request, bytes: Buffer, at: number): number {
    this.#transaction = (this.#transaction + 1) & 0xffff;
    request.transaction = this.#transaction;
    bytes.writeUInt16BE(this.#transaction, at);
    bytes.writeUInt16BE(0, at + 2);
    bytes.writeUInt16BE(1 + request.pduLength, at + 4);
    bytes[at + PREFIX_BYTES] = request.unit;
    request.pdu.copy(bytes, at + PREFIX_BYTES + 1, 0, request.pduLength);
    return at + PREFIX_BYTES + 1 + request.pduLength;
  }
}

export class TcpReader implements AnswerReader {
  readonly bytes = Buffer.allocUnsafeSlow(ADU_BYTES_MAX);
  from = 0;
  end = 0;
  badFrames = 0;
  strayBytes = 0;
  readonly echoes = 0;
  /** Waited for, a few at most; they may be answered in any order. */
  readonly #requests: Request[] = [];
  #length = 0;
  /** A header was wrong: nobody can tell where the next one begins, so nothing is taken until the next request. */
  #lost = false;

  /** A header was wrong, or more was promised than has come. */
  get outOfStep(): boolean {
    return this.#lost || this.#length > 0;
  }

  /** What is there of a frame stays: the rest of a late answer may still come. */
  expect(request: Request): void {
    this.#requests.push(request);
    this.#lost = false;
  }

  forget(request: Request): void {
    const at = this.#requests.indexOf(request);
    if (at >= 0) this.#requests.splice(at, 1);
  }

  reset(): void {
    this.#requests.length = 0;
    this.strayBytes += this.#length;
    this.#length = 0;
    this.#lost = false;
  }

  feed(chunk: Uint8Array, sink: AnswerSink): void {
    for (let at = 0; at < chunk.length; at++) {
      if (this.#lost) {
        this.strayBytes += chunk.length - at;
        return;
      }
      this.bytes[this.#length++] = chunk[at] as number;
      if (this.#length < PREFIX_BYTES) continue;
      const length = this.bytes.readUInt16BE(4);
      if (this.bytes.readUInt16BE(2) !== 0 || length < LENGTH_MIN || length > LENGTH_MAX) {
        this.badFrames++;
        this.strayBytes += this.#length;
        this.#length = 0;
        this.#lost = true;
      } else if (this.#length === PREFIX_BYTES + length) {
        this.#length = 0;
        this.#take(PREFIX_BYTES + length, sink);
      }
    }
  }

  /** A whole frame: one of an unknown transaction comes too late, or twice. */
  #take(end: number, sink: AnswerSink): void {
    const transaction = this.bytes.readUInt16BE(0);
    const request = this.#requests.find((waiting) => waiting.transaction === transaction);
    if (request === undefined) {
      this.strayBytes += end;
      return;
    }
    const isUnit = this.bytes[PREFIX_BYTES] === request.unit;
    const verdict = isUnit ? judgeAnswer(request, this.bytes, PREFIX_BYTES + 1, end) : NO_ANSWER;
    if (verdict === NO_ANSWER) {
      this.badFrames++;
      this.strayBytes += end;
      return;
    }
    this.forget(request);
    this.from = PREFIX_BYTES + 1;
    this.end = end;
    sink.onAnswer(request, verdict);
  }
}
