/**
 * Values of the Echo option (RFC 9175 section 2): who sends one back receives at his address. Nothing is kept per peer.
 *
 *     | seconds, 2 | HMAC of listener, address, port and seconds, 8 |
 *
 * The key is replaced each FRESH_SECONDS, and the one before still counts, so a value is good for FRESH_SECONDS to the
 * second. Made with the first peer that needs one.
 */
import type { KeyObject } from "node:crypto";
import type { Clock } from "../../../base/clock.ts";
import { crypto } from "../../../base/crypto.ts";
import type { Peer } from "./peer.ts";

/** How long a value proves something. */
export const FRESH_SECONDS = 300;
export const ECHO_BYTES = 10;
const KEY_BYTES = 32;

export class Echo {
  readonly #clock: Clock;
  /** As objects: node makes one of a Buffer with each HMAC, which takes four times as long as the HMAC. */
  #key: KeyObject | null = null;
  #keyBefore: KeyObject | null = null;
  /** The key is for the seconds from epoch x FRESH_SECONDS. */
  #epoch = -1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A value for `peer`, now. */
  valueFor(peer: Peer): Buffer {
    const seconds = this.#seconds();
    return this.#value(this.#key as KeyObject, peer, seconds);
  }

  /** Whether `value` was made for this peer within the last FRESH_SECONDS. */
  isFresh(peer: Peer, value: Uint8Array): boolean {
    if (value.length !== ECHO_BYTES) return false;
    const now = this.#seconds();
    const seconds = (value[0]! << 8) | value[1]!;
    const age = (now - seconds) & 0xffff;
    if (age > FRESH_SECONDS) return false;
    return this.#made(this.#key, peer, now - age, value) || this.#made(this.#keyBefore, peer, now - age, value);
  }

  #made(key: KeyObject | null, peer: Peer, seconds: number, value: Uint8Array): boolean {
    return key !== null && crypto().timingSafeEqual(this.#value(key, peer, seconds), value);
  }

  #value(key: KeyObject, peer: Peer, seconds: number): Buffer {
    const text = `${seconds} ${peer.endpoint?.number ?? -1} ${peer.address} ${peer.port}`;
    const value = Buffer.alloc(ECHO_BYTES);
    value.writeUInt16BE(seconds & 0xffff);
    crypto()
      .createHmac("sha256", key)
      .update(text)
      .digest()
      .copy(value, 2, 0, ECHO_BYTES - 2);
    return value;
  }

  /** The present, with the key of its epoch. */
  #seconds(): number {
    const seconds = Math.floor(this.#clock.nowMs() / 1000);
    const epoch = Math.floor(seconds / FRESH_SECONDS);
    if (epoch !== this.#epoch) {
      this.#keyBefore = epoch === this.#epoch + 1 ? this.#key : null;
      this.#key = crypto().createSecretKey(crypto().randomBytes(KEY_BYTES));
      this.#epoch = epoch;
    }
    return seconds;
  }
}
