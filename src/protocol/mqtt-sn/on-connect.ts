/**
 * CONNECT: the will is asked for, the client id is who it is, the session is opened, CONNACK.
 *
 *     CONNECT ── Will flag ──> WILLTOPICREQ, WILLTOPIC, WILLMSGREQ, WILLMSG ──> login ──> old session ended ──> CONNACK
 *
 * @see MQTT-SN 1.2 sections 6.2, 6.3 and 6.13
 */
import type { Principal } from "../../core/ports.ts";
import { SESSION_FOREIGN, SESSIONS_FULL } from "../../core/session-registry.ts";
import { isLoopback } from "../../transport/peer-address.ts";
import { SERVER_BUSY } from "../../wire/mqtt/codes.ts";
import {
  ACCEPTED,
  CONNACK,
  FLAG_CLEAN_SESSION,
  FLAG_WILL,
  PROTOCOL_ID,
  REJECTED_CONGESTION,
  REJECTED_NOT_SUPPORTED,
  WILLMSG,
  WILLMSGREQ,
  WILLTOPIC,
  WILLTOPICREQ,
} from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import { writeReturnCode } from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";
import { WINDOW } from "./limits.ts";
import type { Peer } from "./peer.ts";
import type { MqttSnServer } from "./server.ts";
import { ACTIVE, CONNECTING, DISCARDED } from "./states.ts";
import { partsOf, topicOfWill, type WillParts, willOf } from "./will.ts";

/** What a CONNECT asks for, until CONNACK. */
export interface ConnectRequest {
  readonly clientId: string;
  readonly clean: boolean;
  readonly keepAliveMs: number;
  /** The same device, as it was connected until now. */
  readonly previous: Client | null;
  /** The message that is waited for: WILLTOPIC or WILLMSG; 0 = none, the login is under way. */
  awaits: number;
  will: WillParts | null;
  /** Section 6.3: neither clean nor with a will of its own, it has the one that it had. */
  readonly keepsWill: boolean;
  principal: Principal | null;
}

export function onConnect(server: MqttSnServer, peer: Peer, bytes: Buffer, view: MessageView): void {
  const { limits } = server.parts;
  const { clients } = server;
  const known = clients.at(peer.key);
  if (view.protocolId !== PROTOCOL_ID || view.restEnd - view.restAt > limits.stringBytes) {
    refuse(server, peer, REJECTED_NOT_SUPPORTED);
    return;
  }
  const clientId = bytes.toString("utf8", view.restAt, view.restEnd);
  const clean = (view.flags & FLAG_CLEAN_SESSION) !== 0;
  const hasWill = (view.flags & FLAG_WILL) !== 0;
  const pending = known?.state === CONNECTING && known.request?.clientId === clientId ? known.request : null;
  if (known !== null && pending !== null && (pending.awaits === 0 || (hasWill && clean === pending.clean))) {
    if (pending.awaits !== 0) ask(known, pending); // its answer is on the way, or was lost
    return;
  }
  if (known === null && !clients.hasRoom()) {
    server.congestion.value++;
    refuse(server, peer, REJECTED_CONGESTION);
    return;
  }
  const same = known?.session?.clientId === clientId;
  if (known !== null && !same && pending === null) known.dispose(true);
  const seconds = view.duration === 0 ? 0xffff : view.duration;
  const request: ConnectRequest = {
    clientId,
    clean,
    keepAliveMs: Math.min(seconds * 1000, limits.keepAliveMaxMs),
    previous: same ? known : (pending?.previous ?? null),
    awaits: hasWill ? WILLTOPIC : 0,
    will: null,
    keepsWill: !clean && !hasWill,
    principal: null,
  };
  // It began anew, with another mind: what it was asked for is not waited for any more.
  const client = known !== null && pending !== null ? known : clients.add(peer);
  client.request = request;
  client.expectConnected();
  if (request.awaits === 0) logIn(client, request);
  else ask(client, request);
}

export function onWillTopic(client: Client, bytes: Buffer, view: MessageView): void {
  const { request, server } = client;
  // It comes again when WILLMSGREQ was lost.
  if (client.state !== CONNECTING || request === null || request.awaits === 0) return;
  if (view.restAt === view.restEnd) {
    logIn(client, request); // section 5.4.7: an empty one means no will
    return;
  }
  const parts = topicOfWill(server, bytes, view);
  if (parts === null) {
    refuseClient(client, REJECTED_NOT_SUPPORTED);
    return;
  }
  request.will = parts;
  request.awaits = WILLMSG;
  ask(client, request);
}

