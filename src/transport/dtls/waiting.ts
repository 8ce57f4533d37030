/**
 * ClientHellos that have proven their address and wait for the rate of handshakes. After a power cut all devices say
 * hello at once, and again after 1, 3, 7, 15 s, still all at once: told to come again, a few of each wave would get in and
 * the rest give up after a minute.
 *
 *     ring  ... | length 2 | second 4 | port 2 | address 1 + n | datagram | length ...      length 0: go on at the start
 *                ^ head                                          ^ tail
 *
 * Full: whoever comes is told nothing, and comes again.
 */
import { assert } from "../../base/assert.ts";

export const WAITING_BYTES = 8 * 1024;
/** Longer ones do not wait. */
const HELLO_BYTES_MAX = 1024;
const LENGTH_BYTES = 2;
const SECOND_AT = 2;
const PORT_AT = 6;
const ADDRESS_AT = 8;

export class WaitingHellos {
  count = 0;
  // The oldest, after `peek`; the datagram is valid until the next `push`.
  address = "";
  port = 0;
  /** When it came, on the clock of `push`. */
  second = 0;
  datagram: Buffer = NOTHING;
  #ring: Buffer = NOTHING;
  #head = 0;
  #tail = 0;

  /** @returns false when there is no room. One more of a peer that waits already changes nothing */
  push(datagram: Buffer, address: string, port: number, second: number): boolean {
    if (datagram.length > HELLO_BYTES_MAX) return false;
    if (this.#has(address, port)) return true;
    if (this.#ring.length === 0) this.#ring = Buffer.allocUnsafeSlow(WAITING_BYTES);
    const length = ADDRESS_AT + 1 + address.length + datagram.length;
    const at = this.#placeFor(length);
    if (at === -1) return false;
    const ring = this.#ring;
    ring.writeUInt16BE(length, at);
    ring.writeUInt32BE(second, at + SECOND_AT);
    ring.writeUInt16BE(port, at + PORT_AT);
    ring[at + ADDRESS_AT] = address.length;
    ring.write(address, at + ADDRESS_AT + 1, "latin1");
    datagram.copy(ring, at + length - datagram.length);
    this.#tail = at + length;
    this.count++;
    return true;
  }

  /** Puts the oldest into the fields. There must be one. */
  peek(): void {
    assert(this.count > 0, "somebody waits");
    const at = this.#skip(this.#head);
    const length = this.#ring.readUInt16BE(at);
    const datagramAt = at + ADDRESS_AT + 1 + (this.#ring[at + ADDRESS_AT] as number);
    this.address = this.#ring.toString("latin1", at + ADDRESS_AT + 1, datagramAt);
    this.port = this.#ring.readUInt16BE(at + PORT_AT);
    this.second = this.#ring.readUInt32BE(at + SECOND_AT);
    this.datagram = this.#ring.subarray(datagramAt, at + length);
  }

  /** The oldest waits no more; the fields stay. There must be one. */
  shift(): void {
    assert(this.count > 0, "somebody waits");
    const at = this.#skip(this.#head);
    this.#head = at + this.#ring.readUInt16BE(at);
    this.count--;
    if (this.count > 0) return;
    this.#head = 0;
    this.#tail = 0;
  }

  /** Where `length` bytes can go in one piece; -1 = nowhere. */
  #placeFor(length: number): number {
    const end = this.#ring.length;
    if (this.count === 0 || this.#tail > this.#head) {
      if (this.#tail + length <= end) return this.#tail;
      if (length >= this.#head) return -1; // head and tail must not meet
      if (this.#tail + LENGTH_BYTES <= end) this.#ring.writeUInt16BE(0, this.#tail);
      return 0;
    }
    return this.#tail + length < this.#head ? this.#tail : -1;
  }

  #skip(at: number): number {
    return at + LENGTH_BYTES > this.#ring.length || this.#ring.readUInt16BE(at) === 0 ? 0 : at;
  }

  #has(address: string, port: number): boolean {
    const ring = this.#ring;
    let at = this.#head;
    for (let left = this.count; left > 0; left--) {
      at = this.#skip(at);
      if (ring.readUInt16BE(at + PORT_AT) === port) {
        const from = at + ADDRESS_AT + 1;
        if (ring.toString("latin1", from, from + (ring[at + ADDRESS_AT] as number)) === address) return true;
      }
      at += ring.readUInt16BE(at);
    }
    return false;
  }
}

const NOTHING: Buffer = Buffer.alloc(0);
