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
 * The same port may serve many listeners' worth of peers; all state is in two bounded tables, the exchanges and the
 * replies. When the pool of replies is empty, a request is refused with 5.03 at once.
 */
import { assert } from "../../../base/assert.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import type { Random } from "../../../base/random.ts";
import type { TimerWheel } from "../../../base/timer-wheel.ts";
import type { DatagramHandler, DatagramPort } from "../../../core/ports.ts";
import {
  ACK,
  ACK_RANDOM_FACTOR,
  ACK_TIMEOUT_MS,
  CON,
  EXCHANGE_LIFETIME_MS,
  isRequest,
  MAX_RETRANSMIT,
  NON,
  NON_LIFETIME_MS,
  RST,
} from "../../../wire/coap/codes.ts";
import { CoapHeader, HEADER_BYTES, NOT_COAP, OK, readHeader, writeEmpty } from "../../../wire/coap/header.ts";
import type { CoapOption } from "../../../wire/coap/options.ts";
import { encodeResponse } from "../../../wire/coap/response.ts";
import { refuseBusy } from "../resources/refusal.ts";
import { EXCHANGE_LIMITS, type Exchange, type ExchangeLimits, ExchangeTable } from "./exchange-table.ts";
import {
  ACKNOWLEDGED,
  DONE,
  EMPTY_ACK_AFTER_MS,
  Reply,
  type ReplySender,
  type RequestHandler,
  SEPARATE,
} from "./reply.ts";

/** Requests under way at a time: those that wait for the store or a login, and separate responses in flight. */
export const REPLIES_MAX = 256;

export interface EndpointParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly random: Random;
  readonly counters: Counters;
}

export class CoapEndpoint implements DatagramHandler, ReplySender {
  readonly #port: DatagramPort;
  readonly #parts: EndpointParts;
  readonly #handler: RequestHandler;
  readonly #exchanges: ExchangeTable;
  readonly #header = new CoapHeader();
  readonly #empty = Buffer.alloc(HEADER_BYTES);
  /** All there are; they are made as needed, up to `repliesMax` of them. */
  readonly #replies: Reply[] = [];
  /** Those not in use. */
  readonly #pool: Reply[] = [];
  readonly #repliesMax: number;
  /** Serves a request that the pool has no reply for, within the call. */
  readonly #refusal: Reply;
  /** Separate responses in flight, by their Message ID. */
  readonly #separate = new Map<number, Reply>();
  #nextMessageId: number;
  #closed = false;

  readonly #received: Counter;
  readonly #ignored: Counter;
  readonly #malformed: Counter;
  readonly #resetsSent: Counter;
  readonly #duplicates: Counter;
  readonly #busy: Counter;
  readonly #retransmitted: Counter;
  readonly #unacknowledged: Counter;

  constructor(
    port: DatagramPort,
    handler: RequestHandler,
    parts: EndpointParts,
    exchangeLimits: ExchangeLimits = EXCHANGE_LIMITS,
    repliesMax: number = REPLIES_MAX,
  ) {
    const { clock, wheel, random, counters } = parts;
    assert(repliesMax < exchangeLimits.exchangesMax, "an exchange that is not under way can always give way");
    this.#port = port;
    this.#handler = handler;
    this.#parts = parts;
    this.#repliesMax = repliesMax;
    this.#exchanges = new ExchangeTable(clock, wheel, counters, exchangeLimits);
    this.#refusal = new Reply(this, handler);
    this.#nextMessageId = Math.floor(random() * 0x1_0000);
    this.#received = counters.counter("coap.received");
    this.#ignored = counters.counter("coap.ignored");
    this.#malformed = counters.counter("coap.malformed");
    this.#resetsSent = counters.counter("coap.resets_sent");
    this.#duplicates = counters.counter("coap.duplicates");
    this.#busy = counters.counter("coap.busy");
    this.#retransmitted = counters.counter("coap.retransmitted");
    this.#unacknowledged = counters.counter("coap.unacknowledged");
    port.handler = this;
  }

  get exchangeCount(): number {
    return this.#exchanges.size;
  }

