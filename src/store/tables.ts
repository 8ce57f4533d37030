/** Reads the small tables at start, for the registries to build themselves from. Memory is that of one slice. */
import { Message } from "../core/message.ts";
import type { ReceiverRecord, SessionRecord, SubscriptionRecord } from "../core/ports.ts";
import type { Place } from "./places.ts";
import { ROW_QOS, ROW_RETAIN } from "./schema.ts";
import type { RetainedRow, Statements } from "./statements.ts";

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
    receiver.awaySinceMs = disconnectedMs;
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

export function readSubscriptions(statements: Statements, id: number): SubscriptionRecord[] {
  return statements.subscriptions
    .all(id)
    .map(([filter, options, subscriptionId]) => ({ filter, options, subscriptionId }));
}

export function readRetained(statements: Statements, visit: (message: Message) => void): void {
  for (let after = 0; ; ) {
    const rows = statements.retained.all(after, RETAINED_SLICE_ROWS);
    for (const row of rows) {
      after = row[0];
      visit(messageOf(row));
    }
    if (rows.length < RETAINED_SLICE_ROWS) return;
  }
}

export function readRetainedValue(statements: Statements, topic: string): Message | null {
  const row = statements.retainedOf.get(topic);
  return row === undefined ? null : messageOf(row);
}

function messageOf([, accepted, expires, flags, topicEnd, propertiesEnd, bytes]: RetainedRow): Message {
  return new Message(
    bytes,
    topicEnd,
    propertiesEnd,
    flags & ROW_QOS,
    (flags & ROW_RETAIN) !== 0,
    accepted,
    expires,
    -1,
  );
}

/** The record of a receiver that has not registered: what its row says. */
export function recordOf(statements: Statements, place: Place): ReceiverRecord | null {
  const row = statements.receiver.get(place.id);
  if (row === undefined) return null;
  const [id, kind, name, headSeq, headOrdinal, state, count, bytes] = row;
  return { id, kind, name, headSeq, headOrdinal, state, count, bytes };
}
