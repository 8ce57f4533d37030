/**
 * Values that were notified with their first block only (RFC 7959 section 3.4). Clients fetch the rest by GETs of the
 * same path, with other tokens and without Observe; where the value is not retained, or the path has wildcards, nobody
 * else has it any more.
 *
 *      client and filter ──> message <── client and filter      a message counts once
 *
 * Each client has the last such value of each filter; the one kept for longest gives way.
 */
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import type { Line } from "../../../config/budget.ts";
import type { Message } from "../../../core/message.ts";
import { EXCHANGE_LIFETIME_MS } from "../../../wire/coap/codes.ts";
import type { Peer } from "../message/peer.ts";

/** Of messages, and of the entries that name them. */
export const LARGE_VALUES_BYTES_MAX = 64 * 1024;
/** Estimated bytes of an entry without its filter: record, key, place in the map. */
const ENTRY_BYTES = 192;

interface Entry {
  readonly message: Message;
  readonly bytes: number;
  readonly keptMs: number;
}

export class LargeValues {
  readonly #clock: Clock;
  readonly #bytesMax: number;
  /** By client and filter, the one kept for longest first. */
  readonly #entries = new Map<string, Entry>();
  /** How many entries each message has. */
  readonly #messages = new Map<Message, number>();
  #bytes = 0;
  readonly #evicted: Counter;
  readonly #tooLarge: Counter;

  constructor(
    parts: { readonly clock: Clock; readonly counters: Counters },
    bytesMax: number = LARGE_VALUES_BYTES_MAX,
  ) {
    const { clock, counters } = parts;
    this.#clock = clock;
    this.#bytesMax = bytesMax;
    this.#evicted = counters.counter("coap.large_values_evicted");
    this.#tooLarge = counters.counter("coap.large_values_refused");
    counters.gauge("coap.large_values_bytes", () => this.#bytes);
  }

  /** Keeps `message` for what `peer` fetches of it under `filter`. @returns false when it is too large to be kept at all */
  keep(peer: Peer, filter: string, message: Message): boolean {
    const key = keyOf(peer, filter);
    this.#drop(key);
    const bytes = ENTRY_BYTES + 2 * filter.length;
    if (bytes + message.size > this.#bytesMax) {
      this.#tooLarge.value++;
      return false;
    }
    const known = this.#messages.get(message) ?? 0;
    this.#messages.set(message, known + 1);
    this.#bytes += bytes + (known === 0 ? message.size : 0);
    this.#entries.set(key, { message, bytes, keptMs: this.#clock.nowMs() });
    for (const other of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.#evicted.value++;
      this.#drop(other);
    }
    return true;
  }

  find(peer: Peer, filter: string): Message | null {
    if (this.#entries.size === 0) return null;
    const key = keyOf(peer, filter);
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    if (entry.keptMs + EXCHANGE_LIFETIME_MS > this.#clock.nowMs()) return entry.message;
    this.#drop(key);
    return null;
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    const { message, bytes } = entry;
    this.#entries.delete(key);
    this.#bytes -= bytes;
    const others = (this.#messages.get(message) ?? 1) - 1;
    if (others > 0) {
      this.#messages.set(message, others);
    } else {
      this.#messages.delete(message);
      this.#bytes -= message.size;
    }
  }
}

/** A serial is one peer's alone; who observes is remembered as a peer. */
function keyOf(peer: Peer, filter: string): string {
  return `${peer.serial} ${filter}`;
}

/** Worst case of all CoAP listeners together. */
export function budget(): Line {
  const bytes = LARGE_VALUES_BYTES_MAX;
  return { owner: "coap large notifications", bytes, how: `${bytes} B of values that clients fetch the rest of` };
}
