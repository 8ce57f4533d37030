/**
 * The message layer of one listener: what is CoAP at all, acknowledgements and resets, repeated requests, and the way
 * a response goes. It knows nothing of resources.
 *
 *      datagram       what is done (RFC 7252 sections 3, 4.2, 4.3)
 *      not CoAP       ignored
 *      CON, malformed, Empty ("ping") or a response nobody asked for: RST
 *      NON, the same  ignored
 *      ACK, RST       ends the retransmission of a CON of ours, or is ignored
 *      request, known the message that the first copy got; a NON's copy is ignored (4.5)
 *      request, new   to the request layer, with a reply from the pool
 *
 * All that can grow lies in `MessageTables`, which the listeners of a gateway share. When the pool of replies is empty,
 * a request is refused with 5.03 at once.
 */
import type { Counter } from "../../../base/counters.ts";
import type { DatagramHandler, DatagramPort } from "../../../core/ports.ts";
import {
  ACK,
  CON,
  DEFAULT_LEISURE_MS,
  EXCHANGE_LIFETIME_MS,
  isRequest,
  isSuccess,
  NON,
  NON_LIFETIME_MS,
  RST,
  SERVICE_UNAVAILABLE,
} from "../../../wire/coap/codes.ts";
import { CoapHeader, HEADER_BYTES, NOT_COAP, OK, readHeader, writeEmpty } from "../../../wire/coap/header.ts";
import type { CoapOption } from "../../../wire/coap/options.ts";
import { encodeResponse } from "../../../wire/coap/response.ts";
import { refuseBusy } from "../resources/refusal.ts";
import { NO_EXCHANGE } from "./exchange-table.ts";
import type { MessageParts, MessageTables } from "./message-tables.ts";
import type { OutgoingMessage } from "./outgoing.ts";
import type { Peer } from "./peer.ts";
import {
  ACKNOWLEDGED,
  DONE,
  EMPTY_ACK_AFTER_MS,
  LEISURE,
  type Reply,
  type ReplySender,
  type RequestHandler,
  SEPARATE,
  WORKING,
} from "./reply.ts";
import { Transmitter } from "./transmitter.ts";

/** An unproven address gets at most so many times the bytes that came from it (RFC 9175 section 2.4). */
export const AMPLIFICATION_MAX = 3;

export class CoapEndpoint implements DatagramHandler, ReplySender {
  /** Takes what came in at a multicast address of this listener. */
  readonly multicast: DatagramHandler;
  readonly tables: MessageTables;
  readonly #port: DatagramPort;
  readonly #parts: MessageParts;
  readonly #handler: RequestHandler;
  readonly #transmitter: Transmitter;
  readonly #header = new CoapHeader();
  readonly #empty = Buffer.alloc(HEADER_BYTES);
  #closed = false;

  readonly #received: Counter;
  readonly #ignored: Counter;
  readonly #malformed: Counter;
  readonly #resetsSent: Counter;
  readonly #duplicates: Counter;
  readonly #busy: Counter;

  constructor(port: DatagramPort, handler: RequestHandler, parts: MessageParts, tables: MessageTables) {
    const { counters } = parts;
    this.#port = port;
    this.#handler = handler;
    this.#parts = parts;
    this.tables = tables;
    this.#transmitter = new Transmitter(port, parts, tables);
    this.#received = counters.counter("coap.received");
    this.#ignored = counters.counter("coap.ignored");
    this.#malformed = counters.counter("coap.malformed");
    this.#resetsSent = counters.counter("coap.resets_sent");
    this.#duplicates = counters.counter("coap.duplicates");
    this.#busy = counters.counter("coap.busy");
    this.multicast = { onDatagram: (bytes, address, port) => this.#onMulticast(bytes, address, port) };
    port.handler = this;
  }

  /** Stops all timers and sends nothing more; the port is its owner's to close. */
  close(): void {
    this.#closed = true;
    this.#port.handler = null;
    const { peers, replies, exchanges } = this.tables;
    this.#transmitter.close(peers.of(this));
    for (const reply of replies.all) {
      if (reply.sender !== this) continue;
      this.#parts.wheel.cancel(reply.timer);
      if (reply.exchange !== NO_EXCHANGE) exchanges.answer(reply.exchange);
      if (reply.state === SEPARATE || reply.state === LEISURE) this.#sent(reply);
    }
    for (const peer of [...peers.of(this)]) peers.forget(peer);
  }

  onDatagram(datagram: Buffer, address: string, port: number, identity: string | null): void {
    this.#received.value++;
    const header = this.#header;
    const outcome = readHeader(datagram, header);
    if (outcome === NOT_COAP) {
      this.#ignored.value++;
    } else if (header.type === ACK || header.type === RST) {
      const peer = outcome === OK ? this.#find(address, port, identity) : null;
      if (peer === null || !this.#transmitter.onAnswer(peer, header)) this.#ignored.value++;
    } else if (outcome !== OK || !isRequest(header.code)) {
      if (outcome !== OK) this.#malformed.value++;
      this.#reject(header, address, port);
    } else {
      this.#onRequest(datagram, header, address, port, identity, false);
    }
  }

  /** RFC 7252 section 8.1: requests are NON; what is anything else is not even reset. */
  #onMulticast(datagram: Buffer, address: string, port: number): void {
    this.#received.value++;
    const header = this.#header;
    const outcome = readHeader(datagram, header);
    if (outcome === OK && header.type === NON && isRequest(header.code)) {
      this.#onRequest(datagram, header, address, port, null, true);
    } else {
      this.#ignored.value++;
    }
  }

  #find(address: string, port: number, identity: string | null): Peer | null {
    const { peers } = this.tables;
    return peers.find(this, peers.hashOf(address), address, port, identity);
  }

