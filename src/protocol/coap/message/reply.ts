/**
 * What the gateway owes for one request under way: where the answer goes, and by which message it goes there.
 *
 *      WORKING -------- respond ------------------------> DONE     CON: in the acknowledgement; NON: by a NON
 *         | 1 s, CON only
 *      ACKNOWLEDGED --- respond ------> SEPARATE -------> DONE     by a CON of our own, until it is acknowledged,
 *                                                                  reset or given up
 *
 * Replies come from a fixed pool; one that a login or the store still has to call back is not used again before.
 *
 * @see RFC 7252 sections 5.2.1 to 5.2.3
 */
import { type Expirable, Timer } from "../../../base/timer-wheel.ts";
import { type LoginWaiter, type Principal, SETTLED, type StoreWaiter } from "../../../core/ports.ts";
import { CHANGED } from "../../../wire/coap/codes.ts";
import { TOKEN_BYTES_MAX } from "../../../wire/coap/header.ts";
import type { CoapOption } from "../../../wire/coap/options.ts";
import type { Exchange } from "./exchange-table.ts";

/** In the pool. */
export const FREE = 0;
/** The handler has it; nothing has been sent. */
export const WORKING = 1;
/** The handler has it; an Empty acknowledgement is out. */
export const ACKNOWLEDGED = 2;
/** The response is out as a CON of ours, to be acknowledged. */
export const SEPARATE = 3;
/** Nothing is owed any more; it goes back to the pool when nobody is to call it back. */
export const DONE = 4;

/** A client repeats after 2 s at the earliest (ACK_TIMEOUT), so it hears from us before. */
export const EMPTY_ACK_AFTER_MS = 1_000;

const NO_BYTES: Buffer = Buffer.alloc(0);
const NO_OPTIONS: CoapOption[] = [];

/** The message layer, as a reply sees it. */
export interface ReplySender {
  /** Sends the response by the message that the state of `reply` calls for. */
  sendResponse(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void;
  /** No response and no acknowledgement: the message is rejected. */
  ignore(reply: Reply): void;
  onReplyTimer(reply: Reply): void;
  /** Nobody holds the reply any more. */
  release(reply: Reply): void;
}

/** The request layer, as a reply sees it. */
export interface RequestHandler {
  /** @param datagram the request, found well-formed; valid until return */
  onRequest(reply: Reply, datagram: Buffer): void;
  /** Called once for each login asked for, answered or not. */
  onLogin(reply: Reply, principal: Principal | null, reason: number): void;
  /** The store settled or refused what the request published. */
  onStored(reply: Reply, reason: number): void;
}

export class Reply implements Expirable, StoreWaiter, LoginWaiter {
  readonly #sender: ReplySender;
  readonly #handler: RequestHandler;
  readonly timer = new Timer(this, 0);

  state = FREE;
  address = "";
  port = 0;
  /** DTLS identity, null on plain UDP. */
  identity: string | null = null;
  confirmable = false;
  /** The request's, then that of our own CON. */
  messageId = 0;
  readonly #token = Buffer.alloc(TOKEN_BYTES_MAX);
  token: Buffer = NO_BYTES;
  exchange: Exchange | null = null;

  /** The separate response, kept for retransmission. */
  response: Buffer = NO_BYTES;
  retransmissions = 0;
  timeoutMs = 0;

  /** A copy of the request while a login is looked up. */
  datagram: Buffer | null = null;
  /** The response code once the store has it. */
  settledCode = CHANGED;
  /** `onLogin` is still to come. */
  loggingIn = false;
  /** Calls of `onLogin` and `onStored` still to come. */
  awaited = 0;

  constructor(sender: ReplySender, handler: RequestHandler) {
    this.#sender = sender;
    this.#handler = handler;
  }

  /** Takes the request's addresses; the token is copied. */
  begin(address: string, port: number, identity: string | null, confirmable: boolean, messageId: number): void {
    this.state = WORKING;
    this.address = address;
    this.port = port;
    this.identity = identity;
    this.confirmable = confirmable;
    this.messageId = messageId;
    this.retransmissions = 0;
    this.settledCode = CHANGED;
  }

  setToken(datagram: Buffer, from: number, length: number): void {
    if (length === 0) {
      this.token = NO_BYTES;
      return;
    }
    for (let i = 0; i < length; i++) this.#token[i] = datagram[from + i]!;
    this.token = this.#token.subarray(0, length);
  }

  get answered(): boolean {
    return this.state !== WORKING && this.state !== ACKNOWLEDGED;
  }

  /** Answers; a second answer is not sent. `payload` is copied. */
  respond(code: number, options: CoapOption[] = NO_OPTIONS, payload: Buffer = NO_BYTES): void {
    if (!this.answered) this.#sender.sendResponse(this, code, options, payload);
  }

  /** Answers with words for people (RFC 7252 section 5.5.2). */
  refuse(code: number, diagnostic: string, options: CoapOption[] = NO_OPTIONS): void {
    this.respond(code, options, Buffer.from(diagnostic));
  }

  ignore(): void {
    if (!this.answered) this.#sender.ignore(this);
  }

  onTimer(): void {
    this.#sender.onReplyTimer(this);
  }

  onLogin(principal: Principal | null, reason: number): void {
    this.awaited--;
    this.loggingIn = false;
    this.#handler.onLogin(this, principal, reason);
    this.releaseIfDone();
  }

  onStored(_token: number, reason: number): void {
    this.awaited--;
    if (reason === SETTLED) this.respond(this.settledCode);
    else this.#handler.onStored(this, reason);
    this.releaseIfDone();
  }

  releaseIfDone(): void {
    if (this.state !== DONE || this.awaited > 0) return;
    this.state = FREE;
    this.#sender.release(this);
  }
}
