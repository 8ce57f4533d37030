/** What an uplink's configuration means for its connection. */
import { isEncrypted } from "../../config/uplink-urls.ts";
import type { UplinkConfig } from "../../config/uplinks.ts";
import type { DialTarget } from "../../transport/dialer.ts";
import { MQTT_5 } from "../../wire/mqtt/codes.ts";
import type { ClientOptions, ServerLimits } from "../client/client-options.ts";

/** Name look-up, TCP, proxy, TLS and WebSocket together. */
const DIAL_TIMEOUT_MS = 30_000;
/**
 * Messages of QoS 2 that servers take at once without having said so: 3.1.1 has no word for it. Mosquitto acknowledges
 * those beyond its `max_inflight_messages` and throws them away.
 */
const QOS_2_UNANNOUNCED_MAX = 20;
/** QoS 1 and 2 messages that the server may send us before the first is acknowledged. */
const RECEIVE_MAXIMUM = 64;

/** Whether the uplink needs `UplinkParts.Metered`. */
export function isMetered({ pace, dataCap, connect }: Pick<UplinkConfig, "pace" | "dataCap" | "connect">): boolean {
  return pace !== null || dataCap !== null || connect !== null;
}

/** @param url one of the uplink's */
export function targetOf(config: UplinkConfig, url: string): DialTarget {
  const { protocol, hostname, port, pathname, search } = new URL(url);
  const { tls, bindAddress, interface: interfaceName, proxy } = config;
  const target = {
    // An IPv6 address stands in brackets in a URL.
    host: hostname.replace(/^\[(.*)\]$/, "$1"),
    // A URL does not say the port that goes without saying.
    port: port === "" ? (protocol === "wss:" ? 443 : 80) : Number(port),
    tls: isEncrypted(url) ? tls : null,
    bindAddress,
    interface: interfaceName,
    proxy,
    timeoutMs: DIAL_TIMEOUT_MS,
  };
  return protocol.startsWith("ws") ? { ...target, webSocketPath: `${pathname}${search}` } : target;
}

/** @param packetBytesMax largest packet taken from the server */
export function optionsOf(config: UplinkConfig, password: Buffer | null, packetBytesMax: number): ClientOptions {
  const { protocol, clientId, username, sessionExpiryMs, keepaliveMs } = config;
  return {
    version: protocol,
    bridge: true,
    clientId,
    userName: username,
    password,
    cleanStart: sessionExpiryMs === 0,
    sessionExpirySeconds: Math.ceil(sessionExpiryMs / 1000),
    keepAliveSeconds: Math.round(keepaliveMs / 1000),
    receiveMaximum: RECEIVE_MAXIMUM,
    packetBytesMax,
    will: null,
  };
}

/**
 * Messages in flight at most. One place of the server's Receive Maximum stays free: Mosquitto counts QoS 2 messages
 * that wait for our PUBREL over connections, and refuses QoS 1 while they take all places, also those that a crash
 * makes us send once more before it comes to the releases.
 */
export function windowOf(config: UplinkConfig, server: Pick<ServerLimits, "version" | "receiveMaximum">): number {
  const sendsQos2 = config.forward.some(({ qos }) => qos === 2 || qos === "keep");
  const places = server.version !== MQTT_5 && sendsQos2 ? QOS_2_UNANNOUNCED_MAX : server.receiveMaximum;
  return Math.min(config.window, Math.max(1, places - 1));
}

/** A password file's password: editors end a file with a line feed that is not part of it. */
export function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === 0x0a) end--;
  if (end > 0 && bytes[end - 1] === 0x0d) end--;
  return bytes.subarray(0, end);
}
