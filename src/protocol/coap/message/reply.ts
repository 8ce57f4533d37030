/**
 * What the gateway owes for one request under way: where the answer goes, and by which message it goes there.
 *
 *      WORKING -------- respond ------------------------> DONE     CON: in the acknowledgement; NON: by a NON
 *         | 1 s, CON only
 *      ACKNOWLEDGED --- respond ------> SEPARATE -------> DONE     by a CON of our own, until it is acknowledged,
 *                                                                  reset or given up
 *      WORKING -------- respond ------> LEISURE --------> DONE     to a multicast: by a NON, some seconds later
 *
 * Replies come from a pool that all listeners share; one that a login or the store still has to call back is not used
 * again before.
 *
 * @see RFC 7252 sections 5.2.1 to 5.2.3 and 8.2
 */
import { type Expirable, Timer } from "../../../base/timer-wheel.ts";
import { type LoginWaiter, type Principal, SETTLED, type StoreWaiter } from "../../../core/ports.ts";
import { CHANGED } from "../../../wire/coap/codes.ts";
import type { CoapOption } from "../../../wire/coap/options.ts";
import { NO_EXCHANGE } from "./exchange-table.ts";
import { OutgoingMessage, type OutgoingOwner } from "./outgoing.ts";
import type { Peer } from "./peer.ts";

/** In the pool. */
export const FREE = 0;
/** The handler has it; nothing has been sent. */
export const WORKING = 1;
/** The handler has it; an Empty acknowledgement is out. */
export const ACKNOWLEDGED = 2;
/** The response is out as a CON of ours, to be acknowledged, or waits for its turn to be. */
export const SEPARATE = 3;
/** The response to a multicast waits for its time. */
export const LEISURE = 4;
/** Nothing is owed any more; it goes back to the pool when nobody is to call it back. */
export const DONE = 5;

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
  /** Largest response datagram that may go to who asked. */
  responseBytesMax(reply: Reply): number;
  /** Handles the request that was held, whether its peer has proven its address or not. */
  goOn(reply: Reply): void;
  /** The request counts as a block of many against the rate of its source. */
  countAsBlock(reply: Reply): void;
  /** The request carries this value of Echo. */
  prove(reply: Reply, echo: Uint8Array): void;
  onReplyTimer(reply: Reply): void;
  /** The separate response waited for its turn, which has come. */
  onReplyFree(reply: Reply): void;
  /** The separate response is acknowledged, reset or given up. */
  onReplySent(reply: Reply): void;
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
  /** A peer's session is over; where the listener has one peer, it is away. */
  onPeerGone?(): void;
  /** The one peer is there. */
  onPeerBack?(): void;
}

export class Reply implements Expirable, StoreWaiter, LoginWaiter, OutgoingOwner {
  #sender!: ReplySender;
  #handler!: RequestHandler;
  readonly timer = new Timer(this, 0);
  /** The separate response's message. */
  readonly outgoing = new OutgoingMessage(this);

  state = FREE;
  /** Who asks; held until the reply is back in the pool. */
  peer!: Peer;
  confirmable = false;
  /** The request went to a multicast address: no errors, and no hurry. */
  multicast = false;
  /** The request's. */
  messageId = 0;
  /** The pool's: of who asks. */
  sourceHash = 0;
  /** Bytes of the request's datagram. */
  requestBytes = 0;
  /** What the request was counted for against the rate of its source. */
  costMs = 0;
  /** Where its token is kept, in a place that all replies share. */
  readonly #tokens: Buffer;
  readonly #tokenAt: number;
  token: Buffer = NO_BYTES;
  exchange = NO_EXCHANGE;
  /** Response classes that are not wanted, as `RequestView.noResponse`; the request layer's to set. */
  noResponse = 0;

  /** The response while it waits, and whether it counts among those that wait. */
  response: Buffer = NO_BYTES;
  counted = false;

  /** The request may be held until its peer has proven its address: once, and from within `RequestHandler.onRequest`. */
  mayWait = false;
  wantsProof = false;
  /** A copy of the request while it is held. */
  held: Buffer | null = null;
  /** The first part of its wait for proof is over. */
  waited = false;
  #pingsBefore = 0;

