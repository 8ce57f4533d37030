/** The account of CONs in flight: bytes of all clients together, and who waits for room. */
import { CON_BYTES, LARGE_BYTES, SMALL_BYTES } from "./limits.ts";
import type { Watcher } from "./watcher.ts";

export class InFlight {
  readonly #bytesMax: number;
  #count = 0;
  #bytes = 0;
  #starved: Watcher[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  fits(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax;
  }

  /**
   * Whether a large CON fits, and a small one to each of the others of so many `clients`: those that are gone hold theirs
   * for 93 s, and nobody else is to wait for that.
   */
  fitsLarge(clients: number): boolean {
    const others = Math.max(0, clients - this.#count - 1);
    return this.fits(CON_BYTES + LARGE_BYTES + others * (CON_BYTES + SMALL_BYTES));
  }

  add(bytes: number): void {
    this.#count++;
    this.#bytes += bytes;
  }

  remove(bytes: number): void {
    this.#count--;
    this.#bytes -= bytes;
  }

  /** There was no room for a CON to it. */
  starve(watcher: Watcher): void {
    this.#starved.push(watcher);
  }

  /** Those whom `remove` may have made room for. */
  takeStarved(): readonly Watcher[] {
    return this.#starved.length === 0 ? NOBODY : this.#starved.splice(0);
  }
}

const NOBODY: readonly Watcher[] = [];
