/**
 * A SUBSCRIBE or UNSUBSCRIBE on its way: it may hold thousands of filters, which are worked off in parts, one a turn. What
 * a part has done holds at once; the answer is one, with all reason codes.
 *
 *     head | filter filter filter | filter filter ...          the packet, as it comes again each time
 *            done: codes             left
 */

/** Of a filter: its length, and one byte. */
const FILTER_BYTES_MIN = 3;

export class FilterList {
  readonly packetId: number;
  /** 0 when absent. */
  readonly subscriptionIdentifier: number;
  /** Bytes at the end of the packet that were not looked at. */
  left: number;
  readonly #codes: Uint8Array;
  #count = 0;

  /** @param left bytes of all filters */
  constructor(packetId: number, subscriptionIdentifier: number, left: number) {
    this.packetId = packetId;
    this.subscriptionIdentifier = subscriptionIdentifier;
    this.left = left;
    this.#codes = new Uint8Array(Math.ceil(left / FILTER_BYTES_MIN));
  }

  get count(): number {
    return this.#count;
  }

  /** The reason code of the next filter. */
  push(code: number): void {
    this.#codes[this.#count++] = code;
  }

  /** One for each filter; a copy. */
  get codes(): Uint8Array {
    return this.#codes.slice(0, this.#count);
  }
}
