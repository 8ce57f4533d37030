/**
 * From a frame to publications, as `publish` of a serial line says where it says more than a topic. The entries are
 * asked in order; each that the frame matches gives one publication, or is counted with the reason why not: the others
 * are published all the same.
 */
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import { knownPattern } from "../../../base/linear-pattern.ts";
import type { Log } from "../../../base/log.ts";
import { MAPPED_FRAME_BYTES_MAX, type SerialMapping, type SerialPublish } from "../../../config/serial-publish.ts";
import { type Template, templateText } from "../../../config/serial-template.ts";
import type { FrameMapping, PublicationSink } from "../parts.ts";
import { PAYLOAD_FACTOR } from "./budget.ts";
import { numberSource } from "./exact-json.ts";
import { FieldReader, type Value } from "./field-reader.ts";
import { FrameView, NOT_JSON } from "./frame-view.ts";
import { type TopicLimits, topicCause } from "./topic-cause.ts";

/**
 * Of patterns' weight times bytes, a unit of a turn's work (frame-reader.ts), of 3 us: it is 7 ns at the worst
 * (`patternWeight`).
 */
const WEIGHT_PER_WORK = 512;

/** Why a frame, or an entry of it, was not published. */
const CAUSES = [
  "not_json",
  "not_text",
  "field_missing",
  "payload_too_large",
  "topic_wildcard",
  "topic_slash",
  "topic_reserved",
  "topic_empty_level",
  "topic_characters",
  "topic_too_long",
] as const;
type Cause = (typeof CAUSES)[number];

export interface MappingParts {
  readonly name: string;
  readonly clock: Pick<Clock, "wallMs">;
  readonly counters: Counters;
  readonly log: Log;
  readonly limits: TopicLimits & { readonly maxPacketBytes: number };
}

export class Mapping implements FrameMapping {
  readonly publicationsMax: number;
  readonly #entries: readonly Entry[];
  readonly #ignore: RegExp | null;
  readonly #header: RegExp | null;
  readonly #weight: number;
  readonly #parts: MappingParts;
  readonly #frame = new FrameView();
  readonly #ignored: Counter;
  readonly #headers: Counter;
  readonly #unmatched: Counter;
  readonly #failed: Readonly<Record<Cause, Counter>>;
  constructor({ publications, ignore, header, weight }: SerialMapping, parts: MappingParts) {
    const { counters, limits } = parts;
    this.publicationsMax = publications.length;
    this.#entries = publications.map((publish) => new Entry(publish, parts.name, this.#frame, limits));
    this.#ignore = ignore === null ? null : knownPattern(ignore);
    this.#header = header === null ? null : knownPattern(header);
    this.#weight = weight;
    this.#parts = parts;
    this.#ignored = counters.counter("serial.frames_ignored");
    this.#headers = counters.counter("serial.frames_header");
    this.#unmatched = counters.counter("serial.frames_unmatched");
    const named = CAUSES.map((cause) => [cause, counters.counter(`serial.mapping_${cause}`)] as const);
    this.#failed = Object.fromEntries(named) as Record<Cause, Counter>;
  }

  onRead(): void {
    this.#frame.readMs = this.#parts.clock.wallMs();
  }

  workOf(bytes: number): number {
    return Math.floor((bytes * this.#weight) / WEIGHT_PER_WORK);
  }

  map(bytes: Buffer, from: number, end: number, sink: PublicationSink): void {
    const frame = this.#frame;
    frame.open(bytes.subarray(from, end));
    if (this.#ignore?.test(frame.text) === true) {
      this.#ignored.value++;
    } else if (this.#header?.test(frame.text) === true) {
      this.#headers.value++;
      frame.keepHeader();
    } else {
      this.#publish(sink);
    }
    frame.close();
  }

  #publish(sink: PublicationSink): void {
    let matched = false;
    for (const entry of this.#entries) {
      if (!entry.matches()) continue;
      matched = true;
      const cause = entry.publish(sink);
      entry.close();
      if (cause !== null) this.#fail(cause, entry);
    }
    if (!matched) this.#unmatched.value++;
  }

  #fail(cause: Cause, { told, topic, failed }: Entry): void {
    this.#failed[cause].value++;
    if (told.has(cause)) return;
    told.add(cause);
    const field = failed === null ? {} : { field: failed };
    this.#parts.log.warn("serial-frame-not-published", { name: `serial:${this.#parts.name}`, cause, topic, ...field });
  }
}

