/**
 * The numbers of MQTT: what a decoder answers, the packet types, the reason codes.
 *
 * Decoders never throw on what a peer sends. They answer OK, NEED_MORE, or the MQTT 5 reason code that names the
 * violation, in all three versions; the place that closes the connection turns it into bytes, or into silence where
 * the version has no word for it.
 */

/** What a decoder answers when the view is filled. */
export const OK = 0;
/** The bytes end before the thing does: read on. Iterators answer it after their last item. */
export const NEED_MORE = -1;

/** Protocol levels as they stand in CONNECT; `version` means one of these everywhere. */
export const MQTT_3_1 = 3;
export const MQTT_3_1_1 = 4;
export const MQTT_5 = 5;

export const CONNECT = 1;
export const CONNACK = 2;
export const PUBLISH = 3;
export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;
export const SUBSCRIBE = 8;
export const SUBACK = 9;
export const UNSUBSCRIBE = 10;
export const UNSUBACK = 11;
export const PINGREQ = 12;
export const PINGRESP = 13;
export const DISCONNECT = 14;
export const AUTH = 15;

const PACKET_NAMES = [
  "packet of type 0",
  "CONNECT",
  "CONNACK",
  "PUBLISH",
  "PUBACK",
  "PUBREC",
  "PUBREL",
  "PUBCOMP",
  "SUBSCRIBE",
  "SUBACK",
  "UNSUBSCRIBE",
  "UNSUBACK",
  "PINGREQ",
  "PINGRESP",
  "DISCONNECT",
  "AUTH",
] as const;

/** What people call a packet type, 0 to 15. */
export function packetName(type: number): string {
  return PACKET_NAMES[type] ?? "packet";
}

// MQTT 5.0 section 2.4
export const SUCCESS = 0x00;
export const NORMAL_DISCONNECTION = 0x00;
export const GRANTED_QOS_0 = 0x00;
export const GRANTED_QOS_1 = 0x01;
export const GRANTED_QOS_2 = 0x02;
export const DISCONNECT_WITH_WILL = 0x04;
export const NO_MATCHING_SUBSCRIBERS = 0x10;
export const NO_SUBSCRIPTION_EXISTED = 0x11;
export const CONTINUE_AUTHENTICATION = 0x18;
export const RE_AUTHENTICATE = 0x19;
export const UNSPECIFIED_ERROR = 0x80;
export const MALFORMED_PACKET = 0x81;
export const PROTOCOL_ERROR = 0x82;
export const IMPLEMENTATION_SPECIFIC_ERROR = 0x83;
export const UNSUPPORTED_PROTOCOL_VERSION = 0x84;
export const CLIENT_IDENTIFIER_NOT_VALID = 0x85;
export const BAD_USER_NAME_OR_PASSWORD = 0x86;
export const NOT_AUTHORIZED = 0x87;
export const SERVER_UNAVAILABLE = 0x88;
export const SERVER_BUSY = 0x89;
export const BANNED = 0x8a;
export const SERVER_SHUTTING_DOWN = 0x8b;
export const BAD_AUTHENTICATION_METHOD = 0x8c;
export const KEEP_ALIVE_TIMEOUT = 0x8d;
export const SESSION_TAKEN_OVER = 0x8e;
export const TOPIC_FILTER_INVALID = 0x8f;
export const TOPIC_NAME_INVALID = 0x90;
export const PACKET_IDENTIFIER_IN_USE = 0x91;
export const PACKET_IDENTIFIER_NOT_FOUND = 0x92;
export const RECEIVE_MAXIMUM_EXCEEDED = 0x93;
export const TOPIC_ALIAS_INVALID = 0x94;
export const PACKET_TOO_LARGE = 0x95;
export const MESSAGE_RATE_TOO_HIGH = 0x96;
export const QUOTA_EXCEEDED = 0x97;
export const ADMINISTRATIVE_ACTION = 0x98;
export const PAYLOAD_FORMAT_INVALID = 0x99;
export const RETAIN_NOT_SUPPORTED = 0x9a;
export const QOS_NOT_SUPPORTED = 0x9b;
export const USE_ANOTHER_SERVER = 0x9c;
export const SERVER_MOVED = 0x9d;
export const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9e;
export const CONNECTION_RATE_EXCEEDED = 0x9f;
export const MAXIMUM_CONNECT_TIME = 0xa0;
export const SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xa1;
export const WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xa2;

/** Return codes of a version 3 CONNACK, MQTT 3.1.1 section 3.2.2.3. */
export const V3_ACCEPTED = 0;
export const V3_UNACCEPTABLE_PROTOCOL_VERSION = 1;
export const V3_IDENTIFIER_REJECTED = 2;
export const V3_SERVER_UNAVAILABLE = 3;
export const V3_BAD_USER_NAME_OR_PASSWORD = 4;
export const V3_NOT_AUTHORIZED = 5;
/** No return code says it: close without CONNACK [MQTT311-3.2.2-6]. */
export const V3_NO_RETURN_CODE = -1;

/**
 * The CONNACK return code of MQTT 3.1 and 3.1.1 for an MQTT 5 reason code.
 * @returns 0 to 5, or V3_NO_RETURN_CODE when the connection is to be closed without CONNACK
 */
