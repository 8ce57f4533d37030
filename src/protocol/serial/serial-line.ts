/** One configured serial line, both ways. */

import type { Counters } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import { LineDecoder, LineEncoder } from "../../wire/serial/line.ts";
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

/** Longest line, either way. */
export const LINE_BYTES_MAX = 8192;
const LF = Buffer.from("\n");

export class SerialLine implements SerialDeviceHandler {
  readonly name: string;
  readonly #device: SerialDoor;
  readonly #input: SerialInput | null;
  readonly #output: SerialOutput | null;

  /** @param queue for a `write` of QoS 1 or 2, from the caller with its place in the store; null: QoS 0 */
  constructor(device: SerialDoor, options: SerialLineOptions, parts: SerialLineParts, queue: DeliveryQueue | null) {
    const { name, publish, write } = options;
    const principal = { name: `serial:${name}`, clientId: `serial:${name}` };
    const shared: SerialParts = { ...parts, principal, counters: new SerialCounters(parts.counters) };
    const framing = { delimiter: LF, frameBytesMax: Math.min(LINE_BYTES_MAX, parts.limits.maxPacketBytes) };
    this.name = name;
    this.#device = device;
    this.#input = publish === null ? null : new SerialInput(shared, publish, device, new LineDecoder(framing, null));
    this.#output = write === null ? null : new SerialOutput(shared, write, device, queue, new LineEncoder(framing));
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

/** Worst case of `lines` serial lines. */
export function budget(limits: { readonly maxPacketBytes: number }, lines: number): Line[] {
  if (lines === 0) return [];
  const line = Math.min(LINE_BYTES_MAX, limits.maxPacketBytes);
  const each = PORT_BYTES + line + PENDING_BYTES_MAX + line + 3 * (BATCH_BYTES + line);
  return [
    { owner: "serial lines", bytes: lines * each, how: `${lines} lines x ${each} B of buffers and lines under way` },
  ];
}
