/**
 * Messages of ours that nobody's datagram asks for at that moment: notifications, separate responses.
 *
 *      IDLE --- NON -------------------> IDLE      a RST that comes later finds its way by `sent-nons.ts`;
 *                                                  to an address that is not proven it goes as a CON
 *      IDLE --- CON, peer is free -----> IN_FLIGHT retransmitted until acknowledged, reset or given up, then IDLE
 *      IDLE --- CON, peer is not ------> WAITING   nothing is kept; the owner is told when it may send, then IDLE
 *
 * @see RFC 7252 sections 4.2, 4.3, 4.7
 */
import { type Expirable, Timer } from "../../../base/timer-wheel.ts";
import type { Peer } from "./peer.ts";

export const IDLE = 0;
export const WAITING = 1;
export const IN_FLIGHT = 2;

/** What `CoapEndpoint.send` answers. */
export const SENT = 0;
/** Another CON to this peer is in flight: `onFree` will be called. A NON to a proven address is never told so. */
export const BUSY = 1;
/** The peer's address is not proven and the datagram would be larger than `bytesMax`; it was pinged, to be proven by its RST. */
export const TOO_LARGE = 2;
/** The listener is closed, or the peer's DTLS session over. */
export const CLOSED = 3;

/** Whose message it is. Calls come one for one: `send` may be called from within each. */
export interface OutgoingOwner {
  /** The peer has it. */
  onAcknowledged(out: OutgoingMessage): void;
  /** The peer does not want it; of a NON that came at any time after the message. */
  onReset(out: OutgoingMessage): void;
  /** The peer is not there: MAX_RETRANSMIT is spent, or its DTLS session over, with or without a message under way. */
  onGivenUp(out: OutgoingMessage): void;
  /** The peer is free: send now what is newest, or leave the turn to the next. */
  onFree(out: OutgoingMessage): void;
}

const NO_BYTES: Buffer = Buffer.alloc(0);

/** One conversation's messages, one at a time. Made once, used for one peer after another. */
export class OutgoingMessage implements Expirable {
  readonly owner: OutgoingOwner;
  /** The owner's: which of its parts this is. */
  readonly tag: number;
  readonly timer = new Timer(this, 0);
  state = IDLE;
  peer: Peer | null = null;
  /** Counts the peers that it was begun for, so that an old RST does not hit a new conversation. */
  use = 0;
  /** Largest datagram while the peer's address is not proven. */
  bytesMax = 0;
  messageId = 0;
  /** The CON in flight. */
  datagram: Buffer = NO_BYTES;
  /** What takes its place when it would be retransmitted; empty = nothing. */
  replacement: Buffer = NO_BYTES;
  retransmissions = 0;
  timeoutMs = 0;
  nextWaiting: OutgoingMessage | null = null;
  nextBegun: OutgoingMessage | null = null;
  previousBegun: OutgoingMessage | null = null;

  constructor(owner: OutgoingOwner, tag = 0) {
    this.owner = owner;
    this.tag = tag;
  }

  get idle(): boolean {
    return this.state === IDLE;
  }

  onTimer(): void {
    this.peer?.endpoint?.onOutgoingTimer(this);
  }
}
