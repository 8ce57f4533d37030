/**
 * CoAP over a serial line, as a port for datagrams: who serves CoAP over UDP serves it here. The one peer is the line,
 * under the name `serial:<name>`; when the device is away, so is the peer. Text for people that comes on the same wire
 * goes to a `DiagnosticSink`; IP packets are counted and dropped.
 *
 * A datagram that finds no room is dropped and counted, as UDP would: CoAP repeats what has to arrive.
 * @see draft-bormann-t2trg-slipmux-04; RFC 7252 sections 4.2 (repetition) and 4.8.1 (ACK_TIMEOUT)
 */
import type { Counter, Counters } from "../../base/counters.ts";
import type { Log } from "../../base/log.ts";
import type { Line } from "../../config/budget.ts";
import type { DatagramHandler, DatagramPort } from "../../core/ports.ts";
import { FrameWriter } from "../../transport/serial/frame-writer.ts";
import type { BadFrame, FrameSink } from "../../wire/serial/framing.ts";
import { SlipDecoder, slipBytesMax, writeSlip } from "../../wire/serial/slip.ts";
import {
  COAP,
  COAP_FRAME_OVERHEAD,
  DIAGNOSTIC,
  isBareCoap,
  isPacket,
  isWhole,
  writeCoap,
} from "../../wire/serial/slipmux.ts";
import type { SerialDevice, SerialDeviceHandler } from "./parts.ts";

/** Takes what the device says to people. */
export interface DiagnosticSink {
  /** `bytes[from..end)` is the text, valid until return. */
  onDiagnostic(bytes: Buffer, from: number, end: number): void;
}

export interface SlipmuxOptions {
  readonly name: string;
  /** `slip`: without slipmux's byte and check. */
  readonly framing: "slipmux" | "slip";
  /** Of a CoAP message, either way. */
  readonly messageBytesMax: number;
  readonly baud: number;
}

/** Frames that wait for the write under way; and that write. */
const SEND_BYTES = 4096;
/** RFC 7252 section 4.8: how long an acknowledgement may take on a line that takes no time. */
const ACK_TIMEOUT_MS = 2_000;
/** A byte with start, parity and stop. */
const BITS_PER_BYTE = 11;

export class SlipmuxPort implements DatagramPort, SerialDeviceHandler, FrameSink {
  /** `serial:<name>`: the peer's address and its identity, too. */
  readonly address: string;
  readonly port = 0;
  readonly maxPayload: number;
  /** Nobody can pretend to be at the other end of a cable. */
  readonly peersVerified = true;
  readonly answerMs: number;
  handler: DatagramHandler | null = null;
  readonly #name: string;
  /** `framing: slip` */
  readonly #bare: boolean;
  readonly #writer: FrameWriter;
  readonly #diagnostics: DiagnosticSink;
  readonly #decoder: SlipDecoder;
  /** It has been said that the device speaks the other framing. */
  #otherFraming = false;
  readonly #log: Log;
  readonly #received: Counter;
  readonly #sent: Counter;
  readonly #sendsDropped: Counter;
  readonly #texts: Counter;
  readonly #packets: Counter;
  readonly #unknown: Counter;
  readonly #badCheck: Counter;
  readonly #badEscape: Counter;
  readonly #tooLong: Counter;
  readonly #cut: Counter;

  constructor(
    { name, framing, messageBytesMax, baud }: SlipmuxOptions,
    device: SerialDevice,
    diagnostics: DiagnosticSink,
    { counters, log }: { readonly counters: Counters; readonly log: Log },
  ) {
    this.address = `serial:${name}`;
    this.maxPayload = messageBytesMax;
    // The longest message behind another one, and the same from the device.
    const frameMs = ((messageBytesMax + 2 + COAP_FRAME_OVERHEAD) * BITS_PER_BYTE * 1000) / baud;
    this.answerMs = ACK_TIMEOUT_MS + Math.ceil(4 * frameMs);
    this.#name = name;
    this.#bare = framing === "slip";
    this.#writer = new FrameWriter(device, SEND_BYTES);
    this.#diagnostics = diagnostics;
    this.#log = log;
    this.#decoder = new SlipDecoder({ frameBytesMax: messageBytesMax + COAP_FRAME_OVERHEAD }, null);
    this.#received = counters.counter("slipmux.coap_received");
    this.#sent = counters.counter("slipmux.coap_sent");
    this.#sendsDropped = counters.counter("slipmux.sends_dropped");
    this.#texts = counters.counter("slipmux.diagnostics");
    this.#packets = counters.counter("slipmux.ip_dropped");
    this.#unknown = counters.counter("slipmux.unknown");
    this.#badCheck = counters.counter("slipmux.bad_check");
    this.#badEscape = counters.counter("slipmux.bad_escape");
    this.#tooLong = counters.counter("slipmux.too_long");
    this.#cut = counters.counter("slipmux.cut");
  }

