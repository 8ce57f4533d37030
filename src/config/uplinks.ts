/** `uplinks`: the brokers that the gateway is a client of. */
import type { Section } from "./section.ts";
import {
  type ConnectConfig,
  DATA_CAPS_MAX,
  type DataCapConfig,
  type PaceConfig,
  readConnect,
  readDataCap,
  readPace,
} from "./uplink-pace.ts";
import { type ForwardRule, type ReceiveRule, readForward, readReceive } from "./uplink-rules.ts";
import { readSpool, type SpoolConfig } from "./uplink-spool.ts";
import { isEncrypted, type ProxyConfig, readProxy, readUrls } from "./uplink-urls.ts";

export interface UplinkConfig {
  readonly name: string;
  /** scheme://host:port, of a WebSocket with its path, in failover order; the first is the primary. */
  readonly urls: readonly string[];
  /** How often the primary is tried while connected to another. */
  readonly returnToPrimaryMs: number;
  /** 5 falls back to 4 when the broker refuses it. */
  readonly protocol: 4 | 5;
  readonly clientId: string;
  readonly username: string | null;
  /** Absolute path; read before each connect. */
  readonly passwordFile: string | null;
  /** The connection is made anew so long before the token in the password file expires. */
  readonly renewBeforeMs: number;
  /** Set exactly when one of the urls is mqtts or wss. */
  readonly tls: TlsClientConfig | null;
  readonly keepaliveMs: number;
  /** 0 = a clean start each time. */
  readonly sessionExpiryMs: number;
  /** Outstanding QoS 1 and 2 messages. */
  readonly window: number;
  readonly proxy: ProxyConfig | null;
  /** Local address to leave from. */
  readonly bindAddress: string | null;
  /** Network interface whose address to leave from. */
  readonly interface: string | null;
  /** Whether what goes out in 5.0 carries the node's name, so that it does not go round. */
  readonly loopMark: boolean;
  readonly forward: readonly ForwardRule[];
  readonly receive: readonly ReceiveRule[];
  readonly spool: SpoolConfig;
  readonly drain: "oldest-first" | "newest-first" | "interleave";
  readonly pace: PaceConfig | null;
  readonly dataCap: DataCapConfig | null;
  readonly connect: ConnectConfig | null;
}

/** Absolute paths of PEM files; null = the authorities that come with the runtime, no client certificate. */
export interface TlsClientConfig {
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  readonly alpn: readonly string[];
  /** null = the host of the URL. */
  readonly servername: string | null;
}

const DAY_MS = 86_400_000;
/** Keep Alive is 16 bits of seconds. */
const KEEPALIVE_MAX_MS = 65_535_000;
/** Session Expiry Interval is 32 bits of seconds, and the largest means "never". */
const SESSION_EXPIRY_MAX_MS = 4_294_967_294_000;
/** Ordinals between the oldest unacknowledged message and the newest (core/inflight.ts). */
const WINDOW_MAX = 4096;

export function readUplinks(root: Section, node: string): UplinkConfig[] {
  const uplinks = (root.sections("uplinks") ?? []).map((section) => readUplink(section, node));
  for (const [i, { name, urls, clientId }] of uplinks.entries()) {
    const earlier = uplinks.slice(0, i);
    if (earlier.some((other) => other.name === name)) {
      root.complain(`uplinks[${i}].name`, `${name} is the name of another uplink`, "give each its own");
    }
    const shared = urls.find((url) => earlier.some((other) => other.urls.includes(url) && other.clientId === clientId));
    if (shared !== undefined) {
      const problem = `another uplink is ${clientId} at ${shared}, and the broker would throw each out for the other`;
      root.complain(`uplinks[${i}].client_id`, problem, "give each its own client_id");
    }
  }
  const beyond = uplinks.filter(({ dataCap }) => dataCap !== null)[DATA_CAPS_MAX];
  if (beyond !== undefined)
    root.complain(
      `uplinks[${uplinks.indexOf(beyond)}].data_cap`,
      `is one more than the ${DATA_CAPS_MAX} that there can be`,
      "remove one",
    );
  return uplinks;
}

function readUplink(section: Section, node: string): UplinkConfig {
  const name = section.name("name", "cloud");
  const urls = readUrls(section);
  const username = section.text("username", null);
  const passwordFile = section.file("password_file", null);
  if (passwordFile !== null && username === null) {
    section.complain("username", "is missing while password_file is given", "give both"); // [MQTT311-3.1.2-22]
  }
  const uplink: UplinkConfig = {
    name,
    urls,
    returnToPrimaryMs: section.duration("return_to_primary", 300_000, 1000, 31 * DAY_MS),
    protocol: section.oneOf("protocol", [4, 5], 5),
    clientId: section.text("client_id", node),
    username,
    passwordFile,
    renewBeforeMs: section.duration("renew_before", 300_000, 1000, DAY_MS),
    tls: readTls(section, urls),
    keepaliveMs: readKeepalive(section),
    sessionExpiryMs: section.duration("session_expiry", 7 * DAY_MS, 0, SESSION_EXPIRY_MAX_MS),
    window: section.count("window", 64, 1, WINDOW_MAX),
    proxy: readProxy(section),
    bindAddress: section.address("bind_address", null),
    interface: readInterface(section),
    loopMark: section.flag("loop_mark", true),
    forward: readForward(section),
    receive: readReceive(section),
    spool: readSpool(section),
    drain: section.oneOf("drain", ["oldest-first", "newest-first", "interleave"], "oldest-first"),
    pace: readPace(section),
    dataCap: readDataCap(section),
    connect: readConnect(section),
  };
  section.finish();
  return uplink;
}

/** @see Linux, dev_valid_name: up to 15 bytes without slash and white space */
function readInterface(section: Section): string | null {
  const name = section.text("interface", null);
  if (name === null) return null;
  if (!/^[^\s/:]{1,15}$/.test(name) || name === "." || name === "..")
    section.complain(
      "interface",
      `${JSON.stringify(name)} is no network interface`,
      "write it as `ip link` does, like wwan0",
    );
  if (section.has("bind_address")) section.complain("interface", "is given beside bind_address", "give one of the two");
  return name;
}

function readTls(section: Section, urls: readonly string[]): TlsClientConfig | null {
  const tls = section.sectionOrEmpty("tls");
  const config: TlsClientConfig = {
    ca: tls.file("ca", null),
    cert: tls.file("cert", null),
    key: tls.file("key", null),
    alpn: tls.texts("alpn") ?? [],
    servername: tls.text("servername", null),
  };
  if ((config.cert === null) !== (config.key === null)) {
    tls.complain(config.cert === null ? "cert" : "key", "is missing", "a client certificate needs cert and key");
  }
  for (const [i, protocol] of config.alpn.entries()) {
    if (Buffer.byteLength(protocol) > 255) tls.complain(`alpn[${i}]`, "is longer than 255 bytes", "shorten it");
  }
  tls.finish();
  if (urls.some(isEncrypted)) return config;
  if (section.has("tls") && urls.length > 0)
    section.complain("tls", "the url is not encrypted", "make it mqtts://, or remove tls");
  return null;
}

function readKeepalive(section: Section): number {
  const keepaliveMs = section.duration("keepalive", 60_000, 1000, KEEPALIVE_MAX_MS);
  if (keepaliveMs % 1000 !== 0) section.complain("keepalive", "MQTT counts it in whole seconds", "write it like 60s");
  return keepaliveMs;
}
