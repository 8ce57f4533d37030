/**
 * Messages one behind the other on a line of bytes: each begins with its Length, and nothing else tells where one begins.
 * Who lost the beginning finds it behind a gap. What a reserved MsgType or a Length beyond the limit begins is no message.
 *
 *     | Length | MsgType | ... | Length | MsgType | ...
 */
import { ENCAPSULATED } from "./codes.ts";
import { isMessageType } from "./decode.ts";

/** What `measure` says besides the bytes of a message. */
const UNKNOWN = 0;
const IMPOSSIBLE = -1;

/** As wire/serial's decoders have it. */
export interface MessageSink {
  /** One message, `bytes[from..end)`; valid until return. */
  onFrame(bytes: Buffer, from: number, end: number): boolean;
  /** Bytes that are none: up to the next gap nothing is read. */
  onBadFrame(cause: "cut" | "noise", bytes: Buffer, from: number, end: number): void;
}

export class MessageStream {
  /** Behind so long a silence a message begins. */
  readonly gapMs: number;
  readonly busy = false;
  readonly #message: Buffer;
  #length = 0;
  #lost = false;

  constructor(messageBytesMax: number, gapMs: number) {
    this.#message = Buffer.allocUnsafeSlow(messageBytesMax);
    this.gapMs = gapMs;
  }

  get pendingBytes(): number {
    return this.#length;
  }

  feed(chunk: Buffer, from: number, sink: MessageSink): number {
    const message = this.#message;
    for (let i = from; i < chunk.length && !this.#lost; i++) {
      message[this.#length++] = chunk[i] as number;
      const due = measure(message, 0, this.#length, message.length);
      if (due === IMPOSSIBLE) this.#lose("noise", sink);
      else if (due === this.#length) this.#deliver(sink);
    }
    return chunk.length;
  }

  onGap(sink: MessageSink): void {
    if (this.#length > 0) this.#lose("cut", sink);
    this.#lost = false;
  }

  reset(): void {
    this.#length = 0;
    this.#lost = false;
  }

  #deliver(sink: MessageSink): void {
    const length = this.#length;
    this.#length = 0;
    sink.onFrame(this.#message, 0, length);
  }

  #lose(cause: "cut" | "noise", sink: MessageSink): void {
    sink.onBadFrame(cause, this.#message, 0, this.#length);
    this.#length = 0;
    this.#lost = true;
  }
}

/** Bytes of the message that begins `bytes[from..end)`, with all that an envelope wraps. */
function measure(bytes: Buffer, from: number, end: number, bytesMax: number): number {
  const isLong = bytes[from] === 1;
  const typeAt = from + (isLong ? 3 : 1);
  if (isLong && end < from + 3) return UNKNOWN;
  const length = isLong ? bytes.readUInt16BE(from + 1) : (bytes[from] as number);
  const headEnd = from + length;
  if (headEnd <= typeAt || headEnd > bytesMax) return IMPOSSIBLE;
  if (end <= typeAt) return UNKNOWN;
  const type = bytes[typeAt] as number;
  if (type !== ENCAPSULATED) return isMessageType(type) ? headEnd : IMPOSSIBLE;
  if (from > 0) return IMPOSSIBLE; // an envelope in an envelope
  return end > headEnd ? measure(bytes, headEnd, end, bytesMax) : UNKNOWN;
}