  /** Stops all timers and sends nothing more; the port is its owner's to close. */
  close(): void {
    this.#closed = true;
    this.#port.handler = null;
    this.#exchanges.close();
    for (const reply of this.#replies) this.#parts.wheel.cancel(reply.timer);
    this.#separate.clear();
  }

  onDatagram(datagram: Buffer, address: string, port: number, identity: string | null): void {
    this.#received.value++;
    const header = this.#header;
    const outcome = readHeader(datagram, header);
    if (outcome === NOT_COAP) {
      this.#ignored.value++;
    } else if (header.type === ACK || header.type === RST) {
      if (outcome !== OK || !this.#endSeparate(header.messageId, address, port)) this.#ignored.value++;
    } else if (outcome !== OK || !isRequest(header.code)) {
      if (outcome !== OK) this.#malformed.value++;
      this.#reject(header, address, port);
    } else {
      this.#onRequest(datagram, header, address, port, identity);
    }
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

  #onRequest(datagram: Buffer, header: CoapHeader, address: string, port: number, identity: string | null): void {
    const key = `${address} ${port} ${header.messageId}`;
    const known = this.#exchanges.find(key);
    if (known !== undefined) {
      this.#duplicates.value++;
      this.#repeat(known, header.type, address, port);
      return;
    }
    const confirmable = header.type === CON;
    const reply = this.#takeReply();
    reply.begin(address, port, identity, confirmable, header.messageId);
    reply.setToken(datagram, HEADER_BYTES, header.tokenLength);
    reply.exchange = this.#exchanges.open(key, confirmable ? EXCHANGE_LIFETIME_MS : NON_LIFETIME_MS);
    if (reply === this.#refusal) {
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
  #repeat(exchange: Exchange, type: number, address: string, port: number): void {
    if (type !== CON || exchange.responseLength === 0) return;
    const ring = this.#exchanges.ring;
    const at = exchange.responseAt % ring.length;
    this.#port.send(ring, at, at + exchange.responseLength, address, port);
  }

  #takeReply(): Reply {
    const reply = this.#pool.pop();
    if (reply !== undefined) return reply;
    if (this.#replies.length === this.#repliesMax) return this.#refusal;
    const made = new Reply(this, this.#handler);
    this.#replies.push(made);
    return made;
  }

  // ---- what replies ask for ----------------------------------------------------------------------------------

  sendResponse(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void {
    this.#parts.wheel.cancel(reply.timer);
    const exchange = reply.exchange as Exchange;
    exchange.answered = true;
    reply.exchange = null;
    if (this.#closed) {
      reply.state = DONE;
    } else if (reply.state === ACKNOWLEDGED) {
      this.#sendSeparate(reply, code, options, payload);
    } else {
      const type = reply.confirmable ? ACK : NON;
      const messageId = reply.confirmable ? reply.messageId : this.#takeMessageId();
      const response = encodeResponse(type, code, messageId, reply.token, options, payload);
      this.#port.send(response, 0, response.length, reply.address, reply.port);
      if (reply.confirmable) this.#exchanges.keep(exchange, response, response.length);
      reply.state = DONE;
    }
  }

  ignore(reply: Reply): void {
    this.#ignored.value++;
    this.#parts.wheel.cancel(reply.timer);
    (reply.exchange as Exchange).answered = true;
    reply.exchange = null;
    reply.state = DONE;
  }

  release(reply: Reply): void {
    reply.response = NO_BYTES;
    if (reply !== this.#refusal) this.#pool.push(reply);
  }

  onReplyTimer(reply: Reply): void {
    if (reply.state === SEPARATE) {
      this.#retransmit(reply);
    } else if (!reply.answered) {
      reply.state = ACKNOWLEDGED;
      this.#sendEmpty(ACK, reply.messageId, reply.address, reply.port);
      this.#exchanges.keep(reply.exchange as Exchange, this.#empty, HEADER_BYTES);
    }
  }

  // ---- separate responses (RFC 7252 sections 4.2 and 5.2.2) --------------------------------------------------

  #sendSeparate(reply: Reply, code: number, options: CoapOption[], payload: Buffer): void {
    reply.state = SEPARATE;
    reply.messageId = this.#takeMessageId();
    reply.response = encodeResponse(CON, code, reply.messageId, reply.token, options, payload);
    reply.retransmissions = 0;
    reply.timeoutMs = ACK_TIMEOUT_MS * (1 + this.#parts.random() * (ACK_RANDOM_FACTOR - 1));
    this.#separate.set(reply.messageId, reply);
    this.#port.send(reply.response, 0, reply.response.length, reply.address, reply.port);
    this.#parts.wheel.schedule(reply.timer, reply.timeoutMs);
  }

  #retransmit(reply: Reply): void {
    if (reply.retransmissions === MAX_RETRANSMIT) {
      this.#unacknowledged.value++;
      this.#separateDone(reply);
      return;
    }
    reply.retransmissions++;
    reply.timeoutMs *= 2;
    this.#retransmitted.value++;
    this.#port.send(reply.response, 0, reply.response.length, reply.address, reply.port);
    this.#parts.wheel.schedule(reply.timer, reply.timeoutMs);
  }

  /** The peer has acknowledged or reset a message. @returns false when it is none of ours */
  #endSeparate(messageId: number, address: string, port: number): boolean {
    const reply = this.#separate.get(messageId);
    if (reply === undefined || reply.address !== address || reply.port !== port) return false;
    this.#separateDone(reply);
    return true;
  }

  #separateDone(reply: Reply): void {
    this.#parts.wheel.cancel(reply.timer);
    this.#separate.delete(reply.messageId);
    reply.state = DONE;
    reply.releaseIfDone();
  }

  /** One that no CON of ours in flight has; the pool of replies is far smaller than the range. */
  #takeMessageId(): number {
    do {
      this.#nextMessageId = (this.#nextMessageId + 1) & 0xffff;
    } while (this.#separate.has(this.#nextMessageId));
    return this.#nextMessageId;
  }

  #sendEmpty(type: number, messageId: number, address: string, port: number): void {
    writeEmpty(this.#empty, type, messageId);
    this.#port.send(this.#empty, 0, HEADER_BYTES, address, port);
  }
}

const NO_BYTES: Buffer = Buffer.alloc(0);
