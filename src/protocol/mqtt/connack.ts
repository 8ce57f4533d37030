/**
 * The CONNACK that lets a peer in: in 5.0 it says what the gateway offers where that is less than the specification's
 * default, and what it decided in the peer's stead.
 *
 * @see MQTT 3.1.1 section 3.2, MQTT 5.0 section 3.2
 */
import { MQTT_5, SUCCESS } from "../../wire/mqtt/codes.ts";
import { writeConnack } from "../../wire/mqtt/connack.ts";
import { type PropertiesWriter, propertiesBlockBytes } from "../../wire/mqtt/properties.ts";
import {
  ASSIGNED_CLIENT_IDENTIFIER,
  MAXIMUM_PACKET_SIZE,
  MAXIMUM_QOS,
  RECEIVE_MAXIMUM,
  RETAIN_AVAILABLE,
  SERVER_KEEP_ALIVE,
  SESSION_EXPIRY_INTERVAL,
  SHARED_SUBSCRIPTION_AVAILABLE,
  TOPIC_ALIAS_MAXIMUM,
} from "../../wire/mqtt/property-table.ts";
import type { Connection } from "./connection.ts";
import type { ConnectRequest } from "./on-connect.ts";

/** Fixed Header, flags and reason code, with room to spare. */
const HEAD_BYTES_MAX = 16;

/**
 * @param expirySeconds     of the session as it was opened
 * @param keepAliveSeconds  what the connection is held to
 */
export function sendConnack(
  connection: Connection,
  request: ConnectRequest,
  present: boolean,
  expirySeconds: number,
  keepAliveSeconds: number,
): void {
  const { version, link } = connection;
  const properties = version === MQTT_5 ? propertiesOf(connection, request, expirySeconds, keepAliveSeconds) : null;
  const at = link.output.reserve(HEAD_BYTES_MAX + propertiesBlockBytes(properties));
  link.output.commit(writeConnack(link.output.buffer, at, version, present, SUCCESS, properties));
}

function propertiesOf(
  connection: Connection,
  request: ConnectRequest,
  expirySeconds: number,
  keepAliveSeconds: number,
): PropertiesWriter {
  const { server, options } = connection;
  const properties = server.properties;
  properties.reset();
  if (expirySeconds !== request.expirySeconds) properties.four(SESSION_EXPIRY_INTERVAL, expirySeconds);
  const { receiveMaximum } = server.limits;
  if (receiveMaximum < 65_535) properties.two(RECEIVE_MAXIMUM, receiveMaximum);
  const aliases = server.topicAliasMaximum;
  connection.aliasesAnnounced = aliases;
  if (aliases > 0) properties.two(TOPIC_ALIAS_MAXIMUM, aliases);
  if (options.maxQos < 2) properties.byte(MAXIMUM_QOS, options.maxQos);
  if (!options.retainAvailable) properties.byte(RETAIN_AVAILABLE, 0);
  properties.four(MAXIMUM_PACKET_SIZE, server.limits.maxPacketBytes);
  if (request.clientIdAssigned) properties.string(ASSIGNED_CLIENT_IDENTIFIER, request.clientId);
  properties.byte(SHARED_SUBSCRIPTION_AVAILABLE, 0);
  // [MQTT5-3.2.2-21]
  if (keepAliveSeconds !== request.keepAliveSeconds) properties.two(SERVER_KEEP_ALIVE, keepAliveSeconds);
  return properties;
}
