/**
 * What a batch becomes: the bytes of one payload, and what it says of itself in MQTT 5.0.
 *
 *     json-array   [21.5,{"temp":22.1}]          payloads byte for byte as they came
 *     lines        21.5\n{"temp":22.1}\n         the same; the line breaks that JSON may have between tokens become spaces
 *     senml-json   RFC 8428, `wire/senml/`       a record for each field of each reading
 *     senml-cbor   the same in CBOR
 *
 * MQTT has no property for an encoding of the content. As HTTP and Azure IoT Hub do, the type stays what it is, and a
 * User Property `content-encoding: gzip` says that it is compressed. A server of 3.1.1 gets no properties: gzip begins
 * with 1f 8b, which nothing else here does.
 */
import type { BatchFormat } from "../../config/uplink-aggregate.ts";
import { encodeProperties } from "../../core/message-properties.ts";
import { encodeSenmlJson } from "../../wire/senml/json.ts";
import { senmlName } from "../../wire/senml/names.ts";
import { type PackRecord, packOf, SENML_CBOR, SENML_JSON, type SenmlRecord } from "../../wire/senml/pack.ts";
import type { Fields } from "./reading.ts";

/** Something that was gathered: a payload, or its fields where the format is SenML. */
export interface Item {
  /** Local topic that it was published to. */
  readonly topic: string;
  readonly stampMs: number;
  /** Unix ms of that moment where it is known exactly; null = as the stamp says. */
  readonly wallMs: number | null;
  /** null with SenML. */
  readonly payload: Buffer | null;
  /** null without SenML. */
  readonly fields: Fields | null;
}

/** Times of stamps, as SenML has them: see `Times` in times.ts. */
export type SecondsOf = (stampMs: number) => number;

export type CborEncoder = (pack: readonly PackRecord[]) => Buffer;

const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
/** Of a SenML record beside name and value, at most. */
const RECORD_BYTES = 40;

const CONTENT_TYPES: Readonly<Record<BatchFormat, string>> = {
  "json-array": "application/json",
  lines: "application/x-ndjson",
  "senml-json": SENML_JSON,
  "senml-cbor": SENML_CBOR,
};

export function isSenml(format: BatchFormat): boolean {
  return format === "senml-json" || format === "senml-cbor";
}

/** The properties of a batch; made once for a rule. */
export function batchProperties(format: BatchFormat, compress: "none" | "gzip"): Buffer {
  const contentType = CONTENT_TYPES[format];
  if (compress === "none") return encodeProperties({ contentType });
  return encodeProperties({ contentType, userProperties: [["content-encoding", "gzip"]] });
}

export const JSON_PROPERTIES: Buffer = encodeProperties({ contentType: CONTENT_TYPES["json-array"] });

/** Bytes that `item` adds to the payload of a batch, or some more: a SenML record in a pack of several topics. */
export function itemBytes({ payload, fields, topic }: Item): number {
  if (payload !== null) return payload.length + 1;
  let bytes = 0;
  for (const [name, value] of fields ?? [])
    bytes += RECORD_BYTES + topic.length + name.length + Buffer.byteLength(JSON.stringify(value));
  return bytes;
}

/** Bytes that a batch has beside its items. */
export const BATCH_BYTES = 64;

/** Encodes at least one item. */
export function encodeBatch(
  format: BatchFormat,
  items: readonly Item[],
  secondsOf: SecondsOf,
  cbor: CborEncoder | null,
): Buffer {
  if (format === "json-array") return jsonArray(items);
  if (format === "lines") return lines(items);
  const pack = packOf(items.flatMap((item) => recordsOf(item, secondsOf)));
  return format === "senml-cbor" && cbor !== null ? cbor(pack) : encodeSenmlJson(pack);
}

function jsonArray(items: readonly Item[]): Buffer {
  const out = Buffer.allocUnsafeSlow(1 + lengthOf(items));
  let at = 0;
  for (const { payload } of items) {
    out[at] = at === 0 ? OPEN_BRACKET : COMMA;
    at += 1 + (payload as Buffer).copy(out, at + 1);
  }
  out[at] = CLOSE_BRACKET;
  return out;
}

/** JSON has no line break within a token, so those between tokens are all there are. */
function lines(items: readonly Item[]): Buffer {
  const out = Buffer.allocUnsafeSlow(lengthOf(items));
  let at = 0;
  for (const { payload } of items) {
    const end = at + (payload as Buffer).copy(out, at);
    for (; at < end; at++) if (out[at] === LINE_FEED || out[at] === CARRIAGE_RETURN) out[at] = SPACE;
    out[at++] = LINE_FEED;
  }
  return out;
}

function lengthOf(items: readonly Item[]): number {
  let length = 0;
  for (const { payload } of items) length += (payload as Buffer).length + 1;
  return length;
}

/** "s/boiler" for the payload itself, "s/boiler/temp" for a field, "s/boiler:mean" and "s/boiler/temp:mean" for figures. */
function recordsOf({ topic, stampMs, wallMs, fields }: Item, secondsOf: SecondsOf): SenmlRecord[] {
  const timeSeconds = wallMs === null ? secondsOf(stampMs) : wallMs / 1000;
  const records: SenmlRecord[] = [];
  for (const [field, value] of fields ?? []) {
    const separator = field === "" || field.startsWith(":") ? "" : "/";
    records.push({ name: senmlName(topic + separator + field), unit: "", timeSeconds, value });
  }
  return records;
}
