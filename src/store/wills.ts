/**
 * Rows of wills. A client that connects again and again with the same will has its row written once: the row is read
 * and compared, which costs a look into a table that SQLite has in its cache, and no memory for each client.
 */
import type { WillRecord } from "../core/ports.ts";
import { ROW_QOS, ROW_RETAIN } from "./schema.ts";
import type { Statements, WillRow } from "./statements.ts";

/** A will may be as large as a packet. */
const SLICE_ROWS = 32;

export function willColumns(will: WillRecord): WillRow {
  return [
    will.clientId,
    will.principal,
    will.delaySeconds,
    will.expirySeconds,
    will.retain ? will.qos | ROW_RETAIN : will.qos,
    will.topicEnd,
    will.propertiesEnd,
    will.bytes,
  ];
}

/** Whether the row says what the record does. */
export function isStored(will: WillRecord, row: WillRow | undefined): boolean {
  if (row === undefined) return false;
  return willColumns(will).every((column, n) => {
    const found = row[n];
    return Buffer.isBuffer(column) ? column.equals(found as Buffer) : column === found;
  });
}

export function readWills(statements: Statements, visit: (record: WillRecord) => void): void {
  for (let after = ""; ; ) {
    const rows = statements.wills.all(after, SLICE_ROWS);
    for (const [clientId, principal, delaySeconds, expirySeconds, flags, topicEnd, propertiesEnd, bytes] of rows) {
      after = clientId;
      const qos = flags & ROW_QOS;
      const retain = (flags & ROW_RETAIN) !== 0;
      visit({ clientId, principal, delaySeconds, expirySeconds, qos, retain, bytes, topicEnd, propertiesEnd });
    }
    if (rows.length < SLICE_ROWS) return;
  }
}
