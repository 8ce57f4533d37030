/**
 * Sends the responses of one listener: in the acknowledgement, as a NON, as a CON of our own, at leisure after a
 * multicast, or not at all; and none larger than an address that is not proven may get.
 */
import type { Counter } from "../../../base/counters.ts";
import type { DatagramPort } from "../../../core/ports.ts";
import {
  ACK,
  BLOCK2,
  CON,
  CONTENT,
  DEFAULT_LEISURE_MS,
  ECHO,
  isSuccess,
  NON,
  SERVICE_UNAVAILABLE,
  UNAUTHORIZED,
  VALID,
} from "../../../wire/coap/codes.ts";
import { HEADER_BYTES, writeEmpty } from "../../../wire/coap/header.ts";
import type { CoapOption } from "../../../wire/coap/options.ts";
import { encodeResponse } from "../../../wire/coap/response.ts";
import { NO_EXCHANGE } from "./exchange-table.ts";
import type { MessageParts, MessageTables } from "./message-tables.ts";
import type { Peer } from "./peer.ts";
import {
  ACKNOWLEDGED,
  DONE,
  EMPTY_ACK_AFTER_MS,
  LEISURE,
  type Reply,
  type ReplySender,
  SEPARATE,
  WORKING,
} from "./reply.ts";
import type { Transmitter } from "./transmitter.ts";

/** An address that is not proven gets at most so many times the bytes that came from it (RFC 9175 section 2.4). */
export const AMPLIFICATION_MAX = 3;
/** Largest message to anybody, what RFC 7252 section 4.6 assumes that any path takes. */
export const MESSAGE_BYTES_MAX = 1_152;
/** Blocks that count as one request: a client sends them one after the other, each when the one before is answered. */
export const BLOCKS_PER_REQUEST = 8;
/** How long a request waits for the RST of a ping: long for a mobile network, and soon enough for an Empty acknowledgement. */
export const PROOF_WAIT_MS = 800;
/** After so long the ping is sent once more, where so many bytes may go that a block still has room beside it. */
export const PING_AGAIN_MS = 300;
const PING_AGAIN_BYTES_MIN = 64;

/** Requests that wait so; a flood from forged addresses has no more of the replies. */
export const HELD_MAX = 64;

/** Answers to multicasts that wait for their time; of a flood of multicasts the rest is not answered. */
export const LEISURE_MAX = 64;

/** Of the first byte of a message. */
const TYPE_SHIFT = 4;
const TYPE_BITS = 0b11 << TYPE_SHIFT;
const MESSAGE_ID_AT = 2;

const NO_BYTES: Buffer = Buffer.alloc(0);

export class Responder implements ReplySender {
  readonly #port: DatagramPort;
  readonly #parts: MessageParts;
  readonly #tables: MessageTables;
  readonly #transmitter: Transmitter;
  readonly #empty = Buffer.alloc(HEADER_BYTES);
  readonly #ignored: Counter;
  readonly #unacknowledged: Counter;
  readonly #echoAsked: Counter;
  readonly #multicastsDropped: Counter;
  #atLeisure = 0;
  #closed = false;

  constructor(port: DatagramPort, parts: MessageParts, tables: MessageTables, transmitter: Transmitter) {
    this.#port = port;
    this.#parts = parts;
    this.#tables = tables;
    this.#transmitter = transmitter;
    this.#ignored = parts.counters.counter("coap.ignored");
    this.#unacknowledged = parts.counters.counter("coap.unacknowledged");
    this.#echoAsked = parts.counters.counter("coap.echo_asked");
    this.#multicastsDropped = parts.counters.counter("coap.multicasts_dropped");
  }

  /** Stops the timers of its replies; nothing is sent any more. */
  close(): void {
    this.#closed = true;
    const { replies, exchanges } = this.#tables;
    for (const reply of replies.all) {
      if (reply.sender !== this) continue;
      this.#parts.wheel.cancel(reply.timer);
      this.#letGo(reply);
      if (reply.exchange !== NO_EXCHANGE) exchanges.answer(reply.exchange);
      if (reply.state === SEPARATE || reply.state === LEISURE) this.#sent(reply);
    }
  }

