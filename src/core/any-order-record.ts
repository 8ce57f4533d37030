/**
 * The persisted form of what is in flight to a receiver whose queue does not keep the order of the log:
 * `ReceiverRecord.state`.
 *
 *     80 00                   no record of a queue that does keep it begins like this
 *     varint floor            rows below it that are not listed are over; 0 = none
 *     varint entries
 *     entry*                  varint ordinal - that of the entry before (first: headOrdinal), byte state | qos << 4,
 *                             varint zigzag(seq - that of the entry before); seq 0: only the packet id is taken
 *
 * Empty means as in the other form: nothing is in flight that the log has, and rows from the head on are needed.
 */
import { ANSWERED, DONE, type Inflight, RECEIVED, SENT, UNSENT } from "./inflight.ts";
import { type Message, OPEN } from "./message.ts";
import { SPAN_MAX } from "./packet-ids.ts";
import type { ReceiverRecord } from "./ports.ts";
import { readVarint, writeVarint } from "./varint.ts";

const MARK = Buffer.from([0x80, 0x00]);
const EMPTY = Buffer.alloc(0);
/** Of one entry: 2 for the ordinal, 1, 8 for the sequence number. */
const ENTRY_BYTES_MAX = 11;

export interface AnyOrderState {
  /** Lowest row that is not in flight; Infinity = all are. */
  readonly base: number;
  /** One more than the last row that has entered. */
  readonly end: number;
  /** Whether the state is to say whose it is when it has nothing else to say. */
  readonly marks: boolean;
}

/** Whether a queue that keeps the order of the log could not read it. */
export function isAnyOrder(state: Buffer): boolean {
  return state[0] === MARK[0] && state[1] === MARK[1];
}

export function encodeAnyOrder(inflight: Inflight, headSeq: number, multipart: boolean, what: AnyOrderState): Buffer {
  let floor = Math.min(what.base, what.end);
  let entries = 0;
  for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
    if (isLeftOut(inflight, ordinal, multipart)) floor = Math.min(floor, inflight.seqAt(ordinal));
    else if (isListed(inflight, ordinal)) entries++;
  }
  if (floor <= headSeq) floor = 0;
  if (entries === 0 && floor === 0 && !what.marks) return EMPTY;
  const out = Buffer.allocUnsafe(24 + entries * ENTRY_BYTES_MAX);
  let at = MARK.copy(out);
  at = writeVarint(out, at, floor);
  at = writeVarint(out, at, entries);
  let [lastOrdinal, lastSeq] = [inflight.head, 0];
  for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
    if (!isListed(inflight, ordinal) || isLeftOut(inflight, ordinal, multipart)) continue;
    const state = inflight.stateAt(ordinal);
    const seq = inflight.seqAt(ordinal);
    at = writeVarint(out, at, ordinal - lastOrdinal);
    out[at++] = (state === SENT ? UNSENT : state) | (inflight.qosAt(ordinal) << 4);
    at = writeVarint(out, at, seq >= lastSeq ? 2 * (seq - lastSeq) : 2 * (lastSeq - seq) - 1);
    [lastOrdinal, lastSeq] = [ordinal, seq];
  }
  return out.subarray(0, at);
}

function isListed(inflight: Inflight, ordinal: number): boolean {
  const state = inflight.stateAt(ordinal);
  return state !== DONE && (state !== ANSWERED || inflight.seqAt(ordinal) !== 0) && !inflight.isWithdrawn(ordinal);
}

/**
 * QoS 1 of the open group, which may be acknowledged before it is ever written: as long as nothing else is in flight
 * nothing has to be. Should the group be written now, and a crash come before the next record, it is sent anew.
 */
function isLeftOut(inflight: Inflight, ordinal: number, multipart: boolean): boolean {
  if (multipart || inflight.stateAt(ordinal) !== SENT || inflight.qosAt(ordinal) !== 1) return false;
  const message: Message | null = inflight.messageAt(ordinal);
  return message !== null && message.state === OPEN;
}

/** Whether `state` is one that `encodeAnyOrder` can have written: a damaged one could ask for any number of entries. */
export function isAnyOrderState(state: Buffer): boolean {
  const cursor = { at: MARK.length };
  const floor = readVarint(state, cursor);
  const entries = readVarint(state, cursor);
  if (!Number.isSafeInteger(floor) || entries > SPAN_MAX) return false;
  let [offset, seq] = [0, 0];
  for (let n = 0; n < entries; n++) {
    const step = readVarint(state, cursor);
    offset += step;
    if (offset >= SPAN_MAX || (n > 0 && step === 0)) return false;
    const bits = state[cursor.at++] ?? 0;
    const kind = bits & 0x0f;
    if (bits >> 4 > 2 || (kind !== RECEIVED && kind !== UNSENT && kind !== ANSWERED)) return false;
    seq += unzigzag(readVarint(state, cursor));
    if (!Number.isSafeInteger(seq) || seq < 0) return false;
  }
  return cursor.at === state.length;
}

/** Restores `inflight` from the record. @returns the floor */
export function decodeAnyOrder(record: ReceiverRecord, inflight: Inflight): number {
  inflight.start(record.headOrdinal);
  const { state } = record;
  if (state.length === 0) return record.headSeq;
  const cursor = { at: MARK.length };
  const floor = readVarint(state, cursor);
  const entries = readVarint(state, cursor);
  let [ordinal, seq] = [record.headOrdinal, 0];
  for (let n = 0; n < entries; n++) {
    ordinal += readVarint(state, cursor);
    while (inflight.next < ordinal) inflight.restore(0, DONE, 0);
    const bits = state[cursor.at++] ?? DONE;
    seq += unzigzag(readVarint(state, cursor));
    inflight.restore(seq, bits & 0x0f, bits >> 4);
  }
  if (!inflight.empty && inflight.stateAt(inflight.head) === DONE) inflight.discard(inflight.head);
  return Math.max(floor, record.headSeq);
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
