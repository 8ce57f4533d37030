/** How many observers there may be, what they may take, and the bill of it. */
import type { Line } from "../../../config/budget.ts";
import type { Principal } from "../../../core/ports.ts";

export interface ObserverLimits {
  /** Of all clients. */
  readonly observersMax: number;
  readonly observersPerPeerMax: number;
  /** Of filters, names and client ids. */
  readonly textBytesMax: number;
  /** Of messages (Message.size) that wait to be notified. */
  readonly waitingBytesMax: number;
  /** Of CONs in flight. */
  readonly inFlightBytesMax: number;
}

/** Measured bytes of an observer of a client of its own, with its place in the router; its strings are counted apart. */
const OBSERVER_BYTES = 960;
/** Measured bytes of a CON in flight without its datagram. */
export const CON_BYTES = 384;
/** Datagram of most CONs with a block of 64 bytes, */
export const SMALL_BYTES = 112;
/** and of those with 1,024, but for long names. */
export const LARGE_BYTES = 1_100;

/** Of the strings of one, on average, and of all beyond that. */
const TEXT_BYTES = 100;
const TEXT_BYTES_MORE = 2048;
const KIB = 1024;

/** @param observersMax  `limits.coap_observers` */
export function observerLimits(observersMax: number): ObserverLimits {
  return {
    observersMax,
    observersPerPeerMax: 32,
    textBytesMax: Math.ceil((observersMax * TEXT_BYTES + TEXT_BYTES_MORE) / KIB) * KIB,
    waitingBytesMax: 24 * 1024,
    inFlightBytesMax: observersMax * (CON_BYTES + SMALL_BYTES),
  };
}

/** Worst case of all CoAP listeners together. */
export function budget(limits: ObserverLimits): Line {
  const { observersMax, textBytesMax, waitingBytesMax, inFlightBytesMax } = limits;
  return {
    owner: "coap observers",
    bytes: observersMax * OBSERVER_BYTES + textBytesMax + waitingBytesMax + inFlightBytesMax,
    how: `${observersMax} x ${OBSERVER_BYTES} B + ${textBytesMax} B of filters and names + ${waitingBytesMax} B that wait + ${inFlightBytesMax} B in flight`,
  };
}

/** Of an observer's strings in memory, at most. */
export function textBytesOf(filter: string, { name, clientId }: Principal): number {
  return charactersOf(filter) + charactersOf(name) + charactersOf(clientId);
}

/** One beyond Latin 1 makes it two bytes for each. */
function charactersOf(text: string): number {
  return Buffer.byteLength(text) === text.length ? text.length : 2 * text.length;
}
