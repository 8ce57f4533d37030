/**
 * Message IDs of the last NONs of ours, for the RST that may answer one: a client that does not know an observation (any
 * more) resets its notifications (RFC 7641 section 3.6). A ring: the oldest is forgotten.
 */
import { assert } from "../../../base/assert.ts";
import type { OutgoingMessage } from "./outgoing.ts";
import type { Peer } from "./peer.ts";

export const SENT_NONS_MAX = 256;
/** Bytes of one: reference and numbers. */
export const SENT_NON_BYTES = 8 + 4 + 4 + 2;

export class SentNons {
  readonly #outgoing: (OutgoingMessage | null)[];
  readonly #serials: Uint32Array;
  readonly #uses: Uint32Array;
  readonly #messageIds: Uint16Array;
  #at = 0;

  constructor(max: number = SENT_NONS_MAX) {
    assert(max > 0, "a ring has places");
    this.#outgoing = new Array(max).fill(null);
    this.#serials = new Uint32Array(max);
    this.#uses = new Uint32Array(max);
    this.#messageIds = new Uint16Array(max);
  }

  add(peer: Peer, messageId: number, out: OutgoingMessage): void {
    this.#outgoing[this.#at] = out;
    this.#serials[this.#at] = peer.serial;
    this.#uses[this.#at] = out.use;
    this.#messageIds[this.#at] = messageId;
    this.#at = (this.#at + 1) % this.#messageIds.length;
  }

  /** Its conversation is over: nothing here keeps it, and what it belongs to, in memory. */
  forget(out: OutgoingMessage): void {
    for (let i = 0; i < this.#outgoing.length; i++) {
      if (this.#outgoing[i] !== out) continue;
      this.#outgoing[i] = null;
      this.#serials[i] = 0;
    }
  }

  /** Takes out whose message to `peer` that was; null when it is forgotten, or its conversation is over. */
  take(peer: Peer, messageId: number): OutgoingMessage | null {
    for (let i = 0; i < this.#messageIds.length; i++) {
      if (this.#messageIds[i] !== messageId || this.#serials[i] !== peer.serial) continue;
      const out = this.#outgoing[i] as OutgoingMessage;
      this.#serials[i] = 0;
      return out.peer === peer && out.use >>> 0 === this.#uses[i] ? out : null;
    }
    return null;
  }
}
