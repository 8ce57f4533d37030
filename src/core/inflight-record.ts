/**
 * The persisted form of what lies above a receiver's head: `ReceiverRecord.state`.
 *
 *     varint floor            rows below it that are not listed were dropped; 0 = none
 *     varint entries          listed entries; the ordinals between them are UNSENT, to be found in the log
 *     entry*                  varint ordinal - headOrdinal, byte state | qos << 4, varint seq (0 = not known)
 *     [varint awayFrom]       the peer is away: rows from here on were never in flight, and none will be before another
 *                             record is written
 *
 * While nothing was dropped the messages in flight need no entry: they are the first of the log from the head on, in
 * order. With a floor they are listed one by one, because the log cannot tell them from the dropped ones any more; and so
 * are the parts of a message, or it would not be known whose ordinals are taken when one of them is answered.
 */
import { ANSWERED, DONE, type Inflight, RECEIVED, SENT, UNSENT } from "./inflight.ts";
import { SPAN_MAX } from "./packet-ids.ts";
import type { ReceiverRecord } from "./ports.ts";
import { readVarint, writeVarint } from "./varint.ts";

/** Bytes of one entry at most: 3 for the offset, 1, 8 for the sequence number. */
const ENTRY_BYTES_MAX = 12;
const EMPTY = Buffer.alloc(0);

/** @param awayFrom 0 = not away */
export function encodeInflight(inflight: Inflight, floor: number, awayFrom = 0): Buffer {
  if (floor === 0 && awayFrom === 0 && inflight.empty) return EMPTY;
  let entries = 0;
  for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) if (listed(inflight, ordinal, floor)) entries++;
  if (floor === 0 && awayFrom === 0 && entries === 0) return EMPTY;
  const out = Buffer.allocUnsafe(24 + entries * ENTRY_BYTES_MAX);
  let at = writeVarint(out, 0, floor);
  at = writeVarint(out, at, entries);
  for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
    if (!listed(inflight, ordinal, floor)) continue;
    const state = inflight.isWithdrawn(ordinal) ? DONE : inflight.stateAt(ordinal);
    at = writeVarint(out, at, ordinal - inflight.head);
    out[at++] = (state === SENT ? UNSENT : state) | (inflight.qosAt(ordinal) << 4);
    at = writeVarint(out, at, inflight.seqAt(ordinal));
  }
  if (awayFrom > 0) at = writeVarint(out, at, awayFrom);
  return out.subarray(0, at);
}

/** Whether `state` is one that `encodeInflight` can have written: a damaged one could ask for any number of entries. */
export function isInflightState(state: Buffer): boolean {
  if (state.length === 0) return true;
  const cursor = { at: 0 };
  readVarint(state, cursor);
  const entries = readVarint(state, cursor);
  if (entries > SPAN_MAX) return false;
  let last = -1;
  for (let n = 0; n < entries; n++) {
    const offset = readVarint(state, cursor);
    const bits = state[cursor.at++] ?? 0;
    const kind = bits & 0x0f;
    if (offset <= last || offset >= SPAN_MAX || bits >> 4 > 2) return false;
    if (kind !== DONE && kind !== RECEIVED && kind !== UNSENT && kind !== ANSWERED) return false;
    if (!Number.isSafeInteger(readVarint(state, cursor))) return false;
    last = offset;
  }
  if (cursor.at < state.length && !Number.isSafeInteger(readVarint(state, cursor))) return false; // awayFrom
  return cursor.at === state.length;
}

/** Restores `inflight` from the record. */
export function decodeInflight(record: ReceiverRecord, inflight: Inflight): { floor: number; awayFrom: number } {
  inflight.start(record.headOrdinal);
  const state = record.state;
  if (state.length === 0) return { floor: 0, awayFrom: 0 };
  const cursor = { at: 0 };
  const floor = readVarint(state, cursor);
  const entries = readVarint(state, cursor);
  for (let n = 0; n < entries; n++) {
    const ordinal = record.headOrdinal + readVarint(state, cursor);
    while (inflight.next < ordinal) inflight.restore(0, UNSENT, 0);
    const bits = state[cursor.at++] ?? DONE;
    inflight.restore(readVarint(state, cursor), bits & 0x0f, bits >> 4);
  }
  return { floor, awayFrom: readVarint(state, cursor) };
}

function listed(inflight: Inflight, ordinal: number, floor: number): boolean {
  const state = inflight.stateAt(ordinal);
  // One that the log does not have holds its place, or those behind it would get other packet ids after a restart.
  if (floor > 0 || state === DONE || state === RECEIVED || state === ANSWERED || inflight.isWithdrawn(ordinal))
    return true;
  return inflight.multipart && isPart(inflight, ordinal) && !isFresh(inflight, ordinal);
}

/** Whether the entry is one of several of its message. */
export function isPart(inflight: Inflight, ordinal: number): boolean {
  const seq = inflight.seqAt(ordinal);
  if (seq === 0) return false;
  if (ordinal > inflight.head && inflight.seqAt(ordinal - 1) === seq) return true;
  return ordinal + 1 < inflight.next && inflight.seqAt(ordinal + 1) === seq;
}

/**
 * Whether the entry is of a message that the log does not have yet, and of which no part is answered: as a rule all are
 * before it is written, and a record that lists them would be written for nothing.
 */
function isFresh(inflight: Inflight, ordinal: number): boolean {
  const seq = inflight.seqAt(ordinal);
  let first = ordinal;
  while (first > inflight.head && inflight.seqAt(first - 1) === seq) first--;
  let open = false;
  for (let at = first; at < inflight.next && inflight.seqAt(at) === seq; at++) {
    const state = inflight.stateAt(at);
    if (state !== SENT && state !== UNSENT) return false;
    if (inflight.messageAt(at) !== null) open = true;
  }
  return open;
}
