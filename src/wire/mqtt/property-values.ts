/** The values of properties, by type and identifier, into the view: MQTT 5.0 section 2.2.2.2. */
import { MALFORMED_PACKET, OK, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID } from "./codes.ts";
import { isValidUtf8String, readU16, readU32, readVarint, topicNameProblem } from "./primitives.ts";
import type { PropertiesView } from "./properties.ts";
import {
  ASSIGNED_CLIENT_IDENTIFIER,
  AUTHENTICATION_METHOD,
  BINARY,
  CONTENT_TYPE,
  CORRELATION_DATA,
  FLAG,
  FOUR,
  MAXIMUM_QOS,
  MESSAGE_EXPIRY_INTERVAL,
  PAYLOAD_FORMAT_INDICATOR,
  RECEIVE_MAXIMUM,
  REQUEST_PROBLEM_INFORMATION,
  REQUEST_RESPONSE_INFORMATION,
  RESPONSE_INFORMATION,
  RESPONSE_TOPIC,
  RETAIN_AVAILABLE,
  SERVER_REFERENCE,
  SESSION_EXPIRY_INTERVAL,
  SUBSCRIPTION_IDENTIFIER_AVAILABLE,
  TEXT,
  TOPIC_ALIAS,
  TOPIC_ALIAS_MAXIMUM,
  TWO,
  TYPE_OF,
  VARINT,
  WILDCARD_SUBSCRIPTION_AVAILABLE,
  WILL_DELAY_INTERVAL,
} from "./property-table.ts";

/**
 * Decodes the one property `frame[at..next)`, identifier included; `propertyEnd` gave `next`.
 * @returns OK, MALFORMED_PACKET, PROTOCOL_ERROR or TOPIC_ALIAS_INVALID
 */
export function decodeValue(frame: Uint8Array, at: number, next: number, id: number, view: PropertiesView): number {
  const valueAt = at + 1;
  switch (TYPE_OF[id]) {
    case FLAG:
      return decodeFlag(id, frame[valueAt]!, view);
    case TWO:
      return decodeTwo(id, readU16(frame, valueAt), view);
    case FOUR:
      return decodeFour(id, readU32(frame, valueAt), valueAt, view);
    case VARINT: {
      const value = readVarint(frame, valueAt, next);
      if (value === 0) return PROTOCOL_ERROR; // section 3.8.2.1.2 and 3.3.2.3.8
      view.subscriptionIdentifier = value;
      view.subscriptionIdentifierCount++;
      return OK;
    }
    case TEXT:
      if (!isValidUtf8String(frame, valueAt + 2, next)) return MALFORMED_PACKET;
      return decodeText(frame, id, valueAt + 2, next, view);
    case BINARY:
      if (id === CORRELATION_DATA) {
        view.correlationDataAt = valueAt + 2;
        view.correlationDataLength = next - valueAt - 2;
      } else {
        view.authDataAt = valueAt + 2;
        view.authDataLength = next - valueAt - 2;
      }
      return OK;
    default: {
      const keyEnd = valueAt + 2 + readU16(frame, valueAt);
      if (!isValidUtf8String(frame, valueAt + 2, keyEnd)) return MALFORMED_PACKET;
      if (!isValidUtf8String(frame, keyEnd + 2, next)) return MALFORMED_PACKET;
      view.userPropertiesCount++;
      return OK;
    }
  }
}

function decodeFlag(id: number, value: number, view: PropertiesView): number {
  if (value > 1) return PROTOCOL_ERROR;
  switch (id) {
    case PAYLOAD_FORMAT_INDICATOR:
      view.payloadFormat = value;
      break;
    case REQUEST_PROBLEM_INFORMATION:
      view.requestProblem = value;
      break;
    case REQUEST_RESPONSE_INFORMATION:
      view.requestResponse = value;
      break;
    case MAXIMUM_QOS:
      view.maximumQos = value;
      break;
    case RETAIN_AVAILABLE:
      view.retainAvailable = value;
      break;
    case WILDCARD_SUBSCRIPTION_AVAILABLE:
      view.wildcardAvailable = value;
      break;
    case SUBSCRIPTION_IDENTIFIER_AVAILABLE:
      view.subscriptionIdsAvailable = value;
      break;
    default:
      view.sharedAvailable = value;
  }
  return OK;
}

function decodeTwo(id: number, value: number, view: PropertiesView): number {
  switch (id) {
    case RECEIVE_MAXIMUM:
      if (value === 0) return PROTOCOL_ERROR; // section 3.1.2.11.3
      view.receiveMaximum = value;
      break;
    case TOPIC_ALIAS:
      if (value === 0) return TOPIC_ALIAS_INVALID; // [MQTT5-3.3.2-8]
      view.topicAlias = value;
      break;
    case TOPIC_ALIAS_MAXIMUM:
      view.topicAliasMaximum = value;
      break;
    default:
      view.serverKeepAlive = value;
  }
  return OK;
}

function decodeFour(id: number, value: number, valueAt: number, view: PropertiesView): number {
  switch (id) {
    case MESSAGE_EXPIRY_INTERVAL:
      view.messageExpirySeconds = value;
      view.messageExpiryAt = valueAt;
      break;
    case SESSION_EXPIRY_INTERVAL:
      view.sessionExpirySeconds = value;
      break;
    case WILL_DELAY_INTERVAL:
      view.willDelaySeconds = value;
      view.willDelayAt = valueAt;
      break;
    default:
      if (value === 0) return PROTOCOL_ERROR; // section 3.1.2.11.4
      view.maximumPacketSize = value;
  }
  return OK;
}

function decodeText(frame: Uint8Array, id: number, from: number, end: number, view: PropertiesView): number {
  const length = end - from;
  switch (id) {
    case CONTENT_TYPE:
      view.contentTypeAt = from;
      view.contentTypeLength = length;
      break;
    case RESPONSE_TOPIC:
      if (topicNameProblem(frame, from, end) !== OK) return PROTOCOL_ERROR; // [MQTT5-3.3.2-14]
      view.responseTopicAt = from;
      view.responseTopicLength = length;
      break;
    case ASSIGNED_CLIENT_IDENTIFIER:
      view.assignedClientIdAt = from;
      view.assignedClientIdLength = length;
      break;
    case AUTHENTICATION_METHOD:
      view.authMethodAt = from;
      view.authMethodLength = length;
      break;
    case RESPONSE_INFORMATION:
      view.responseInformationAt = from;
      view.responseInformationLength = length;
      break;
    case SERVER_REFERENCE:
      view.serverReferenceAt = from;
      view.serverReferenceLength = length;
      break;
    default:
      view.reasonStringAt = from;
      view.reasonStringLength = length;
  }
  return OK;
}
