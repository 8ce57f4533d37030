/**
 * The configuration as the rooms get it: plain, read-only, JSON-able; units resolved to bytes and milliseconds, paths
 * absolute. Each section's type, defaults and rules are in the file of its name.
 */
import { hostname } from "node:os";
import { type AuthConfig, readAuth } from "./auth.ts";
import { UNIX_PATH_BYTES_MAX } from "./bind.ts";
import { type DurabilityRule, readDurability } from "./durability.ts";
import { type Limits, readLimits } from "./limits.ts";
import { type ListenerConfig, readListeners } from "./listeners.ts";
import { type LogConfig, readLog } from "./log.ts";
import { controlSocket } from "./names.ts";
import { EMPTY_MAPPING } from "./node.ts";
import { type Reading, Section } from "./section.ts";
import { readSerial, type SerialConfig } from "./serial.ts";
import { complainAboutFrames } from "./serial-framing.ts";
import { readStore, type StoreConfig } from "./store.ts";
import { responseTemplateProblem } from "./topics.ts";
import { readUplinks, type UplinkConfig } from "./uplinks.ts";

export interface Config {
  /** Name of this gateway. */
  readonly node: string;
  readonly dataDir: string;
  /** For pools and records; the runtime's own memory comes on top. */
  readonly memoryLimitBytes: number;
  readonly listeners: readonly ListenerConfig[];
  readonly serial: readonly SerialConfig[];
  readonly uplinks: readonly UplinkConfig[];
  readonly store: StoreConfig;
  /** The first rule that matches a topic holds. */
  readonly durability: readonly DurabilityRule[];
  readonly auth: AuthConfig;
  readonly limits: Limits;
  /** What a 5.0 client that asks for Response Information gets, `{client}` replaced by its id; null = nothing. */
  readonly responseInformation: string | null;
  /** How often `$SYS` values that changed are sent to their subscribers; "off" = there is no `$SYS`. */
  readonly sysIntervalMs: number | "off";
  readonly log: LogConfig;
}

const MIB = 2 ** 20;
const MEMORY_LIMIT_BYTES = 16 * MIB;
const SYS_INTERVAL_MS = 10_000;
const SYS_INTERVAL_MS_MIN = 1000;
const SYS_INTERVAL_MS_MAX = 3_600_000;

/** What holds without a configuration file. */
export function defaultConfig(): Config {
  return readConfig({ root: EMPTY_MAPPING, directory: "/", complaints: [] });
}

/** Whatever is wrong is in `reading.complaints` afterwards; a result with complaints is not to be run. */
export function readConfig(reading: Reading): Config {
  const root = new Section(reading, reading.root, "");
  const node = root.name("node", hostname() || "sluice");
  const config: Config = {
    node,
    dataDir: readDataDir(root),
    memoryLimitBytes: root.bytes("memory_limit", MEMORY_LIMIT_BYTES, 4 * MIB, 2 ** 40),
    listeners: readListeners(root),
    serial: readSerial(root),
    uplinks: readUplinks(root, node),
    store: readStore(root),
    durability: readDurability(root),
    auth: readAuth(root),
    limits: readLimits(root),
    responseInformation: readResponseInformation(root),
    sysIntervalMs: root.duration("sys_interval", SYS_INTERVAL_MS, SYS_INTERVAL_MS_MIN, SYS_INTERVAL_MS_MAX, "off"),
    log: readLog(root),
  };
  root.finish();
  complainAboutUplinks(root, config);
  complainAboutFrames(root, config.serial, config.limits);
  return config;
}

function readResponseInformation(root: Section): string | null {
  const template = root.text("response_information", null);
  if (template === null) return null;
  const problem = responseTemplateProblem(template);
  if (problem !== null) root.complain("response_information", problem, 'write it like "reply/{client}"');
  return template;
}

function readDataDir(root: Section): string {
  const dataDir = root.file("data_dir", "/var/lib/sluice");
  if (Buffer.byteLength(controlSocket(dataDir)) > UNIX_PATH_BYTES_MAX) {
    root.complain(
      "data_dir",
      `control.sock in it would have more than ${UNIX_PATH_BYTES_MAX} bytes`,
      "choose a shorter path",
    );
  }
  return dataDir;
}

function complainAboutUplinks(root: Section, { uplinks, store, limits }: Config): void {
  for (const [i, { spool, forward }] of uplinks.entries()) {
    const at = `uplinks[${i}]`;
    const tooMuch = (path: string): void =>
      root.complain(`${at}.spool.${path}`, "is more than store.max_bytes", "the spool lives in the store");
    if (spool.maxBytes > store.maxBytes) tooMuch("max_bytes");
    for (const [k, { maxBytes }] of spool.priorities.entries())
      if (maxBytes > store.maxBytes && maxBytes !== spool.maxBytes) tooMuch(`priorities[${k}].max_bytes`);
    for (const [k, { batch }] of forward.entries()) {
      if (batch === null || batch.maxBytes <= limits.maxPacketBytes) continue;
      const path = `${at}.forward[${k}].batch.max_bytes`;
      root.complain(path, "is more than limits.max_packet_bytes", "make it smaller");
    }
  }
}
