/**
 * Reason Strings (5.0): a few words behind a reason code, for the technician who looks at the device's log. They name
 * the limit that was reached and its value, never what another client sent.
 *
 * Nothing keeps them: they are made when the packet is written, from its code and the limits, or, where only the place
 * that found the fault knows more, left by it in `server.words` with `because` for the `close` that follows at once.
 */
import { RETAINED, RETAINED_PAYLOAD, STORE } from "../../core/router.ts";
import {
  BAD_AUTHENTICATION_METHOD,
  BAD_USER_NAME_OR_PASSWORD,
  CLIENT_IDENTIFIER_NOT_VALID,
  IMPLEMENTATION_SPECIFIC_ERROR,
  MALFORMED_PACKET,
  NOT_AUTHORIZED,
  PACKET_IDENTIFIER_NOT_FOUND,
  PROTOCOL_ERROR,
  packetName,
  QOS_NOT_SUPPORTED,
  QUOTA_EXCEEDED,
  RECEIVE_MAXIMUM_EXCEEDED,
  RETAIN_NOT_SUPPORTED,
  reasonName,
  SERVER_SHUTTING_DOWN,
  SESSION_TAKEN_OVER,
  TOPIC_ALIAS_INVALID,
  TOPIC_FILTER_INVALID,
  TOPIC_NAME_INVALID,
  UNSUPPORTED_PROTOCOL_VERSION,
} from "../../wire/mqtt/codes.ts";
import type { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { REASON_STRING } from "../../wire/mqtt/property-table.ts";
import type { MqttLimits, MqttServer } from "./server.ts";

/** Says why a packet ends the conversation with `code`; the caller returns it at once. @returns code */
export function because(server: MqttServer, code: number, words: string): number {
  server.words = words;
  return code;
}

/** As `because`, for a packet of `type` whose handler said no more than `code`. */
export function becauseOf(server: MqttServer, code: number, type: number): void {
  if (server.words !== "") return;
  if (code === MALFORMED_PACKET) server.words = `malformed ${packetName(type)}`;
  else if (code === PROTOCOL_ERROR) server.words = `${packetName(type)} against the rules of the protocol`;
}

/** What `because` left, or the general words of `code`, for DISCONNECT, CONNACK and the log. */
export function takeWords(server: MqttServer, code: number): string {
  const words = server.words === "" ? generalWords(code, server.limits) : server.words;
  server.words = "";
  return words;
}

function generalWords(code: number, limits: MqttLimits): string {
  switch (code) {
    case UNSUPPORTED_PROTOCOL_VERSION:
      return "the protocol's levels here are 3, 4 and 5";
    case CLIENT_IDENTIFIER_NOT_VALID:
      return "the client id is empty where it may not be";
    case BAD_USER_NAME_OR_PASSWORD:
      return "unknown user name, or wrong password";
    case NOT_AUTHORIZED:
      return "not allowed here without a user name that is known";
    case SERVER_SHUTTING_DOWN:
      return "the gateway stops";
    case BAD_AUTHENTICATION_METHOD:
      return "unknown authentication method";
    case SESSION_TAKEN_OVER:
      return "another connection came with this client id";
    case TOPIC_NAME_INVALID:
      return "a topic name with a wildcard, or with a character that topics may not have";
    case TOPIC_FILTER_INVALID:
      return "a wildcard in a place where it may not be, a character that topics may not have, or not $share/NAME/FILTER";
    case TOPIC_ALIAS_INVALID:
      return "a topic alias that was not announced, or not set";
    case RECEIVE_MAXIMUM_EXCEEDED:
      return `limits.receive_maximum is ${limits.receiveMaximum}`;
    case RETAIN_NOT_SUPPORTED:
      return "retain_available is false here";
    case QUOTA_EXCEEDED:
      return "no room: a limit is reached";
    case IMPLEMENTATION_SPECIFIC_ERROR:
      return "the disk failed";
    default:
      return reasonName(code).replaceAll("-", " ");
  }
}

export function tooHighQos(server: MqttServer, qos: number, maxQos: number): number {
  return because(server, QOS_NOT_SUPPORTED, `QoS ${qos}: max_qos is ${maxQos} here`);
}

/**
 * Why a PUBACK, PUBREC, PUBREL or PUBCOMP is negative.
 * @param refusedBy  `Router.refusedBy`, as long as it is known; "" later
 */
export function ackWords(code: number, limits: MqttLimits, refusedBy: string): string {
  switch (code) {
    case NOT_AUTHORIZED:
      return "the access list does not allow it";
    case PACKET_IDENTIFIER_NOT_FOUND:
      return "no message with this packet identifier is under way";
    case QUOTA_EXCEEDED:
      return fullWords(limits, refusedBy);
    default:
      return generalWords(code, limits);
  }
}

function fullWords(limits: MqttLimits, refusedBy: string): string {
  if (refusedBy === "") return "a queue, the retained values or the disk is full";
  if (refusedBy === STORE) return "the disk, or the memory on the way to it, is full: store.max_bytes";
  if (refusedBy === RETAINED_PAYLOAD) return `limits.retained_payload_bytes is ${limits.retainedPayloadBytes}`;
  if (refusedBy === RETAINED) {
    const { retainedMessages, retainedBytes } = limits;
    return `the retained values are full: limits.retained_messages is ${retainedMessages}, limits.retained_bytes ${retainedBytes}`;
  }
  if (!refusedBy.startsWith("session:")) return `the queue of ${refusedBy} is full`;
  const { sessionQueueMessages, sessionQueueBytes } = limits;
  return `a session's queue is full: limits.session_queue_messages is ${sessionQueueMessages}, limits.session_queue_bytes ${sessionQueueBytes}`;
}

/** Why a SUBSCRIBE has a code of 0x80 or above: the first one. */
export function subackWords(limits: MqttLimits, codes: Uint8Array): string {
  const index = codes.findIndex((code) => code >= 0x80);
  return `filter ${index + 1}: ${filterWords(codes[index] as number, limits)}`;
}

function filterWords(code: number, limits: MqttLimits): string {
  switch (code) {
    case NOT_AUTHORIZED:
      return "the access list does not allow it";
    case TOPIC_FILTER_INVALID:
      return `limits.topic_bytes is ${limits.topicBytes}, limits.topic_levels ${limits.topicLevels}`;
    case QUOTA_EXCEEDED:
      return `limits.subscriptions_per_client is ${limits.subscriptionsPerClient}, or no room for subscriptions is left`;
    default:
      return generalWords(code, limits);
  }
}

/** The words as a block of properties, valid until the next one. */
export function reasonString(server: MqttServer, words: string): PropertiesWriter {
  const properties = server.reasonProperties;
  properties.reset();
  properties.string(REASON_STRING, words);
  return properties;
}
