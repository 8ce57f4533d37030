/** `limits`: how much of everything. There is no "unlimited". */
import type { Section } from "./section.ts";

export interface Limits {
  readonly maxConnections: number;
  /** Of one IP address; loopback and unix sockets are not counted. */
  readonly connectionsPerAddress: number;
  /** For each step of a newcomer: TLS handshake, WebSocket upgrade, CONNECT. */
  readonly connectTimeoutMs: number;
  readonly maxSessions: number;
  /** 0 = sessions end with their connection. */
  readonly sessionExpiryMaxMs: number;
  /** What may wait for a session while its client is away. */
  readonly sessionQueueMessages: number;
  readonly sessionQueueBytes: number;
  /** Older messages are dropped from what waits for a session, a shared group or a serial line. */
  readonly sessionQueueAgeMs: number;
  readonly sessionWhenFull: "drop-newest" | "drop-oldest" | "refuse" | "latest-per-topic";
  readonly maxPacketBytes: number;
  /** What may wait for a connected client. */
  readonly outputBytes: number;
  /** How long a publisher waits for a slow subscriber. */
  readonly pauseMaxMs: number;
  /** How long a refused MQTT 3 packet is tried again before its connection closes. */
  readonly refusalHoldMs: number;
  /** The longest Keep Alive of a 5.0 client; 65,535 s = whatever it asks for, none at all included. */
  readonly keepAliveMaxMs: number;
  readonly handshakesPerSecond: number;
  readonly retainedMessages: number;
  readonly retainedBytes: number;
  /** The largest payload that is retained. */
  readonly retainedPayloadBytes: number;
  readonly subscriptionsPerClient: number;
  /** Of all CoAP clients: topics and filters that they observe. */
  readonly coapObservers: number;
  /** CoAP requests remembered, so that one that comes again is not done again. */
  readonly coapExchanges: number;
  readonly topicLevels: number;
  readonly topicBytes: number;
  /** Client id, user name, and each string among the properties of CONNECT and PUBLISH. */
  readonly stringBytes: number;
  /** Outstanding QoS 1 and 2 messages per client whose session outlives its connection. */
  readonly inflight: number;
  /** The same for one whose session does not: nothing is kept of what it was sent. As `inflight` where that is given. */
  readonly inflightLive: number;
  /** QoS 1 and 2 messages that a client may send before the first is answered. */
  readonly receiveMaximum: number;
  /** Per connection and direction; 0 = none. */
  readonly topicAliases: number;
  /** Look whether a payload with a Payload Format Indicator of 1 is UTF-8. */
  readonly validateUtf8Payload: boolean;
}

const KIB = 1024;
const MIB = 2 ** 20;
const CONNECTIONS_MAX = 100_000;
const DAY_MS = 86_400_000;
/** Fewer than the CoAP clients that are remembered, of which each holds one (protocol/coap/message/peer-table.ts). */
const COAP_OBSERVERS_MAX = 512;
/** More than there may be requests under way (protocol/coap/message/reply-pool.ts). */
const COAP_EXCHANGES_MIN = 512;
/** Places in the table are 16 bits. */
const COAP_EXCHANGES_MAX = 0x7fff;
/** Largest Remaining Length of an MQTT packet. */
const PACKET_BYTES_MAX = 268_435_455;
/** A Session Expiry Interval is 32 bits of seconds. */
const SESSION_EXPIRY_MAX_MS = 4_294_967_294_000;
const QUEUE_AGE_MS_MIN = 1000;
const WHEN_FULL = ["drop-newest", "drop-oldest", "refuse", "latest-per-topic"] as const;
/** A Keep Alive is 16 bits of seconds. */
const KEEP_ALIVE_MAX_MS = 65_535_000;
/** Ordinals between the oldest unacknowledged message and the newest (core/inflight.ts). */
const INFLIGHT_MAX = 4096;
/** More than a subscriber of hundreds of devices has on the way; two bits each (core/live-window.ts). */
const INFLIGHT_LIVE = 2048;

export function readLimits(root: Section): Limits {
  const section = root.sectionOrEmpty("limits");
  const maxConnections = section.count("max_connections", 1024, 1, CONNECTIONS_MAX);
  const sessionExpiryMaxMs = section.duration("session_expiry_max", 14 * DAY_MS, 0, SESSION_EXPIRY_MAX_MS);
  // What nobody can come back for any more, unless groups or serial lines are to keep it longer or shorter.
  const queueAgeMs = Math.max(QUEUE_AGE_MS_MIN, sessionExpiryMaxMs);
  const inflight = section.count("inflight", 64, 1, INFLIGHT_MAX);
  const limits: Limits = {
    maxConnections,
    connectionsPerAddress: section.count("connections_per_address", maxConnections, 1, CONNECTIONS_MAX),
    connectTimeoutMs: section.duration("connect_timeout", 10_000, 1000, 300_000),
    maxSessions: section.count("max_sessions", 4096, 1, 1_000_000),
    sessionExpiryMaxMs,
    sessionQueueMessages: section.count("session_queue_messages", 1000, 1, 10_000_000),
    sessionQueueBytes: section.bytes("session_queue_bytes", 64 * KIB, KIB, 2 ** 40),
    sessionQueueAgeMs: section.duration("session_queue_age", queueAgeMs, QUEUE_AGE_MS_MIN, SESSION_EXPIRY_MAX_MS),
    sessionWhenFull: section.oneOf("session_when_full", WHEN_FULL, "drop-newest"),
    maxPacketBytes: section.bytes("max_packet_bytes", 256 * KIB, KIB, PACKET_BYTES_MAX),
    outputBytes: section.bytes("output_bytes", MIB, 64 * KIB, 256 * MIB),
    pauseMaxMs: section.duration("pause_max", 2000, 10, 60_000),
    refusalHoldMs: section.duration("refusal_hold", 10_000, 100, 600_000),
    keepAliveMaxMs: section.duration("keep_alive_max", KEEP_ALIVE_MAX_MS, 1000, KEEP_ALIVE_MAX_MS),
    handshakesPerSecond: section.count("handshakes_per_second", 50, 1, 100_000),
    retainedMessages: section.count("retained_messages", 10_000, 1, 10_000_000),
    retainedBytes: section.bytes("retained_bytes", 8 * MIB, 4 * KIB, 2 ** 40),
    retainedPayloadBytes: section.bytes("retained_payload_bytes", 256 * KIB, 1, PACKET_BYTES_MAX),
    subscriptionsPerClient: section.count("subscriptions_per_client", 100, 1, 100_000),
    coapObservers: section.count("coap_observers", 160, 1, COAP_OBSERVERS_MAX),
    coapExchanges: section.count("coap_exchanges", 4096, COAP_EXCHANGES_MIN, COAP_EXCHANGES_MAX),
    topicLevels: section.count("topic_levels", 200, 1, 32_768),
    topicBytes: section.bytes("topic_bytes", 1024, 16, 65_535),
    stringBytes: section.bytes("string_bytes", 1024, 64, 65_535),
    inflight,
    inflightLive: section.has("inflight") ? inflight : INFLIGHT_LIVE,
    receiveMaximum: section.count("receive_maximum", 1024, 1, 65_535),
    topicAliases: section.count("topic_aliases", 16, 0, 65_535),
    validateUtf8Payload: section.flag("validate_utf8_payload", false),
  };
  if (limits.outputBytes < limits.maxPacketBytes) {
    section.complain("output_bytes", "is less than max_packet_bytes", "a packet must fit in a client's output");
  }
  section.finish();
  return limits;
}