export function toConnackV3(reasonCode: number): number {
  switch (reasonCode) {
    case SUCCESS:
      return V3_ACCEPTED;
    case UNSUPPORTED_PROTOCOL_VERSION:
      return V3_UNACCEPTABLE_PROTOCOL_VERSION;
    case CLIENT_IDENTIFIER_NOT_VALID:
      return V3_IDENTIFIER_REJECTED;
    case UNSPECIFIED_ERROR:
    case IMPLEMENTATION_SPECIFIC_ERROR:
    case SERVER_UNAVAILABLE:
    case SERVER_BUSY:
    case SERVER_SHUTTING_DOWN:
    case QUOTA_EXCEEDED:
    case USE_ANOTHER_SERVER:
    case SERVER_MOVED:
    case CONNECTION_RATE_EXCEEDED:
      return V3_SERVER_UNAVAILABLE;
    case BAD_USER_NAME_OR_PASSWORD:
      return V3_BAD_USER_NAME_OR_PASSWORD;
    case NOT_AUTHORIZED:
    case BANNED:
    case BAD_AUTHENTICATION_METHOD:
      return V3_NOT_AUTHORIZED;
    default:
      return V3_NO_RETURN_CODE;
  }
}

/** The MQTT 5 reason code for a version 3 CONNACK return code; a reserved one becomes UNSPECIFIED_ERROR. */
export function fromConnackV3(returnCode: number): number {
  switch (returnCode) {
    case V3_ACCEPTED:
      return SUCCESS;
    case V3_UNACCEPTABLE_PROTOCOL_VERSION:
      return UNSUPPORTED_PROTOCOL_VERSION;
    case V3_IDENTIFIER_REJECTED:
      return CLIENT_IDENTIFIER_NOT_VALID;
    case V3_SERVER_UNAVAILABLE:
      return SERVER_UNAVAILABLE;
    case V3_BAD_USER_NAME_OR_PASSWORD:
      return BAD_USER_NAME_OR_PASSWORD;
    case V3_NOT_AUTHORIZED:
      return NOT_AUTHORIZED;
    default:
      return UNSPECIFIED_ERROR;
  }
}

const REASON_NAMES: ReadonlyMap<number, string> = new Map([
  [SUCCESS, "success"],
  [GRANTED_QOS_1, "granted-qos-1"],
  [GRANTED_QOS_2, "granted-qos-2"],
  [DISCONNECT_WITH_WILL, "disconnect-with-will"],
  [NO_MATCHING_SUBSCRIBERS, "no-matching-subscribers"],
  [NO_SUBSCRIPTION_EXISTED, "no-subscription-existed"],
  [CONTINUE_AUTHENTICATION, "continue-authentication"],
  [RE_AUTHENTICATE, "re-authenticate"],
  [UNSPECIFIED_ERROR, "unspecified-error"],
  [MALFORMED_PACKET, "malformed-packet"],
  [PROTOCOL_ERROR, "protocol-error"],
  [IMPLEMENTATION_SPECIFIC_ERROR, "implementation-specific-error"],
  [UNSUPPORTED_PROTOCOL_VERSION, "unsupported-protocol-version"],
  [CLIENT_IDENTIFIER_NOT_VALID, "client-identifier-not-valid"],
  [BAD_USER_NAME_OR_PASSWORD, "bad-user-name-or-password"],
  [NOT_AUTHORIZED, "not-authorized"],
  [SERVER_UNAVAILABLE, "server-unavailable"],
  [SERVER_BUSY, "server-busy"],
  [BANNED, "banned"],
  [SERVER_SHUTTING_DOWN, "server-shutting-down"],
  [BAD_AUTHENTICATION_METHOD, "bad-authentication-method"],
  [KEEP_ALIVE_TIMEOUT, "keep-alive-timeout"],
  [SESSION_TAKEN_OVER, "session-taken-over"],
  [TOPIC_FILTER_INVALID, "topic-filter-invalid"],
  [TOPIC_NAME_INVALID, "topic-name-invalid"],
  [PACKET_IDENTIFIER_IN_USE, "packet-identifier-in-use"],
  [PACKET_IDENTIFIER_NOT_FOUND, "packet-identifier-not-found"],
  [RECEIVE_MAXIMUM_EXCEEDED, "receive-maximum-exceeded"],
  [TOPIC_ALIAS_INVALID, "topic-alias-invalid"],
  [PACKET_TOO_LARGE, "packet-too-large"],
  [MESSAGE_RATE_TOO_HIGH, "message-rate-too-high"],
  [QUOTA_EXCEEDED, "quota-exceeded"],
  [ADMINISTRATIVE_ACTION, "administrative-action"],
  [PAYLOAD_FORMAT_INVALID, "payload-format-invalid"],
  [RETAIN_NOT_SUPPORTED, "retain-not-supported"],
  [QOS_NOT_SUPPORTED, "qos-not-supported"],
  [USE_ANOTHER_SERVER, "use-another-server"],
  [SERVER_MOVED, "server-moved"],
  [SHARED_SUBSCRIPTIONS_NOT_SUPPORTED, "shared-subscriptions-not-supported"],
  [CONNECTION_RATE_EXCEEDED, "connection-rate-exceeded"],
  [MAXIMUM_CONNECT_TIME, "maximum-connect-time"],
  [SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED, "subscription-identifiers-not-supported"],
  [WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED, "wildcard-subscriptions-not-supported"],
]);

/** The stable kebab-case name of a reason code, for logs and JSON; `unknown-reason-code` for a number without one. */
export function reasonName(code: number): string {
  return REASON_NAMES.get(code) ?? "unknown-reason-code";
}
