/**
 * CONNECT: who is it, may he, which session, and the CONNACK.
 *
 * @see MQTT 3.1.1 section 3.1, MQTT 5.0 sections 3.1 and 3.2
 */
import { crypto } from "../../base/crypto.ts";
import type { Principal, StoreWaiter } from "../../core/ports.ts";
import type { Will } from "../../core/session.ts";
import { SESSION_FOREIGN, SESSIONS_FULL } from "../../core/session-registry.ts";
import {
  BAD_AUTHENTICATION_METHOD,
  BAD_USER_NAME_OR_PASSWORD,
  CLIENT_IDENTIFIER_NOT_VALID,
  CONNECT,
  MALFORMED_PACKET,
  MQTT_5,
  NOT_AUTHORIZED,
  OK,
  QUOTA_EXCEEDED,
  SERVER_SHUTTING_DOWN,
  SUCCESS,
  UNSUPPORTED_PROTOCOL_VERSION,
} from "../../wire/mqtt/codes.ts";
import { type ConnectView, decodeConnect } from "../../wire/mqtt/connect.ts";
import { areFlagsValid } from "../../wire/mqtt/frame.ts";
import type { PropertiesWriter } from "../../wire/mqtt/properties.ts";
import { AliasesOut } from "./aliases-out.ts";
import { closeSilently, refuseConnect } from "./close.ts";
import { connackOfNew, keepAliveOf, prepareConnack, sendConnack, sendConnackAsItIs } from "./connack.ts";
import type { Connection } from "./connection.ts";
import { beginAuthentication, exchangeWaitMs, isMethodKnown } from "./on-auth.ts";
import { checkClientId, checkProperties, checkString } from "./over-limit.ts";
import { because, becauseOf } from "./reason-words.ts";
import { CONNECTED, LOGGING_IN } from "./states.ts";
import { willOf, willRefusal } from "./will.ts";

/** What a CONNECT asked for, kept until the login is decided. */
export interface ConnectRequest {
  readonly clientId: string;
  readonly clientIdAssigned: boolean;
  readonly cleanStart: boolean;
  /** As asked for; 0 = ends with the connection. */
  readonly expirySeconds: number;
  readonly keepAliveSeconds: number;
  readonly wantsResponseInformation: boolean;
  /** 65,535 when absent. */
  readonly receiveMaximum: number;
  readonly will: Will | null;
}

/** @returns OK, or the reason to close without CONNACK */
export function onConnect(connection: Connection, bytes: Buffer, flags: number, at: number, end: number): number {
  const { server, link } = connection;
  const view = server.connectView;
  let code = decodeConnect(bytes, at, end, view);
  // [MQTT311-2.2.2-2] [MQTT5-2.1.3-1]; 3.1 gives the bits no meaning, and its clients set them.
  if (code === OK && !areFlagsValid(view.version, CONNECT, flags)) code = MALFORMED_PACKET;
  if (view.version !== 0) connection.version = view.version;
  connection.frameVersion = view.version === MQTT_5 ? MQTT_5 : 4;
  const { maximumPacketSize } = view.properties;
  if (maximumPacketSize > 0) connection.peerPacketBytesMax = maximumPacketSize;
  connection.wantsReasons = view.properties.requestProblem === 1;
  if (code !== OK) return refuseMalformed(connection, view, code);
  const refusal = refusalOf(connection, bytes, view);
  if (refusal !== SUCCESS) {
    refuseConnect(connection, refusal);
    return OK;
  }
  const enhanced = view.properties.authMethodAt !== 0;
  const waitMs = enhanced ? exchangeWaitMs(server) : view.hasPassword ? server.parts.loginWaitMs() : 0;
  if (waitMs > 0) return connection.waitForLogin(waitMs);
  const will = willOf(bytes, view);
  if (!server.parts.registry.admitWill(will)) {
    refuseConnect(connection, because(server, QUOTA_EXCEEDED, "no room for the will: memory_limit"));
    return OK;
  }
  const clientIdAssigned = view.clientIdLength === 0;
  const clientId = clientIdAssigned
    ? `sluice-${crypto().randomBytes(9).toString("base64url")}`
    : text(bytes, view.clientIdAt, view.clientIdLength);
  const request: ConnectRequest = {
    clientId,
    clientIdAssigned,
    cleanStart: view.cleanStart,
    expirySeconds: expiryOf(connection, view),
    keepAliveSeconds: view.keepAliveSeconds,
    wantsResponseInformation: view.properties.requestResponse === 1,
    receiveMaximum: view.properties.receiveMaximum || 65_535,
    will,
  };
  const aliases = Math.min(view.properties.topicAliasMaximum, server.limits.topicAliases);
  if (aliases > 0) connection.aliasesOut = new AliasesOut(aliases, server.aliasMemory);
  connection.request = request;
  const userName = view.hasUserName ? text(bytes, view.userNameAt, view.userNameLength) : null;
  if (enhanced) {
    connection.startDeadline();
    beginAuthentication(connection, bytes, view.properties, userName);
    return OK;
  }
  connection.beginLogin();
  server.authority.authenticate(
    {
      clientId,
      userName,
      password: view.hasPassword
        ? Buffer.from(bytes.subarray(view.passwordAt, view.passwordAt + view.passwordLength))
        : null,
      certificateName: link.certificateName,
      loopback: link.loopback,
      anonymous: connection.options.anonymous,
    },
    connection,
  );
  return OK;
}

