/** Options that `pub` and `sub` share, named like those of mosquitto_pub. */
import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import type { ConnectOptions } from "../client/api.ts";
import { describeError } from "../transport/socket-error.ts";
import { UsageError, wholeNumber } from "./arguments.ts";

export const CONNECTION_OPTIONS = {
  url: { type: "string" },
  host: { type: "string", short: "h", default: "127.0.0.1" },
  port: { type: "string", short: "p" },
  id: { type: "string", short: "i" },
  username: { type: "string", short: "u" },
  pw: { type: "string", short: "P" },
  "protocol-version": { type: "string", short: "V", default: "5" },
  cafile: { type: "string" },
  cert: { type: "string" },
  key: { type: "string" },
  qos: { type: "string", short: "q", default: "0" },
  json: { type: "boolean", default: false },
} as const;

export interface ConnectionValues {
  readonly url?: string | undefined;
  readonly host: string;
  readonly port?: string | undefined;
  readonly id?: string | undefined;
  readonly username?: string | undefined;
  readonly pw?: string | undefined;
  readonly "protocol-version": string;
  readonly cafile?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

const MQTT_PORT = 1883;
const MQTTS_PORT = 8883;
const CONNECT_TIMEOUT_MS = 10_000;
const PACKET_BYTES_MAX = 16 * 2 ** 20;

/** @throws UsageError */
export function connectOptions(values: ConnectionValues): ConnectOptions {
  const { username, pw } = values;
  if (pw !== undefined && username === undefined) throw new UsageError("-P needs -u");
  const url = values.url ?? urlOf(values);
  return {
    url,
    protocol: protocolVersion(values["protocol-version"]),
    clientId: values.id ?? `sluice-${process.pid}-${Math.random().toString(36).slice(2, 8)}`,
    userName: username ?? null,
    password: pw ?? null,
    tls: tlsFiles(values),
    reconnect: false,
    maxPacketBytes: PACKET_BYTES_MAX,
    timeoutMs: CONNECT_TIMEOUT_MS,
  };
}

/** What went wrong, and what to try when the port most likely speaks TLS. */
export function failureWords(error: Error, { url }: ConnectOptions): string {
  const plain = url.startsWith("mqtt:") || url.startsWith("ws:");
  const silent = error.message.endsWith("without an answer to CONNECT");
  return plain && silent ? `${error.message}; if the port speaks TLS, give --cafile or an mqtts URL` : error.message;
}

function urlOf({ host, port, cafile }: ConnectionValues): string {
  const number = wholeNumber("-p", port ?? String(cafile === undefined ? MQTT_PORT : MQTTS_PORT), 1, 65_535);
  const url = `${cafile === undefined ? "mqtt" : "mqtts"}://${isIPv6(host) ? `[${host}]` : host}:${number}`;
  if (/[\s/?#@]/.test(host) || !URL.canParse(url)) throw new UsageError(`-h ${host}: no host name or address`);
  return url;
}

function tlsFiles({ cafile, cert, key }: ConnectionValues): NonNullable<ConnectOptions["tls"]> {
  if ((cert === undefined) !== (key === undefined)) throw new UsageError("--cert and --key go together");
  if (cert !== undefined && cafile === undefined)
    throw new UsageError("--cert needs --cafile: without TLS nobody asks for it");
  for (const file of [cafile, cert, key]) if (file !== undefined) requireReadable(file);
  const absolute = (file: string | undefined): string | null => (file === undefined ? null : resolve(file));
  return { ca: absolute(cafile), cert: absolute(cert), key: absolute(key) };
}

function requireReadable(file: string): void {
  try {
    readFileSync(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${describeError(error as Error)}`);
  }
}

function protocolVersion(text: string): 3 | 4 | 5 {
  if (text === "5" || text === "mqttv5") return 5;
  if (text === "311" || text === "4" || text === "mqttv311") return 4;
  if (text === "31" || text === "3" || text === "mqttv31") return 3;
  throw new UsageError(`-V ${text}: 31, 311 and 5 are possible`);
}

export function qosOf(text: string): 0 | 1 | 2 {
  return wholeNumber("-q", text, 0, 2) as 0 | 1 | 2;
}
