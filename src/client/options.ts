/** What a program asks for, checked, in the words of the client's engine and of the dialer. */
import { filterProblem, topicProblem } from "../config/topics.ts";
import {
  encodeProperties,
  type MessageProperties,
  PropertiesError,
  willProperties,
} from "../core/message-properties.ts";
import type { DialTarget } from "../transport/dialer.ts";
import type { ClientOptions, ServerLimits } from "../uplink/client/client-options.ts";
import type { WillOptions } from "../wire/mqtt/connect.ts";
import { VARINT_MAX } from "../wire/mqtt/primitives.ts";
import type { ConnectOptions, ServerInfo, SubscribeOptions, Will } from "./api.ts";
import { ClientError } from "./error.ts";
import { FILTERS_MAX, type Wanted } from "./subscriptions.ts";

const PORTS: Readonly<Record<string, number>> = { "mqtt:": 1883, "mqtts:": 8883, "ws:": 80, "wss:": 443 };
const WS_PATH = "/mqtt";
const DEFAULTS = { keepAliveSeconds: 60, receiveMaximum: 64, maxPacketBytes: 1024 * 1024, timeoutMs: 30_000 };
const QUEUE_MESSAGES = 16_384;
const QUEUE_BYTES = 16 * 1024 * 1024;
/** Publishes under way need a packet id each, and there are 65,535. */
const QUEUE_MESSAGES_MAX = 60_000;
const RECEIVE_MAXIMUM_MAX = 1000;
const MIN_DELAY_MS = 500;
const MAX_DELAY_MS = 30_000;

export function invalid(words: string): ClientError {
  return new ClientError("invalid-argument", words);
}

/** What of the options does not go on the wire. */
export interface Policy {
  readonly manualAcknowledge: boolean;
  /** null = the first lost connection is the end. */
  readonly reconnect: { readonly baseMs: number; readonly capMs: number } | null;
  readonly retryFirst: boolean;
  readonly queue: { readonly messages: number; readonly bytes: number };
}

/** @throws ClientError */
export function policyOf(options: ConnectOptions): Policy {
  const { reconnect = true, manualAcknowledge = false, retryFirst = false } = options;
  const delays = typeof reconnect === "boolean" ? {} : reconnect;
  const baseMs = within("reconnect.minDelayMs", delays.minDelayMs ?? MIN_DELAY_MS, 1, 3_600_000);
  const capMs = within("reconnect.maxDelayMs", delays.maxDelayMs ?? MAX_DELAY_MS, 1, 86_400_000);
  return {
    manualAcknowledge,
    reconnect: reconnect === false ? null : { baseMs, capMs: Math.max(baseMs, capMs) },
    retryFirst,
    queue: {
      messages: within("queueMessages", options.queueMessages ?? QUEUE_MESSAGES, 1, QUEUE_MESSAGES_MAX),
      bytes: within("queueBytes", options.queueBytes ?? QUEUE_BYTES, 1, 2 ** 31),
    },
  };
}

/** @throws ClientError */
export function clientOptions(options: ConnectOptions): ClientOptions {
  const { password } = options;
  const protocol = options.protocol ?? 5;
  if (protocol !== 3 && protocol !== 4 && protocol !== 5) throw invalid("protocol is 3, 4 or 5");
  return {
    version: protocol,
    bridge: false,
    clientId: options.clientId ?? "",
    userName: options.userName ?? null,
    password:
      password === null || password === undefined || typeof password === "string"
        ? (password ?? null)
        : Buffer.from(password),
    cleanStart: options.cleanStart ?? true,
    sessionExpirySeconds: within("sessionExpirySeconds", options.sessionExpirySeconds ?? 0, 0, 0xffff_ffff),
    keepAliveSeconds: within("keepAliveSeconds", options.keepAliveSeconds ?? DEFAULTS.keepAliveSeconds, 0, 65_535),
    receiveMaximum: within("receiveMaximum", options.receiveMaximum ?? DEFAULTS.receiveMaximum, 1, RECEIVE_MAXIMUM_MAX),
    packetBytesMax: within("maxPacketBytes", options.maxPacketBytes ?? DEFAULTS.maxPacketBytes, 16, 268_435_460),
    will: options.will ? willOf(options.will) : null,
  };
}