  /** RFC 7252 section 4.2: a CON is rejected by RST; section 4.3: a NON silently. */
  #reject(header: CoapHeader, address: string, port: number): void {
    if (header.type !== CON) {
      this.#ignored.value++;
      return;
    }
    this.#resetsSent.value++;
    this.#sendEmpty(RST, header.messageId, address, port);
  }

  #onRequest(
    datagram: Buffer,
    header: CoapHeader,
    address: string,
    port: number,
    identity: string | null,
    multicast: boolean,
  ): void {
    const { peers, exchanges, replies } = this.tables;
    const nowMs = this.#parts.clock.nowMs();
    const { type, messageId } = header;
    const peer = peers.take(this, peers.hashOf(address), address, port, identity, this.#port.peersVerified);
    const known = exchanges.find(peer.serial, messageId, nowMs);
    if (known !== NO_EXCHANGE) {
      this.#duplicates.value++;
      if (type === CON) this.#repeat(known, peer);
      return;
    }
    const confirmable = type === CON;
    const reply = replies.take();
    peers.begin(peer);
    reply.begin(this, this.#handler, peer, confirmable, messageId);
    reply.multicast = multicast;
    reply.requestBytes = datagram.length;
    reply.setToken(datagram, HEADER_BYTES, header.tokenLength);
    const lifetimeMs = confirmable ? EXCHANGE_LIFETIME_MS : NON_LIFETIME_MS;
    reply.exchange = exchanges.open(peer.serial, messageId, nowMs, nowMs + lifetimeMs);
    if (reply === replies.refusal) {
      this.#busy.value++;
      refuseBusy(reply, "too many requests under way");
      reply.releaseIfDone();
      return;
    }
    this.#handler.onRequest(reply, datagram);
    if (!reply.answered && confirmable) this.#parts.wheel.schedule(reply.timer, EMPTY_ACK_AFTER_MS);
    reply.releaseIfDone();
  }

  /** Sends what the first copy got; while the handler works on it, that is nothing or the Empty acknowledgement. */
  #repeat(exchange: number, peer: Peer): void {
    const { exchanges } = this.tables;
    const length = exchanges.responseLength(exchange);
    if (length === 0) return;
    const at = exchanges.placeOf(exchange);
    this.#port.send(exchanges.ring, at, at + length, peer.address, peer.port);
  }

  // ---- what replies ask for ----------------------------------------------------------------------------------

  responseBytesMax(reply: Reply): number {
    return this.tables.peers.isVerified(reply.peer) ? DATAGRAM_BYTES_MAX : AMPLIFICATION_MAX * reply.requestBytes;
  }

  sendResponse(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void {
    const { exchanges } = this.tables;
    if (reply.timer.armed) this.#parts.wheel.cancel(reply.timer);
    const { exchange, confirmable } = reply;
    exchanges.answer(exchange);
    reply.exchange = NO_EXCHANGE;
    if (this.#closed) {
      reply.state = DONE;
    } else if (isUnwanted(reply, code)) {
      if (confirmable && reply.state === WORKING) this.#acknowledge(reply, exchange);
      reply.state = DONE;
    } else if (reply.state === ACKNOWLEDGED) {
      this.#sendSeparate(reply, code, options, payload);
    } else if (reply.multicast) {
      this.#sendAtLeisure(reply, code, options, payload);
    } else {
      const messageId = confirmable ? reply.messageId : this.#transmitter.takeMessageId(reply.peer);
      const response = encodeResponse(confirmable ? ACK : NON, code, messageId, reply.token, options, payload);
      this.#port.send(response, 0, response.length, reply.peer.address, reply.peer.port);
      if (confirmable) exchanges.keep(exchange, response, response.length);
      reply.state = DONE;
    }
  }

  ignore(reply: Reply): void {
    this.#ignored.value++;
    this.#parts.wheel.cancel(reply.timer);
    this.tables.exchanges.answer(reply.exchange);
    reply.exchange = NO_EXCHANGE;
    reply.state = DONE;
  }

  release(reply: Reply): void {
    this.tables.peers.end(reply.peer);
    this.tables.replies.give(reply);
  }

  onReplyTimer(reply: Reply): void {
    if (reply.state === LEISURE) {
      this.#port.send(reply.response, 0, reply.response.length, reply.peer.address, reply.peer.port);
      this.#sent(reply);
    } else if (!reply.answered) {
      reply.state = ACKNOWLEDGED;
      this.#acknowledge(reply, reply.exchange);
    }
  }

  #acknowledge(reply: Reply, exchange: number): void {
    this.#sendEmpty(ACK, reply.messageId, reply.peer.address, reply.peer.port);
    this.tables.exchanges.keep(exchange, this.#empty, HEADER_BYTES);
  }

  /** RFC 7252 section 5.2.2. */
  #sendSeparate(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void {
    const { replies } = this.tables;
    let response = encodeResponse(CON, code, 0, reply.token, options, payload);
    if (!replies.takeBytes(response.length)) {
      response = encodeResponse(CON, SERVICE_UNAVAILABLE, 0, reply.token, [], NO_BYTES);
      replies.takeBytes(response.length);
    }
    reply.state = SEPARATE;
    reply.response = response;
    this.#transmitter.begin(reply.outgoing, reply.peer, DATAGRAM_BYTES_MAX);
    this.#transmitter.sendEncoded(reply.outgoing, response);
  }

  onReplyFree(reply: Reply): void {
    this.#transmitter.sendEncoded(reply.outgoing, reply.response);
  }

  onReplySent(reply: Reply): void {
    this.#sent(reply);
  }

  /** RFC 7252 section 8.2: some time within DEFAULT_LEISURE, so that not all servers answer at once. */
  #sendAtLeisure(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void {
    const messageId = this.#transmitter.takeMessageId(reply.peer);
    const response = encodeResponse(NON, code, messageId, reply.token, options, payload);
    if (response.length > this.responseBytesMax(reply) || !this.tables.replies.takeBytes(response.length)) {
      reply.state = DONE;
      return;
    }
    reply.response = response;
    reply.state = LEISURE;
    this.#parts.wheel.schedule(reply.timer, this.#parts.random() * DEFAULT_LEISURE_MS);
  }

  /** The response that waited is no longer needed. */
  #sent(reply: Reply): void {
    this.#transmitter.end(reply.outgoing);
    this.tables.replies.giveBytes(reply.response.length);
    reply.response = NO_BYTES;
    reply.state = DONE;
    reply.releaseIfDone();
  }

  // ---- messages of ours --------------------------------------------------------------------------------------

  /** The conversation that `out` is for begins: `peer` is remembered until `end`. @param bytesMax  `Reply.responseBytesMax` of the request that began it */
  begin(out: OutgoingMessage, peer: Peer, bytesMax: number): void {
    this.#transmitter.begin(out, peer, bytesMax);
    if (!this.tables.peers.isVerified(peer)) this.#transmitter.ping(peer);
  }

  /** The conversation is over; what is in flight is not sent again, and nobody is called. */
  end(out: OutgoingMessage): void {
    this.#transmitter.end(out);
  }

  /** What is in flight, or waits for its turn, is given up, and nobody is called. */
  cancel(out: OutgoingMessage): void {
    this.#transmitter.cancel(out);
  }

  /**
   * Sends a message to the peer that `out` was begun for. `out` is not in flight.
   * @param options  in any order; sorted in place
   * @param payload  copied
   * @returns SENT, BUSY, TOO_LARGE or CLOSED
   */
  send(
    out: OutgoingMessage,
    confirmable: boolean,
    code: number,
    token: Buffer,
    options: CoapOption[],
    payload: Buffer,
  ): number {
    return this.#transmitter.send(out, confirmable, code, token, options, payload);
  }

  /**
   * Puts a newer representation in the place of that in flight: it goes when that would be retransmitted, with a Message
   * ID of its own, and counts as one more attempt (RFC 7641 section 4.5.2). When the older one is acknowledged before,
   * the newer one is not sent: its owner is told as always and knows better what is newest by then.
   * @returns SENT, or TOO_LARGE: then the older one goes on
   */
  replace(out: OutgoingMessage, code: number, token: Buffer, options: CoapOption[], payload: Buffer): number {
    return this.#transmitter.replace(out, code, token, options, payload);
  }

  onOutgoingTimer(out: OutgoingMessage): void {
    this.#transmitter.onTimer(out);
  }

  #sendEmpty(type: number, messageId: number, address: string, port: number): void {
    writeEmpty(this.#empty, type, messageId);
    this.#port.send(this.#empty, 0, HEADER_BYTES, address, port);
  }
}

/** RFC 7967 section 2.1; RFC 7252 section 8.2: errors are no answer to a multicast. */
function isUnwanted(reply: Reply, code: number): boolean {
  if (reply.multicast && !isSuccess(code)) return true;
  return reply.noResponse !== 0 && ((reply.noResponse >> ((code >> 5) - 1)) & 1) === 1;
}

/** Largest UDP payload over IPv4. */
const DATAGRAM_BYTES_MAX = 65_507;
const NO_BYTES: Buffer = Buffer.alloc(0);
