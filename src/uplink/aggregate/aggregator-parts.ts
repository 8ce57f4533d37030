/** What a rule that gathers is given, and how it stands. */
import type { TimerWheel } from "../../base/timer-wheel.ts";
import type { ForwardRule } from "../../config/uplink-rules.ts";
import type { Message } from "../../core/message.ts";
import type { QueueHost } from "../../core/outlet.ts";
import type { Router } from "../../core/router.ts";
import type { TopicMap } from "../topic-map.ts";
import type { Door } from "./entering.ts";
import type { CborEncoder } from "./formats.ts";
import type { Tally } from "./gathering.ts";

export interface AggregatorParts {
  readonly host: QueueHost;
  readonly router: Router;
  readonly wheel: TimerWheel;
  /** Whether the wall clock is right, as far as can be known. */
  readonly isClockSet: () => boolean;
  /** What encodes senml-cbor; null: no rule asks for it. */
  readonly cbor: CborEncoder | null;
}

export interface AggregatorOptions {
  readonly rule: ForwardRule;
  /** Of this rule alone. */
  readonly map: TopicMap;
  /** In the store; kind "aggregate". */
  readonly name: string;
  readonly door: Door;
  /** Slot of the uplink in the router. */
  readonly kinSlot: number;
  /** Bytes of the log from the oldest row that is held to the newest. */
  readonly spanBytesMax: number;
  /** Bytes in memory, beside batches. */
  readonly heldBytes: number;
  /** Whether a message has gone out here before: it is not to go out again. */
  readonly isLooped: (message: Message) => boolean;
  /** Its rule is no more: called when nothing is left of it. null = it takes messages. */
  readonly onIdle: (() => void) | null;
}

/** How a rule stands. */
export interface AggregatorStatus extends Tally {
  readonly match: string;
  readonly to: string;
  /** Messages held, and their bytes in the store. */
  readonly messages: number;
  readonly bytes: number;
  /** Topics that something is known of. */
  readonly topics: number;
}