export function onWillMsg(client: Client, bytes: Buffer, view: MessageView): void {
  const { request } = client;
  if (client.state !== CONNECTING || request === null || request.awaits !== WILLMSG || request.will === null) return;
  request.will = { ...request.will, payload: Buffer.copyBytesFrom(bytes, view.restAt, view.restEnd - view.restAt) };
  logIn(client, request);
}

/** WILLMSG, or an empty WILLTOPIC, comes again from who is connected: CONNACK was lost. */
export function onWillAgain(client: Client): void {
  client.write(writeReturnCode(client.server.room(8), 0, CONNACK, ACCEPTED));
}

export function onLogin(client: Client, principal: Principal | null, reason: number): void {
  const { request } = client;
  if (request === null) return;
  if (principal === null) {
    refuseClient(client, reason === SERVER_BUSY ? REJECTED_CONGESTION : REJECTED_NOT_SUPPORTED);
    return;
  }
  request.principal = principal;
  const old = request.previous?.session ?? null;
  if (old !== null) {
    // The device is there, it has slept or not heard CONNACK: what it left behind is no death.
    if (request.keepsWill && old.will !== null) request.will = partsOf(old.will);
    client.server.parts.registry.wills.cancel(old);
  }
  onDiscarded(client);
}

/** The end of the session that a clean start does not want back is stored before its client is told of the new one. */
export function onDiscarded(client: Client): void {
  const { request, server } = client;
  if (client.state !== CONNECTING || request === null || request.principal === null) return;
  const { registry, store } = server.parts;
  if (request.clean && registry.discard(request.clientId, request.principal)) store.barrier(client, DISCARDED);
  else enter(client, request, request.principal);
}

function enter(client: Client, request: ConnectRequest, principal: Principal): void {
  const { server } = client;
  const { registry, limits } = server.parts;
  const { clientId, clean, previous } = request;
  const will = request.will === null ? null : willOf(request.will);
  if (!registry.admitWill(will)) {
    refuseClient(client, REJECTED_CONGESTION);
    return;
  }
  if (previous !== null && !clean) {
    // Section 6.3: what was registered stays registered, but for what the client has not acknowledged.
    previous.deliveries.unregister();
    const { topics } = client;
    client.topics = previous.topics;
    previous.topics = topics;
  }
  const opened = registry.open(clientId, principal, clean, clean ? 0 : limits.sessionExpiryMaxMs / 1000);
  if (opened === SESSIONS_FULL || opened === SESSION_FOREIGN) {
    registry.releaseWill(will);
    refuseClient(client, opened === SESSIONS_FULL ? REJECTED_CONGESTION : REJECTED_NOT_SUPPORTED);
    return;
  }
  const { session, present } = opened;
  if (!present && previous !== null) {
    client.topics.clear();
    client.topics = server.topicIds();
  }
  client.request = null;
  client.session = session;
  server.clients.name(client, clientId);
  client.state = ACTIVE;
  client.expectWithin(request.keepAliveMs);
  client.write(writeReturnCode(server.room(8), 0, CONNACK, ACCEPTED));
  registry.attach(session, client, WINDOW, will, present);
  session.pumpOthers();
}

function logIn(client: Client, request: ConnectRequest): void {
  const { server } = client;
  request.awaits = 0;
  client.expectConnected();
  if (server.options.user !== undefined) {
    client.onLogin({ name: server.options.user, clientId: request.clientId }, 0);
    return;
  }
  server.parts.authority.authenticate(
    {
      clientId: request.clientId,
      userName: null,
      password: null,
      certificateName: null,
      loopback: isLoopback(client.peer.address),
      anonymous: server.options.anonymous,
    },
    client,
  );
}

/** Section 6.13: its client repeats CONNECT or WILLTOPIC when this is lost, so it is not repeated by itself. */
function ask(client: Client, { awaits }: ConnectRequest): void {
  client.server.sendEmpty(client.peer, awaits === WILLTOPIC ? WILLTOPICREQ : WILLMSGREQ);
}

function refuseClient(client: Client, code: number): void {
  if (code === REJECTED_CONGESTION) client.server.congestion.value++;
  refuse(client.server, client.peer, code);
  client.dispose(true);
}

function refuse(server: MqttSnServer, peer: Peer, code: number): void {
  server.count("connects_refused");
  server.sendTo(peer, writeReturnCode(server.room(8), 0, CONNACK, code));
}