function willOf(will: Will): WillOptions {
  const { topic, payload, qos = 0, retain = false, delaySeconds = 0 } = will;
  checkTopic(topic);
  checkQos(qos);
  const bytes = Buffer.from(payload as Uint8Array);
  return { topic, payload: bytes, qos, retain, properties: checked(() => willProperties(will, delaySeconds)) };
}

/** The block without its length. @throws ClientError */
export function propertiesOf(properties: MessageProperties): Buffer {
  return checked(() => encodeProperties(properties));
}

function checked<T>(encode: () => T): T {
  try {
    return encode();
  } catch (error) {
    throw error instanceof PropertiesError ? invalid(error.message) : error;
  }
}

/** @throws ClientError */
export function targetOf(options: ConnectOptions): DialTarget {
  const { url, bindAddress = null, timeoutMs = DEFAULTS.timeoutMs } = options;
  if (url.startsWith("unix:")) {
    if (url.length === 5) throw invalid("unix: needs the path of a socket");
    return { host: "unix", port: 0, unix: url.slice(5), tls: null, timeoutMs };
  }
  if (!URL.canParse(url)) throw invalid(`${JSON.stringify(url)} is no URL`);
  const { protocol, hostname, port, pathname, search } = new URL(url);
  const usual = PORTS[protocol];
  if (usual === undefined) throw invalid(`${protocol}// is not possible: mqtt, mqtts, ws, wss or unix:/path`);
  if (hostname === "") throw invalid(`${JSON.stringify(url)} names no host`);
  const secure = protocol === "mqtts:" || protocol === "wss:";
  const target: DialTarget = {
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    port: port === "" ? usual : Number(port),
    tls: secure ? { ca: null, cert: null, key: null, alpn: [], servername: null, ...options.tls } : null,
    bindAddress,
    timeoutMs,
  };
  if (!protocol.startsWith("ws")) return target;
  return { ...target, webSocketPath: pathname === "/" ? WS_PATH + search : pathname + search };
}

/** @throws ClientError */
export function wantedOf(filters: string | readonly string[], options: SubscribeOptions): Wanted[] {
  const { qos = 0, noLocal = false, retainAsPublished = false, retainHandling = 0 } = options;
  checkQos(qos);
  const identifier = within("subscriptionIdentifier", options.subscriptionIdentifier ?? 1, 1, VARINT_MAX);
  return filtersOf(filters).map((filter) => ({
    request: { filter, qos, noLocal, retainAsPublished, retainHandling },
    identifier: options.subscriptionIdentifier === undefined ? 0 : identifier,
  }));
}

/** @throws ClientError */
export function filtersOf(filters: string | readonly string[]): readonly string[] {
  const list = typeof filters === "string" ? [filters] : filters;
  if (list.length === 0 || list.length > FILTERS_MAX) throw invalid(`1 to ${FILTERS_MAX} filters at a time`);
  for (const filter of list) {
    const problem = filterProblem(filter);
    if (problem !== null) throw invalid(`${JSON.stringify(filter)} is no topic filter: ${problem}`);
  }
  return list;
}

/** @throws ClientError */
export function checkTopic(topic: string): void {
  const problem = topicProblem(topic);
  if (problem !== null) throw invalid(`the topic ${problem}`);
}

/** @throws ClientError */
export function checkQos(qos: number): void {
  if (qos !== 0 && qos !== 1 && qos !== 2) throw invalid("qos is 0, 1 or 2");
}

function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(`${name} is no whole number from ${min} to ${max}`);
}

/** @param clientId the one asked for */
export function serverInfo(server: ServerLimits, clientId: string): ServerInfo {
  return {
    protocol: server.version as 3 | 4 | 5,
    clientId: server.assignedClientId ?? clientId,
    sessionPresent: server.sessionPresent,
    receiveMaximum: server.receiveMaximum,
    maxPacketBytes: server.packetBytesMax,
    maxQos: server.qosMax as 0 | 1 | 2,
    retainAvailable: server.retain,
    keepAliveSeconds: server.keepAliveSeconds,
  };
}
