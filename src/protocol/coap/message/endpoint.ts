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
import { BURST_MS } from "../../../transport/source-rates.ts";
import {
  ACK,
  CON,
  EXCHANGE_LIFETIME_MS,
  isRequest,
  MAX_AGE,
  NON,
  NON_LIFETIME_MS,
  RST,
  TOO_MANY_REQUESTS,
} from "../../../wire/coap/codes.ts";
import { CoapHeader, HEADER_BYTES, NOT_COAP, OK, readHeader } from "../../../wire/coap/header.ts";
import { type CoapOption, uintOption } from "../../../wire/coap/options.ts";
import { encodeResponse } from "../../../wire/coap/response.ts";
import { refuseBusy } from "../resources/refusal.ts";
import { NO_EXCHANGE } from "./exchange-table.ts";
import type { MessageParts, MessageTables } from "./message-tables.ts";
import type { OutgoingMessage } from "./outgoing.ts";
import type { Peer } from "./peer.ts";
import { EMPTY_ACK_AFTER_MS, type RequestHandler } from "./reply.ts";
import { Responder } from "./responder.ts";
import { Transmitter } from "./transmitter.ts";

/** A source that sends too fast is told so this often; the rest is dropped. */
const TOLD_PER_SECOND = 2;

export class CoapEndpoint implements DatagramHandler {
  /** Takes what came in at a multicast address of this listener. */
  readonly multicast: DatagramHandler;
  readonly tables: MessageTables;
  /** Tells it from the other listeners of the gateway. */
  readonly number: number;
  readonly #port: DatagramPort;
  readonly #parts: MessageParts;
  readonly #handler: RequestHandler;
  readonly #transmitter: Transmitter;
  readonly #responder: Responder;
  /** 1000 / rate. */
  readonly #perRequestMs: number;
  readonly #header = new CoapHeader();

  readonly #received: Counter;
  readonly #ignored: Counter;
  readonly #malformed: Counter;
  readonly #resetsSent: Counter;
  readonly #duplicates: Counter;
  readonly #busy: Counter;
  readonly #tooFast: Counter;

