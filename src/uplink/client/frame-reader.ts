/**
 * Finds the packets in what a server sends. A chunk is read where it lies; only a packet that straddles two chunks is
 * put together in `#rest`, which is never larger than the largest packet.
 *
 *     chunk | ...end of a packet | packet | packet | begin of a pac... |
 *             └─ behind #rest      in place           └─ copied to #rest
 *
 * Of a PUBLISH that is too large only the head is put together, as far as the packet id; the rest is thrown away as it
 * comes. Before MQTT 5 we cannot tell the server how much we take, and closing would make it send the same again.
 */
import { MALFORMED_PACKET, NEED_MORE, OK, PACKET_TOO_LARGE, PUBLISH } from "../../wire/mqtt/codes.ts";
import { FrameHeader, readFrameHeader } from "../../wire/mqtt/frame.ts";
import { readU16 } from "../../wire/mqtt/primitives.ts";

export interface FrameSink {
  /** One packet, its body in `bytes[bodyAt..end)`, valid until it returns. @returns false to stop reading */
  onFrame(bytes: Buffer, type: number, flags: number, bodyAt: number, end: number): boolean;
  /** A PUBLISH larger than allowed: its body as far as the packet id. @returns false to stop reading */
  onOversize(bytes: Buffer, flags: number, bodyAt: number, end: number): boolean;
  /** What follows cannot be read: MALFORMED_PACKET or PACKET_TOO_LARGE. */
  onUnreadable(reasonCode: number): void;
}

/** `#rest` is kept for the next packet unless it is larger. */
const KEPT_BYTES_MAX = 4096;
const EMPTY: Buffer = Buffer.alloc(0);

export class FrameReader {
  readonly #packetBytesMax: number;
  readonly #sink: FrameSink;
  readonly #header = new FrameHeader();
  #rest: Buffer = EMPTY;
  #restLength = 0;
  /** Bytes still to come of a packet that is too large. */
  #skip = 0;

  constructor(packetBytesMax: number, sink: FrameSink) {
    this.#packetBytesMax = packetBytesMax;
    this.#sink = sink;
  }

  /** Forgets what is incomplete: another connection begins. */
  reset(): void {
    this.#rest = EMPTY;
    this.#restLength = 0;
    this.#skip = 0;
  }

  read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, chunk.length - at);
        this.#skip -= skipped;
        at += skipped;
      } else if (this.#restLength > 0) {
        const wanted = this.#wanted(this.#rest, 0, this.#restLength);
        if (wanted < 0) return;
        const end = Math.min(chunk.length, at + wanted - this.#restLength);
        this.#keep(chunk, at, end, wanted);
        at = end;
        if (!this.#readRest()) return;
      } else {
        const wanted = this.#wanted(chunk, at, chunk.length);
        if (wanted < 0) return;
        if (at + wanted > chunk.length) {
          this.#keep(chunk, at, chunk.length, wanted);
          return;
        }
        if (!this.#handle(chunk, at, wanted)) return;
        at += wanted;
      }
    }
  }

  /** Handles what is in `#rest` if it is all there. @returns false to stop reading */
  #readRest(): boolean {
    const rest = this.#rest;
    const length = this.#restLength;
    const wanted = this.#wanted(rest, 0, length);
    if (wanted < 0) return false;
    if (wanted > length) return true;
    this.#restLength = 0;
    if (rest.length > KEPT_BYTES_MAX) this.#rest = EMPTY;
    return this.#handle(rest, 0, wanted);
  }

  /** Bytes from `from` on that have to be there to handle the next packet, as far as known now; -1 after `onUnreadable`. */
  #wanted(bytes: Buffer, from: number, end: number): number {
    const header = this.#header;
    const code = readFrameHeader(bytes, from, end, header);
    if (code === NEED_MORE) return end - from + 1;
    if (code !== OK) return this.#unreadable(MALFORMED_PACKET);
    if (header.end - from <= this.#packetBytesMax) return header.end - from;
    if (header.type !== PUBLISH) return this.#unreadable(PACKET_TOO_LARGE);
    const topicAt = header.bodyAt + 2;
    const headEnd = topicAt > end ? topicAt : topicAt + readU16(bytes, header.bodyAt) + 2;
    return headEnd > header.end ? this.#unreadable(MALFORMED_PACKET) : headEnd - from;
  }

  #unreadable(reasonCode: number): number {
    this.#sink.onUnreadable(reasonCode);
    return -1;
  }

  /** `bytes[from..from + wanted)` is what `#wanted` asked for; `#header` belongs to it. */
  #handle(bytes: Buffer, from: number, wanted: number): boolean {
    const { type, flags, bodyAt, end } = this.#header;
    if (from + wanted === end) return this.#sink.onFrame(bytes, type, flags, bodyAt, end);
    this.#skip = end - from - wanted;
    return this.#sink.onOversize(bytes, flags, bodyAt, from + wanted);
  }

  #keep(chunk: Buffer, from: number, end: number, wanted: number): void {
    const length = this.#restLength + end - from;
    if (this.#rest.length < length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(wanted, 64));
      this.#rest.copy(grown, 0, 0, this.#restLength);
      this.#rest = grown;
    }
    chunk.copy(this.#rest, this.#restLength, from, end);
    this.#restLength = length;
  }
}