  send(bytes: Buffer, from: number, end: number, _address: string, _port: number): boolean {
    const length = end - from;
    const fits = length <= this.maxPayload;
    const at = fits ? this.#writer.placeFor(slipBytesMax(length + COAP_FRAME_OVERHEAD)) : -1;
    if (at < 0) {
      this.#sendsDropped.value++;
      return false;
    }
    const out = this.#writer.bytes;
    this.#writer.placed(this.#bare ? writeSlip(bytes, from, end, out, at) : writeCoap(bytes, from, end, out, at));
    this.#sent.value++;
    return true;
  }

  /** The line is its owner's to close. */
  close(): void {
    this.handler = null;
  }

  /** Resolves when all that was sent has been written, or the device is away; at the latest after `ms`. */
  written(ms: number): Promise<void> {
    return this.#writer.written(ms);
  }

  // ---- the line ------------------------------------------------------------------------------------------------

  onOpen(): void {
    this.#decoder.reset();
    this.handler?.onPeerBack?.();
  }

  onData(chunk: Buffer): void {
    this.#decoder.feed(chunk, 0, this);
  }

  onWritten(): void {
    this.#writer.onWritten();
  }

  /** Who comes back may be another device, or the same after a reset, with message ids that begin anew. */
  onAway(): void {
    if (this.#decoder.pendingBytes > 0) this.#cut.value++;
    this.#decoder.reset();
    this.#writer.onAway();
    this.handler?.onPeerGone?.(this.address, this.port);
  }

  // ---- frames --------------------------------------------------------------------------------------------------

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    const first = bytes[from] as number;
    const bare = this.#bare;
    if (first === DIAGNOSTIC) {
      this.#texts.value++;
      this.#diagnostics.onDiagnostic(bytes, from + 1, end);
    } else if (bare && isBareCoap(first)) {
      this.#onCoap(bytes, from, end);
    } else if (!bare && first === COAP) {
      if (isWhole(bytes, from, end)) this.#onCoap(bytes, from + 1, end - 2);
      else this.#badCheck.value++;
    } else if (!bare && isPacket(first)) {
      this.#packets.value++;
    } else {
      this.#unknown.value++;
      const isOther = bare ? first === COAP && isWhole(bytes, from, end) : isBareCoap(first);
      if (isOther && !this.#otherFraming) this.#tellOtherFraming();
    }
    return true;
  }

  onBadFrame(cause: BadFrame): void {
    if (cause === "too-long") this.#tooLong.value++;
    else this.#badEscape.value++;
  }

  #onCoap(bytes: Buffer, from: number, end: number): void {
    this.#received.value++;
    this.handler?.onDatagram(bytes.subarray(from, end), this.address, this.port, this.address);
  }

  #tellOtherFraming(): void {
    this.#otherFraming = true;
    const framing = this.#bare ? "slipmux" : "slip";
    this.#log.warn("serial-coap-framing", { name: this.#name, advice: `frames look like coap.framing: ${framing}` });
  }
}

/** Bytes of the port's own buffer for what is read. */
const PORT_BYTES = 4096;

/** Worst case of serial lines with CoAP, beside what CoAP itself takes. @param messageBytesMax of each */
export function budget(messageBytesMax: readonly number[]): Line[] {
  if (messageBytesMax.length === 0) return [];
  let bytes = 0;
  for (const max of messageBytesMax) bytes += PORT_BYTES + max + COAP_FRAME_OVERHEAD + 2 * SEND_BYTES;
  return [{ owner: "serial coap", bytes, how: `${messageBytesMax.length} lines, their buffers for either way` }];
}
