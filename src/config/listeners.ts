/** `listeners`: where peers reach the gateway. */
import { resolve } from "node:path";
import { addressText, type Bind, overlaps, parseBind, UNIX_PATH_BYTES_MAX } from "./bind.ts";
import { type CoapConfig, readCoap } from "./coap-listener.ts";
import { type MqttSnConfig, readMqttSn } from "./mqtt-sn-listener.ts";
import type { Section } from "./section.ts";

export type ListenerType = "mqtt" | "ws" | "coap" | "http" | "mqtt-sn";
export type AnonymousPolicy = "never" | "loopback" | "always";

export interface ListenerConfig {
  readonly type: ListenerType;
  /** "" for a unix socket. */
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  /** ws: the path of its URL, "/mqtt". */
  readonly path: string;
  /** Absolute path of a unix socket; null = host and port. */
  readonly unix: string | null;
  /** Permission bits of the unix socket. */
  readonly unixMode: number;
  readonly tls: TlsServerConfig | null;
  readonly maxQos: 0 | 1 | 2;
  /** Whether its peers may have messages retained. */
  readonly retainAvailable: boolean;
  /** null = `auth.anonymous`. */
  readonly anonymous: AnonymousPolicy | null;
  /** ws: origins of web pages that may connect; null = the key is absent. */
  readonly origins: readonly string[] | null;
  /** null = another type. */
  readonly coap: CoapConfig | null;
  /** null = another type. */
  readonly mqttSn: MqttSnConfig | null;
}

/** Absolute paths of PEM files. */
export interface TlsServerConfig {
  readonly cert: string;
  readonly key: string;
  /** Clients must show a certificate of this authority; null = none is asked for. */
  readonly clientCa: string | null;
}

export const ANONYMOUS_POLICIES = ["never", "loopback", "always"] as const;

const TYPES = ["mqtt", "ws", "coap", "http", "mqtt-sn"] as const;
const PORTS = { mqtt: 1883, ws: 8083, coap: 5683, http: 8080, "mqtt-sn": 1884 } as const;
const MQTTS_PORT = 8883;
const COAPS_PORT = 5684;

/** Without the key: MQTT on loopback. An empty list means none. */
export function readListeners(root: Section): ListenerConfig[] {
  const sections = root.sections("listeners");
  if (sections === null) return [{ ...COMMON, type: "mqtt", host: "127.0.0.1", port: PORTS.mqtt }];
  const listeners = sections.map(readListener);
  complainAboutOverlaps(root, listeners);
  return listeners;
}

const COMMON = {
  path: "/mqtt",
  unix: null,
  unixMode: 0o660,
  tls: null,
  maxQos: 2,
  retainAvailable: true,
  anonymous: null,
  origins: null,
  coap: null,
  mqttSn: null,
} as const;

function readListener(section: Section): ListenerConfig {
  const type = section.oneOf("type", TYPES, "mqtt");
  const tls = readTls(section, type);
  const coap = readCoap(section, type);
  const bind = readBind(section, type, defaultPort(type, tls !== null, coap?.dtls != null));
  const unix = bind.unix === null ? null : resolveUnix(section, bind.unix);
  const listener: ListenerConfig = {
    type,
    host: bind.host,
    port: bind.port,
    path: readPath(section, type),
    unix,
    unixMode: readMode(section, unix !== null),
    tls,
    maxQos: section.oneOf("max_qos", [0, 1, 2], COMMON.maxQos),
    retainAvailable: section.flag("retain_available", COMMON.retainAvailable),
    anonymous: section.has("anonymous") ? section.oneOf("anonymous", ANONYMOUS_POLICIES, "never") : null,
    origins: readOrigins(section, type),
    coap,
    mqttSn: readMqttSn(section, type),
  };
  for (const key of ["max_qos", "retain_available"]) {
    if (section.has(key) && type !== "mqtt" && type !== "ws")
      section.complain(key, `means nothing to ${type}`, "remove it");
  }
  section.finish();
  return listener;
}

function defaultPort(type: ListenerType, tls: boolean, dtls: boolean): number {
  if (type === "mqtt" && tls) return MQTTS_PORT;
  return dtls ? COAPS_PORT : PORTS[type];
}

