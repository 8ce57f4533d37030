/**
 * Packet ids by count: every message that a receiver is sent takes the next *ordinal*, a count that never goes back,
 * and its packet id follows from that.
 */

export const PACKET_IDS = 65535;

/** Packet ids of one receiver, `first` to `first + count - 1`: several that have one peer share them out. */
export interface PacketIdRange {
  readonly first: number;
  /** More than SPAN_MAX. */
  readonly count: number;
  /** Places of the ring that it may have, whatever the others have; absent: as everybody. */
  readonly places?: number;
}

/** Of a receiver that has its peer to itself. */
export const ALL_PACKET_IDS: PacketIdRange = { first: 1, count: PACKET_IDS };

/** Most ordinals between the oldest unacknowledged message and the newest: bounds the rings of both windows. */
export const SPAN_MAX = 4096;
/** Ordinals from here on, counted from the head, have packet ids that no message will have soon. */
export const FAR = 32_768;

export function packetIdOf(ordinal: number): number {
  return 1 + (ordinal % PACKET_IDS);
}

/** What is in flight to a session's peer, its own messages and loans (shares.ts): `Inflight` and `LiveWindow`. */
export interface Window {
  /** Ordinal of the oldest entry. */
  readonly head: number;
  /** Ordinal the next message takes. */
  readonly next: number;
  /** Messages of this connection that are not answered to their end, and loans: what Receive Maximum counts. */
  outstanding: number;
  /** Most that may be outstanding: the smaller of our limit and the peer's Receive Maximum. */
  readonly windowMax: number;
  /** The next ordinal stays below it: its packet id is that of a loan. */
  barredOrdinal: number;
  /** QoS of what was sent under this id and is not answered to its end; 0 when nothing was. */
  qosOf(packetId: number): number;
}
