/** One who sends us datagrams: an address and port at one of our listeners. It lives in `peer-table.ts`. */
import type { CoapEndpoint } from "./endpoint.ts";
import type { OutgoingMessage } from "./outgoing.ts";

/** `Peer.pingId` when none is out. */
export const NO_PING = -1;
/** `Peer.verifiedUntil` of a DTLS peer. */
export const FOREVER = 0x3fff_ffff;

// What `Peer` says in one number each: a thousand of them are kept.
const GONE = 1;
const GUESSED = 2;
const SILENT = 4;
const LOST = 8;

export class Peer {
  /** Its place in the table. */
  readonly slot: number;
  /** The listener it talks to, by which it is answered; null = the place is free. */
  endpoint: CoapEndpoint | null = null;
  /** IPv4 or IPv6, as text; without a zone it is one spelling per address. */
  address = "";
  port = 0;
  /** DTLS identity, null on plain UDP and where a session has none. */
  identity: string | null = null;
  /** Names this peer as long as its place is its own: the next one there has another. Never 0. */
  serial = 0;
  /** Monotonic seconds until which the address counts as proven; 0 = never, FOREVER for DTLS. */
  verifiedUntil = 0;
  /** The CON of ours that waits for its acknowledgement: NSTART is 1 (RFC 7252 section 4.7). */
  outstanding: OutgoingMessage | null = null;
  /** The conversations begun with it, whose messages may be idle. */
  firstBegun: OutgoingMessage | null = null;
  /** Those who are told when it is over, in order of asking. */
  firstWaiting: OutgoingMessage | null = null;
  /** Message ID of the next message of ours; -1 = the first is still to be drawn. */
  nextMessageId = -1;
  /** Message ID of the last ping of ours; its RST proves the address. */
  pingId = NO_PING;
  /** How many there have been. */
  pings = 0;
  /** Who needs this peer to be remembered: observers, connections. */
  holds = 0;
  /** The same for requests under way and messages of ours that are not over. */
  busy = 0;
  #marks = 0;

  constructor(slot: number) {
    this.slot = slot;
  }

  /** Another one takes its place. */
  clearMarks(): void {
    this.#marks = 0;
  }

  /** Its DTLS session is over: nothing is sent there any more. */
  get gone(): boolean {
    return (this.#marks & GONE) !== 0;
  }

  setGone(): void {
    this.#marks |= GONE;
  }

  /** An ACK or RST of it named a message that we had not sent: it proves nothing any more but by Echo. */
  get guessed(): boolean {
    return (this.#marks & GUESSED) !== 0;
  }

  setGuessed(): void {
    this.#marks |= GUESSED;
  }

  /** It has not answered a ping in time: nobody waits for its proof any more. */
  get silent(): boolean {
    return (this.#marks & SILENT) !== 0;
  }

  setSilent(silent: boolean): void {
    this.#marks = silent ? this.#marks | SILENT : this.#marks & ~SILENT;
  }

  /** It has not acknowledged a CON of ours in MAX_RETRANSMIT attempts, and has not been heard of since. */
  get lost(): boolean {
    return (this.#marks & LOST) !== 0;
  }

  setLost(lost: boolean): void {
    this.#marks = lost ? this.#marks | LOST : this.#marks & ~LOST;
  }

  /** Remembers it until as many `release`. @returns false when too many others are held: then it is not */
  hold(): boolean {
    return this.endpoint?.tables.peers.hold(this) ?? false;
  }

  release(): void {
    this.endpoint?.tables.peers.release(this);
  }

  /** Whether its address is proven. */
  get verified(): boolean {
    return this.endpoint?.tables.peers.isVerified(this) ?? false;
  }
}
