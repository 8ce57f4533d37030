/**
 * The CONNACK that lets a peer in: in 5.0 it says what the gateway offers where that is less than the specification's
 * default, and what it decided in the peer's stead.
 *
 * @see MQTT 3.1.1 section 3.2, MQTT 5.0 section 3.2
 */
import { CONNACK, MQTT_5, SUCCESS } from "../../wire/mqtt/codes.ts";
import { writeConnack } from "../../wire/mqtt/connack.ts";
import { frameBytes } from "../../wire/mqtt/frame.ts";
import { type PropertiesWriter, propertiesBlockBytes } from "../../wire/mqtt/properties.ts";
import {
  ASSIGNED_CLIENT_IDENTIFIER,
  MAXIMUM_PACKET_SIZE,
  MAXIMUM_QOS,
  RECEIVE_MAXIMUM,
  RESPONSE_INFORMATION,
  RETAIN_AVAILABLE,
  SERVER_KEEP_ALIVE,
  SESSION_EXPIRY_INTERVAL,
  TOPIC_ALIAS_MAXIMUM,
} from "../../wire/mqtt/property-table.ts";
import { addAuthentication } from "./auth-exchanges.ts";
import type { Connection } from "./connection.ts";
import type { ConnectRequest } from "./on-connect.ts";

/** Flags and reason code. */
const HEAD_BYTES = 2;
/** What 16 bits hold: `limits.keep_alive_max` is off. */
const KEEP_ALIVE_SECONDS_MAX = 65_535;

/**
 * What the CONNACK will say, made before the session is touched.
 * @returns properties that are valid until the next CONNECT (none before 5.0), or null when the peer would not take so
 *   large a packet [MQTT5-3.1.2-24]
 */
export function prepareConnack(connection: Connection, request: ConnectRequest): PropertiesWriter | null {
  const { server, options, version } = connection;
  const { limits } = server;
  const properties = server.properties;
  properties.reset();
  if (version !== MQTT_5) return properties;
  const expiryMaxSeconds = Math.floor(limits.sessionExpiryMaxMs / 1000);
  if (request.expirySeconds > expiryMaxSeconds) properties.four(SESSION_EXPIRY_INTERVAL, expiryMaxSeconds);
  if (limits.receiveMaximum < 65_535) properties.two(RECEIVE_MAXIMUM, limits.receiveMaximum);
  const aliases = server.topicAliasMaximum;
  connection.aliasesAnnounced = aliases;
  if (aliases > 0) properties.two(TOPIC_ALIAS_MAXIMUM, aliases);
  if (options.maxQos < 2) properties.byte(MAXIMUM_QOS, options.maxQos);
  if (!options.retainAvailable) properties.byte(RETAIN_AVAILABLE, 0);
  properties.four(MAXIMUM_PACKET_SIZE, limits.maxPacketBytes);
  if (request.clientIdAssigned) properties.string(ASSIGNED_CLIENT_IDENTIFIER, request.clientId);
  const keepAliveSeconds = keepAliveOf(connection, request);
  if (keepAliveSeconds !== request.keepAliveSeconds) properties.two(SERVER_KEEP_ALIVE, keepAliveSeconds);
  const exchange = server.exchanges.of(connection);
  if (exchange !== undefined) addAuthentication(properties, exchange);
  addResponseInformation(connection, request, properties);
  return bytesOf(properties) > connection.peerPacketBytesMax ? null : properties;
}

export function sendConnack(connection: Connection, properties: PropertiesWriter, present: boolean): void {
  const { output } = connection.link;
  const at = output.reserve(bytesOf(properties));
  output.commit(writeConnack(output.buffer, at, connection.version, present, SUCCESS, properties));
  connection.server.traffic.onSent(CONNACK);
}

/** The CONNACK of a session that is new, to be sent when its properties are gone. */
export function connackOfNew(connection: Connection, properties: PropertiesWriter): Buffer {
  const bytes = Buffer.allocUnsafeSlow(bytesOf(properties));
  return bytes.subarray(0, writeConnack(bytes, 0, connection.version, false, SUCCESS, properties));
}

export function sendConnackAsItIs(connection: Connection, connack: Buffer): void {
  const { output } = connection.link;
  const at = output.reserve(connack.length);
  output.commit(at + connack.copy(output.buffer, at));
  connection.server.traffic.onSent(CONNACK);
}

/**
 * The Keep Alive that the connection is held to. A 5.0 client is told when it is less than it asked for
 * [MQTT5-3.2.2-21]. Before 5.0 there is no word for it, and a device that keeps to what it asked for must not be cut
 * off: it keeps it.
 */
export function keepAliveOf(connection: Connection, { keepAliveSeconds: asked }: ConnectRequest): number {
  const maxSeconds = Math.floor(connection.server.limits.keepAliveMaxMs / 1000);
  if (connection.version !== MQTT_5 || maxSeconds === KEEP_ALIVE_SECONDS_MAX) return asked;
  return asked === 0 ? maxSeconds : Math.min(asked, maxSeconds);
}

/**
 * Only for who asks [MQTT5-3.1.2-28]. A client id that has a meaning in topics could name another's tree, and gets
 * none; neither does who would not take the packet with it.
 */
function addResponseInformation(
  connection: Connection,
  { wantsResponseInformation, clientId }: ConnectRequest,
  properties: PropertiesWriter,
): void {
  const template = connection.server.parts.responseInformation;
  if (!wantsResponseInformation || template === null || /[+#/]/.test(clientId)) return;
  const before = properties.length;
  properties.string(
    RESPONSE_INFORMATION,
    template.replaceAll("{client}", () => clientId),
  );
  if (bytesOf(properties) > connection.peerPacketBytesMax) properties.length = before;
}

/** On the wire in 5.0; less before. */
function bytesOf(properties: PropertiesWriter): number {
  return frameBytes(HEAD_BYTES + propertiesBlockBytes(properties));
}
