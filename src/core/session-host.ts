/** What a session, its retained feed and shared groups are given: what all sessions share. */
import type { Allowance } from "../base/allowance.ts";
import type { Counter } from "../base/counters.ts";
import type { QueueHost } from "./outlet.ts";
import type { Authority } from "./ports.ts";
import type { QueueLimits } from "./queue-limits.ts";
import type { Retained } from "./retained.ts";
import type { Session } from "./session.ts";

export interface SessionHost extends QueueHost {
  readonly retained: Retained;
  readonly authority: Authority;
  readonly queueLimits: QueueLimits;
  /** Messages in flight at most to a client whose session outlives its connection; loans to any. */
  readonly inflightMax: number;
  /** To a client whose session does not. */
  readonly inflightLiveMax: number;
  readonly outputDrops: Counter;
  /** Of QoS 2 ids that clients have not released, when they are many. */
  readonly inboundMemory: Allowance;
  onSessionTimer(session: Session, kind: number): void;
}