  /** @param rate  requests a second from one source address */
  constructor(port: DatagramPort, handler: RequestHandler, parts: MessageParts, tables: MessageTables, rate: number) {
    const { counters } = parts;
    this.#port = port;
    this.#handler = handler;
    this.#parts = parts;
    this.tables = tables;
    this.number = tables.endpoints++;
    this.#perRequestMs = 1000 / rate;
    this.#transmitter = new Transmitter(port, parts, tables);
    this.#responder = new Responder(port, parts, tables, this.#transmitter);
    this.#received = counters.counter("coap.received");
    this.#ignored = counters.counter("coap.ignored");
    this.#malformed = counters.counter("coap.malformed");
    this.#resetsSent = counters.counter("coap.resets_sent");
    this.#duplicates = counters.counter("coap.duplicates");
    this.#busy = counters.counter("coap.busy");
    this.#tooFast = counters.counter("coap.too_fast");
    this.multicast = { onDatagram: (bytes, address, port) => this.#onMulticast(bytes, address, port) };
    port.handler = this;
  }

  /** Stops all timers and sends nothing more; the port is its owner's to close. */
  close(): void {
    this.#port.handler = null;
    const { peers } = this.tables;
    this.#transmitter.close(peers.of(this));
    this.#responder.close();
    for (const peer of peers.of(this)) peers.forget(peer);
  }

  /** What is under way for whoever was at this address is over, and nothing goes there under the name of the old session. */
  onPeerGone(address: string, port: number): void {
    const { peers } = this.tables;
    this.#handler.onPeerGone?.();
    for (const peer of peers.of(this)) {
      if (peer.port !== port || peer.address !== address || peer.gone) continue;
      peers.begin(peer);
      peers.expel(peer);
      this.#transmitter.giveUp(peer);
      peers.end(peer);
    }
  }

  onPeerBack(): void {
    this.#handler.onPeerBack?.();
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
      else if (this.tables.held.size > 0 && peer.verified) this.#responder.onProven(peer);
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
    if (!this.#isSlowEnough(this.tables.peers.hashOf(address), this.#parts.clock.nowMs())) return;
    this.#resetsSent.value++;
    this.#responder.sendEmpty(RST, header.messageId, address, port);
  }

  #isSlowEnough(addressHash: number, nowMs: number): boolean {
    const slowEnough = this.tables.rates.take(addressHash, nowMs, this.#perRequestMs);
    if (!slowEnough) this.#tooFast.value++;
    return slowEnough;
  }

  /**
   * RFC 8516: 4.29 with the seconds to wait, which a CON alone is told, and only now and then: an answer for each would
   * keep a flood going, and nothing is remembered of a request that was not let in.
   */
  #tellTooFast(
    datagram: Buffer,
    header: CoapHeader,
    addressHash: number,
    nowMs: number,
    address: string,
    port: number,
  ) {
    if (!this.tables.told.take(addressHash, nowMs, 1000 / TOLD_PER_SECOND)) return;
    const token = datagram.subarray(HEADER_BYTES, HEADER_BYTES + header.tokenLength);
    const options = [uintOption(MAX_AGE, Math.ceil(BURST_MS / 1000))];
    const response = encodeResponse(ACK, TOO_MANY_REQUESTS, header.messageId, token, options, NO_BYTES);
    this.#port.send(response, 0, response.length, address, port);
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
    const addressHash = peers.hashOf(address);
    if (!this.#isSlowEnough(addressHash, nowMs)) {
      if (type === CON) this.#tellTooFast(datagram, header, addressHash, nowMs, address, port);
      return;
    }
    const peer = peers.take(this, addressHash, address, port, identity, this.#port.peersVerified);
    const known = exchanges.find(peer.serial, messageId, nowMs);
    if (known !== NO_EXCHANGE) {
      this.#duplicates.value++;
      if (type === CON) this.#responder.repeat(known, peer);
      return;
    }
    const confirmable = type === CON;
    const reply = replies.take(addressHash);
    peers.begin(peer);
    reply.begin(this.#responder, this.#handler, peer, confirmable, messageId);
    reply.multicast = multicast;
    reply.requestBytes = datagram.length;
    reply.costMs = this.#perRequestMs;
    reply.setToken(datagram, HEADER_BYTES, header.tokenLength);
    const lifetimeMs = confirmable ? EXCHANGE_LIFETIME_MS : NON_LIFETIME_MS;
    reply.exchange = exchanges.open(peer.serial, messageId, nowMs, nowMs + lifetimeMs);
    if (reply === replies.refusal) {
      this.#busy.value++;
      refuseBusy(reply, "too many requests under way");
      reply.releaseIfDone();
      return;
    }
    reply.mayWait = !multicast && !peer.silent && !peer.guessed && !peer.verified;
    this.#handler.onRequest(reply, datagram);
    reply.mayWait = false;
    if (reply.wantsProof && !reply.answered) {
      if (this.#responder.hold(reply, datagram)) return;
      this.#handler.onRequest(reply, datagram);
    }
    if (!reply.answered && confirmable) this.#parts.wheel.schedule(reply.timer, EMPTY_ACK_AFTER_MS);
    reply.releaseIfDone();
  }

  // ---- messages of ours --------------------------------------------------------------------------------------

  /**
   * The conversation that `out` is for begins: `peer` is remembered until `end`.
   * @param bytesMax  `Reply.responseBytesMax` of the request that began it
   */
  begin(out: OutgoingMessage, peer: Peer, bytesMax: number): void {
    this.#transmitter.begin(out, peer, bytesMax);
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
}

const NO_BYTES: Buffer = Buffer.alloc(0);
