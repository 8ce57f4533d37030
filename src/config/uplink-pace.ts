/** `uplinks[].pace`, `data_cap` and `connect`: how fast, how much and when an uplink uses its link. */
import type { Section } from "./section.ts";

/** null = as fast as it goes. */
export interface RateConfig {
  readonly messagesPerSecond: number | null;
  /** Of the MQTT packets. */
  readonly bytesPerSecond: number | null;
}

export interface PaceConfig {
  /** Of everything together. */
  readonly all: RateConfig;
  /** Of backlog, besides. */
  readonly drain: RateConfig;
  /** Of what is published while the link is there, besides. */
  readonly live: RateConfig;
}

export interface DataCapConfig {
  /** Both directions, from `resetsOnDay` to `resetsOnDay`. */
  readonly bytesPerMonth: number;
  /** 1 to 28, of the month in UTC. */
  readonly resetsOnDay: number;
  readonly warnAtPercent: number;
  readonly whenReached: "hold" | "warn";
}

export interface ConnectConfig {
  /** From one connection's begin to the next one's. */
  readonly everyMs: number;
  readonly forMs: number;
  /** A message of this priority or a higher one connects at once; null = none does. */
  readonly urgentPriority: number | null;
}

/** Messages and bytes a second at most: beyond it a limit limits nothing. */
const RATE_MAX = 1_000_000;
const BYTE_RATE_MAX = 2 ** 30;
const DAY_MS = 86_400_000;
/** Uplinks with a data cap: what they have used is kept in a row of the store that has room for so many. */
export const DATA_CAPS_MAX = 16;

export function readPace(uplink: Section): PaceConfig | null {
  const section = uplink.section("pace");
  if (section === null) return null;
  const all = readRate(section);
  const [drain, live] = ["drain", "live"].map((key) => {
    const part = section.sectionOrEmpty(key);
    const rate = readRate(part);
    part.finish();
    return rate;
  }) as [RateConfig, RateConfig];
  const limits = [all, drain, live].flatMap((rate) => [rate.messagesPerSecond, rate.bytesPerSecond]);
  if (limits.every((limit) => limit === null))
    section.complain("", "limits nothing", "give messages_per_second or bytes_per_second, or remove it");
  section.finish();
  return { all, drain, live };
}

function readRate(section: Section): RateConfig {
  return {
    messagesPerSecond: section.has("messages_per_second") ? section.count("messages_per_second", 1, 1, RATE_MAX) : null,
    bytesPerSecond: section.has("bytes_per_second") ? section.bytes("bytes_per_second", 1, 1, BYTE_RATE_MAX) : null,
  };
}

export function readDataCap(uplink: Section): DataCapConfig | null {
  const section = uplink.section("data_cap");
  if (section === null) return null;
  if (!section.has("per_month")) section.complain("per_month", "is missing", "write it like 500MB");
  const cap: DataCapConfig = {
    bytesPerMonth: section.bytes("per_month", 2 ** 50, 1000, 2 ** 50),
    resetsOnDay: section.count("resets_on_day", 1, 1, 28),
    warnAtPercent: section.count("warn_at_percent", 80, 1, 100),
    whenReached: section.oneOf("when_reached", ["hold", "warn"], "hold"),
  };
  section.finish();
  return cap;
}

export function readConnect(uplink: Section): ConnectConfig | null {
  const section = uplink.section("connect");
  if (section === null) return null;
  const missing = ["every", "for"].filter((key) => !section.has(key));
  for (const key of missing) section.complain(key, "is missing", "write it like {every: 15m, for: 2m}");
  const urgent = section.source("urgent_priority");
  const connect: ConnectConfig = {
    everyMs: section.duration("every", 900_000, 1000, 31 * DAY_MS),
    forMs: section.duration("for", 120_000, 1000, 31 * DAY_MS),
    urgentPriority: urgent === null || urgent === "never" ? null : section.count("urgent_priority", 7, 0, 7),
  };
  if (missing.length === 0 && connect.forMs >= connect.everyMs)
    section.complain("for", "is not shorter than every", "make it shorter, or remove connect to stay connected");
  section.finish();
  return connect;
}
