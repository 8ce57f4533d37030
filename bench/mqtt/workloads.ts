import type { Load } from "../load/load.ts";

/** At most so much of another broker's CPU per delivery. */
export interface Target {
  readonly mosquitto: number;
  /** Null: the probe does not serve this workload, or there is no target. */
  readonly probe: number | null;
}

export interface Workload {
  /** For --only. */
  readonly name: string;
  /** The same, for all of its kind. */
  readonly group: string;
  readonly title: string;
  readonly load: Load;
  /** Null: for comparison only. */
  readonly target: Target | null;
}

/** Without --only. */
export const DEFAULT_GROUP = "routing";
/** Of the CPU of what Node allows at least. */
const OF_PROBE = 1.25;

/** The flags that most of them differ by. 64-byte payloads, QoS 0 and 50 messages per write unless it says otherwise. */
const FAN_OUT: Load = { subscribers: 20 };
const SINGLE: Load = { burst: 1, window: 100 };
const PAIRS: Load = pairs(100, 0);
const V5: Load = { mqtt: 5, properties: true };

export const WORKLOADS: readonly Workload[] = [
  routing("firehose", "1:1 firehose", {}, 1 / 14),
  routing("fan-in", "fan-in 20:1", { publishers: 20, topics: 20, wildcard: true }, 1 / 12.7),
  routing("fan-out", "fan-out 1:20", FAN_OUT, 1 / 20),
  routing("mesh", "mesh 20 x 20", { publishers: 20, subscribers: 20 }, 1 / 16),
  routing("single", "1:1, one message per write", SINGLE, 0.85),
  routing("pairs", "100 pairs, one per write", PAIRS, 0.9),
  routing("firehose-qos1", "1:1, QoS 1", { qos: 1 }, 1 / 14),
  routing("pairs-qos1", "100 pairs, QoS 1, one per write", pairs(100, 1), 0.9),
  routing(
    "devices-qos1",
    "500 devices into one, QoS 1",
    { publishers: 500, topics: 500, wildcard: true, qos: 1, burst: 1, window: 1000 },
    0.79,
  ),

  variant("payload", "firehose-1k", "1:1 firehose, 1 KiB", { payload: 1024 }, 1 / 4),
  variant("payload", "fan-out-1k", "fan-out 1:20, 1 KiB", { ...FAN_OUT, payload: 1024 }, 1 / 4),
  variant("payload", "single-1k", "1:1, one message per write, 1 KiB", { ...SINGLE, payload: 1024 }, 1),

  variant("properties", "firehose-properties", "1:1 firehose, MQTT 5 properties", V5, 1 / 4),
  variant("properties", "fan-out-properties", "fan-out 1:20, MQTT 5 properties", { ...FAN_OUT, ...V5 }, 1 / 4),
  variant("properties", "pairs-properties", "100 pairs, one per write, MQTT 5 properties", { ...PAIRS, ...V5 }, 1),

  variant("qos2", "firehose-qos2", "1:1, QoS 2", { qos: 2 }, null),
];

/** Those called `name`, those of group `name`, or all of them for `all`; none when there is no such name. */
export function workloadsOf(name: string): readonly Workload[] {
  return WORKLOADS.filter((workload) => name === "all" || workload.group === name || workload.name === name);
}

function routing(name: string, title: string, load: Load, ofMosquitto: number): Workload {
  return { name, group: DEFAULT_GROUP, title, load, target: { mosquitto: ofMosquitto, probe: OF_PROBE } };
}

function variant(group: string, name: string, title: string, load: Load, ofMosquitto: number | null): Workload {
  return { name, group, title, load, target: ofMosquitto === null ? null : { mosquitto: ofMosquitto, probe: null } };
}

function pairs(count: number, qos: 0 | 1): Load {
  return { publishers: count, subscribers: count, topics: count, qos, burst: 1, window: 2 * count };
}
