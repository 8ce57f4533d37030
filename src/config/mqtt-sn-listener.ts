/** Keys of `listeners` that only MQTT-SN has. */
import { isIP, isIPv4 } from "node:net";
import { parseBind } from "./bind.ts";
import type { Section } from "./section.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

export interface MqttSnConfig {
  /** Says who it is in ADVERTISE and GWINFO. */
  readonly gatewayId: number;
  /** Clients at a time, asleep or not. */
  readonly maxClients: number;
  /** Messages a second from one address. */
  readonly rate: number;
  /** A multicast group that ADVERTISE goes to and whose SEARCHGW are answered; null = none. */
  readonly advertise: AdvertiseConfig | null;
  /** Topic by predefined topic id, as ids ascend. */
  readonly predefined: readonly (readonly [id: number, topic: string])[];
}

export interface AdvertiseConfig {
  readonly address: string;
  readonly port: number;
  readonly intervalMs: number;
  /** Networks that ADVERTISE and GWINFO go over; 1: they stay on the link. */
  readonly hops: number;
}

const KEYS = ["gateway_id", "max_clients", "advertise", "predefined"];
/** A CONNECT counts as ten messages. */
const CONNECT_RATE_MIN = 10;
const TOPIC_ID_MAX = 0xfffe;
/** What fits in the two bytes that ADVERTISE has for it. */
const INTERVAL_MS_MAX = 65_535_000;
const PREDEFINED_MAX = 1024;

/** @returns null for another type of listener, after complaints about keys that mean nothing to it */
export function readMqttSn(section: Section, type: string): MqttSnConfig | null {
  if (type !== "mqtt-sn") {
    for (const key of KEYS) {
      if (section.has(key)) section.complain(key, `means nothing to ${type}`, "remove it");
    }
    return null;
  }
  return {
    gatewayId: section.count("gateway_id", 1, 0, 255),
    maxClients: section.count("max_clients", 64, 1, 10_000),
    rate: section.count("rate", 500, CONNECT_RATE_MIN, 1_000_000),
    advertise: readAdvertise(section),
    predefined: readPredefined(section),
  };
}

function readAdvertise(section: Section): AdvertiseConfig | null {
  const advertise = section.section("advertise");
  if (advertise === null) return null;
  const text = advertise.text("to", "");
  const to = parseBind(text);
  const intervalMs = advertise.duration("interval", 900_000, 1000, INTERVAL_MS_MAX);
  const hops = advertise.count("hops", 1, 1, 255);
  advertise.finish();
  if (typeof to === "string" || to.unix !== null || !isGroup(to.host) || to.port === 0) {
    advertise.complain(
      "to",
      `${JSON.stringify(text)} is no multicast group with a port`,
      'write it like "239.1.1.1:1885"',
    );
    return null;
  }
  return { address: to.host, port: to.port, intervalMs, hops };
}

function isGroup(host: string): boolean {
  if (isIP(host) === 0) return false;
  if (!isIPv4(host)) return host.toLowerCase().startsWith("ff");
  const first = Number(host.split(".")[0]);
  return first >= 224 && first <= 239;
}

export function readPredefined(section: Section): (readonly [number, string])[] {
  const mapping = section.section("predefined");
  if (mapping === null) return [];
  const topics: (readonly [number, string])[] = [];
  for (const key of mapping.keys()) {
    const topic = mapping.text(key, "");
    const id = Number(key);
    if (!/^\d+$/.test(key) || id < 1 || id > TOPIC_ID_MAX) {
      mapping.complain(key, "is no topic id", `give a number from 1 to ${TOPIC_ID_MAX}`);
      continue;
    }
    const problem = isOwnTopic(topic) ? "belongs to the gateway" : topicProblem(topic);
    if (problem !== null) mapping.complain(key, `${JSON.stringify(topic)} ${problem}`, "give a topic name");
    topics.push([id, topic]);
  }
  if (topics.length > PREDEFINED_MAX)
    section.complain("predefined", `has ${topics.length} topics`, `give at most ${PREDEFINED_MAX}`);
  return topics.sort(([a], [b]) => a - b);
}
