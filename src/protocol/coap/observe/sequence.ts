/**
 * Values of the Observe option in notifications, by which a client tells which of two came first although the network
 * turned them round (RFC 7641 section 4.4).
 *
 *     age time  ──┬────────┬──┬┬┬────────────┬──>  ms, which restarts of the gateway take up (base/age-scale.ts)
 *     place       a        b  c c+1 c+2      d     one for each notification of an observer, never the same twice
 *     on the wire: the place's 24 low bits
 *
 * A client takes V2 for newer than V1 when it is ahead by less than 2^23, or 128 s later. Milliseconds move by 256,000
 * in the 256 s that the RFC looks at; an observer would need 32 notifications in each of them to get too far ahead.
 */
import type { TimeSource } from "../../../core/ports.ts";

const VALUES = 2 ** 24;

/** @returns the place after `last` (0 = none) at this moment */
export function nextPlace(last: number, time: TimeSource): number {
  return Math.max(last + 1, Math.floor(time.ageMs()));
}

/** The option's value for a place. */
export function observeValue(place: number): number {
  return place % VALUES;
}