/** The login is decided: session, CONNACK, and what waited. */
export function finishConnect(connection: Connection, principal: Principal | null, reason: number): void {
  const { server } = connection;
  const { registry } = server.parts;
  const request = connection.request as ConnectRequest;
  if (principal === null) {
    refuseConnect(connection, reason);
    return;
  }
  const connack = prepareConnack(connection, request);
  if (connack === null) {
    closeSilently(connection, "CONNACK larger than the peer takes");
    return;
  }
  if (request.cleanStart && registry.discard(request.clientId, principal)) {
    connection.beginLogin();
    server.parts.store.barrier(new Discarding(connection, principal, connackOfNew(connection, connack)), 0);
    return;
  }
  enterSession(connection, principal, connack);
}

/** A CONNECT with a new session, until the end of the old one is stored ([MQTT5-3.1.2-4]). */
class Discarding implements StoreWaiter {
  readonly #connection: Connection;
  readonly #principal: Principal;
  readonly #connack: Buffer;

  /** @param connack made while what it is made of is there */
  constructor(connection: Connection, principal: Principal, connack: Buffer) {
    this.#connection = connection;
    this.#principal = principal;
    this.#connack = connack;
  }

  /** Also when the disk has failed: what needs no disk goes on. */
  onStored(): void {
    const { state, server, request } = this.#connection;
    if (state !== LOGGING_IN || request === null) return;
    // Somebody else may have made one in between.
    if (server.parts.registry.discard(request.clientId, this.#principal)) server.parts.store.barrier(this, 0);
    else enterSession(this.#connection, this.#principal, this.#connack);
  }
}

/** @param connack its properties, or all of it */
function enterSession(connection: Connection, principal: Principal, connack: PropertiesWriter | Buffer): void {
  const { server, link } = connection;
  const { registry } = server.parts;
  const request = connection.request as ConnectRequest;
  connection.request = null;
  const opened = registry.open(request.clientId, principal, request.cleanStart, request.expirySeconds);
  if (opened === SESSIONS_FULL || opened === SESSION_FOREIGN) {
    registry.releaseWill(request.will);
    refuseConnect(
      connection,
      opened === SESSIONS_FULL
        ? because(
            server,
            QUOTA_EXCEEDED,
            `no room for one more session: limits.max_sessions is ${server.limits.maxSessions}`,
          )
        : because(server, NOT_AUTHORIZED, "the session of this client id belongs to another user"),
    );
    return;
  }
  const { session, present } = opened;
  connection.session = session;
  connection.acks.begin(session.inbound);
  connection.state = CONNECTED;
  connection.keepAliveMs = keepAliveOf(connection, request) * 1000;
  connection.startKeepAlive(0);
  if (Buffer.isBuffer(connack)) sendConnackAsItIs(connection, connack);
  else sendConnack(connection, connack, present);
  server.parts.log.debug("mqtt-connected", {
    remote: link.remote,
    client: request.clientId,
    user: principal.name,
    version: connection.version,
    present,
  });
  registry.attach(session, connection, request.receiveMaximum, request.will, present);
  connection.resumeReading();
}

function refuseMalformed(connection: Connection, view: ConnectView, code: number): number {
  // [MQTT311-3.1.4-1]: a CONNECT that breaks the rules is closed without CONNACK before 5.0; these three have a code.
  const answers =
    code === UNSUPPORTED_PROTOCOL_VERSION || code === CLIENT_IDENTIFIER_NOT_VALID || view.version === MQTT_5;
  if (view.version === 0 || !answers) return code;
  becauseOf(connection.server, code, CONNECT);
  refuseConnect(connection, code);
  return OK;
}

/** What the CONNECT asks for and cannot have. */
function refusalOf(connection: Connection, bytes: Buffer, view: ConnectView): number {
  const { server } = connection;
  if (server.stopping) return SERVER_SHUTTING_DOWN;
  if (view.properties.authMethodAt !== 0) {
    if (!isMethodKnown(bytes, view.properties)) return BAD_AUTHENTICATION_METHOD; // [MQTT5-4.12.0-1]
    if (connection.link.certificateName)
      return because(server, BAD_AUTHENTICATION_METHOD, "the certificate says who this is");
  }
  const tooLong =
    checkClientId(server, view.clientIdLength) ||
    checkString(server, "user name", view.userNameLength, BAD_USER_NAME_OR_PASSWORD) ||
    checkProperties(server, bytes, view.propertiesAt, view.propertiesLength);
  if (tooLong !== SUCCESS) return tooLong;
  return view.hasWill ? willRefusal(connection, bytes, view) : SUCCESS;
}

/** v3 knows only "ends with the connection" and "stays": it stays for as long as the gateway allows. */
function expiryOf(connection: Connection, view: ConnectView): number {
  if (connection.version === MQTT_5) return Math.max(view.properties.sessionExpirySeconds, 0);
  return view.cleanStart ? 0 : connection.server.limits.sessionExpiryMaxMs / 1000;
}

function text(bytes: Buffer, at: number, length: number): string {
  return bytes.toString("utf8", at, at + length);
}
