/** What goes into the outbox: a message as it came, the figures of a window, a batch. */
import type { ForwardRule } from "../../config/uplink-rules.ts";
import type { Message } from "../../core/message.ts";
import { encodeProperties } from "../../core/message-properties.ts";
import { batchProperties, type CborEncoder, encodeBatch, type Item, isSenml, JSON_PROPERTIES } from "./formats.ts";
import type { Batch, OwnedHold, Topic, Traits, Window } from "./open.ts";
import type { Closed } from "./outbox.ts";
import type { Times } from "./times.ts";

export class Closing {
  readonly #rule: ForwardRule;
  readonly #times: Times;
  readonly #cbor: CborEncoder | null;
  readonly #properties: Buffer;

  /** @param cbor what encodes senml-cbor; null: the rule does not ask for it */
  constructor(rule: ForwardRule, times: Times, cbor: CborEncoder | null) {
    this.#rule = rule;
    this.#times = times;
    this.#cbor = cbor;
    this.#properties = rule.batch === null ? JSON_PROPERTIES : batchProperties(rule.batch.format, rule.batch.compress);
  }

  /** A message as it came, under its remote topic. */
  passing({ remote }: Topic, message: Message, hold: OwnedHold): Closed {
    const { bytes, topicEnd, propertiesEnd, acceptedMs, expiresMs } = message;
    return {
      topic: Buffer.from(remote),
      properties: bytes.subarray(topicEnd, propertiesEnd),
      payload: bytes.subarray(propertiesEnd),
      holds: [hold],
      retain: message.retain && this.#rule.retain === "keep",
      acceptedMs,
      expiresMs: this.#soonest(acceptedMs, expiresMs),
      state: "ready",
    };
  }

  /** A window as an item of a batch. @param cutMs stamp at which it closed early; Infinity = it did not */
  figures(window: Window, cutMs: number): Item {
    const { topic, reduction, bounds } = window;
    const { fromMs, endMs, fromWallMs } = bounds;
    const stampMs = Math.min(endMs, cutMs);
    const wallMs = fromWallMs === null ? null : Math.round(fromWallMs + stampMs - fromMs);
    const { emit } = this.#rule.reduce ?? { emit: [] };
    if (this.#rule.batch !== null && isSenml(this.#rule.batch.format))
      return { topic: topic.name, stampMs, wallMs, payload: null, fields: reduction.toFields(emit) };
    const from = fromWallMs === null ? this.#times.secondsOf(fromMs) : Math.round(fromWallMs) / 1000;
    const to = wallMs === null ? this.#times.secondsOf(stampMs) : wallMs / 1000;
    const payload = Buffer.from(reduction.toJson(emit, from, to));
    return { topic: topic.name, stampMs, wallMs, payload, fields: null };
  }

  /** The figures of a window, without a batch. */
  alone(item: Item, window: Window): Closed {
    const { topic, hold, traits } = window;
    return this.#made(topic.remote, item.payload as Buffer, [hold], traits, false);
  }

  batch(batch: Batch): Closed {
    const { format, compress } = this.#rule.batch ?? { format: "json-array", compress: "none" };
    const payload = encodeBatch(format, batch.items, this.#times.secondsOf, this.#cbor);
    return this.#made(batch.remote, payload, batch.holds, batch.traits, compress === "gzip");
  }

  #made(topic: string, payload: Buffer, holds: readonly OwnedHold[], traits: Traits, compress: boolean): Closed {
    const acceptedMs = this.#times.nowStampMs();
    const expiresMs = this.#soonest(acceptedMs, traits.expiresMs);
    return {
      topic: Buffer.from(topic),
      properties: expiresMs === 0 ? this.#properties : withExpiry(this.#properties, expiresMs - acceptedMs),
      payload,
      holds,
      retain: traits.retain && this.#rule.retain === "keep",
      acceptedMs,
      expiresMs,
      state: compress ? "to-compress" : "ready",
    };
  }

  /** The sooner of what publishers said and what the rule says. */
  #soonest(acceptedMs: number, expiresMs: number): number {
    const { expiryMs } = this.#rule;
    if (expiryMs === null) return expiresMs;
    return expiresMs === 0 ? acceptedMs + expiryMs : Math.min(expiresMs, acceptedMs + expiryMs);
  }
}

function withExpiry(properties: Buffer, ms: number): Buffer {
  const expiry = encodeProperties({ messageExpirySeconds: Math.max(1, Math.ceil(ms / 1000)) });
  return Buffer.concat([expiry, properties]);
}
