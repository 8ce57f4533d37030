/** How an uplink stands, as plain JSON: `sluice status --json` shows it as it is. */
import type { DropCause } from "../core/ledger.ts";
import type { QueueHost } from "../core/outlet.ts";
import type { BacklogSink } from "../core/ports.ts";
import type { AggregatorStatus } from "./aggregate/aggregator-parts.ts";
import type { PastOutage } from "./link/outage.ts";
import type { UplinkState } from "./link/reach.ts";
import type { MeteredStatus } from "./metering/metered.ts";
import type { SpoolClass } from "./out/spool-class.ts";

export interface UplinkStatus {
  readonly name: string;
  readonly state: UplinkState;
  /** The one in use, or that is tried next. */
  readonly url: string;
  /** All of them, in order of preference. */
  readonly urls: readonly string[];
  /** 4 or 5; null while not connected. */
  readonly protocol: number | null;
  /** Unix ms; null while not connected. */
  readonly connectedSinceMs: number | null;
  /** Since the connection came, or ended, or since the start. */
  readonly forMs: number;
  /** Why the last try failed, in words; null = none has since the last connection. */
  readonly lastError: string | null;
  /** Unix ms. */
  readonly lastErrorAtMs: number | null;
  /** Since the last connection. */
  readonly failedTries: number;
  /** null = none that is over. */
  readonly lastOutage: PastOutage | null;
  /** Ms until the next try; null while none is due. */
  readonly retryInMs: number | null;
  /** Why it is held, in words; empty when it is not. */
  readonly heldBy: readonly string[];
  readonly spool: SpoolStatus;
  readonly inFlight: number;
  /** Most that may be: ours or the server's, whichever is lower. */
  readonly window: number;
  /** Smoothed time from PUBLISH to its acknowledgement; 0 = not known. */
  readonly ackTimeMs: number;
  /** Packets of QoS 1 and 2 that the server has acknowledged. */
  readonly forwarded: number;
  /** PUBLISH packets written, and that came, a second: average of about a minute. */
  readonly sentPerSecond: number;
  readonly receivedPerSecond: number;
  readonly received: number;
  readonly dropped: Readonly<Partial<Record<DropCause, number>>>;
  /** null = it has neither pace nor data cap nor schedule. */
  readonly metered: MeteredStatus | null;
  /** Of the rules that gather, in their order. */
  readonly aggregates: readonly AggregatorStatus[];
}

/** What waits, or is in flight. */
export interface SpoolStatus {
  readonly messages: number;
  readonly bytes: number;
  /** Age of the oldest; null = there is none. */
  readonly oldestMs: number | null;
  /** The most urgent first. */
  readonly classes: readonly ClassStatus[];
}

export interface ClassStatus {
  readonly priority: number;
  readonly messages: number;
  readonly bytes: number;
  readonly oldestMs: number | null;
  /** Of what it may hold, by messages or by bytes, whichever is more. */
  readonly fullPercent: number;
}

export function spoolStatus(classes: readonly SpoolClass[], host: QueueHost): SpoolStatus {
  const all = classes.map((one) => classStatus(one, host));
  const ages = all.flatMap(({ oldestMs }) => (oldestMs === null ? [] : [oldestMs]));
  return {
    messages: all.reduce((sum, { messages }) => sum + messages, 0),
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    oldestMs: ages.length === 0 ? null : Math.max(...ages),
    classes: all,
  };
}

function classStatus({ priority, queue }: SpoolClass, host: QueueHost): ClassStatus {
  const { count, bytes, limits } = queue;
  const full = Math.max(count / limits.messages, bytes / limits.bytes);
  return {
    priority,
    messages: count,
    bytes,
    oldestMs: oldestMs(queue, host),
    fullPercent: Math.round(full * 1000) / 10,
  };
}

/** Age of the oldest message of a queue; null = it has none. Reads one row of the log. */
export function oldestMs(
  { id, headSeq }: { readonly id: number; readonly headSeq: number },
  host: QueueHost,
): number | null {
  if (headSeq === Number.POSITIVE_INFINITY) return null;
  let ageMs: number | null = null;
  const onBacklog: BacklogSink["onBacklog"] = ({ acceptedMs }) => {
    ageMs = Math.round(host.time.elapsedMs(acceptedMs));
    return false;
  };
  host.store.read(id, Math.max(1, headSeq), 1, { onBacklog });
  return ageMs;
}
