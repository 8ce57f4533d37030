/**
 * A serial line as a port for MQTT-SN messages: the one peer is the line, `serial:<name>`. A message that finds no room is
 * dropped and counted, as UDP would: who waits for an answer sends again.
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { DatagramHandler, DatagramPort, TimeSource } from "../../core/ports.ts";
import { type FrameDevice, FrameWriter } from "../../transport/serial/frame-writer.ts";
import { MessageStream } from "../../wire/mqtt-sn/stream.ts";
import type { FrameSink } from "../../wire/serial/framing.ts";
import { SlipDecoder, slipBytesMax, writeSlip } from "../../wire/serial/slip.ts";

/** Framing `length`: without a byte for so long, what follows begins a message. */
const GAP_MS = 200;
/** Messages that wait for the write under way, and in that write: at their longest. */
const SEND_MESSAGES = 2;

export class MqttSnSerialPort implements DatagramPort, FrameSink {
  readonly address: string;
  readonly port = 0;
  readonly maxPayload: number;
  /** Nobody can pretend to be at the other end of a cable. */
  readonly peersVerified = true;
  handler: DatagramHandler | null = null;
  readonly #decoder: SlipDecoder | MessageStream;
  readonly #writer: FrameWriter;
  readonly #time: Pick<TimeSource, "nowMs">;
  #heardMs = 0;
  readonly #bad: Counter;
  readonly #dropped: Counter;

  constructor(
    name: string,
    device: FrameDevice,
    { framing, messageBytesMax }: { readonly framing: "slip" | "length"; readonly messageBytesMax: number },
    time: Pick<TimeSource, "nowMs">,
    counters: Counters,
  ) {
    this.address = `serial:${name}`;
    this.maxPayload = messageBytesMax;
    this.#decoder =
      framing === "slip"
        ? new SlipDecoder({ frameBytesMax: messageBytesMax }, null)
        : new MessageStream(messageBytesMax, GAP_MS);
    this.#writer = new FrameWriter(device, sendBytesOf(messageBytesMax));
    this.#time = time;
    this.#bad = counters.counter("mqtt_sn.serial_bad_frames");
    this.#dropped = counters.counter("mqtt_sn.serial_sends_dropped");
  }

  send(bytes: Buffer, from: number, end: number): boolean {
    const length = end - from;
    const isSlip = this.#decoder.gapMs === null;
    const at = length > this.maxPayload ? -1 : this.#writer.placeFor(isSlip ? slipBytesMax(length) : length);
    if (at < 0) {
      this.#dropped.value++;
      return false;
    }
    const out = this.#writer.bytes;
    this.#writer.placed(isSlip ? writeSlip(bytes, from, end, out, at) : copyBytes(bytes, from, length, out, at));
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
  }

  onData(chunk: Buffer): void {
    const { gapMs } = this.#decoder;
    const nowMs = this.#time.nowMs();
    if (gapMs !== null && nowMs - this.#heardMs > gapMs) this.#decoder.onGap(this);
    this.#heardMs = nowMs;
    this.#decoder.feed(chunk, 0, this);
  }

  onWritten(): void {
    this.#writer.onWritten();
  }

  onAway(): void {
    this.#decoder.reset();
    this.#writer.onAway();
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    this.handler?.onDatagram(bytes.subarray(from, end), this.address, this.port, null);
    return true;
  }

  onBadFrame(): void {
    this.#bad.value++;
  }
}

function sendBytesOf(messageBytesMax: number): number {
  return SEND_MESSAGES * slipBytesMax(messageBytesMax);
}

/** Bytes of the device's own buffer for what is read. */
const DEVICE_BYTES = 4096;

/** Worst case of serial lines with MQTT-SN, beside their clients. @param messageBytesMax of each */
export function budget(messageBytesMax: readonly number[]): Line[] {
  let bytes = 0;
  for (const max of messageBytesMax) bytes += DEVICE_BYTES + max + 2 * sendBytesOf(max);
  return [{ owner: "serial mqtt-sn", bytes, how: `${messageBytesMax.length} lines, their buffers for either way` }];
}
