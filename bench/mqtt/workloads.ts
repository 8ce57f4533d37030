import type { Load } from "../load/load.ts";

export interface Workload {
  /** For --only. */
  readonly name: string;
  readonly title: string;
  readonly load: Load;
}

/** 64-byte payloads everywhere; QoS 0 unless it says otherwise, 50 messages per write unless it says one. */
export const WORKLOADS: readonly Workload[] = [
  { name: "firehose", title: "1:1 firehose", load: {} },
  { name: "fan-in", title: "fan-in 20:1", load: { publishers: 20, topics: 20, wildcard: true } },
  { name: "fan-out", title: "fan-out 1:20", load: { subscribers: 20 } },
  { name: "mesh", title: "mesh 20 x 20", load: { publishers: 20, subscribers: 20 } },
  { name: "single", title: "1:1, one message per write", load: { burst: 1, window: 100 } },
  { name: "pairs", title: "100 pairs, one per write", load: pairs(100, 0) },
  { name: "firehose-qos1", title: "1:1, QoS 1", load: { qos: 1 } },
  { name: "pairs-qos1", title: "100 pairs, QoS 1, one per write", load: pairs(100, 1) },
  {
    name: "devices-qos1",
    title: "500 devices into one, QoS 1",
    load: { publishers: 500, topics: 500, wildcard: true, qos: 1, burst: 1, window: 1000 },
  },
];

function pairs(count: number, qos: 0 | 1): Load {
  return { publishers: count, subscribers: count, topics: count, qos, burst: 1, window: 2 * count };
}
