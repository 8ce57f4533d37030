/**
 * What a packet costs us, in units of about 50 ns on the machine of bench/README.md: a connection works off so many in
 * one go, and then the others have their turn (`Link.putBack`). Bytes have a budget of their own (transport/link.ts);
 * this one is for packets that cost more than their bytes say. What a PUBLISH costs its receivers is not known before,
 * so each PUBLISH that is sent counts `DELIVERY`.
 *
 * Measured in process, ns a packet: PINGREQ 33, PUBACK 24, PUBLISH without receivers 37 (QoS 1: 100, and its row in the
 * store), 11 to 55 for each receiver, 620 to 880 with RETAIN, SUBSCRIBE 860 a filter of seven bytes, with its row in
 * the store more, 340 for each retained message it is sent, UNSUBSCRIBE 370.
 */
import { CONNECT, PUBLISH, SUBSCRIBE, UNSUBSCRIBE } from "../../wire/mqtt/codes.ts";

/** Units that a connection works off in one go: 0.2 to 0.5 ms. */
export const WORK_PER_READ = 8192;

/** Any packet: finding it, its counter, a short answer. */
const PACKET = 1;
/** A PUBLISH that is acknowledged: its place in the ring, its row. */
const ACKNOWLEDGED = 8;
/** A PUBLISH that is kept for later subscribers. */
const RETAINED = 16;
/** Per byte: a filter's level costs about what five bytes do. */
const SUBSCRIBE_BYTE = 4;
const UNSUBSCRIBE_BYTE = 1;
/** A login, and the session that it opens. */
const LOGIN = 400;

/** Bytes of filters that are a turn's work: a longer packet is worked off in parts. */
export const SUBSCRIBE_PART_BYTES = WORK_PER_READ / SUBSCRIBE_BYTE;
export const UNSUBSCRIBE_PART_BYTES = WORK_PER_READ / UNSUBSCRIBE_BYTE;

const RETAIN_FLAG = 0b0001;
const QOS_FLAGS = 0b0110;

/** By a packet's first byte. */
const BY_FIRST_BYTE: readonly number[] = Array.from({ length: 256 }, (_, first) => {
  const type = first >> 4;
  if (type === CONNECT) return LOGIN;
  if (type !== PUBLISH) return PACKET;
  const acknowledged = (first & QOS_FLAGS) === 0 ? 0 : ACKNOWLEDGED;
  return PACKET + acknowledged + ((first & RETAIN_FLAG) === 0 ? 0 : RETAINED);
});

/** @param bytes its length, header and all */
export function workOf(first: number, bytes: number): number {
  const work = BY_FIRST_BYTE[first] as number;
  return first < SUBSCRIBE << 4 ? work : work + filtersWork(first >> 4, bytes);
}

function filtersWork(type: number, bytes: number): number {
  if (type === SUBSCRIBE) return bytes * SUBSCRIBE_BYTE;
  return type === UNSUBSCRIBE ? bytes * UNSUBSCRIBE_BYTE : 0;
}
