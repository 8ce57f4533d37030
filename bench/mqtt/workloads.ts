import type { Load } from "../load/load.ts";
import type { Beside } from "./beside.ts";
import type { Setting } from "./settings.ts";

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
  readonly setting: Setting;
  readonly beside: Beside;
  /** Null: for comparison only. */
  readonly target: Target | null;
}

/** Without --only. */
export const DEFAULT_GROUP = "routing";
/** Of the CPU of what Node allows at least. */
const OF_PROBE = 1.25;

/** What most workloads are forms of. 64-byte payloads, QoS 0 and 50 messages per write unless it says otherwise. */
interface Form {
  readonly name: string;
  readonly title: string;
  readonly load: Load;
}

const FIREHOSE: Form = { name: "firehose", title: "1:1 firehose", load: {} };
const FAN_IN: Form = { name: "fan-in", title: "fan-in 20:1", load: { publishers: 20, topics: 20, wildcard: true } };
const FAN_OUT: Form = { name: "fan-out", title: "fan-out 1:20", load: { subscribers: 20 } };
const MESH: Form = { name: "mesh", title: "mesh 20 x 20", load: { publishers: 20, subscribers: 20 } };
const SINGLE: Form = { name: "single", title: "1:1, one message per write", load: { burst: 1, window: 100 } };
const PAIRS: Form = { name: "pairs", title: "100 pairs, one per write", load: pairs(100, 0) };
const FIREHOSE_QOS1: Form = { name: "firehose-qos1", title: "1:1, QoS 1", load: { qos: 1 } };
const PAIRS_QOS1: Form = { name: "pairs-qos1", title: "100 pairs, QoS 1, one per write", load: pairs(100, 1) };
const DEVICES_QOS1: Form = {
  name: "devices-qos1",
  title: "500 devices into one, QoS 1",
  load: { publishers: 500, topics: 500, wildcard: true, qos: 1, burst: 1, window: 1000 },
};

export const WORKLOADS: readonly Workload[] = [
  routing(FIREHOSE, 1 / 14),
  routing(FAN_IN, 1 / 12.7),
  routing(FAN_OUT, 1 / 20),
  routing(MESH, 1 / 16),
  routing(SINGLE, 0.85),
  routing(PAIRS, 0.9),
  routing(FIREHOSE_QOS1, 1 / 14),
  routing(PAIRS_QOS1, 0.9),
  routing(DEVICES_QOS1, 0.79),
  ...variants("payload", "1k", "1 KiB", { payload: 1024 }, [FIREHOSE, FAN_OUT, SINGLE]),
  ...variants("properties", "properties", "MQTT 5 properties", { mqtt: 5, properties: true }, [
    FIREHOSE,
    FAN_OUT,
    PAIRS,
  ]),
  ...variants("wildcards", "wildcards", "10,000 wildcard subscriptions", { plus: true }, [FIREHOSE, PAIRS], {
    setting: "subscriptions",
    beside: { idle: { connections: 100, filters: 100 } },
  }),
  ...variants("tls", "tls", "TLS", {}, [FIREHOSE, FAN_OUT, SINGLE, PAIRS, FIREHOSE_QOS1], { setting: "tls" }),
  ...variants("websocket", "ws", "WebSocket", {}, [FIREHOSE, FAN_OUT, SINGLE, PAIRS], { setting: "websocket" }),
  ...variants("unique", "unique", "every topic new", { unique: true, wildcard: true }, [FIREHOSE]),
  ...variants(
    "unique",
    "unique-wildcards",
    "every topic new, 10,000 wildcards",
    { unique: true, wildcard: true },
    [FIREHOSE],
    {
      setting: "subscriptions",
      beside: { idle: { connections: 100, filters: 100 } },
    },
  ),
  ...variants("subscribe", "subscribe", "1,000 SUBSCRIBE/s beside", {}, [FIREHOSE], {
    setting: "subscriptions",
    beside: { subscribesPerSecond: 1_000 },
    target: null,
  }),
  ...variants("qos2", "qos2", "QoS 2", { qos: 2 }, [FIREHOSE], { target: null }),
  ...variants("durable", "durable", "durable sessions", { durable: true }, [FIREHOSE_QOS1, PAIRS_QOS1], {
    setting: "durable",
    target: null,
  }),
];

/** Those called `name`, those of group `name`, or all of them for `all`; none when there is no such name. */
export function workloadsOf(name: string): readonly Workload[] {
  return WORKLOADS.filter((workload) => name === "all" || workload.group === name || workload.name === name);
}

function routing({ name, title, load }: Form, ofMosquitto: number): Workload {
  const target = { mosquitto: ofMosquitto, probe: OF_PROBE };
  return { name, group: DEFAULT_GROUP, title, load, setting: "plain", beside: {}, target };
}

/** The same forms of load with something added: a quarter of mosquitto's CPU for firehoses, all of it elsewhere. */
function variants(
  group: string,
  suffix: string,
  titleSuffix: string,
  added: Load,
  forms: readonly Form[],
  more: Partial<Pick<Workload, "setting" | "beside" | "target">> = {},
): Workload[] {
  return forms.map((form) => ({
    name: `${form.name}-${suffix}`,
    group,
    title: `${form.title}, ${titleSuffix}`,
    load: { ...form.load, ...added },
    setting: "plain",
    beside: {},
    target: { mosquitto: form.load.burst === 1 || form.load.qos === 1 ? 1 : 1 / 4, probe: null },
    ...more,
  }));
}

function pairs(count: number, qos: 0 | 1): Load {
  return { publishers: count, subscribers: count, topics: count, qos, burst: 1, window: 2 * count };
}
