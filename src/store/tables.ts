/** Reads the small tables at start, for the registries to build themselves from. Memory is that of one slice. */
import { Message } from "../core/message.ts";
import type { ReceiverRecord, SessionRecord, SubscriptionRecord } from "../core/ports.ts";
import type { Place } from "./places.ts";
import { ROW_QOS, ROW_RETAIN } from "./schema.ts";
import type { Statements } from "./statements.ts";

/** A retained value may be as large as a packet. */
const RETAINED_SLICE_ROWS = 32;

export function readSessions(
  statements: Statements,
  recordOf: (id: number) => ReceiverRecord | null,
  visit: (record: SessionRecord) => void,
): void {
  for (const [id, principal, expirySeconds, disconnectedMs] of statements.sessions.all()) {
    const receiver = recordOf(id);
    if (receiver === null) continue;
    visit({
      receiver,
      clientId: receiver.name,
      principal,
      expirySeconds,
      disconnectedMs,
      subscriptions: readSubscriptions(statements, id),
      inboundIds: statements.inbound.all(id),
    });
  }
}

function readSubscriptions(statements: Statements, id: number): SubscriptionRecord[] {
  return statements.subscriptions
    .all(id)
    .map(([filter, options, subscriptionId]) => ({ filter, options, subscriptionId }));
}

export function readRetained(statements: Statements, visit: (message: Message) => void): void {
  for (let after = 0; ; ) {
    const rows = statements.retained.all(after, RETAINED_SLICE_ROWS);
    for (const [rowId, accepted, expires, flags, topicEnd, propertiesEnd, bytes] of rows) {
      after = rowId;
      const retain = (flags & ROW_RETAIN) !== 0;
      visit(new Message(bytes, topicEnd, propertiesEnd, flags & ROW_QOS, retain, accepted, expires, -1));
    }
    if (rows.length < RETAINED_SLICE_ROWS) return;
  }
}

/** The record of a receiver that has not registered: what its row says. */
export function recordOf(statements: Statements, place: Place): ReceiverRecord | null {
  const row = statements.receiver.get(place.id);
  if (row === undefined) return null;
  const [id, kind, name, headSeq, headOrdinal, state, count, bytes] = row;
  return { id, kind, name, headSeq, headOrdinal, state, count, bytes };
}
