/**
 * AUTH: enhanced authentication by SCRAM-SHA-256, at CONNECT and again whenever the client likes.
 *
 *     CONNECT  client-first ->                          AUTH 0x19  client-first ->
 *                    <- AUTH 0x18  server-first                      <- AUTH 0x18  server-first
 *     AUTH 0x18  client-final ->                        AUTH 0x18  client-final ->
 *                    <- CONNACK  server-final                        <- AUTH 0x00  server-final
 *
 * @see MQTT 5.0 sections 3.15 and 4.12; core/scram.ts, auth-exchanges.ts
 */
import {
  SCRAM_MALFORMED,
  SCRAM_OK,
  SCRAM_SHA_256,
  SCRAM_UNKNOWN_USER,
  SCRAM_WRONG_PROOF,
  type ScramServer,
} from "../../core/scram.ts";
import { decodeAuth, writeAuth } from "../../wire/mqtt/auth.ts";
import {
  AUTH,
  BAD_AUTHENTICATION_METHOD,
  BAD_USER_NAME_OR_PASSWORD,
  CONTINUE_AUTHENTICATION,
  MALFORMED_PACKET,
  NOT_AUTHORIZED,
  OK,
  PROTOCOL_ERROR,
  RE_AUTHENTICATE,
  SUCCESS,
} from "../../wire/mqtt/codes.ts";
import { frameBytes } from "../../wire/mqtt/frame.ts";
import { type PropertiesView, propertiesBlockBytes } from "../../wire/mqtt/properties.ts";
import { addAuthentication, refuse } from "./auth-exchanges.ts";
import { closeSilently } from "./close.ts";
import type { Connection } from "./connection.ts";
import { because, becauseOf } from "./reason-words.ts";
import type { MqttServer } from "./server.ts";
import { AUTHENTICATING, CONNECTED } from "./states.ts";

/** Whether `method` is one that we speak. */
export function isMethodKnown(bytes: Buffer, { authMethodAt, authMethodLength }: PropertiesView): boolean {
  return bytes.toString("utf8", authMethodAt, authMethodAt + authMethodLength) === SCRAM_SHA_256;
}

/** 0 = an exchange may begin; otherwise ms to wait before asking again. */
export function exchangeWaitMs({ exchanges, parts }: MqttServer): number {
  return exchanges.waitMs(parts.time.nowMs()) || parts.loginWaitMs();
}

/**
 * CONNECT came with the method; its request is in `connection.request`.
 * @param userName of the CONNECT, which must agree with the exchange's; null = none
 */
export function beginAuthentication(
  connection: Connection,
  bytes: Buffer,
  view: PropertiesView,
  userName: string | null,
): void {
  connection.authenticates = true;
  connection.state = AUTHENTICATING;
  const code = first(connection, bytes, view, userName);
  if (code !== OK) refuse(connection, code);
}

/** @returns OK, HOLD, or the reason to close with */
export function onAuth(connection: Connection, bytes: Buffer, flags: number, at: number, end: number): number {
  const { server } = connection;
  const view = server.authView;
  const code = flags === 0 ? decodeAuth(bytes, at, end, view) : MALFORMED_PACKET;
  if (code !== OK) return code;
  if (!connection.authenticates)
    return because(server, PROTOCOL_ERROR, "AUTH without an authentication method in CONNECT"); // [MQTT5-4.12.0-6]
  if (!isMethodKnown(bytes, view.properties))
    return because(server, PROTOCOL_ERROR, "AUTH with another method than CONNECT"); // [MQTT5-4.12.0-5]
  const exchange = server.exchanges.of(connection);
  if (view.reasonCode === RE_AUTHENTICATE && exchange === undefined && connection.state === CONNECTED) {
    const waitMs = exchangeWaitMs(server);
    if (waitMs > 0) return connection.waitForLogin(waitMs);
    return first(connection, bytes, view.properties, connection.session?.principal.name ?? null);
  }
  if (view.reasonCode !== CONTINUE_AUTHENTICATION || exchange === undefined)
    return because(server, PROTOCOL_ERROR, "AUTH out of turn");
  return last(connection, exchange, bytes, view.properties);
}

/** What came while the exchange of a CONNECT is under way and was not right [MQTT5-4.12.0-4]. */
export function refuseExchange(connection: Connection, reasonCode: number, type: number): void {
  becauseOf(connection.server, reasonCode, type);
  refuse(connection, reasonCode);
}

/** client-first. @param user who it must be; null = anybody */
function first(connection: Connection, bytes: Buffer, view: PropertiesView, user: string | null): number {
  const { server } = connection;
  const exchange = server.exchanges.begin(connection);
  const recordOf = (name: string) => server.authority.scramRecord(name);
  const outcome = exchange.first(dataOf(bytes, view), server.nonce(), recordOf);
  if (outcome !== SCRAM_OK) return refusal(connection, outcome);
  // Some clients send an empty user name where they mean none.
  if (user !== null && user !== "" && user !== exchange.user) {
    server.exchanges.refused(connection);
    return because(server, NOT_AUTHORIZED, "authentication data of another user"); // [MQTT5-4.12.1-2]
  }
  return sendAuth(connection, CONTINUE_AUTHENTICATION, exchange);
}

/** client-final. */
function last(connection: Connection, exchange: ScramServer, bytes: Buffer, view: PropertiesView): number {
  const { server } = connection;
  const outcome = exchange.final(dataOf(bytes, view));
  if (outcome !== SCRAM_OK) return refusal(connection, outcome);
  // A reload in between holds.
  if (!exchange.isOf(server.authority.scramRecord(exchange.user))) return refusal(connection, SCRAM_WRONG_PROOF);
  if (connection.state === CONNECTED) {
    const code = sendAuth(connection, SUCCESS, exchange);
    server.exchanges.granted(connection);
    return code;
  }
  const clientId = connection.request?.clientId ?? "";
  connection.onLogin({ name: exchange.user, clientId }, SUCCESS);
  server.exchanges.granted(connection);
  return OK;
}

/** @returns why, in the words of the packet that will say so: DISCONNECT has no "bad user name or password" */
function refusal(connection: Connection, outcome: number): number {
  const { server, state } = connection;
  server.exchanges.refused(connection);
  switch (outcome) {
    case SCRAM_UNKNOWN_USER:
      return because(server, BAD_AUTHENTICATION_METHOD, "no SCRAM entry for this user: sluice passwd writes one");
    case SCRAM_WRONG_PROOF:
      return because(server, state === CONNECTED ? NOT_AUTHORIZED : BAD_USER_NAME_OR_PASSWORD, "wrong password");
    default:
      return because(server, NOT_AUTHORIZED, outcome === SCRAM_MALFORMED ? "no SCRAM message as it should be" : "");
  }
}

function dataOf(bytes: Buffer, { authDataAt, authDataLength }: PropertiesView): Buffer {
  return bytes.subarray(authDataAt, authDataAt + authDataLength);
}

function sendAuth(connection: Connection, reasonCode: number, exchange: ScramServer): number {
  const { link, server } = connection;
  const properties = server.properties;
  properties.reset();
  addAuthentication(properties, exchange);
  const bytes = frameBytes(1 + propertiesBlockBytes(properties));
  if (bytes > connection.peerPacketBytesMax) {
    closeSilently(connection, "AUTH larger than the peer takes"); // [MQTT5-3.1.2-24]
    return OK;
  }
  const at = link.output.reserve(bytes);
  link.output.commit(writeAuth(link.output.buffer, at, reasonCode, properties));
  server.traffic.onSent(AUTH);
  return OK;
}