/** One entry of `publish`. */
class Entry {
  /** Causes that are in the log already. */
  readonly told = new Set<Cause>();
  /** As it is written in the configuration. */
  readonly topic: string;
  /** The placeholder that was the last cause; null: it was no single one. */
  failed: string | null = null;
  readonly #options: SerialPublish;
  readonly #line: string;
  readonly #frame: FrameView;
  readonly #limits: MappingParts["limits"];
  readonly #payloadBytesMax: number;
  readonly #match: RegExp | null;
  readonly #fields: ReadonlyMap<string, FieldReader>;
  /** The topic when it has no placeholder. */
  readonly #topic: string | null;
  /** What `match` found in the frame. */
  #groups: RegExpExecArray | null = null;
  #cause: Cause | null = null;

  constructor(options: SerialPublish, line: string, frame: FrameView, limits: MappingParts["limits"]) {
    const [part] = options.topic;
    this.#options = options;
    this.#line = line;
    this.#frame = frame;
    this.#limits = limits;
    this.#match = options.match === null ? null : knownPattern(options.match);
    this.#fields = new Map(options.fields.map((field) => [field.name, new FieldReader(field)]));
    this.#payloadBytesMax = Math.min(PAYLOAD_FACTOR * MAPPED_FRAME_BYTES_MAX, limits.maxPacketBytes);
    this.topic = templateText(options.topic);
    this.#topic = options.topic.length === 1 && part !== undefined && "text" in part ? part.text : null;
  }

  matches(): boolean {
    if (this.#match === null) return true;
    this.#groups = this.#match.exec(this.#frame.text);
    return this.#groups !== null;
  }

  /** Forgets the frame. */
  close(): void {
    this.#groups = null;
  }

  publish(sink: PublicationSink): Cause | null {
    const { qos, retain } = this.#options;
    this.#cause = null;
    this.failed = null;
    const topic = this.#topic ?? this.#render(this.#options.topic, "topic");
    if (this.#topic === null && this.#cause === null) this.#cause = topicCause(topic, this.#limits);
    if (this.#cause !== null) return this.#cause;
    const payload = this.#payload();
    if (this.#cause !== null) return this.#cause;
    if (payload.length > this.#payloadBytesMax) return "payload_too_large";
    sink.onPublication(topic, payload, qos, retain);
    return null;
  }

  #payload(): Buffer {
    const { format, payload } = this.#options;
    if (payload !== null) return Buffer.from(this.#render(payload, format === "json" ? "json" : "text"));
    if (format === "hex" || format === "base64") return Buffer.from(this.#frame.bytes.toString(format));
    if (format === "json" && this.#frame.json === NOT_JSON) this.#cause = "not_json";
    if (format === "utf8" && !this.#frame.isText) this.#cause = "not_text";
    return this.#frame.bytes;
  }

  /** @param place what the template is of: in JSON each placeholder is a value, in a topic it is no object */
  #render(template: Template, place: "topic" | "text" | "json"): string {
    let text = "";
    for (const part of template) {
      if (text.length > this.#payloadBytesMax) break; // and is refused for it
      if ("text" in part) {
        text += part.text;
        continue;
      }
      const name = part.placeholder;
      const value = name === "frame" ? this.#frameText() : this.#valueText(this.#value(name), place);
      if (place === "topic" && !part.levels && value.includes("/")) this.#cause ??= "topic_slash";
      if (this.#cause !== null) this.failed ??= name;
      text += value;
    }
    return text;
  }

  #valueText(value: Value, place: "topic" | "text" | "json"): string {
    const source = numberSource(value);
    if (source !== null) return source;
    if (typeof value === "bigint" || (place !== "json" && typeof value !== "object")) return String(value);
    if (place === "topic") this.#cause ??= "field_missing";
    return JSON.stringify(value);
  }

  #value(name: string): Value {
    if (name === "line") return this.#line;
    if (name === "ms") return this.#frame.readMs;
    if (name === "time") return new Date(this.#frame.readMs).toISOString();
    const field = this.#fields.get(name);
    let value: Value;
    if (field !== undefined) value = field.read(this.#frame, this.#groups);
    else value = /^\d/.test(name) ? this.#groups?.[Number(name)] : this.#groups?.groups?.[name];
    if (value !== undefined) return value;
    this.#cause ??= field?.isJson === true && this.#frame.json === NOT_JSON ? "not_json" : "field_missing";
    return "";
  }

  #frameText(): string {
    const { format } = this.#options;
    if (format === "hex" || format === "base64") return this.#frame.bytes.toString(format);
    if (format === "json" && this.#frame.json === NOT_JSON) this.#cause ??= "not_json";
    else if (!this.#frame.isText) this.#cause ??= "not_text";
    return this.#frame.text;
  }
}
