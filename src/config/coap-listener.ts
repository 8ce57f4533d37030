/** Keys of `listeners` that only CoAP has. */
import type { Section } from "./section.ts";

export interface CoapConfig {
  /** null = plain UDP. */
  readonly dtls: DtlsServerConfig | null;
  /** Whether it answers what goes to All-CoAP-Nodes (RFC 7252 section 12.8). */
  readonly multicast: boolean;
  /** How often a client of the connection mode shows that it is there. */
  readonly heartbeatMs: number;
  /** Requests a second from one source address. */
  readonly rate: number;
  /** How notifications go: `qos` = as CON for messages of QoS 1 and 2. */
  readonly notify: NotifyType;
}

export type NotifyType = "qos" | "con" | "non";

/** DTLS 1.2: by shared keys, by certificates, or both. */
export interface DtlsServerConfig {
  /** Absolute path of the file of identities and keys; null = none. */
  readonly pskFile: string | null;
  /** Absolute paths of PEM files; both or neither. */
  readonly cert: string | null;
  readonly key: string | null;
  /** Clients without a shared key must show a certificate of this authority; null = none is asked for. */
  readonly clientCa: string | null;
  /** Sessions and handshakes at a time. */
  readonly maxSessions: number;
  /** A session not used for so long gives way to a newcomer when there are `maxSessions`. */
  readonly idleTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  /** Most bytes of a datagram, record headers included. */
  readonly mtu: number;
}

export const NOTIFY_TYPES = ["qos", "con", "non"] as const;
const DAY_MS = 86_400_000;
/** A CoAP message of a block of 64 bytes and its options, in a record. */
const MTU_MIN = 256;
/** Largest payload of a datagram in an Ethernet frame over IPv4. */
const MTU_MAX = 1472;

/** @returns null for another type of listener, after complaints about keys that mean nothing to it */
export function readCoap(section: Section, type: string): CoapConfig | null {
  if (type !== "coap") {
    for (const key of ["dtls", "multicast", "heartbeat", "rate", "notify"]) {
      if (key === "rate" && type === "mqtt-sn") continue;
      if (section.has(key)) section.complain(key, `means nothing to ${type}`, "remove it");
    }
    return null;
  }
  const dtls = readDtls(section);
  const multicast = section.flag("multicast", false);
  if (multicast && section.has("dtls")) {
    section.complain("multicast", "means nothing over DTLS", "give it to a plain listener, or remove it");
  }
  return {
    dtls,
    multicast,
    heartbeatMs: section.duration("heartbeat", 30_000, 1000, DAY_MS),
    rate: section.count("rate", 200, 1, 1_000_000),
    notify: section.oneOf("notify", NOTIFY_TYPES, "qos"),
  };
}

function readDtls(section: Section): DtlsServerConfig | null {
  const dtls = section.section("dtls");
  if (dtls === null) return null;
  const config: DtlsServerConfig = {
    pskFile: dtls.file("psk_file", null),
    cert: dtls.file("cert", null),
    key: dtls.file("key", null),
    clientCa: dtls.file("client_ca", null),
    maxSessions: dtls.count("max_sessions", 256, 1, 65_536),
    idleTimeoutMs: dtls.duration("idle_timeout", 600_000, 1000, DAY_MS),
    handshakeTimeoutMs: dtls.duration("handshake_timeout", 15_000, 1000, 300_000),
    mtu: dtls.bytes("mtu", 1200, MTU_MIN, MTU_MAX),
  };
  const { pskFile, cert, key, clientCa } = config;
  if (cert !== null && key === null) dtls.complain("key", "is missing", "give the path of the private key in PEM");
  if (key !== null && cert === null) dtls.complain("cert", "is missing", "give the path of the certificate in PEM");
  if (cert === null && key === null) {
    if (clientCa !== null) {
      dtls.complain("client_ca", "means nothing without cert and key", "give them, or remove it");
    } else if (pskFile === null) {
      dtls.complain("", "has neither keys nor a certificate", "give psk_file, or cert and key, or all three");
    }
  }
  dtls.finish();
  return config;
}
