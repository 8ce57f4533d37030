/** One configured serial line, both ways. */

import type { Counters } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { SerialWriteConfig } from "../../config/serial-write.ts";
import type { DeliveryQueue } from "../../core/delivery-queue.ts";
import type { PlainLimits } from "../../core/plain-publish.ts";
import type { CheckOptions } from "../../wire/serial/check.ts";
import { decoderOf, encoderOf, type FramingOptions } from "../../wire/serial/framings.ts";
import { windowBytes } from "../../wire/serial/window.ts";
import { BadFrames, type ErrorTopic } from "./bad-frames.ts";
import {
  type FrameMapping,
  SerialCounters,
  type SerialDevice,
  type SerialDeviceHandler,
  type SerialParts,
  type SerialTopic,
} from "./parts.ts";
import { ResponseInput } from "./response-input.ts";
import { PENDING_BYTES_MAX, SerialInput } from "./serial-input.ts";
import { hasRequests, SerialOutput, takesTurns } from "./serial-output.ts";
import { BATCH_BYTES } from "./write-lane.ts";
import { turnsBytes } from "./write-turns.ts";

/** The part of the configuration's entry that is used here. */
export interface SerialLineOptions {
  readonly name: string;
  /** Where frames go as they are, or what makes something else of them. */
  readonly publish: SerialTopic | FrameMapping | null;
  readonly write: readonly SerialWriteConfig[];
  readonly framing: FramingOptions;
  readonly check: CheckOptions | null;
  /** Where frames go that are none. */
  readonly errors: ErrorTopic | null;
}

export interface SerialLineParts extends Omit<SerialParts, "counters" | "principal" | "limits"> {
  readonly counters: Counters;
  readonly limits: { readonly refusalHoldMs: number } & PlainLimits;
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

/** A shorter silence is not noticed by who gathers bytes for a millisecond. */
const PROMPT_GAP_MS = 10;

export class SerialLine implements SerialDeviceHandler {
  readonly name: string;
  readonly prompt: boolean;
  readonly #device: SerialDoor;
  readonly #input: SerialInput | ResponseInput | null;
  readonly #output: SerialOutput | null;

  /** @param queue for a `write` of QoS 1 or 2, from the caller with its place in the store; null: QoS 0 */
  constructor(device: SerialDoor, options: SerialLineOptions, parts: SerialLineParts, queue: DeliveryQueue | null) {
    const { name, publish, write, check, errors } = options;
    const principal = { name: `serial:${name}`, clientId: `serial:${name}` };
    const shared: SerialParts = { ...parts, principal, counters: new SerialCounters(parts.counters) };
    const framing = { ...options.framing, frameBytesMax: frameBytesMax(options.framing, parts.limits) };
    this.name = name;
    this.#device = device;
    this.#output =
      write.length === 0 ? null : new SerialOutput(shared, write, device, queue, encoderOf(framing, check));
    const responses = this.#output?.responses ?? null;
    const decoder = decoderOf(framing, check);
    this.prompt = decoder.gapMs !== null && decoder.gapMs < PROMPT_GAP_MS;
    const badFrames = new BadFrames(shared, errors);
    if (publish !== null) this.#input = new SerialInput(shared, publish, device, decoder, badFrames, responses);
    else this.#input = responses === null ? null : new ResponseInput(shared, device, decoder, badFrames, responses);
  }

  /** Subscribes, and opens the port for ever. */
  start(): void {
    this.#device.handler = this;
    this.#output?.start();
    if (this.#input !== null && this.#output !== null) this.#input.publisherSlot = this.#output.receiver.slot;
    this.#device.start();
  }

  /** Resolves when the port is closed. */
  async stop(): Promise<void> {
    await this.#device.close();
  }

  /** After `stop`: router and timers know it no more. */
  leave(): void {
    this.#input?.close();
    this.#output?.close();
  }

  onOpen(): void {
    this.#input?.onOpen();
    this.#output?.onOpen();
  }

  onData(chunk: Buffer): void {
    this.#input?.onData(chunk);
    this.#output?.responses?.onRead();
  }

  onTurn(): void {
    this.#input?.onTurn();
    this.#output?.responses?.onRead();
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
    const { encoding = null, trim = false } = framing;
    const text = encoding !== null || trim ? frame : 0;
    const copy = (check === null ? 0 : frame) + (encoding === null ? 0 : frame);
    const spare = framing.type === "length" || framing.type === "fixed" ? windowBytes(frame) - frame : 0;
    bytes += PORT_BYTES + frame + spare + text + PENDING_BYTES_MAX + frame + 3 * (BATCH_BYTES + frame + escaped) + copy;
  }
  const how = `buffers and frames under way of ${lines.length} lines`;
  const bill = [{ owner: "serial lines", bytes, how }];
  const turns = lines.filter(({ write }) => takesTurns(write));
  if (turns.length > 0) {
    const each = turns.map(({ framing, write }) => turnsBytes(frameBytesMax(framing, limits), hasRequests(write)));
    const how = `frames that wait for their turn, and responses, of ${turns.length} lines`;
    bill.push({ owner: "serial turns", bytes: each.reduce((sum, line) => sum + line, 0), how });
  }
  return bill;
}