  /** A copy of the request while a login is looked up. */
  datagram: Buffer | null = null;
  /** The response code once the store has it. */
  settledCode = CHANGED;
  settledOptions: CoapOption[] = NO_OPTIONS;
  /** `onLogin` is still to come. */
  loggingIn = false;
  /** Calls of `onLogin` and `onStored` still to come. */
  awaited = 0;

  /** @param tokens  room for TOKEN_BYTES_MAX from `tokenAt` */
  constructor(tokens: Buffer, tokenAt: number) {
    this.#tokens = tokens;
    this.#tokenAt = tokenAt;
  }

  /** Takes what the request says of itself; the token is copied. */
  begin(sender: ReplySender, handler: RequestHandler, peer: Peer, confirmable: boolean, messageId: number): void {
    this.#sender = sender;
    this.#handler = handler;
    this.state = WORKING;
    this.peer = peer;
    this.confirmable = confirmable;
    this.multicast = false;
    this.messageId = messageId;
    this.noResponse = 0;
    this.mayWait = false;
    this.wantsProof = false;
    this.#pingsBefore = peer.pings;
    this.settledCode = CHANGED;
    this.settledOptions = NO_OPTIONS;
  }

  setToken(datagram: Buffer, from: number, length: number): void {
    if (length === 0) {
      this.token = NO_BYTES;
      return;
    }
    for (let i = 0; i < length; i++) this.#tokens[this.#tokenAt + i] = datagram[from + i]!;
    if (this.token.length !== length) this.token = this.#tokens.subarray(this.#tokenAt, this.#tokenAt + length);
  }

  get sender(): ReplySender {
    return this.#sender;
  }

  get address(): string {
    return this.peer.address;
  }

  get port(): number {
    return this.peer.port;
  }

  /** DTLS identity, null on plain UDP. */
  get identity(): string | null {
    return this.peer.identity;
  }

  /** Pings of the peer since the request came, which count as answers to it. */
  get pings(): number {
    return this.peer.pings - this.#pingsBefore;
  }

  get answered(): boolean {
    return this.state !== WORKING && this.state !== ACKNOWLEDGED;
  }

  /**
   * Largest datagram that may answer now: three times the request's while the peer's address is not proven. What is
   * larger is sent as 4.01 with an Echo option, or, when it refuses, without its diagnostic payload.
   */
  get responseBytesMax(): number {
    return this.#sender.responseBytesMax(this);
  }

  /**
   * Asks for proof of the peer's address before the request is answered, where its answer is larger than may go without.
   * @returns whether the handler is called again with the request, when it is proven or not in time; false = it is to
   *   answer now
   */
  askProof(): boolean {
    if (!this.mayWait) return false;
    this.mayWait = false;
    this.wantsProof = true;
    return true;
  }

  /** Hands over the request once more. @param datagram  it, valid until return */
  again(datagram: Buffer): void {
    this.#handler.onRequest(this, datagram);
  }

  /** The request is one of many that carry or fetch one payload: it counts less against the rate of its source. */
  countAsBlock(): void {
    this.#sender.countAsBlock(this);
  }

  /** Takes the request's Echo option for proof of the peer's address, if it is one (RFC 9175 section 2.3). */
  prove(echo: Uint8Array): void {
    this.#sender.prove(this, echo);
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
    if (reason === SETTLED) this.respond(this.settledCode, this.settledOptions);
    else this.#handler.onStored(this, reason);
    this.releaseIfDone();
  }

  onAcknowledged(): void {
    this.#sender.onReplySent(this);
  }

  onReset(): void {
    this.#sender.onReplySent(this);
  }

  onGivenUp(): void {
    this.#sender.onReplySent(this);
  }

  onFree(): void {
    this.#sender.onReplyFree(this);
  }

  releaseIfDone(): void {
    if (this.state !== DONE || this.awaited > 0) return;
    this.state = FREE;
    this.#sender.release(this);
  }
}
