/** Options that `pub` and `sub` share, named like those of mosquitto_pub. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { DialTarget } from "../transport/dialer.ts";
import type { ClientOptions } from "../uplink/client-options.ts";
import { UsageError, wholeNumber } from "./arguments.ts";

export const CONNECTION_OPTIONS = {
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
const DIAL_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_SECONDS = 60;
const RECEIVE_MAXIMUM = 64;
const PACKET_BYTES_MAX = 16 * 2 ** 20;

/** @throws UsageError */
export function dialTarget(values: ConnectionValues): DialTarget {
  const tls = tlsOptions(values);
  const port = values.port ?? String(tls === null ? MQTT_PORT : MQTTS_PORT);
  return { host: values.host, port: wholeNumber("-p", port, 1, 65_535), tls, timeoutMs: DIAL_TIMEOUT_MS };
}

function tlsOptions({ cafile, cert, key }: ConnectionValues): DialTarget["tls"] {
  if ((cert === undefined) !== (key === undefined)) throw new UsageError("--cert and --key go together");
  if (cafile === undefined) {
    if (cert !== undefined) throw new UsageError("--cert needs --cafile: without TLS nobody looks at it");
    return null;
  }
  for (const file of [cafile, cert, key]) if (file !== undefined) requireReadable(file);
  const absolute = (file: string | undefined): string | null => (file === undefined ? null : resolve(file));
  return { ca: absolute(cafile), cert: absolute(cert), key: absolute(key), alpn: [], servername: null };
}

function requireReadable(file: string): void {
  try {
    readFileSync(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/** @throws UsageError */
export function clientOptions(values: ConnectionValues): ClientOptions {
  const { username, pw } = values;
  if (pw !== undefined && username === undefined) throw new UsageError("-P needs -u");
  return {
    version: protocolVersion(values["protocol-version"]),
    bridge: false,
    clientId: values.id ?? `sluice-${process.pid}-${Math.random().toString(36).slice(2, 8)}`,
    userName: username ?? null,
    password: pw ?? null,
    cleanStart: true,
    sessionExpirySeconds: 0,
    keepAliveSeconds: KEEP_ALIVE_SECONDS,
    receiveMaximum: RECEIVE_MAXIMUM,
    packetBytesMax: PACKET_BYTES_MAX,
    will: null,
  };
}

function protocolVersion(text: string): 4 | 5 {
  if (text === "5" || text === "mqttv5") return 5;
  if (text === "311" || text === "4" || text === "mqttv311") return 4;
  throw new UsageError(`-V ${text}: 311 and 5 are possible`);
}

export function qosOf(text: string): number {
  return wholeNumber("-q", text, 0, 2);
}
