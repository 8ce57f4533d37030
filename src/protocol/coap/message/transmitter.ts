/**
 * Sends the messages of ours: NONs, and CONs with retransmission, one in flight per peer (NSTART, RFC 7252 section 4.7).
 *
 *      attempt     1        2              3                            4      5            given up
 *                  |- 2..3 -|---- x 2 -----|----------- x 4 ------------| . . .|. . x 16 ...|     seconds (more on a slow line)
 *
 * One per listener. Message IDs count up per peer from a number that nobody else knows, so that an acknowledgement by
 * somebody with a forged address is a guess; who has guessed wrong once proves nothing by it.
 */
import { assert } from "../../../base/assert.ts";
import type { Counter } from "../../../base/counters.ts";
import type { DatagramPort } from "../../../core/ports.ts";
import {
  ACK_RANDOM_FACTOR,
  ACK_TIMEOUT_MS,
  CON,
  EMPTY,
  isResponse,
  MAX_RETRANSMIT,
  NON,
  RST,
} from "../../../wire/coap/codes.ts";
import { type CoapHeader, HEADER_BYTES, writeEmpty } from "../../../wire/coap/header.ts";
import type { CoapOption } from "../../../wire/coap/options.ts";
import { encodeResponse } from "../../../wire/coap/response.ts";
import type { MessageParts, MessageTables } from "./message-tables.ts";
import { BUSY, CLOSED, IDLE, IN_FLIGHT, type OutgoingMessage, SENT, TOO_LARGE, WAITING } from "./outgoing.ts";
import { NO_PING, type Peer } from "./peer.ts";
import { unguessable16 } from "./unguessable.ts";

const NO_BYTES: Buffer = Buffer.alloc(0);
/** So many of our last messages to a peer may be acknowledged again, without that being a guess. */
const LATELY = 16;

export class Transmitter {
  readonly #port: DatagramPort;
  readonly #parts: MessageParts;
  readonly #tables: MessageTables;
  /** RFC 7252 section 4.8.1 lets it be larger. */
  readonly #ackTimeoutMs: number;
  readonly #ping = Buffer.alloc(HEADER_BYTES);
  readonly #retransmitted: Counter;
  readonly #unacknowledged: Counter;
  #closed = false;

  constructor(port: DatagramPort, parts: MessageParts, tables: MessageTables) {
    this.#port = port;
    this.#parts = parts;
    this.#tables = tables;
    this.#ackTimeoutMs = port.answerMs ?? ACK_TIMEOUT_MS;
    this.#retransmitted = parts.counters.counter("coap.retransmitted");
    this.#unacknowledged = parts.counters.counter("coap.unacknowledged");
  }

  /** Of what is still under way, nobody is told. */
  close(peers: Iterable<Peer>): void {
    this.#closed = true;
    for (const peer of peers) {
      const out = peer.outstanding;
      if (out !== null) this.#over(out);
      for (let waiting = peer.firstWaiting; waiting !== null; waiting = peer.firstWaiting) this.#stopWaiting(waiting);
    }
  }

  begin(out: OutgoingMessage, peer: Peer, bytesMax: number): void {
    assert(out.peer === null, "a message is begun for one peer at a time");
    out.peer = peer;
    out.use++;
    out.bytesMax = bytesMax;
    out.nextBegun = peer.firstBegun;
    if (out.nextBegun !== null) out.nextBegun.previousBegun = out;
    peer.firstBegun = out;
    this.#tables.peers.begin(peer);
  }

  end(out: OutgoingMessage): void {
    const peer = out.peer;
    if (peer === null) return;
    this.cancel(out);
    if (out.previousBegun !== null) out.previousBegun.nextBegun = out.nextBegun;
    else peer.firstBegun = out.nextBegun;
    if (out.nextBegun !== null) out.nextBegun.previousBegun = out.previousBegun;
    out.nextBegun = null;
    out.previousBegun = null;
    out.peer = null;
    this.#tables.peers.end(peer);
  }

