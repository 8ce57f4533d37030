/**
 * CONNECT: who is it, may he, which session, and the CONNACK.
 *
 * @see MQTT 3.1.1 section 3.1, MQTT 5.0 sections 3.1 and 3.2
 */
import { randomBytes } from "node:crypto";
import type { Principal } from "../../core/ports.ts";
import { Publication } from "../../core/publication.ts";
import type { Will } from "../../core/session.ts";
import { SESSION_FOREIGN, SESSIONS_FULL } from "../../core/session-registry.ts";
import { levelCount } from "../../core/topic.ts";
import {
  BAD_AUTHENTICATION_METHOD,
  CLIENT_IDENTIFIER_NOT_VALID,
  MQTT_5,
  NOT_AUTHORIZED,
  OK,
  PAYLOAD_FORMAT_INVALID,
  QOS_NOT_SUPPORTED,
  QUOTA_EXCEEDED,
  RETAIN_NOT_SUPPORTED,
  SERVER_SHUTTING_DOWN,
  SUCCESS,
  TOPIC_NAME_INVALID,
  UNSUPPORTED_PROTOCOL_VERSION,
} from "../../wire/mqtt/codes.ts";
import { type ConnectView, decodeConnect } from "../../wire/mqtt/connect.ts";
import { AliasesOut } from "./aliases-out.ts";
import { closeSilently, refuseConnect } from "./close.ts";
import { keepAliveOf, prepareConnack, sendConnack } from "./connack.ts";
import type { Connection } from "./connection.ts";
import { CONNECTED, LOGGING_IN } from "./states.ts";

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
export function onConnect(connection: Connection, bytes: Buffer, at: number, end: number): number {
  const { server, link } = connection;
  const view = server.connectView;
  const code = decodeConnect(bytes, at, end, view);
  if (view.version !== 0) connection.version = view.version;
  connection.frameVersion = view.version === MQTT_5 ? MQTT_5 : 4;
  if (view.properties.maximumPacketSize > 0) connection.peerPacketBytesMax = view.properties.maximumPacketSize;
  if (code !== OK) return refuseMalformed(connection, view, code);
  const refusal = refusalOf(connection, bytes, view);
  if (refusal !== SUCCESS) {
    refuseConnect(connection, refusal);
    return OK;
  }
  const waitMs = view.hasPassword ? server.parts.loginWaitMs() : 0;
  if (waitMs > 0) return connection.waitForLogin(waitMs);
  const will = willOf(bytes, view);
  if (!server.parts.registry.admitWill(will)) {
    refuseConnect(connection, QUOTA_EXCEEDED);
    return OK;
  }
  const clientIdAssigned = view.clientIdLength === 0;
  const clientId = clientIdAssigned
    ? `sluice-${randomBytes(9).toString("base64url")}`
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
  connection.state = LOGGING_IN;
  // Packets that follow at once wait: until the login is decided nothing of this peer is looked at.
  connection.pauseReading();
  server.authority.authenticate(
    {
      clientId,
      userName: view.hasUserName ? text(bytes, view.userNameAt, view.userNameLength) : null,
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
  const { server, link } = connection;
  const { registry } = server.parts;
  const request = connection.request as ConnectRequest;
  connection.request = null;
  if (principal === null) {
    registry.releaseWill(request.will);
    refuseConnect(connection, reason);
    return;
  }
  const connack = prepareConnack(connection, request);
  if (connack === null) {
    registry.releaseWill(request.will);
    closeSilently(connection, "CONNACK larger than the peer takes");
    return;
  }
  const opened = registry.open(request.clientId, principal, request.cleanStart, request.expirySeconds);
  if (opened === SESSIONS_FULL || opened === SESSION_FOREIGN) {
    registry.releaseWill(request.will);
    refuseConnect(connection, opened === SESSIONS_FULL ? QUOTA_EXCEEDED : NOT_AUTHORIZED);
    return;
  }
  const { session, present } = opened;
  connection.session = session;
  connection.acks.begin(session.inbound);
  connection.state = CONNECTED;
  connection.keepAliveMs = keepAliveOf(connection, request) * 1000;
  connection.startKeepAlive(0);
  sendConnack(connection, connack, present);
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
  refuseConnect(connection, code);
  return OK;
}

/** What the CONNECT asks for and cannot have. */
function refusalOf(connection: Connection, bytes: Buffer, view: ConnectView): number {
  const { server, options } = connection;
  if (server.stopping) return SERVER_SHUTTING_DOWN;
  if (view.properties.authMethodLength > 0) return BAD_AUTHENTICATION_METHOD;
  if (view.clientIdLength > server.limits.topicBytes) return CLIENT_IDENTIFIER_NOT_VALID;
  if (!view.hasWill) return SUCCESS;
  if (view.willQos > options.maxQos) return QOS_NOT_SUPPORTED; // [MQTT5-3.2.2-12]
  if (view.willRetain && !options.retainAvailable) return RETAIN_NOT_SUPPORTED; // [MQTT5-3.2.2-13]
  if (view.willTopicLength > server.limits.topicBytes) return TOPIC_NAME_INVALID;
  const topic = text(bytes, view.willTopicAt, view.willTopicLength);
  if (topic.startsWith("$SYS") || levelCount(topic) > server.limits.topicLevels) return TOPIC_NAME_INVALID;
  const { willPayloadAt: at, willPayloadLength } = view;
  if (view.willProperties.payloadFormat === 0) return SUCCESS;
  return server.isTextOrUnchecked(bytes, at, at + willPayloadLength) ? SUCCESS : PAYLOAD_FORMAT_INVALID;
}

/** v3 knows only "ends with the connection" and "stays": it stays for as long as the gateway allows. */
function expiryOf(connection: Connection, view: ConnectView): number {
  if (connection.version === MQTT_5) return Math.max(view.properties.sessionExpirySeconds, 0);
  return view.cleanStart ? 0 : connection.server.limits.sessionExpiryMaxMs / 1000;
}

/** A copy of the will, ready to be published. */
function willOf(bytes: Buffer, view: ConnectView): Will | null {
  if (!view.hasWill) return null;
  const publication = new Publication();
  const topic = text(bytes, view.willTopicAt, view.willTopicLength);
  const payload = bytes.subarray(view.willPayloadAt, view.willPayloadAt + view.willPayloadLength);
  publication.setParts(topic, payload, view.willQos, view.willRetain, willProperties(bytes, view));
  publication.expirySeconds = view.willProperties.messageExpirySeconds;
  return { publication, delaySeconds: Math.max(view.willProperties.willDelaySeconds, 0) };
}

/** Property id of the Will Delay Interval, which concerns the server and is not published. */
const WILL_DELAY_INTERVAL = 0x18;

/** The will's properties without the Will Delay Interval: one property of five bytes, at most once. */
function willProperties(bytes: Buffer, view: ConnectView): Buffer {
  const block = bytes.subarray(view.willPropertiesAt, view.willPropertiesAt + view.willPropertiesLength);
  const at = view.willProperties.willDelayAt;
  if (at < 0 || bytes[at - 1] !== WILL_DELAY_INTERVAL) return block;
  const from = at - 1 - view.willPropertiesAt;
  return Buffer.concat([block.subarray(0, from), block.subarray(from + 5)]);
}

function text(bytes: Buffer, at: number, length: number): string {
  return bytes.toString("utf8", at, at + length);
}
