/**
 * What a rule makes of messages, one after the other: `on_change`, then `reduce`, then `batch`.
 *
 *     reading ──on_change──> window of its topic ──reduce──> batch of the remote topic ──> outbox
 *             suppressed                        figures                              closed
 *     no reading: what is open of its topic closes, and it passes behind it
 *
 * Time is what stamps and `Times` say; nothing here has a timer. Each window and batch has a hold on the rows of the log
 * that it stands for (place.ts).
 */
import type { ForwardRule } from "../../config/uplink-rules.ts";
import { LatestIndex } from "../../core/latest-index.ts";
import { type Message, OPEN } from "../../core/message.ts";
import type { TopicMap } from "../topic-map.ts";
import type { Closing } from "./closing.ts";
import { BATCH_BYTES, type Item, isSenml, itemBytes } from "./formats.ts";
import { BATCH_OBJECT_BYTES, heldBytesMax, LAST_BYTES, TOPIC_BYTES, TOPICS_MAX, WINDOW_BYTES } from "./limits.ts";
import { isChange, lastSent } from "./on-change.ts";
import { Batch, type Bounds, bytesOf, type OwnedHold, type Topic, Window } from "./open.ts";
import { leavingOut, type Outbox } from "./outbox.ts";
import type { Place } from "./place.ts";
import { type Fields, fieldsOf, namesBytes, parseReading } from "./reading.ts";
import { FIGURES_BYTES } from "./reduce.ts";
import type { Times } from "./times.ts";

/** Counts of a rule. */
export interface Tally {
  in: number;
  out: number;
  suppressed: number;
  passedThrough: number;
  closedEarly: number;
}

/** What `take` answers. */
export const HELD = 0;
/** It was done with before a restart. */
export const DONE = 1;
/** Nobody needs it: nothing has changed, or it has gone out here before. */
export const SUPPRESSED = 2;
/** The rule makes no topic of it that can be published to. */
export const INVALID = 3;

export interface GatheringParts {
  readonly rule: ForwardRule;
  /** Of this rule alone. */
  readonly map: TopicMap;
  readonly times: Times;
  readonly place: Place;
  readonly outbox: Outbox;
  readonly closing: Closing;
  readonly tally: Tally;
  /** Bytes of the log from the oldest row that is held to the newest. */
  readonly spanBytesMax: number;
  /** Bytes in memory, beside batches. */
  readonly heldBytes: number;
}

const NEVER = Number.POSITIVE_INFINITY;
/** More beside a payload than this is not kept with it. */
const BESIDE_BYTES_MAX = 512;

export class Gathering {
  readonly #parts: GatheringParts;
  readonly #heldBytesMax: number;
  readonly #topics = new Map<string, Topic>();
  /** By remote topic. */
  readonly #batches = new Map<string, Batch>();
  readonly #windows = new Set<Window>();
  /** Bytes in memory of all that is open, and of what was sent last. */
  bytes = 0;

  constructor(parts: GatheringParts) {
    this.#parts = parts;
    this.#heldBytesMax = heldBytesMax(parts.rule.batch, parts.heldBytes);
  }

  get topics(): number {
    return this.#topics.size;
  }

  /**
   * Forgets all: the rows are read again. What was sent last of a topic, too: a row that passed once would else be
   * compared with itself. Those that pass a second time are at least those that passed before.
   */
  forget(): void {
    this.#topics.clear();
    this.#windows.clear();
    this.#batches.clear();
    this.bytes = 0;
  }

  // ---- one message -------------------------------------------------------------------------------------------

  /** @param looped  it is not to go out */
  take(message: Message, looped: boolean): number {
    const { place, outbox } = this.#parts;
    const topic = this.#topicOf(message);
    if (place.isDone(topic?.key ?? LatestIndex.keyOf(message.bytes, message.topicEnd), message.seq)) return DONE;
    if (topic === null) {
      const key = LatestIndex.keyOf(message.bytes, message.topicEnd);
      if (message.state !== OPEN) outbox.push(leavingOut(place.hold(key, message)));
      return INVALID;
    }
    if (looped) {
      this.#skip(topic, message);
      return SUPPRESSED;
    }
    const answer = this.#gather(topic, message);
    this.#relieve(message.seq);
    return answer;
  }

