/**
 * The request layer of one listener: finds the resource, asks who is there, hands over. One per listener; its message
 * layer is `endpoint.ts`.
 */
import type { NotifyType } from "../../config/coap-listener.ts";
import type { Authority, DatagramPort, LoginRequest, Principal, StoreHealth } from "../../core/ports.ts";
import { addressAndPort, isLoopback } from "../../transport/peer-address.ts";
import {
  BAD_OPTION,
  BAD_REQUEST,
  BLOCK1,
  FETCH,
  GET,
  IF_MATCH,
  IF_NONE_MATCH,
  IPATCH,
  METHOD_NOT_ALLOWED,
  NOT_FOUND,
  PATCH,
  PROXYING_NOT_SUPPORTED,
  UNAUTHORIZED,
} from "../../wire/coap/codes.ts";
import { decodeRequest, REQUEST_OK, RequestView } from "../../wire/coap/request.ts";
import { Credentials } from "./connection/credentials.ts";
import { CoapEndpoint } from "./message/endpoint.ts";
import type { MessageParts } from "./message/message-tables.ts";
import type { Reply, RequestHandler } from "./message/reply.ts";
import type { ObservedValues } from "./observe/backlog.ts";
import { type RegistrationParts, Registrations } from "./observe/registration.ts";
import type { ObservedListener } from "./observe/watcher.ts";
import { ConnectionResource } from "./resources/connection-resource.ts";
import { CoreResource } from "./resources/core-resource.ts";
import { HealthResource } from "./resources/health-resource.ts";
import { refuseBusy, refuseLogin, refuseStored } from "./resources/refusal.ts";
import type { Resource } from "./resources/resource.ts";
import { type TopicParts, TopicResource } from "./resources/topic-resource.ts";
import type { CoapShared } from "./shared.ts";

export interface CoapParts extends TopicParts, MessageParts, RegistrationParts {
  readonly authority: Pick<Authority, "authenticate" | "mayPublish" | "mayRead" | "maySubscribe">;
  readonly retained: ObservedValues;
  readonly health: () => StoreHealth;
  /** `limits.handshakes_per_second`: whether a login that costs may begin now. */
  readonly admitLogin: () => boolean;
  readonly limits: TopicParts["limits"] & { readonly stringBytes: number };
  readonly shared: CoapShared;
}

/** What a listener sets for itself. */
export interface CoapListenerOptions {
  readonly anonymous: LoginRequest["anonymous"];
  /** `heartbeat`: how often a client of the connection mode shows that it is there. */
  readonly heartbeatMs: number;
  /** Requests a second from one source address. */
  readonly rate: number;
  /** How notifications go. */
  readonly notify: NotifyType;
  /** Who its one peer is, whatever requests say: the name of a serial line. Default: requests log in. */
  readonly principal?: Principal;
}

/** Answers CoAP on one datagram port, from construction to `close`. */
export class CoapServer implements RequestHandler {
  readonly endpoint: CoapEndpoint;
  readonly #authority: Pick<Authority, "authenticate">;
  readonly #shared: CoapShared;
  readonly #stringBytesMax: number;
  readonly #credentials = new Credentials();
  readonly #anonymous: CoapListenerOptions["anonymous"];
  readonly #principal: Principal | null;
  readonly #listener: ObservedListener;
  readonly #view = new RequestView();
  readonly #topics: Resource;
  readonly #publishTopics: Resource;
  readonly #connection: Resource;
  readonly #health: Resource;
  readonly #core: Resource;
  /** The reply whose request `#view` holds; null outside of `onRequest`. */
  #current: Reply | null = null;
  readonly #admitLogin: () => boolean;

