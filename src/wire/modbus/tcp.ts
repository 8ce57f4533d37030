/**
 * MBAP, the header of Modbus TCP: `transaction (2) | protocol 0 (2) | length (2) | unit | PDU`. An answer carries its
 * request's transaction, so one that comes too late is known as such.
 *
 * @see MODBUS Messaging on TCP/IP Implementation Guide V1.0b section 3.1.3
 */
import { PDU_BYTES_MAX } from "./codes.ts";
import { ADU_BYTES_MAX, type AnswerReader, type Framing, INCOMPLETE } from "./reader.ts";
import type { Request } from "./request.ts";
import { judgeAnswer, NO_ANSWER } from "./response.ts";

/** Up to the length; the unit is counted by it. */
const PREFIX_BYTES = 6;
const LENGTH_MIN = 3;
const LENGTH_MAX = 1 + PDU_BYTES_MAX;

export class TcpFraming implements Framing {
  readonly reader = new TcpReader();
  #transaction = 0;

  encode(request: Request, bytes: Buffer): number {
    this.#transaction = (this.#transaction + 1) & 0xffff;
    this.reader.transaction = this.#transaction;
    bytes.writeUInt16BE(this.#transaction, 0);
    bytes.writeUInt16BE(0, 2);
    bytes.writeUInt16BE(1 + request.pduLength, 4);
    bytes[PREFIX_BYTES] = request.unit;
    request.pdu.copy(bytes, PREFIX_BYTES + 1, 0, request.pduLength);
    return PREFIX_BYTES + 1 + request.pduLength;
  }
}

export class TcpReader implements AnswerReader {
  readonly bytes = Buffer.allocUnsafeSlow(ADU_BYTES_MAX);
  from = 0;
  end = 0;
  badFrames = 0;
  strayBytes = 0;
  /** Of the request that is waited for. */
  transaction = 0;
  #request: Request | null = null;
  #length = 0;
  /** A header was wrong: nobody can tell where the next one begins, so nothing is taken until the next request. */
  #lost = false;

  /** What is there of a frame stays: the rest of a late answer may still come. */
  expect(request: Request): void {
    this.#request = request;
    this.#lost = false;
  }

  reset(): void {
    this.#request = null;
    this.strayBytes += this.#length;
    this.#length = 0;
  }

  feed(chunk: Uint8Array): number {
    for (let at = 0; at < chunk.length; at++) {
      if (this.#lost) {
        this.strayBytes += chunk.length - at;
        return INCOMPLETE;
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
        const verdict = this.#judge();
        if (verdict !== NO_ANSWER) {
          this.strayBytes += chunk.length - at - 1;
          return verdict;
        }
      }
    }
    return INCOMPLETE;
  }

  #judge(): number {
    const request = this.#request;
    const end = this.#length;
    this.#length = 0;
    if (request !== null && this.bytes.readUInt16BE(0) === this.transaction) {
      const verdict =
        this.bytes[PREFIX_BYTES] === request.unit ? judgeAnswer(request, this.bytes, PREFIX_BYTES + 1, end) : NO_ANSWER;
      if (verdict !== NO_ANSWER) {
        this.#request = null;
        this.from = PREFIX_BYTES + 1;
        this.end = end;
        return verdict;
      }
      this.badFrames++;
    }
    this.strayBytes += end;
    return NO_ANSWER;
  }
}