  /** Closes early, or forgets topics, until everything is within its limits. */
  #relieve(seq: number): void {
    const { place, spanBytesMax } = this.#parts;
    while (this.bytes > this.#heldBytesMax && this.#makeRoom());
    // What is on its way already cannot be hastened.
    while (place.spanBytes > spanBytesMax || place.isCrowded(seq)) {
      const { oldest } = place;
      if (oldest === undefined || oldest.owner === null) return;
      this.#closeEarly(oldest as OwnedHold);
    }
  }

  #gather(topic: Topic, message: Message): number {
    const { rule, tally } = this.#parts;
    const reading = parseReading(message.payload);
    if (reading === null) return this.#pass(topic, message);
    if (rule.onChange !== null) {
      const fields = fieldsOf(reading, rule.onChange.fields);
      if (fields === null) return this.#pass(topic, message);
      if (!this.#isChange(topic, fields, message.acceptedMs)) {
        tally.suppressed++;
        this.#skip(topic, message);
        return SUPPRESSED;
      }
    }
    if (rule.reduce !== null) {
      const fields = fieldsOf(reading, rule.reduce.fields);
      if (fields === null) return this.#pass(topic, message);
      this.#reduce(topic, message, fields);
      return HELD;
    }
    if (rule.batch === null) {
      this.#parts.outbox.push(this.#parts.closing.passing(topic, message, this.#hold(topic, message)));
      return HELD;
    }
    const senml = isSenml(rule.batch.format);
    const fields = fieldsOf(reading, null, senml);
    if (fields === null) return this.#pass(topic, message);
    const payload = senml ? null : payloadOf(message);
    const item = {
      topic: topic.name,
      stampMs: message.acceptedMs,
      wallMs: null,
      payload,
      fields: senml ? fields : null,
    };
    if (itemBytes(item) + BATCH_BYTES > rule.batch.maxBytes) return this.#pass(topic, message);
    const batch = this.#batchFor(topic, item);
    batch.traits.add(message);
    const held = batch.holdOf(topic.key);
    if (held === undefined) this.#keep(batch, this.#hold(topic, message));
    else this.#parts.place.add(held, message);
    this.#push(batch, item);
    return HELD;
  }

  /** A message that is no reading goes behind what is open of its topic, as it came. */
  #pass(topic: Topic, message: Message): number {
    const { outbox, closing, tally } = this.#parts;
    tally.passedThrough++;
    if (topic.window !== null) {
      if (message.acceptedMs < topic.window.bounds.endMs) tally.closedEarly++;
      this.#closeWindow(topic.window, message.acceptedMs);
    }
    const batch = this.#batches.get(topic.remote);
    if (batch !== undefined) {
      this.#closeBatch(batch);
      tally.closedEarly++;
    }
    outbox.push(closing.passing(topic, message, this.#hold(topic, message)));
    return HELD;
  }

  #hold({ key }: Topic, message: Message): OwnedHold {
    return this.#parts.place.hold(key, message) as OwnedHold;
  }

  /** A row that nobody needs, but that may be in the log: done with when those of its topic before it are. */
  #skip(topic: Topic, message: Message): void {
    if (message.state === OPEN) return; // it is settled
    const held = topic.window?.hold ?? this.#batches.get(topic.remote)?.holdOf(topic.key);
    if (held === undefined) this.#parts.outbox.push(leavingOut(this.#hold(topic, message)));
    else this.#parts.place.add(held, message);
  }

  // ---- on_change ---------------------------------------------------------------------------------------------

  #isChange(topic: Topic, fields: Fields, stampMs: number): boolean {
    const { times, rule } = this.#parts;
    const { last } = topic;
    const elapsedMs = last === null ? 0 : times.elapsedMs(last.stampMs) - times.elapsedMs(stampMs);
    if (rule.onChange === null || !isChange(last, fields, elapsedMs, rule.onChange)) return false;
    topic.last = lastSent(fields, stampMs, last);
    const bytes = LAST_BYTES + namesBytes(fields) + 16 * fields.size;
    this.bytes += bytes - topic.lastBytes;
    topic.lastBytes = bytes;
    return true;
  }

  // ---- reduce ------------------------------------------------------------------------------------------------

  #reduce(topic: Topic, message: Message, fields: Fields): void {
    let { window } = topic;
    if (window !== null && message.acceptedMs >= window.bounds.endMs) {
      this.#closeWindow(window, NEVER);
      window = null;
    }
    if (window === null) {
      window = new Window(topic, this.#boundsOf(topic, message.acceptedMs), this.#hold(topic, message));
      topic.window = window;
      this.#windows.add(window);
      window.bytes = WINDOW_BYTES;
      this.bytes += WINDOW_BYTES;
    } else {
      this.#parts.place.add(window.hold, message);
    }
    const bytes = window.reduction.lacks(fields) * FIGURES_BYTES;
    if (bytes > 0) {
      window.bytes += bytes + namesBytes(fields);
      this.bytes += bytes + namesBytes(fields);
    }
    window.reduction.add(fields);
    window.traits.add(message);
  }

  #boundsOf({ cutMs }: Topic, stampMs: number): Bounds {
    const { rule, times } = this.#parts;
    const windowMs = rule.reduce?.windowMs ?? 0;
    if (!times.isSet) return { fromMs: stampMs, endMs: stampMs + windowMs, fromWallMs: null };
    const wallMs = times.wallMs(stampMs);
    const startMs = stampMs - (wallMs - Math.floor(wallMs / windowMs) * windowMs);
    // What was sent of this window already ends where the rest begins.
    const fromMs = Math.max(startMs, Math.min(cutMs, stampMs));
    return { fromMs, endMs: startMs + windowMs, fromWallMs: wallMs - (stampMs - fromMs) };
  }

  /** @param cutMs stamp at which it closes early; Infinity = its time is over */
  #closeWindow(window: Window, cutMs: number): void {
    const { closing, outbox, rule } = this.#parts;
    const { topic } = window;
    topic.window = null;
    topic.cutMs = cutMs === NEVER ? 0 : cutMs;
    this.#windows.delete(window);
    this.bytes -= window.bytes;
    window.hold.owner = null;
    const item = closing.figures(window, cutMs);
    if (rule.batch === null) {
      outbox.push(closing.alone(item, window));
      return;
    }
    const batch = this.#batchFor(topic, item);
    batch.traits.join(window.traits.retain, window.traits.expiresMs);
    this.#keep(batch, window.hold);
    this.#push(batch, item);
  }

  // ---- batch -------------------------------------------------------------------------------------------------

  /** The batch that `item` goes into. */
  #batchFor(topic: Topic, item: Item): Batch {
    const { batch: limits } = this.#parts.rule;
    let batch = this.#batches.get(topic.remote);
    if (batch !== undefined && limits !== null) {
      const isOld = item.stampMs - batch.fromMs >= limits.maxDelayMs;
      if (isOld || batch.payloadBytes + itemBytes(item) > limits.maxBytes) {
        this.#closeBatch(batch);
        batch = undefined;
      }
    }
    if (batch === undefined) {
      batch = new Batch(topic, item.stampMs);
      this.#batches.set(topic.remote, batch);
      batch.bytes = BATCH_OBJECT_BYTES;
      this.bytes += BATCH_OBJECT_BYTES;
    }
    return batch;
  }

  #keep(batch: Batch, hold: OwnedHold): void {
    hold.owner = batch;
    batch.holds.push(hold);
  }

  #push(batch: Batch, item: Item): void {
    const bytes = bytesOf(item);
    batch.items.push(item);
    batch.payloadBytes += itemBytes(item);
    batch.bytes += bytes;
    this.bytes += bytes;
    if (batch.items.length >= (this.#parts.rule.batch?.maxMessages ?? 1)) this.#closeBatch(batch);
  }

  #closeBatch(batch: Batch): void {
    const { closing, outbox } = this.#parts;
    this.#batches.delete(batch.remote);
    this.bytes -= batch.bytes;
    for (const hold of batch.holds) hold.owner = null;
    outbox.push(closing.batch(batch));
  }

  // ---- when ---------------------------------------------------------------------------------------------------

  /** Closes what is due. @returns ms until the next is; Infinity = nothing is open */
  closeDue(): number {
    let nextMs = NEVER;
    for (const window of this.#windows) {
      const leftMs = this.#leftMs(window.bounds.fromMs, window.bounds.endMs);
      if (leftMs <= 0) this.#closeWindow(window, NEVER);
      else nextMs = Math.min(nextMs, leftMs);
    }
    const maxDelayMs = this.#parts.rule.batch?.maxDelayMs ?? 0;
    for (const batch of this.#batches.values()) {
      const leftMs = this.#leftMs(batch.fromMs, batch.fromMs + maxDelayMs);
      if (leftMs <= 0) this.#closeBatch(batch);
      else nextMs = Math.min(nextMs, leftMs);
    }
    return nextMs;
  }

  #leftMs(fromMs: number, endMs: number): number {
    return endMs - fromMs - this.#parts.times.elapsedMs(fromMs);
  }

  /** Closes all that is open: the rule ends. */
  closeAll(): void {
    for (const window of this.#windows) this.#closeWindow(window, this.#parts.times.nowStampMs());
    for (const batch of this.#batches.values()) this.#closeBatch(batch);
  }

  #closeEarly({ owner }: OwnedHold): void {
    const { times, tally } = this.#parts;
    tally.closedEarly++;
    if (owner instanceof Window) {
      this.#closeWindow(owner, times.nowStampMs());
      const batch = owner.hold.owner;
      if (batch instanceof Batch) this.#closeBatch(batch);
    } else if (owner !== null) {
      this.#closeBatch(owner);
    }
  }

  // ---- topics ------------------------------------------------------------------------------------------------

  #topicOf(message: Message): Topic | null {
    const name = message.topic;
    const known = this.#topics.get(name);
    if (known !== undefined) return known;
    const { rule, map } = this.#parts;
    const [target] = map.ownTargets(rule.priority, name);
    if (target === undefined) return null;
    while (this.#topics.size >= TOPICS_MAX && this.#makeRoom());
    const key = LatestIndex.keyOf(message.bytes, message.topicEnd);
    const remote = target.topic.toString("utf8");
    const ownBytes = TOPIC_BYTES + name.length + remote.length;
    const topic: Topic = { name, key, remote, last: null, window: null, cutMs: 0, ownBytes, lastBytes: 0 };
    this.#topics.set(name, topic);
    this.bytes += ownBytes;
    return topic;
  }

  /** Forgets a topic of which nothing is open, or closes the oldest that is. @returns false when there is none of either */
  #makeRoom(): boolean {
    for (const topic of this.#topics.values()) {
      if (topic.window !== null || this.#batches.has(topic.remote)) continue;
      this.bytes -= topic.ownBytes + topic.lastBytes;
      this.#topics.delete(topic.name);
      return true;
    }
    for (const hold of this.#parts.place.holds()) {
      if (hold.owner === null) continue;
      this.#closeEarly(hold as OwnedHold);
      return true;
    }
    return false;
  }
}

/** The payload, without holding on to much else. */
function payloadOf({ bytes, propertiesEnd, payload }: Message): Buffer {
  if (propertiesEnd <= BESIDE_BYTES_MAX) return payload;
  const copy = Buffer.allocUnsafeSlow(payload.length);
  bytes.copy(copy, 0, propertiesEnd);
  return copy;
}
