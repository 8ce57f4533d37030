/** A rule between messages and an outbox that takes everything, with a clock that the test moves. */
import { ManualClock } from "../../../../src/base/clock.ts";
import type { BatchConfig, OnChangeConfig, ReduceConfig } from "../../../../src/config/uplink-aggregate.ts";
import type { ForwardRule } from "../../../../src/config/uplink-rules.ts";
import { DURABLE, Message } from "../../../../src/core/message.ts";
import type { ReceiverRecord } from "../../../../src/core/ports.ts";
import { Closing } from "../../../../src/uplink/aggregate/closing.ts";
import { Gathering } from "../../../../src/uplink/aggregate/gathering.ts";
import { type Closed, ENTERED, Outbox } from "../../../../src/uplink/aggregate/outbox.ts";
import { Place } from "../../../../src/uplink/aggregate/place.ts";
import { Times } from "../../../../src/uplink/aggregate/times.ts";
import { TopicMap } from "../../../../src/uplink/topic-map.ts";
import { encodeSenmlCbor } from "../../../../src/wire/senml/cbor.ts";
import { forward } from "../uplink-world.ts";

export function batch(options: Partial<BatchConfig> = {}): BatchConfig {
  return { maxMessages: 3, maxBytes: 16_384, maxDelayMs: 10_000, format: "json-array", compress: "none", ...options };
}

export function reduce(options: Partial<ReduceConfig> = {}): ReduceConfig {
  return { windowMs: 60_000, fields: null, emit: ["mean"], ...options };
}

export function onChange(options: Partial<OnChangeConfig> = {}): OnChangeConfig {
  return { deadband: 0.5, maxSilenceMs: null, fields: null, ...options };
}

/** 2025-11-21 16:00:00 UTC. */
export const NOON_MS = 1_763_740_800_000;

const RECORD: ReceiverRecord = {
  id: 1,
  kind: "aggregate",
  name: "x",
  headSeq: 1,
  headOrdinal: 0,
  state: Buffer.alloc(0),
  count: 0,
  bytes: 0,
};

export interface Limits {
  spanBytesMax?: number;
  heldBytes?: number;
}

export class GatheringWorld {
  readonly clock = new ManualClock(NOON_MS);
  readonly place: Place;
  readonly tally = { in: 0, out: 0, suppressed: 0, passedThrough: 0, closedEarly: 0 };
  readonly closed: Closed[] = [];
  readonly outbox: Outbox;
  readonly gathering: Gathering;
  clockSet = true;
  seq = 0;

  /** @param record what is known of the rule's place in the log */
  constructor(rule: Partial<ForwardRule>, limits: Limits = {}, record: Partial<ReceiverRecord> = {}) {
    const { clock, tally } = this;
    const place = new Place({ ...RECORD, ...record });
    this.place = place;
    const whole = forward("#", rule);
    const times = new Times(clock, () => this.clockSet);
    const enter = (closed: Closed): number => {
      if (closed.topic !== null) this.closed.push(closed);
      for (const hold of closed.holds) place.release(hold, Number.POSITIVE_INFINITY);
      return ENTERED;
    };
    this.outbox = new Outbox(enter, () => this.outbox.pump(1000));
    this.gathering = new Gathering({
      rule: whole,
      map: new TopicMap([whole], { node: "gw", client: "gw" }),
      times,
      place,
      outbox: this.outbox,
      closing: new Closing(whole, times, encodeSenmlCbor),
      tally,
      spanBytesMax: limits.spanBytesMax ?? 1e9,
      heldBytes: limits.heldBytes ?? 1e9,
    });
  }

  /** @returns what `take` answers */
  take(topic: string, payload: string, options: { retain?: boolean; livesMs?: number; state?: number } = {}): number {
    const bytes = Buffer.from(topic + payload);
    const end = Buffer.byteLength(topic);
    const now = this.clock.ageMs();
    const { retain = false, livesMs = 0, state = DURABLE } = options;
    const message = new Message(bytes, end, end, 1, retain, now, livesMs === 0 ? 0 : now + livesMs, -1);
    message.seq = ++this.seq;
    message.state = state;
    const answer = this.gathering.take(message, false);
    this.outbox.pump(1000);
    return answer;
  }

  /** Time goes on, and what is due closes. @returns ms until the next is due */
  advance(ms: number): number {
    this.clock.advance(ms);
    const next = this.gathering.closeDue();
    this.outbox.pump(1000);
    return next;
  }

  /** What has gone out since the last call, as "topic payload". */
  out(): string[] {
    return this.closed.splice(0).map(({ topic, payload }) => `${topic} ${payload}`);
  }
}