  responseBytesMax(reply: Reply): number {
    const most = Math.min(this.#port.maxPayload, MESSAGE_BYTES_MAX);
    if (this.#tables.peers.isVerified(reply.peer)) return most;
    return Math.min(AMPLIFICATION_MAX * reply.requestBytes - reply.pings * HEADER_BYTES, most);
  }

  // ---- proof of an address before the answer -----------------------------------------------------------------

  /** Pings the peer and keeps the request until the RST has come. @returns false when there is no room for it */
  hold(reply: Reply, datagram: Buffer): boolean {
    if (this.#tables.held.size === HELD_MAX || !this.#tables.replies.takeBytes(datagram.length)) return false;
    reply.held = Buffer.from(datagram);
    reply.waited = false;
    this.#tables.held.add(reply);
    if (reply.pings === 0) this.#transmitter.ping(reply.peer);
    this.#parts.wheel.schedule(reply.timer, PING_AGAIN_MS);
    return true;
  }

  goOn(reply: Reply): void {
    const datagram = this.#letGo(reply);
    if (datagram === null) return;
    reply.again(datagram);
    if (!reply.answered && reply.confirmable)
      this.#parts.wheel.schedule(reply.timer, EMPTY_ACK_AFTER_MS - PROOF_WAIT_MS);
    reply.releaseIfDone();
  }

  /** Once more with a second ping, where there is room for it. */
  #waitOn(reply: Reply): void {
    const { peer } = reply;
    if (reply.waited) {
      peer.setSilent(true);
      this.goOn(reply);
      return;
    }
    reply.waited = true;
    if (this.responseBytesMax(reply) >= PING_AGAIN_BYTES_MIN) this.#transmitter.pingAgain(peer);
    this.#parts.wheel.schedule(reply.timer, PROOF_WAIT_MS - PING_AGAIN_MS);
  }

  onProven(peer: Peer): void {
    for (const reply of this.#tables.held) if (reply.peer === peer) this.goOn(reply);
  }

  #letGo(reply: Reply): Buffer | null {
    const datagram = reply.held;
    if (datagram === null) return null;
    reply.held = null;
    reply.wantsProof = false;
    this.#parts.wheel.cancel(reply.timer);
    this.#tables.held.delete(reply);
    this.#tables.replies.giveBytes(datagram.length);
    return datagram;
  }

  countAsBlock(reply: Reply): void {
    const { peers, rates } = this.#tables;
    rates.give(peers.hashOf(reply.peer.address), reply.costMs * (1 - 1 / BLOCKS_PER_REQUEST));
    reply.costMs = 0;
  }

  prove(reply: Reply, echo: Uint8Array): void {
    if (this.#tables.echo.isFresh(reply.peer, echo)) this.#tables.peers.verify(reply.peer);
  }

  sendResponse(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void {
    if (reply.timer.armed) this.#parts.wheel.cancel(reply.timer);
    const { exchange, confirmable, peer } = reply;
    this.#tables.exchanges.answer(exchange);
    reply.exchange = NO_EXCHANGE;
    if (this.#closed || peer.gone) {
      reply.state = DONE;
    } else if (isUnwanted(reply, code)) {
      if (confirmable && reply.state === WORKING) this.#acknowledge(reply, exchange);
      reply.state = DONE;
    } else if (reply.state === ACKNOWLEDGED) {
      const response = this.#encode(reply, CON, 0, code, options, payload);
      if (code !== UNAUTHORIZED && response[1] === UNAUTHORIZED) this.#sendOnce(reply, response);
      else this.#sendSeparate(reply, response);
    } else if (reply.multicast) {
      this.#sendAtLeisure(reply, code, options, payload);
    } else {
      const messageId = confirmable ? reply.messageId : this.#transmitter.takeMessageId(peer);
      const response = this.#encode(reply, confirmable ? ACK : NON, messageId, code, options, payload);
      this.#port.send(response, 0, response.length, peer.address, peer.port);
      if (confirmable) this.#tables.exchanges.keep(exchange, response, response.length);
      reply.state = DONE;
    }
  }

  #encode(reply: Reply, type: number, messageId: number, code: number, options: CoapOption[], payload: Buffer): Buffer {
    const response = encodeResponse(type, code, messageId, reply.token, options, payload);
    if (response.length > AMPLIFICATION_MAX * reply.requestBytes - reply.pings * HEADER_BYTES && !reply.peer.verified) {
      return this.#encodeSmall(reply, type, messageId, code, options, payload, response);
    }
    if (code === CONTENT && goesOn(options)) this.#askProof(reply, response.length);
    return response;
  }

  /**
   * For an address that is not proven: an error has as many of its words as fit, and who reads is to show that he
   * receives there (RFC 9175 section 2.4). What has been done is said in few bytes.
   */
  #encodeSmall(
    reply: Reply,
    type: number,
    messageId: number,
    code: number,
    options: CoapOption[],
    payload: Buffer,
    response: Buffer,
  ): Buffer {
    const bytesMax = this.responseBytesMax(reply);
    if (code !== CONTENT && code !== VALID) {
      const left = beginningOf(payload, payload.length - (response.length - bytesMax));
      const shorter = encodeResponse(type, code, messageId, reply.token, options, left);
      return shorter.length <= bytesMax ? shorter : encodeResponse(type, code, messageId, reply.token, [], NO_BYTES);
    }
    this.#echoAsked.value++;
    const echo = [{ name: ECHO, value: this.#tables.echo.valueFor(reply.peer) }];
    const challenge = encodeResponse(type, UNAUTHORIZED, messageId, reply.token, echo, NO_BYTES);
    if (challenge.length <= bytesMax) return challenge;
    return encodeResponse(type, UNAUTHORIZED, messageId, reply.token, [], NO_BYTES);
  }

  /** Instead of a CON, which would be repeated to an address that is not proven (RFC 9175 section 2.4). */
  #sendOnce(reply: Reply, challenge: Buffer): void {
    const { peer } = reply;
    challenge[0] = (challenge[0]! & ~TYPE_BITS) | (NON << TYPE_SHIFT);
    challenge.writeUInt16BE(this.#transmitter.takeMessageId(peer), MESSAGE_ID_AT);
    this.#port.send(challenge, 0, challenge.length, peer.address, peer.port);
    reply.state = DONE;
  }

  /** A ping beside the response, where both are no more than may go. */
  #askProof({ peer, requestBytes, pings }: Reply, bytes: number): void {
    if (pings === 0 && !peer.verified && bytes + HEADER_BYTES <= AMPLIFICATION_MAX * requestBytes)
      this.#transmitter.ping(peer);
  }

  ignore(reply: Reply): void {
    this.#ignored.value++;
    this.#parts.wheel.cancel(reply.timer);
    this.#tables.exchanges.answer(reply.exchange);
    reply.exchange = NO_EXCHANGE;
    reply.state = DONE;
  }

  release(reply: Reply): void {
    this.#tables.peers.end(reply.peer);
    this.#tables.replies.give(reply);
  }

  onReplyTimer(reply: Reply): void {
    if (reply.state === LEISURE) {
      this.#port.send(reply.response, 0, reply.response.length, reply.peer.address, reply.peer.port);
      this.#sent(reply);
    } else if (reply.held !== null) {
      this.#waitOn(reply);
    } else if (!reply.answered) {
      reply.state = ACKNOWLEDGED;
      if (!reply.peer.gone) this.#acknowledge(reply, reply.exchange);
    }
  }

  #acknowledge(reply: Reply, exchange: number): void {
    this.sendEmpty(ACK, reply.messageId, reply.peer.address, reply.peer.port);
    this.#tables.exchanges.keep(exchange, this.#empty, HEADER_BYTES);
  }

  sendEmpty(type: number, messageId: number, address: string, port: number): void {
    writeEmpty(this.#empty, type, messageId);
    this.#port.send(this.#empty, 0, HEADER_BYTES, address, port);
  }

  /** Sends again what the first copy of a request got; while its handler works, that is nothing or the Empty acknowledgement. */
  repeat(exchange: number, peer: Peer): void {
    const { exchanges } = this.#tables;
    const length = exchanges.responseLength(exchange);
    if (length === 0) return;
    const at = exchanges.placeOf(exchange);
    this.#port.send(exchanges.ring, at, at + length, peer.address, peer.port);
  }

  /** RFC 7252 section 5.2.2. What no longer fits among the responses that wait is 5.03, for which there is always room. */
  #sendSeparate(reply: Reply, response: Buffer): void {
    const { replies } = this.#tables;
    reply.response = replies.takeBytes(response.length)
      ? response
      : encodeResponse(CON, SERVICE_UNAVAILABLE, 0, reply.token, [], NO_BYTES);
    reply.counted = reply.response === response;
    reply.state = SEPARATE;
    this.#transmitter.begin(reply.outgoing, reply.peer, MESSAGE_BYTES_MAX);
    this.#transmitter.sendEncoded(reply.outgoing, reply.response);
  }

  onReplyFree(reply: Reply): void {
    // It was given up before this one's turn: were each tried for itself, who left would hold his replies for hours.
    if (reply.peer.lost) {
      this.#unacknowledged.value++;
      this.#sent(reply);
      return;
    }
    this.#transmitter.sendEncoded(reply.outgoing, reply.response);
  }

  onReplySent(reply: Reply): void {
    this.#sent(reply);
  }

  /** RFC 7252 section 8.2: some time within DEFAULT_LEISURE, so that not all servers answer at once. */
  #sendAtLeisure(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void {
    const messageId = this.#transmitter.takeMessageId(reply.peer);
    const response = encodeResponse(NON, code, messageId, reply.token, options, payload);
    const isSmall = response.length <= this.responseBytesMax(reply);
    if (!isSmall || this.#atLeisure >= LEISURE_MAX || !this.#tables.replies.takeBytes(response.length)) {
      this.#multicastsDropped.value++;
      reply.state = DONE;
      return;
    }
    this.#atLeisure++;
    reply.response = response;
    reply.counted = true;
    reply.state = LEISURE;
    this.#parts.wheel.schedule(reply.timer, this.#parts.random() * DEFAULT_LEISURE_MS);
  }

  /** The response that waited is no longer needed. */
  #sent(reply: Reply): void {
    this.#transmitter.end(reply.outgoing);
    if (reply.state === LEISURE) this.#atLeisure--;
    if (reply.counted) this.#tables.replies.giveBytes(reply.response.length);
    reply.response = NO_BYTES;
    reply.state = DONE;
    reply.releaseIfDone();
  }
}

/** RFC 7967 section 2.1; RFC 7252 section 8.2: errors are no answer to a multicast. */
function isUnwanted(reply: Reply, code: number): boolean {
  if (reply.multicast && !isSuccess(code)) return true;
  return reply.noResponse !== 0 && ((reply.noResponse >> ((code >> 5) - 1)) & 1) === 1;
}

/** Whether a response has Block2 with more to come (RFC 7959 section 2.2). */
function goesOn(options: readonly CoapOption[]): boolean {
  for (const { name, value } of options) if (name === BLOCK2) return ((value.at(-1) ?? 0) & 8) !== 0;
  return false;
}

/** The first bytes of a text in UTF-8, at most so many, in whole characters. */
function beginningOf(text: Buffer, bytesMax: number): Buffer {
  let end = Math.max(0, bytesMax);
  while (end > 0 && (text[end]! & 0xc0) === 0x80) end--;
  return text.subarray(0, end);
}
