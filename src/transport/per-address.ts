/**
 * Connections by IP address, so that one device that reconnects wildly, or one host that means harm, does not take the
 * places of all. Local programs (loopback, unix sockets) are not counted: a proxy on the board brings many clients
 * under one address. An IPv6 host may have several addresses, each counted by itself; `max_connections` holds it.
 */
import { isLoopback, plainAddress } from "./peer-address.ts";

export class PerAddress {
  readonly #max: number;
  /** Holds as many addresses as there are connections at most. */
  readonly #counts = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** The address to count by, or null when it is not counted. */
  addressOf(remoteAddress: string | undefined): string | null {
    if (remoteAddress === undefined) return null;
    const address = plainAddress(remoteAddress);
    return isLoopback(address) ? null : address;
  }

  /** @returns false when it has as many as it may */
  enter(address: string): boolean {
    const count = this.#counts.get(address) ?? 0;
    if (count >= this.#max) return false;
    this.#counts.set(address, count + 1);
    return true;
  }

  leave(address: string): void {
    const count = this.#counts.get(address) ?? 0;
    if (count > 1) this.#counts.set(address, count - 1);
    else this.#counts.delete(address);
  }

  /** Addresses counted now. */
  get size(): number {
    return this.#counts.size;
  }
}
