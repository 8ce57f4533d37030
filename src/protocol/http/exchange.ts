/**
 * One HTTP request and its answer:
 *
 *      who is it? --> may it? --> body --> router.publish --> (store) --> answer
 *                 \-> GET: the retained value
 *
 * Each arrow may be a wait; the client may be gone at any of them, and then the answer goes nowhere, without harm.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type LoginWaiter, type Principal, SETTLED, type StoreWaiter } from "../../core/ports.ts";
import { refuse, refuseBusy, refuseLogin, refuseStored } from "./answer.ts";
import { BODY_TOO_LARGE, type BodyReader } from "./body.ts";

/** What a path does with a request of one of its methods. */
export interface Action {
  /** The sender is known; answers, or goes on with `exchange.readBody()`. */
  onPrincipal(exchange: HttpExchange, principal: Principal): void;
  /** The body has been read. */
  onBody(exchange: HttpExchange, body: Buffer): void;
  /** The store has what was published. */
  onSettled(exchange: HttpExchange): void;
}

export class HttpExchange implements LoginWaiter, StoreWaiter, BodyReader {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The path behind the resource's own, still percent-encoded. */
  readonly rest: string;
  readonly query: URLSearchParams;
  readonly #action: Action;
  readonly #bodies: { read(request: IncomingMessage, reader: BodyReader): void };
  principal: Principal = { name: "", clientId: "" };
  /** What the path decoded for the steps to come. */
  topic = "";

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    rest: string,
    query: URLSearchParams,
    action: Action,
    bodies: { read(request: IncomingMessage, reader: BodyReader): void },
  ) {
    this.request = request;
    this.response = response;
    this.rest = rest;
    this.query = query;
    this.#action = action;
    this.#bodies = bodies;
  }

  onLogin(principal: Principal | null, reason: number): void {
    if (principal === null) {
      refuseLogin(this.response, reason);
      return;
    }
    this.principal = principal;
    this.#action.onPrincipal(this, principal);
  }

  readBody(): void {
    this.#bodies.read(this.request, this);
  }

  onBody(body: Buffer): void {
    this.#action.onBody(this, body);
  }

  onBodyRefused(reason: number): void {
    if (reason === BODY_TOO_LARGE) refuse(this.response, 413, "body-too-large", "more than limits.max_packet_bytes");
    else refuseBusy(this.response, "too many bodies at a time");
  }

  onStored(_token: number, reason: number): void {
    if (reason === SETTLED) this.#action.onSettled(this);
    else refuseStored(this.response, reason);
  }
}
