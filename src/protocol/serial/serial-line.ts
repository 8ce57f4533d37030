/** One configured serial line, both ways. */

import type { Counters } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import type { CheckOptions } from "../../wire/serial/check.ts";
import { decoderOf, encoderOf, type FramingOptions } from "../../wire/serial/framings.ts";
import {
  SerialCounters,
  type SerialDevice,
  type SerialDeviceHandler,
  type SerialParts,
  type SerialTopic,
} from "./parts.ts";
import { PENDING_BYTES_MAX, SerialInput } from "./serial-input.ts";
import { BATCH_BYTES, SerialOutput } from "./serial-output.ts";

/** The part of the configuration's entry that is used here. */
export interface SerialLineOptions {
  readonly name: string;
  readonly publish: SerialTopic | null;
  readonly write: SerialTopic | null;
  readonly framing: FramingOptions;
  readonly check: CheckOptions | null;
  /** Where frames go that are none. */
  readonly errors: SerialTopic | null;
}

export interface SerialLineParts extends Omit<SerialParts, "counters" | "principal" | "limits"> {
  readonly counters: Counters;
  readonly limits: { readonly refusalHoldMs: number; readonly maxPacketBytes: number };
}

/** The port: `SerialPort` of transport. */
export interface SerialDoor extends SerialDevice {
  handler: SerialDeviceHandler | null;
  start(): void;
  close(): Promise<void>;
}

/** Longest frame, either way. */
function frameBytesMax(framing: FramingOptions, limits: { readonly maxPacketBytes: number }): number {
  return framing.type === "fixed" ? framing.bytes : Math.min(framing.frameBytesMax, limits.maxPacketBytes);
}

export class SerialLine implements SerialDeviceHandler {
  readonly name: string;
  readonly #device: SerialDoor;
  readonly #input: SerialInput | null;
  readonly #output: SerialOutput | null;

  /** @param queue for a `write` of QoS 1 or 2, from the caller with its place in the store; null: QoS 0 */
  constructor(device: SerialDoor, options: SerialLineOptions, parts: SerialLineParts, queue: DeliveryQueue | null) {
    const { name, publish, write, check, errors } = options;
    const principal = { name: `serial:${name}`, clientId: `serial:${name}` };
    const shared: SerialParts = { ...parts, principal, counters: new SerialCounters(parts.counters) };
    const framing = { ...options.framing, frameBytesMax: frameBytesMax(options.framing, parts.limits) };
    this.name = name;
    this.#device = device;
    this.#input = publish === null ? null : new SerialInput(shared, publish, device, decoderOf(framing, check), errors);
    this.#output = write === null ? null : new SerialOutput(shared, write, device, queue, encoderOf(framing, check));
  }

  /** Subscribes, and opens the port for ever. */
  start(): void {
    this.#device.handler = this;
    this.#output?.start();
    if (this.#input !== null && this.#output !== null) this.#input.publisherSlot = this.#output.slot;
    this.#device.start();
  }

  async close(): Promise<void> {
    await this.#device.close();
    this.#input?.close();
    this.#output?.close();
  }

  onOpen(): void {
    this.#input?.onOpen();
    this.#output?.onOpen();
  }

  onData(chunk: Buffer): void {
    this.#input?.onData(chunk);
  }

  onWritten(): void {
    this.#output?.onWritten();
  }

  onAway(): void {
    this.#input?.onAway();
    this.#output?.onAway();
  }
}

/** Bytes of the port's own buffers: what is read, what of it waits, what is written. */
const PORT_BYTES = 2 * 4096;

/** Worst case of `lines`; a frame that is written may be all escapes, and is once more a copy with its check. */
export function budget(
  limits: { readonly maxPacketBytes: number },
  lines: readonly Pick<SerialLineOptions, "framing" | "check" | "write">[],
): Line[] {
  if (lines.length === 0) return [];
  let bytes = 0;
  for (const { framing, check } of lines) {
    const frame = frameBytesMax(framing, limits);
    const escaped = framing.type === "slip" || (framing.type === "start-end" && framing.escape >= 0) ? frame : 0;
    const copy = check === null ? 0 : frame;
    bytes += PORT_BYTES + frame + PENDING_BYTES_MAX + frame + 3 * (BATCH_BYTES + frame + escaped) + copy;
  }
  const how = `buffers and frames under way of ${lines.length} lines`;
  return [{ owner: "serial lines", bytes, how }];
}
