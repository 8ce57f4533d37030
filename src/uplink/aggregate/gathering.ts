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
import { Batches } from "./batches.ts";
import type { Closing } from "./closing.ts";
import { BATCH_BYTES, type Item, isSenml, itemBytes } from "./formats.ts";
import { heldBytesMax, LAST_BYTES, TOPIC_BYTES, TOPICS_MAX } from "./limits.ts";
import { isChange, lastSent } from "./on-change.ts";
import { Batch, type Book, type OwnedHold, type Topic, Window } from "./open.ts";
import { leavingOut, type Outbox } from "./outbox.ts";
import type { Place } from "./place.ts";
import { type Fields, fieldsOf, namesBytes, parseReading, type Reading } from "./reading.ts";
import type { Times } from "./times.ts";
import { Windows } from "./windows.ts";

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
  /** Of all that is open, and of what was sent last. */
  readonly book: Book = { bytes: 0, dueMs: NEVER };
  readonly #windows: Windows | null;
  readonly #batches: Batches | null;

  constructor(parts: GatheringParts) {
    const { rule, times, closing, outbox, place, heldBytes } = parts;
    const { batch, reduce } = rule;
    this.#parts = parts;
    this.#heldBytesMax = heldBytesMax(batch, heldBytes);
    this.#batches = batch === null ? null : new Batches(batch, closing, outbox, place, this.book);
    this.#windows = reduce === null ? null : new Windows(reduce, times, place, this.book, this.#onWindowClosed);
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
    this.#windows?.clear();
    this.#batches?.clear();
    this.book.bytes = 0;
    this.book.dueMs = NEVER;
  }

  // ---- one message -------------------------------------------------------------------------------------------

  /** @param looped  it is not to go out */
  take(message: Message, looped: boolean): number {
    const { place, outbox } = this.#parts;
    const topic = this.#topicOf(message);
    const key = topic?.key ?? LatestIndex.keyOf(message.bytes, message.topicEnd);
    if (place.isDone(key, message.seq)) return DONE;
    if (topic === null) {
      if (message.state !== OPEN) outbox.push(leavingOut(place.hold(key, message)));
      return INVALID;
    }
    if (looped) {
      this.#skip(topic, message);
      return SUPPRESSED;
    }
    const reading = parseReading(message.payload);
    const answer = reading === null ? this.#pass(topic, message) : this.#gather(topic, message, reading);
    this.#relieve(message.seq);
    return answer;
  }

  #gather(topic: Topic, message: Message, reading: Reading): number {
    const { onChange, reduce, batch } = this.#parts.rule;
    if (onChange !== null) {
      const fields = fieldsOf(reading, onChange.fields);
      if (fields === null) return this.#pass(topic, message);
      if (!this.#isChange(topic, fields, message.acceptedMs)) {
        this.#parts.tally.suppressed++;
        this.#skip(topic, message);
        return SUPPRESSED;
      }
    }
    if (reduce !== null) {
      const fields = fieldsOf(reading, reduce.fields);
      if (fields === null) return this.#pass(topic, message);
      this.#windows?.add(topic, fields, message);
    } else if (batch !== null) {
      const item = this.#itemOf(topic, message, reading);
      if (item === null || itemBytes(item) + BATCH_BYTES > batch.maxBytes) return this.#pass(topic, message);
      this.#batches?.addReading(topic, item, message);
    } else {
      this.#parts.outbox.push(this.#parts.closing.passing(topic, message, this.#hold(topic, message)));
    }
    return HELD;
  }

  #itemOf({ name }: Topic, message: Message, reading: Reading): Item | null {
    const { batch } = this.#parts.rule;
    const senml = batch !== null && isSenml(batch.format);
    const fields = fieldsOf(reading, null, senml);
    if (fields === null) return null;
    const times = { stampMs: message.acceptedMs, wallMs: null };
    return { topic: name, ...times, payload: senml ? null : payloadOf(message), fields: senml ? fields : null };
  }

  /** A message that is no reading goes behind what is open of its topic, as it came. */
  #pass(topic: Topic, message: Message): number {
    const { outbox, closing, tally } = this.#parts;
    tally.passedThrough++;
    if (topic.window !== null) {
      if (message.acceptedMs < topic.window.bounds.endMs) tally.closedEarly++;
      this.#windows?.close(topic.window, message.acceptedMs);
    }
    const batch = this.#batches?.of(topic.remote);
    if (batch !== undefined) {
      this.#batches?.close(batch);
      tally.closedEarly++;
    }
    outbox.push(closing.passing(topic, message, this.#hold(topic, message)));
    return HELD;
  }

  /** A row that nobody needs, but that may be in the log: done with when those of its topic before it are. */
  #skip(topic: Topic, message: Message): void {
    if (message.state === OPEN) return; // it is settled
    const held = topic.window?.hold ?? this.#batches?.of(topic.remote)?.holdOf(topic.key);
    if (held === undefined) this.#parts.outbox.push(leavingOut(this.#hold(topic, message)));
    else this.#parts.place.add(held, message);
  }

  #hold({ key }: Topic, message: Message): OwnedHold {
    return this.#parts.place.hold(key, message) as OwnedHold;
  }

  #isChange(topic: Topic, fields: Fields, stampMs: number): boolean {
    const { times, rule } = this.#parts;
    const { last } = topic;
    const elapsedMs = last === null ? 0 : times.elapsedMs(last.stampMs) - times.elapsedMs(stampMs);
    if (rule.onChange === null || !isChange(last, fields, elapsedMs, rule.onChange)) return false;
    topic.last = lastSent(fields, stampMs, last);
    const bytes = LAST_BYTES + namesBytes(fields) + 16 * fields.size;
    this.book.bytes += bytes - topic.lastBytes;
    topic.lastBytes = bytes;
    return true;
  }

  readonly #onWindowClosed = (window: Window, cutMs: number): void => {
    const { closing, outbox } = this.#parts;
    const item = closing.figures(window, cutMs);
    if (this.#batches === null) outbox.push(closing.alone(item, window));
    else this.#batches.addFigures(window.topic, item, window.traits, window.hold);
  };

  // ---- when --------------------------------------------------------------------------------------------------

  /** Closes what is due. @returns ms until the next may be; Infinity = nothing is open */
  closeDue(): number {
    const { times } = this.#parts;
    if (times.nowStampMs() >= this.book.dueMs) {
      this.book.dueMs = NEVER;
      this.#windows?.closeDue();
      this.#batches?.closeDue(times);
    }
    return this.book.dueMs - times.nowStampMs();
  }

  /** Closes early, or forgets topics, until everything is within its limits. */
  #relieve(seq: number): void {
    const { place, spanBytesMax } = this.#parts;
    while (this.book.bytes > this.#heldBytesMax && this.#makeRoom());
    // What is on its way already cannot be hastened.
    while (place.spanBytes > spanBytesMax || place.isCrowded(seq)) {
      const { oldest } = place;
      if (oldest === undefined || oldest.owner === null) return;
      this.#closeEarly(oldest as OwnedHold);
    }
  }

  #closeEarly({ owner }: OwnedHold): void {
    const { times, tally } = this.#parts;
    tally.closedEarly++;
    if (owner instanceof Window) this.#windows?.close(owner, times.nowStampMs());
    const batch = owner instanceof Window ? owner.hold.owner : owner;
    if (batch instanceof Batch) this.#batches?.close(batch);
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
    this.book.bytes += ownBytes;
    return topic;
  }

  /** Forgets a topic of which nothing is open, or closes the oldest that is. @returns false when there is none of either */
  #makeRoom(): boolean {
    for (const topic of this.#topics.values()) {
      if (topic.window !== null || this.#batches?.of(topic.remote) !== undefined) continue;
      this.book.bytes -= topic.ownBytes + topic.lastBytes;
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
