/**
 * The record of a queue that kept the order of the log (delivery-queue.ts), as one that does not can read it.
 *
 * It may say only how many messages were in flight before the last acknowledged one, not even that of those behind it.
 * They are the first of the log, in order, so they are given their ordinals here: as many as the window may have held.
 */
import { encodeAnyOrder } from "./any-order-record.ts";
import { UNSENT } from "./inflight.ts";
import { LogPlace } from "./log-place.ts";
import type { BacklogSink, ReceiverRecord, Store } from "./ports.ts";

/** Bytes of backlog read in one slice. */
const READ_SLICE_BYTES = 64 * 1024;

/** @param windowMax messages in flight at most */
export function inAnyOrder(store: Store, record: ReceiverRecord, windowMax: number): ReceiverRecord {
  const place = new LogPlace(record, store.lastSeq);
  const { inflight } = place;
  let rest = windowMax;
  for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
    if (inflight.stateAt(ordinal) === UNSENT) rest--;
  }
  let ended = record.count === 0;
  const sink: BacklogSink = {
    onBacklog: ({ seq }) => {
      if (!place.needs(seq) || place.isInFlight(seq) || place.claims(seq)) return true;
      ended = rest-- <= 0 || !place.mayBeOut(seq);
      if (!ended) inflight.restore(seq, UNSENT, 0);
      return !ended;
    },
  };
  for (let at = record.headSeq; at <= store.lastSeq && !ended; ) {
    at = store.read(record.id, at, READ_SLICE_BYTES, sink);
  }
  for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) {
    // The log has it no more.
    if (inflight.stateAt(ordinal) === UNSENT && inflight.seqAt(ordinal) === 0) inflight.discard(ordinal);
  }
  let base = place.firstUnsent;
  for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++)
    base = Math.max(base, inflight.seqAt(ordinal) + 1);
  const what = { base, end: store.lastSeq + 1, marks: true };
  const state = encodeAnyOrder(inflight, record.headSeq, true, what);
  return { ...record, headOrdinal: inflight.head, state };
}
