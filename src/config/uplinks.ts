/** `uplinks`: the brokers that the gateway is a client of. */
import type { Section } from "./section.ts";
import { type ForwardRule, type ReceiveRule, readForward, readReceive } from "./uplink-rules.ts";

export interface UplinkConfig {
  readonly name: string;
  /** mqtt://host:port or mqtts://host:port; the port is always given. */
  readonly url: string;
  /** 5 falls back to 4 when the broker refuses it. */
  readonly protocol: 4 | 5;
  readonly clientId: string;
  readonly username: string | null;
  /** Absolute path; read before each connect. */
  readonly passwordFile: string | null;
  /** Set exactly when the URL is mqtts. */
  readonly tls: TlsClientConfig | null;
  readonly keepaliveMs: number;
  /** 0 = a clean start each time. */
  readonly sessionExpiryMs: number;
  /** Outstanding QoS 1 and 2 messages. */
  readonly window: number;
  readonly bindAddress: string | null;
  readonly forward: readonly ForwardRule[];
  readonly receive: readonly ReceiveRule[];
  readonly spool: SpoolConfig;
  readonly drain: "oldest-first";
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

export interface SpoolConfig {
  readonly maxBytes: number;
  readonly maxMessages: number;
  readonly maxAgeMs: number;
  readonly whenFull: "drop-oldest" | "drop-newest" | "refuse" | "latest-per-topic";
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
  for (const [i, { name, url, clientId }] of uplinks.entries()) {
    const earlier = uplinks.slice(0, i);
    if (earlier.some((other) => other.name === name)) {
      root.complain(`uplinks[${i}].name`, `${name} is the name of another uplink`, "give each its own");
    }
    if (url !== "" && earlier.some((other) => other.url === url && other.clientId === clientId)) {
      const problem = `another uplink is ${clientId} at ${url}, and the broker would throw each out for the other`;
      root.complain(`uplinks[${i}].client_id`, problem, "give each its own client_id");
    }
  }
  return uplinks;
}

function readUplink(section: Section, node: string): UplinkConfig {
  const name = section.name("name", "cloud");
  const url = readUrl(section);
  const username = section.text("username", null);
  const passwordFile = section.file("password_file", null);
  if (passwordFile !== null && username === null) {
    section.complain("username", "is missing while password_file is given", "give both"); // [MQTT311-3.1.2-22]
  }
  const uplink: UplinkConfig = {
    name,
    url,
    protocol: section.oneOf("protocol", [4, 5], 5),
    clientId: section.text("client_id", node),
    username,
    passwordFile,
    tls: readTls(section, url),
    keepaliveMs: readKeepalive(section),
    sessionExpiryMs: section.duration("session_expiry", 7 * DAY_MS, 0, SESSION_EXPIRY_MAX_MS),
    window: section.count("window", 64, 1, WINDOW_MAX),
    bindAddress: section.address("bind_address", null),
    forward: readForward(section),
    receive: readReceive(section),
    spool: readSpool(section),
    drain: readDrain(section),
  };
  section.notBuilt("proxy", "connect directly for now: remove this key");
  section.notBuilt("pace", "the window bounds the rate for now: remove this key");
  section.finish();
  return uplink;
}

function readUrl(section: Section): string {
  if (!section.has("url")) {
    section.complain("url", "is missing", "write it like mqtts://broker.example.com:8883");
    return "";
  }
  if (section.isList("url")) {
    section.complain("url", "a list of urls is not built yet", "give one url");
    return "";
  }
  const text = section.text("url", null);
  if (text === null) return "";
  const problem = urlProblem(text);
  if (problem === null) return normalUrl(new URL(text));
  section.complain("url", problem, "write it like mqtts://broker.example.com:8883");
  return "";
}

function urlProblem(text: string): string | null {
  if (!URL.canParse(text)) return `${JSON.stringify(text)} is no URL`;
  const url = new URL(text);
  if (url.protocol === "ws:" || url.protocol === "wss:") return `${url.protocol}// is not built yet`;
  if (url.protocol !== "mqtt:" && url.protocol !== "mqtts:") return `${url.protocol}// is not possible`;
  if (url.hostname === "") return "names no host";
  if (url.username !== "" || url.password !== "") return "holds a user or password; they have keys of their own";
  if (url.port === "0") return "port 0 is no broker's";
  return /^\/?$/.test(url.pathname) && url.search === "" && url.hash === "" ? null : "has something after the port";
}

function normalUrl(url: URL): string {
  const port = url.port === "" ? (url.protocol === "mqtts:" ? "8883" : "1883") : url.port;
  return `${url.protocol}//${url.hostname}:${port}`;
}

function readTls(section: Section, url: string): TlsClientConfig | null {
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
  if (url.startsWith("mqtts:")) return config;
  if (section.has("tls") && url !== "")
    section.complain("tls", "the url is not encrypted", "make it mqtts://, or remove tls");
  return null;
}

function readKeepalive(section: Section): number {
  const keepaliveMs = section.duration("keepalive", 60_000, 1000, KEEPALIVE_MAX_MS);
  if (keepaliveMs % 1000 !== 0) section.complain("keepalive", "MQTT counts it in whole seconds", "write it like 60s");
  return keepaliveMs;
}

function readSpool(root: Section): SpoolConfig {
  const section = root.sectionOrEmpty("spool");
  const policies = ["drop-oldest", "drop-newest", "refuse", "latest-per-topic"] as const;
  const spool: SpoolConfig = {
    maxBytes: section.bytes("max_bytes", 256 * 2 ** 20, 64 * 1024, 2 ** 50),
    maxMessages: section.count("max_messages", 1_000_000, 1, 1_000_000_000),
    maxAgeMs: section.duration("max_age", 7 * DAY_MS, 1000, 3650 * DAY_MS),
    whenFull: section.oneOf("when_full", policies, "drop-oldest"),
  };
  section.finish();
  return spool;
}

function readDrain(section: Section): "oldest-first" {
  const drain = section.oneOf("drain", ["oldest-first", "newest-first", "interleave"], "oldest-first");
  if (drain !== "oldest-first") section.complain("drain", `${drain} is not built yet`, "use oldest-first");
  return "oldest-first";
}