  /** The peer is gone: all who have a conversation with it are told, and end it or not. */
  giveUp(peer: Peer): void {
    for (let waiting = peer.firstWaiting; waiting !== null; waiting = peer.firstWaiting) this.#stopWaiting(waiting);
    if (peer.outstanding !== null) this.#over(peer.outstanding);
    for (let out = peer.firstBegun; out !== null; ) {
      const next: OutgoingMessage | null = out.nextBegun;
      out.owner.onGivenUp(out);
      out = next;
    }
  }

  cancel(out: OutgoingMessage): void {
    const peer = out.peer as Peer;
    if (out.state === WAITING) {
      this.#stopWaiting(out);
    } else if (out.state === IN_FLIGHT) {
      this.#over(out);
      this.#free(peer);
    }
  }

  send(
    out: OutgoingMessage,
    confirmable: boolean,
    code: number,
    token: Buffer,
    options: CoapOption[],
    payload: Buffer,
  ): number {
    const peer = out.peer as Peer;
    if (this.#closed || peer.gone) return CLOSED;
    // Who does not answer gets no more of them: an address that is not proven may be somebody else's.
    const asCon = confirmable || !peer.verified;
    if (asCon && !this.#isFree(out, peer)) return BUSY;
    const messageId = this.takeMessageId(peer);
    const datagram = encodeResponse(asCon ? CON : NON, code, messageId, token, options, payload);
    if (this.#isTooLarge(out, peer, datagram)) return TOO_LARGE;
    if (asCon) {
      this.#launch(out, peer, datagram, messageId);
    } else {
      this.#tables.sentNons.add(peer, messageId, out);
      this.#port.send(datagram, 0, datagram.length, peer.address, peer.port);
    }
    return SENT;
  }

  /** Sends a CON that is encoded, but for its Message ID. */
  sendEncoded(out: OutgoingMessage, datagram: Buffer): number {
    const peer = out.peer as Peer;
    if (this.#closed || peer.gone) return CLOSED;
    if (!this.#isFree(out, peer)) return BUSY;
    const messageId = this.takeMessageId(peer);
    datagram.writeUInt16BE(messageId, 2);
    this.#launch(out, peer, datagram, messageId);
    return SENT;
  }

  replace(out: OutgoingMessage, code: number, token: Buffer, options: CoapOption[], payload: Buffer): number {
    assert(out.state === IN_FLIGHT, "what is replaced is in flight");
    const datagram = encodeResponse(CON, code, 0, token, options, payload);
    if (this.#isTooLarge(out, out.peer as Peer, datagram)) return TOO_LARGE;
    out.replacement = datagram;
    return SENT;
  }

  /** A ping, whose RST proves the address. */
  ping(peer: Peer): void {
    if (this.#closed || peer.gone) return;
    peer.pingId = this.takeMessageId(peer);
    this.pingAgain(peer);
  }

  /** The ping that has no answer yet, once more: it or its RST may have been lost. */
  pingAgain(peer: Peer): void {
    if (this.#closed || peer.gone || peer.pingId === NO_PING) return;
    peer.pings++;
    writeEmpty(this.#ping, CON, peer.pingId);
    this.#port.send(this.#ping, 0, HEADER_BYTES, peer.address, peer.port);
  }

  /** An ACK or RST has come, well-formed. @returns whether it answers a message of ours */
  onAnswer(peer: Peer, header: CoapHeader): boolean {
    const { type, code, messageId } = header;
    if (type === RST ? code !== EMPTY : code !== EMPTY && !isResponse(code)) return false;
    const out = peer.outstanding;
    if (out !== null && out.messageId === messageId) {
      if (peer.lost) peer.setLost(false);
      if (!peer.guessed) this.#tables.peers.verify(peer);
      this.#over(out);
      if (type === RST) out.owner.onReset(out);
      else out.owner.onAcknowledged(out);
      this.#free(peer);
      return true;
    }
    if (peer.pingId === messageId) {
      // RFC 7252 section 4.3 says RST; who acknowledges it is there as well.
      peer.pingId = NO_PING;
      if (!peer.guessed) this.#tables.peers.verify(peer);
      return true;
    }
    if (type === RST) {
      const sent = this.#tables.sentNons.take(peer, messageId);
      if (sent !== null) {
        sent.owner.onReset(sent);
        return true;
      }
    }
    // Late repetitions name a message of lately; who names another one while we wait for an answer guesses.
    const waits = out !== null || peer.pingId !== NO_PING;
    if (waits && ((peer.nextMessageId - messageId) & 0xffff) >= LATELY) peer.setGuessed();
    return false;
  }

  onTimer(out: OutgoingMessage): void {
    const peer = out.peer as Peer;
    if (out.retransmissions === MAX_RETRANSMIT) {
      this.#unacknowledged.value++;
      peer.setLost(true);
      this.#over(out);
      out.owner.onGivenUp(out);
      this.#free(peer);
      return;
    }
    if (out.replacement.length > 0) {
      out.datagram = out.replacement;
      out.replacement = NO_BYTES;
      out.messageId = this.takeMessageId(peer);
      out.datagram.writeUInt16BE(out.messageId, 2);
    }
    out.retransmissions++;
    out.timeoutMs *= 2;
    this.#retransmitted.value++;
    this.#port.send(out.datagram, 0, out.datagram.length, peer.address, peer.port);
    this.#parts.wheel.schedule(out.timer, out.timeoutMs);
  }

  takeMessageId(peer: Peer): number {
    peer.nextMessageId = peer.nextMessageId < 0 ? unguessable16() : (peer.nextMessageId + 1) & 0xffff;
    return peer.nextMessageId;
  }

  #isTooLarge(out: OutgoingMessage, peer: Peer, datagram: Buffer): boolean {
    if (datagram.length <= out.bytesMax || this.#tables.peers.isVerified(peer)) return false;
    if (peer.pingId === NO_PING) this.ping(peer); // once: who does not answer it is not to be filled with pings
    return true;
  }

  /** Whether a CON may go; if not, `out` waits for its turn. */
  #isFree(out: OutgoingMessage, peer: Peer): boolean {
    assert(out.state !== IN_FLIGHT, "one message at a time");
    if (peer.outstanding === null) {
      if (out.state === WAITING) this.#stopWaiting(out);
      return true;
    }
    if (out.state === IDLE) {
      out.state = WAITING;
      let last = peer.firstWaiting;
      while (last !== null && last.nextWaiting !== null) last = last.nextWaiting;
      if (last === null) peer.firstWaiting = out;
      else last.nextWaiting = out;
    }
    return false;
  }

  #launch(out: OutgoingMessage, peer: Peer, datagram: Buffer, messageId: number): void {
    peer.outstanding = out;
    out.state = IN_FLIGHT;
    out.messageId = messageId;
    out.datagram = datagram;
    out.retransmissions = 0;
    out.timeoutMs = this.#ackTimeoutMs * (1 + this.#parts.random() * (ACK_RANDOM_FACTOR - 1));
    this.#port.send(datagram, 0, datagram.length, peer.address, peer.port);
    this.#parts.wheel.schedule(out.timer, out.timeoutMs);
  }

  #over(out: OutgoingMessage): void {
    this.#parts.wheel.cancel(out.timer);
    out.state = IDLE;
    out.datagram = NO_BYTES;
    out.replacement = NO_BYTES;
    (out.peer as Peer).outstanding = null;
  }

  #stopWaiting(out: OutgoingMessage): void {
    const peer = out.peer as Peer;
    let before: OutgoingMessage | null = null;
    for (let at = peer.firstWaiting; at !== out && at !== null; at = at.nextWaiting) before = at;
    if (before === null) peer.firstWaiting = out.nextWaiting;
    else before.nextWaiting = out.nextWaiting;
    out.nextWaiting = null;
    out.state = IDLE;
  }

  /** Gives the turn to those who wait, until one sends. */
  #free(peer: Peer): void {
    while (peer.outstanding === null) {
      const out = peer.firstWaiting;
      if (out === null) return;
      this.#stopWaiting(out);
      out.owner.onFree(out);
    }
  }
}
