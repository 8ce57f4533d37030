/**
 * A receiver's messages are about to become other parts than those that they were sent as: an uplink has other rules. A
 * message that became one part and becomes two now would need an ordinal between two that are taken. So everything that
 * is in flight leaves its ordinals and takes the next ones, as many as it has parts now, in log order.
 *
 *     before      ordinals 5 6 7 8:  row 1 unanswered, row 2 done, row 3 unanswered, row 4 done
 *     afterwards  ordinals 9 .. 12:  row 1 in two parts, row 3 in two parts; floor at row 5
 *
 * Below the floor only what is in flight is needed, and the record lists it row by row: so it says that 2 and 4 are done.
 */
import type { LogPlace } from "./log-place.ts";
import type { Message } from "./message.ts";
import { type Outlet, placedParts } from "./outlet.ts";
import { SPAN_MAX } from "./packet-ids.ts";
import type { Store, StoredReceiver } from "./ports.ts";

/** Bytes of the log read at once. */
const READ_BYTES = 64 * 1024;

interface Resent {
  readonly seq: number;
  readonly size: number;
  readonly parts: number;
}

/** @param queue its peer is away  @param outlet where its messages are to go */
export function sendAnew(queue: StoredReceiver, place: LogPlace, store: Store, outlet: Outlet): void {
  const { inflight } = place;
  if (inflight.empty) return;
  const found = unanswered(queue, place, store, outlet);
  const { sentThrough } = place;
  // Answered parts leave after those that were not.
  while (!inflight.empty)
    for (let ordinal = inflight.head; ordinal < inflight.next; ordinal++) inflight.discard(ordinal);
  let left = found.length;
  for (const { seq, size, parts } of found) {
    // Where so many are in flight that all their parts have no room, the last ones take theirs when it is their turn.
    const room = SPAN_MAX - (inflight.next - inflight.head) - --left;
    if (parts > 1) inflight.multipart = true;
    for (let n = Math.min(parts, room); n > 0; n--) inflight.reserve(seq, 1, size);
  }
  place.beginAnew(sentThrough);
  store.touch(queue);
}

/** What is in flight and not answered to its end, in log order; entries that a restart made unknown know their row then. */
function unanswered(queue: StoredReceiver, place: LogPlace, store: Store, outlet: Outlet): Resent[] {
  const found: Resent[] = [];
  const onBacklog = (message: Message, options: number): boolean => {
    const { seq, size } = message;
    if (!queue.needs(seq)) return true;
    place.claims(seq);
    if (!place.isInFlight(seq)) return place.replaysFrom(seq + 1);
    const parts = outlet.parts(message, options);
    found.push({ seq, size, parts: parts > 1 ? Math.max(1, placedParts(outlet, message, parts, options)) : 1 });
    return place.replaysFrom(seq + 1);
  };
  place.rewind();
  for (let from = queue.headSeq; from <= store.lastSeq && place.replaysFrom(from); ) {
    from = store.read(queue.id, from, READ_BYTES, { onBacklog });
  }
  return found;
}