function readBind(section: Section, type: ListenerType, port: number): Bind {
  const fallback = { host: "127.0.0.1", port, unix: null };
  const text = section.text("bind", null);
  if (text === null) return fallback;
  const bind = parseBind(text);
  if (typeof bind === "string") {
    section.complain(
      "bind",
      `${JSON.stringify(text)} ${bind}`,
      'write it like "0.0.0.0:1883", "[::]:1883" or "unix:/path"',
    );
    return { ...fallback, port: 0 }; // no second complaint about a taken port
  }
  if (bind.unix !== null && type !== "mqtt") {
    section.complain("bind", `${type} does not listen on unix sockets`, "give an address and a port");
    return fallback;
  }
  if (bind.unix !== null && section.has("tls")) section.complain("tls", "means nothing on a unix socket", "remove it");
  return bind;
}

function resolveUnix(section: Section, path: string): string {
  const absolute = resolve(section.directory, path);
  if (Buffer.byteLength(absolute) > UNIX_PATH_BYTES_MAX) {
    section.complain("bind", `the path is longer than ${UNIX_PATH_BYTES_MAX} bytes`, "choose a shorter one");
  }
  return absolute;
}

function readTls(section: Section, type: ListenerType): TlsServerConfig | null {
  const tls = section.section("tls");
  if (tls === null) return null;
  const cert = tls.file("cert", null);
  const key = tls.file("key", null);
  const clientCa = tls.file("client_ca", null);
  tls.finish();
  if (type === "coap") section.complain("tls", "CoAP runs over DTLS, not TLS", "write dtls instead");
  if (type === "mqtt-sn") section.complain("tls", "means nothing to mqtt-sn", "remove it");
  if (cert === null) tls.complain("cert", "is missing", "give the path of the certificate chain in PEM");
  if (key === null) tls.complain("key", "is missing", "give the path of the private key in PEM");
  return cert === null || key === null ? null : { cert, key, clientCa };
}

function readPath(section: Section, type: ListenerType): string {
  const path = section.text("path", COMMON.path);
  if (section.has("path") && type !== "ws") section.complain("path", `means nothing to ${type}`, "remove it");
  if (!/^\/[\x21-\x7e]*$/.test(path) || /[?#]/.test(path)) {
    section.complain("path", `${JSON.stringify(path)} is no path of a URL`, "write it like /mqtt");
  }
  return path;
}

/** Octal digits, quoted or not: YAML takes 0660 for a number. */
function readMode(section: Section, unix: boolean): number {
  const source = section.source("mode");
  if (source === null) return COMMON.unixMode;
  if (!unix) section.complain("mode", "means nothing without a unix socket", "remove it");
  if (/^(0o?)?[0-7]{3}$/.test(source)) return Number.parseInt(source.slice(-3), 8);
  section.complain("mode", `${JSON.stringify(source)} is no file mode`, 'write it like "0660"');
  return COMMON.unixMode;
}

function readOrigins(section: Section, type: ListenerType): string[] | null {
  const origins = section.texts("origins");
  if (origins === null) return null;
  if (type !== "ws") section.complain("origins", `means nothing to ${type}`, "remove it");
  for (const [i, origin] of origins.entries()) {
    if (URL.canParse(origin) && new URL(origin).origin === origin) continue;
    section.complain(`origins[${i}]`, `${JSON.stringify(origin)} is no origin`, 'write it like "https://panel.local"');
  }
  return origins;
}

function complainAboutOverlaps(root: Section, listeners: readonly ListenerConfig[]): void {
  for (const [i, listener] of listeners.entries()) {
    const udp = isUdp(listener);
    const j = listeners.slice(0, i).findIndex((other) => isUdp(other) === udp && overlaps(other, listener));
    if (j === -1) continue;
    const text = listener.unix ?? addressText(listener.host, listener.port);
    root.complain(`listeners[${i}].bind`, `${text} is taken by listeners[${j}]`, "choose another port");
  }
}

function isUdp({ type }: ListenerConfig): boolean {
  return type === "coap" || type === "mqtt-sn";
}