  constructor(port: DatagramPort, parts: CoapParts, options: CoapListenerOptions) {
    this.#authority = parts.authority;
    this.#shared = parts.shared;
    this.#stringBytesMax = parts.limits.stringBytes;
    this.#admitLogin = parts.admitLogin;
    this.#anonymous = options.anonymous;
    this.#principal = options.principal ?? null;
    this.#connection = new ConnectionResource(parts.shared.connections, options.heartbeatMs);
    this.#health = new HealthResource(parts.health);
    this.#core = new CoreResource();
    this.endpoint = new CoapEndpoint(port, this, parts, parts.shared.messages, options.rate);
    this.#listener = {
      endpoint: this.endpoint,
      notify: options.notify,
      name: addressAndPort(port.address, port.port),
      lasting: this.#principal !== null || !port.peersVerified,
      line: this.#principal?.name ?? null,
      bytesMax: port.maxPayload,
    };
    const registrations = new Registrations(parts.shared.observers, this.#listener, parts);
    const listener = parts.shared.newListener();
    this.#topics = new TopicResource(parts, listener, 1, registrations);
    this.#publishTopics = new TopicResource(parts, listener, 2, null);
    parts.shared.observers.expect(this.#listener);
    if (this.#principal === null) this.onPeerBack();
  }

  /** What was observed here before goes on. */
  onPeerBack(): void {
    this.#shared.observers.open(this.#listener);
  }

  /** Of a line: what it observes waits until it is back. */
  onPeerGone(): void {
    if (this.#principal !== null) this.#shared.observers.suspend(this.#listener);
  }

  close(): void {
    this.#shared.observers.close(this.#listener);
    this.endpoint.close();
  }

  onRequest(reply: Reply, datagram: Buffer): void {
    const view = this.#view;
    const problem = decodeRequest(datagram, view);
    reply.noResponse = view.noResponse;
    if (view.echo !== null) reply.prove(view.echo);
    if (problem !== REQUEST_OK) {
      refuseRequest(reply, problem, view.refusedOption);
      return;
    }
    const resource = this.#find(view);
    // RFC 7252 section 8.2: who asks everybody hears from those who have something to say, and changes nothing.
    if (reply.multicast && (view.code !== GET || resource?.guarded !== false)) {
      reply.ignore();
      return;
    }
    const unmet = criticalOptionUnmet(view, resource);
    if (unmet !== 0) {
      refuseRequest(reply, BAD_OPTION, unmet);
    } else if (resource === null) {
      if (view.path[0] === "mqtt") reply.refuse(BAD_REQUEST, "no such path under /mqtt");
      else reply.refuse(NOT_FOUND, "no such resource; topics are below /ps/");
    } else if ((resource.methods & (1 << view.code)) === 0) {
      reply.refuse(METHOD_NOT_ALLOWED, isPatch(view.code) ? NO_PATCH : "not a method of this resource");
    } else if (view.block2Num > 0 && !isReading(view.code)) {
      reply.refuse(BAD_REQUEST, "the response to it is one block"); // RFC 7959 section 2.1: processed, or rejected
    } else if (!resource.guarded) {
      resource.handle(view, reply, NOBODY);
    } else {
      this.#identify(resource, reply, datagram);
    }
  }

  /** A token names a connection, whose client has logged in; who comes without one logs in now. */
  #identify(resource: Resource, reply: Reply, datagram: Buffer): void {
    const credentials = this.#credentials;
    const problem = credentials.read(this.#view.query, this.#stringBytesMax);
    if (problem !== null) {
      reply.refuse(BAD_REQUEST, problem);
      return;
    }
    const { clientId, token } = credentials;
    if (token === null) {
      if (this.#principal !== null) resource.handle(this.#view, reply, named(this.#principal, clientId));
      else this.#logIn(reply, datagram, credentials.userName, credentials.password);
      return;
    }
    const connection = this.#shared.connections.find(clientId, token, reply.identity);
    if (connection === null) {
      reply.refuse(UNAUTHORIZED, "no connection has this clientid and token: open one with POST /mqtt/connection");
    } else if (connection.principal.name !== "") {
      resource.handle(this.#view, reply, connection.principal);
    } else {
      // Who has no name comes from where nobody needs one: that is asked of each request.
      this.#logIn(reply, datagram, null, null);
    }
  }

  /** Asks the authority; when it does not know at once, the request is kept until it does. */
  #logIn(reply: Reply, datagram: Buffer, userName: string | null, password: string | null): void {
    const { clientId } = this.#credentials;
    const login: LoginRequest = {
      clientId: clientId === "" ? `coap:${addressAndPort(reply.address, reply.port)}` : clientId,
      userName,
      password: password === null ? null : Buffer.from(password),
      certificateName: reply.identity,
      loopback: isLoopback(reply.address),
      anonymous: this.#anonymous,
      admit: this.#admitLogin,
    };
    reply.awaited++;
    reply.loggingIn = true;
    this.#current = reply;
    this.#authority.authenticate(login, reply);
    this.#current = null;
    if (!reply.loggingIn) return;
    if (!this.#shared.takeLoginBytes(datagram.length)) {
      refuseBusy(reply, "too many logins under way");
      return;
    }
    reply.datagram = Buffer.from(datagram);
  }

  onLogin(reply: Reply, principal: Principal | null, reason: number): void {
    if (reply !== this.#current) {
      const datagram = reply.datagram;
      if (datagram === null) return; // refused while it waited
      reply.datagram = null;
      this.#shared.giveLoginBytes(datagram.length);
      decodeRequest(datagram, this.#view);
    }
    if (principal === null) refuseLogin(reply, reason);
    else this.#find(this.#view)?.handle(this.#view, reply, principal);
  }

  onStored(reply: Reply, reason: number): void {
    refuseStored(reply, reason);
  }

  #find(view: RequestView): Resource | null {
    const path = view.path;
    if (path[0] === "ps") return this.#topics;
    if (path[0] === "mqtt" && path[1] === "publish" && path.length > 2) return this.#publishTopics;
    if (path[0] === "mqtt" && path[1] === "connection" && path.length === 2) return this.#connection;
    if (path[0] === "health" && path.length === 1) return this.#health;
    if (path[0] === ".well-known" && path[1] === "core" && path.length === 2) return this.#core;
    return null;
  }
}

/** @returns number of a critical option that the resource does not honour, 0 when there is none (RFC 7252 section 5.4.1) */
function criticalOptionUnmet(view: RequestView, resource: Resource | null): number {
  if (resource?.writable === true) return 0;
  if (view.hasBlock1) return BLOCK1;
  if (view.ifMatch.length > 0) return IF_MATCH;
  return view.ifNoneMatch ? IF_NONE_MATCH : 0;
}

/** RFC 7252 section 5.4.1: a NON with a critical option that is not understood is rejected, which for a NON is silence. */
function refuseRequest(reply: Reply, code: number, option: number): void {
  if (code === BAD_OPTION && !reply.confirmable) reply.ignore();
  else if (code === BAD_OPTION && option === BLOCK1) reply.refuse(code, "no Block1, as this resource takes no payload");
  else if (code === BAD_OPTION) reply.refuse(code, `option ${option} is critical and not supported, or not valid`);
  else if (code === PROXYING_NOT_SUPPORTED) reply.refuse(code, "no proxy");
  else reply.refuse(code, option === 0 ? "too many options" : `the value of option ${option} is not valid`);
}

/** Its response may have several blocks. */
function isReading(code: number): boolean {
  return code === GET || code === FETCH;
}

/** RFC 8132 sections 2 and 3. */
const NO_PATCH = "a message is published whole, by PUT or POST";

function isPatch(code: number): boolean {
  return code === PATCH || code === IPATCH;
}

function named(principal: Principal, clientId: string): Principal {
  return clientId === "" ? principal : { name: principal.name, clientId };
}

const NOBODY: Principal = { name: "", clientId: "" };
