/**
 * Topic aliases that the gateway gives to what it sends, for a peer that announced a Topic Alias Maximum.
 *
 * A topic's hash names the one slot it may have, and the slot is the alias. A slot that is in use is defended by its
 * credit: each message of another topic takes one, each of its own restores it, so that topics that come again push
 * out those that do not, and a stream of topics that never come again pays for an alias with one message in four only.
 *
 *     slot    | length | credit | topic ...      |        alias = 1 + slot
 *             0        1        2          SLOT_BYTES
 *
 * @see MQTT 5.0 section 3.3.2.3.4
 */

import type { Allowance } from "../../base/allowance.ts";
import { copyBytes } from "../../base/copy-bytes.ts";

const SLOT_BYTES = 128;
const TOPIC_AT = 2;
/** Longer topics get no alias. */
export const ALIASED_TOPIC_BYTES_MAX = SLOT_BYTES - TOPIC_AT;
/** Property and empty topic cost three bytes more than no alias: shorter topics get none. */
const ALIASED_TOPIC_BYTES_MIN = 4;
/** Aliases of a connection, whatever peer and configuration allow. */
const SLOTS_MAX = 64;
const CREDIT = 3;
const NONE: Buffer = Buffer.alloc(0);

export class AliasesOut {
  readonly #memory: Allowance;
  #slots: number;
  /** Made with the first topic. */
  #table = NONE;

  /**
   * @param max    the peer's Topic Alias Maximum or ours, whichever is lower
   * @param memory of the aliases of all connections; when half of it is used there are none: clients were promised theirs
   */
  constructor(max: number, memory: Allowance) {
    this.#slots = Math.min(max, SLOTS_MAX);
    this.#memory = memory;
  }

  /**
   * @returns the alias to send in the topic's place; negative: it is free, and may be sent with the topic, then call
   *   `assign`; 0: none
   */
  find(bytes: Buffer, at: number, length: number): number {
    if (length < ALIASED_TOPIC_BYTES_MIN || length > ALIASED_TOPIC_BYTES_MAX || this.#slots === 0) return 0;
    if (this.#table === NONE && !this.#begin()) return 0;
    const table = this.#table;
    const slot = this.#slotOf(bytes, at, length);
    const slotAt = slot * SLOT_BYTES;
    if (table[slotAt] === length && isEqual(table, slotAt + TOPIC_AT, bytes, at, length)) {
      table[slotAt + 1] = CREDIT;
      return slot + 1;
    }
    const credit = table[slotAt + 1] as number;
    if (credit === 0) return -slot - 1;
    table[slotAt + 1] = credit - 1;
    return 0;
  }

  /** The alias was sent with this topic. */
  assign(alias: number, bytes: Buffer, at: number, length: number): void {
    const slotAt = (alias - 1) * SLOT_BYTES;
    this.#table[slotAt] = length;
    this.#table[slotAt + 1] = CREDIT;
    copyBytes(bytes, at, length, this.#table, slotAt + TOPIC_AT);
  }

  /** They end with the connection ([MQTT5-3.3.2-7]). */
  end(): void {
    this.#memory.give(this.#table.length);
    this.#table = NONE;
    this.#slots = 0;
  }

  #begin(): boolean {
    const { used, bytesMax } = this.#memory;
    const bytes = this.#slots * SLOT_BYTES;
    if (used + bytes <= bytesMax / 2 && this.#memory.take(bytes)) this.#table = Buffer.alloc(bytes);
    else this.#slots = 0;
    return this.#slots > 0;
  }

  /** FNV-1a. */
  #slotOf(bytes: Buffer, at: number, length: number): number {
    let hash = 0x811c9dc5;
    for (let i = at; i < at + length; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    return ((hash ^ (hash >>> 15)) >>> 0) % this.#slots;
  }
}

function isEqual(a: Buffer, aAt: number, b: Buffer, bAt: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
