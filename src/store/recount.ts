/**
 * After a crash: adds to the receivers' counts what the log holds beyond what they include (see places.ts), and finds
 * the next sequence number. Bounded by what was written since the last checkpoint or two; nothing after a clean stop.
 */

import { MESSAGE_OVERHEAD_BYTES } from "../core/message.ts";
import type { ReceiverRecord } from "../core/ports.ts";
import { damagedRow } from "./damage.ts";
import { LogState } from "./log-state.ts";
import { ListReader } from "./receiver-list.ts";
import { LOG_ROW } from "./schema.ts";
import type { ReceiverRow, Statements } from "./statements.ts";

const FETCH_ROWS = 256;

export interface Recounted {
  /** All receivers but the log's own row, their counts up to date. */
  readonly records: ReceiverRecord[];
  readonly lastSeq: number;
  /** No row is below it. */
  readonly lowest: number;
  readonly rows: number;
  readonly bytes: number;
  readonly counted: number;
  readonly logState: LogState;
}

interface Counting extends ReceiverRecord {
  counted: number;
  changed: boolean;
}

/** Writes the corrected counts as well. The caller syncs before anything else is written. */
export function recount(statements: Statements): Recounted {
  const log = statements.receiver.get(LOG_ROW);
  if (log === undefined) throw damagedRow(LOG_ROW, "of the log itself is missing");
  const [, , , nextSeq, , state, storedRows, storedBytes, counted] = log;
  const logState = new LogState(state);
  let rows = storedRows;
  let bytes = storedBytes;
  let lastSeq = nextSeq - 1;
  const byId = new Map<number, Counting>();
  for (const row of statements.receivers.all()) {
    if (row[0] === LOG_ROW) continue;
    const record = countingOf(row, counted);
    byId.set(record.id, record);
    lastSeq = Math.max(lastSeq, record.headSeq - 1);
  }
  lastSeq = Math.max(lastSeq, statements.highest.get() ?? 0);
  const reader = new ListReader();
  for (let from = counted; from <= lastSeq; ) {
    const slice = statements.sweep.all(from, lastSeq, FETCH_ROWS);
    for (const [seq, length, receivers] of slice) {
      if (seq < from) throw damagedRow(seq, "is out of order");
      from = seq + 1;
      const size = length + MESSAGE_OVERHEAD_BYTES;
      if (seq >= nextSeq) {
        rows++;
        bytes += size;
      }
      reader.start(seq, receivers);
      while (reader.next()) {
        const record = byId.get(reader.id);
        if (record === undefined || seq < record.counted) continue;
        record.count++;
        record.bytes += size;
        record.changed = true;
      }
    }
    if (slice.length < FETCH_ROWS) break;
  }
  const endSeq = lastSeq + 1;
  if (counted !== endSeq) save(statements, byId.values(), endSeq, rows, bytes, state);
  const lowest = statements.lowest.get() ?? 0;
  return { records: [...byId.values()], lastSeq, lowest, rows, bytes, counted: endSeq, logState };
}

function countingOf(row: ReceiverRow, counted: number): Counting {
  const [id, kind, name, headSeq, headOrdinal, state, count, bytes, own] = row;
  return {
    id,
    kind,
    name,
    headSeq,
    headOrdinal,
    state,
    count,
    bytes,
    counted: Math.max(own, counted),
    changed: false,
  };
}

function save(
  st: Statements,
  records: Iterable<Counting>,
  endSeq: number,
  rows: number,
  bytes: number,
  state: Buffer,
): void {
  st.begin.run();
  for (const r of records) {
    if (r.changed) st.updateReceiver.run(r.headSeq, r.headOrdinal, r.state, r.count, r.bytes, endSeq, r.id);
  }
  st.updateReceiver.run(endSeq, 0, state, rows, bytes, endSeq, LOG_ROW);
  st.commit.run();
}
