/**
 * The filter of each client's last FETCH, for clients that ask for the next block without repeating their payload, as
 * libcoap does (RFC 7959 section 3.3 has it so for POST). Few and for short; who repeats it does not need it.
 */
import { ownString } from "../../../base/own-string.ts";
import type { Line } from "../../../config/budget.ts";

export const FETCHES_MAX = 16;
/** Of filters, two for each character. */
export const FETCHES_BYTES_MAX = 4 * 1024;
/** Estimated bytes of an entry without its filter. */
const ENTRY_BYTES = 144;

export class FetchedFilters {
  /** By operation, the one that is oldest first. */
  readonly #filters = new Map<string, string>();
  #bytes = 0;

  get count(): number {
    return this.#filters.size;
  }

  /** @param key  from `operationKey`  @param payload  filter, or part of one, that the request gave; "" = it gave none */
  remember(key: string, payload: string): void {
    this.#forget(key);
    if (payload === "") return;
    this.#filters.set(key, ownString(payload));
    this.#bytes += 2 * payload.length;
    for (const other of this.#filters.keys()) {
      if (this.#filters.size <= FETCHES_MAX && this.#bytes <= FETCHES_BYTES_MAX) break;
      this.#forget(other);
    }
  }

  /** "" = none is known. */
  find(key: string): string {
    return this.#filters.get(key) ?? "";
  }

  #forget(key: string): void {
    this.#bytes -= 2 * (this.#filters.get(key)?.length ?? 0);
    this.#filters.delete(key);
  }
}

/** Worst case of all CoAP listeners together. */
export function budget(): Line {
  const bytes = FETCHES_MAX * ENTRY_BYTES + FETCHES_BYTES_MAX;
  return { owner: "coap filters of FETCH", bytes, how: `${FETCHES_MAX} x ${ENTRY_BYTES} B + ${FETCHES_BYTES_MAX} B` };
}
