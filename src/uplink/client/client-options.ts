/** What a client connects with, what the server answered, and the CONNECT in between. */
import { MQTT_3_1, MQTT_3_1_1, MQTT_5 } from "../../wire/mqtt/codes.ts";
import type { ConnackView } from "../../wire/mqtt/connack.ts";
import type { ConnectOptions, WillOptions } from "../../wire/mqtt/connect.ts";
import { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { MAXIMUM_PACKET_SIZE, RECEIVE_MAXIMUM, SESSION_EXPIRY_INTERVAL } from "../../wire/mqtt/property-table.ts";

export interface ClientOptions {
  /** 5 goes down to 4 when the server does not know it. */
  readonly version: 3 | 4 | 5;
  /** Before 5.0: say that we are a bridge, as Mosquitto's do, so that the server does not send us what we sent it. */
  readonly bridge: boolean;
  /** "" lets the server choose one. */
  readonly clientId: string;
  readonly userName: string | null;
  readonly password: string | Buffer | null;
  readonly cleanStart: boolean;
  /** 0: the session ends with the connection. Before 5.0 `cleanStart` alone decides. */
  readonly sessionExpirySeconds: number;
  /** 0 switches it off. */
  readonly keepAliveSeconds: number;
  /** QoS 1 and 2 messages that the server may send before the first is acknowledged; it learns it in 5.0 only. */
  readonly receiveMaximum: number;
  /** Largest packet taken. */
  readonly packetBytesMax: number;
  readonly will: WillOptions | null;
}

/** What the server allows on this connection. */
export interface ServerLimits {
  /** 3, 4 or 5. */
  readonly version: number;
  /** It has our session from before. */
  readonly sessionPresent: boolean;
  readonly receiveMaximum: number;
  /** Infinity when it named none. */
  readonly packetBytesMax: number;
  readonly qosMax: number;
  readonly retain: boolean;
  /** Subscriptions may have identifiers. */
  readonly subscriptionIds: boolean;
  readonly keepAliveSeconds: number;
  /** The one it chose, null when it took ours. */
  readonly assignedClientId: string | null;
}

/** A way to ask for a connection. */
export interface Rung {
  readonly version: 3 | 4 | 5;
  readonly bridge: boolean;
}

/** Where on the ladder of versions a server stands; kept between connections. */
export interface LadderPlace {
  rung: number;
  /** It has accepted us there. */
  proven: boolean;
}

/** The ways to try one after the other while the server does not know the version or the bridge bit. */
export function ladder(options: ClientOptions): readonly Rung[] {
  if (options.version === MQTT_3_1) return [{ version: MQTT_3_1, bridge: options.bridge }];
  const rungs: Rung[] = [];
  if (options.version === MQTT_5) rungs.push({ version: MQTT_5, bridge: false });
  if (options.bridge) rungs.push({ version: MQTT_3_1_1, bridge: true });
  rungs.push({ version: MQTT_3_1_1, bridge: false });
  return rungs;
}

/** Room for the fixed part of a CONNECT with our own properties. */
const CONNECT_FIXED_BYTES = 128;
const RECEIVE_MAXIMUM_ABSENT = 65_535;
const SECONDS_MAX = 0xffff_ffff;

const properties = new PropertiesWriter(64);

/** What `encodeConnect` takes; valid until the next call. */
export function connectOptions(options: ClientOptions, rung: Rung): ConnectOptions {
  properties.reset();
  if (options.sessionExpirySeconds > 0)
    properties.four(SESSION_EXPIRY_INTERVAL, Math.min(options.sessionExpirySeconds, SECONDS_MAX));
  if (options.receiveMaximum < RECEIVE_MAXIMUM_ABSENT) properties.two(RECEIVE_MAXIMUM, options.receiveMaximum);
  properties.four(MAXIMUM_PACKET_SIZE, options.packetBytesMax);
  return {
    version: rung.version,
    bridge: rung.bridge,
    clientId: options.clientId,
    cleanStart: options.cleanStart,
    keepAliveSeconds: options.keepAliveSeconds,
    userName: options.userName,
    password: options.password,
    properties,
    will: options.will,
  };
}

/** Enough bytes for the CONNECT of these options. */
export function connectBytesMax(options: ClientOptions): number {
  const { clientId, userName, password, will } = options;
  const texts = [clientId, userName, password, will?.topic, will?.payload];
  let bytes = CONNECT_FIXED_BYTES + (will?.properties?.length ?? 0);
  for (const text of texts) {
    if (text !== null && text !== undefined) bytes += 2 + Buffer.byteLength(text);
  }
  return bytes;
}

export function serverLimits(options: ClientOptions, version: number, bytes: Buffer, view: ConnackView): ServerLimits {
  const p = view.properties;
  const idAt = p.assignedClientIdAt;
  return {
    version,
    sessionPresent: view.sessionPresent,
    receiveMaximum: p.receiveMaximum === 0 ? RECEIVE_MAXIMUM_ABSENT : p.receiveMaximum,
    packetBytesMax: p.maximumPacketSize === 0 ? Number.POSITIVE_INFINITY : p.maximumPacketSize,
    qosMax: p.maximumQos,
    retain: p.retainAvailable === 1,
    subscriptionIds: version === MQTT_5 && p.subscriptionIdsAvailable === 1,
    keepAliveSeconds: p.serverKeepAlive < 0 ? options.keepAliveSeconds : p.serverKeepAlive,
    assignedClientId: idAt === 0 ? null : bytes.toString("utf8", idAt, idAt + p.assignedClientIdLength),
  };
}

/**
 * What the path is watched with: the server's Keep Alive [MQTT5-3.2.2-21], or ours when it is shorter or the server's is
 * switched off, since a server that waits for 18 hours says nothing of the path to it. 0 = not at all.
 */
export function pingSeconds(options: ClientOptions, server: ServerLimits): number {
  const ours = options.keepAliveSeconds;
  const theirs = server.keepAliveSeconds;
  return ours === 0 || theirs === 0 ? Math.max(ours, theirs) : Math.min(ours, theirs);
}
