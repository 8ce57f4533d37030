/**
 * The tables. One log of messages, one row per durable receiver that says where it stands in the log, and the small
 * tables around them. No secondary index on `log`: one costs half as many bytes again for every message.
 *
 * `receiver` row 0 is the log itself: `head_seq` is the next sequence number, `count` and `bytes` are what the log
 * holds, `state` is that of log-state.ts, and `counted` says that all receivers' counts include every message below it (see recount.ts). It is a row of
 * `receiver` because whoever writes a receiver has that page in hand already.
 *
 * `auto_vacuum = INCREMENTAL`, which costs one more page in each commit that takes or frees pages, and lets shrink.ts
 * give the end of the file back.
 */

/** `PRAGMA user_version`. A change of the tables raises it and adds a step to migrations.ts; earlier steps stay as they are. */
export const SCHEMA_VERSION = 3;

/** `PRAGMA application_id`: "Slce". */
export const APPLICATION_ID = 0x536c6365;

export const PAGE_BYTES = 4096;
/** A frame of the write-ahead log: 24 bytes of header and a page. */
export const FRAME_BYTES = PAGE_BYTES + 24;
export const WAL_HEADER_BYTES = 32;

/** `flags` of log and retained: QoS in bits 0-1, RETAIN in bit 2. */
export const ROW_QOS = 0b011;
export const ROW_RETAIN = 0b100;

/** Columns of `log`, and rows that one statement inserts. */
export const LOG_COLUMNS = 8;
export const LOG_ROWS_PER_INSERT = 8;

/** `receiver.id` of the log's own row. */
export const LOG_ROW = 0;

/** Version 1, as it was. */
export const SCHEMA_1 = `
CREATE TABLE log (
  seq INTEGER PRIMARY KEY,
  accepted INTEGER NOT NULL,       -- Unix ms
  expires INTEGER NOT NULL,        -- Unix ms; 0 = never
  flags INTEGER NOT NULL,
  topic_end INTEGER NOT NULL,      -- bytes = topic | MQTT 5 properties | payload
  properties_end INTEGER NOT NULL,
  receivers BLOB NOT NULL,         -- see receiver-list.ts
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE receiver (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,              -- session, share, uplink, serial
  name TEXT NOT NULL,
  head_seq INTEGER NOT NULL,       -- lowest message it may still need
  head_ordinal INTEGER NOT NULL,
  state BLOB NOT NULL,             -- what it has above its head
  count INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  counted INTEGER NOT NULL,        -- count and bytes include every message below it
  UNIQUE (kind, name)
) STRICT;

CREATE TABLE session (
  receiver_id INTEGER PRIMARY KEY,
  principal TEXT NOT NULL,
  expiry_seconds INTEGER NOT NULL,
  disconnected INTEGER NOT NULL    -- Unix ms; 0 = connected
) STRICT;

CREATE TABLE subscription (
  receiver_id INTEGER NOT NULL,
  filter TEXT NOT NULL,
  options INTEGER NOT NULL,
  subscription_id INTEGER NOT NULL,
  PRIMARY KEY (receiver_id, filter)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbound (             -- QoS 2 packet ids received and not released
  receiver_id INTEGER NOT NULL,
  packet_id INTEGER NOT NULL,
  PRIMARY KEY (receiver_id, packet_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE retained (
  topic TEXT NOT NULL UNIQUE,
  accepted INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  properties_end INTEGER NOT NULL,
  bytes BLOB NOT NULL
) STRICT;

CREATE TABLE generation (          -- one row on one page: see checkpoint.ts
  k INTEGER PRIMARY KEY,
  g INTEGER NOT NULL
) STRICT;

INSERT INTO generation VALUES (1, 1);
INSERT INTO receiver VALUES (${LOG_ROW}, 'log', '', 1, 0, x'', 0, 0, 1);
`;

/** From version 1 to 2. */
export const SCHEMA_2 = `
CREATE TABLE will (                -- of clients that are connected, or whose will waits for its delay
  client_id TEXT PRIMARY KEY,
  principal TEXT NOT NULL,
  delay_seconds INTEGER NOT NULL,  -- from when the connection ended: session.disconnected
  expiry_seconds INTEGER NOT NULL, -- Message Expiry Interval; -1 = never expires
  flags INTEGER NOT NULL,
  topic_end INTEGER NOT NULL,      -- bytes as in log
  properties_end INTEGER NOT NULL,
  bytes BLOB NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE generation ADD COLUMN written BLOB NOT NULL DEFAULT x'';   -- see meter.ts
CREATE TABLE drop_entry (          -- the last messages lost
  id INTEGER PRIMARY KEY,
  wall INTEGER NOT NULL,           -- Unix ms
  receiver TEXT NOT NULL,
  topic TEXT NOT NULL,
  cause TEXT NOT NULL,
  count INTEGER NOT NULL
) STRICT;

CREATE TABLE drop_count (          -- all messages lost
  receiver TEXT NOT NULL,
  cause TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (receiver, cause)
) STRICT, WITHOUT ROWID;
`;

/**
 * From version 2 to 3 no table changes: the state of the log's row may hold more (log-state.ts), and a version that does
 * not know it would take it for none.
 */
export const SCHEMA_3 = "";
