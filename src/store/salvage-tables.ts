/**
 * The tables as a salvage sees them: their columns, read from the fresh file, and what a row of each must be to be
 * believed. A table that is not named here is taken by the types of its columns.
 */
import type { Database } from "better-sqlite3";
import { isTopicName } from "../core/topic.ts";
import { ListReader } from "./receiver-list.ts";
import type { Row, Value } from "./salvage-cells.ts";
import { ROW_QOS, ROW_RETAIN } from "./schema.ts";

const PACKET_ID_MAX = 0xffff;
const SUBSCRIPTION_ID_MAX = 268_435_455;
const EXPIRY_SECONDS_MAX = 0xffffffff;

const lists = new ListReader();

interface Column {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
  readonly dflt_value: string | null;
  readonly pk: number;
}

export class Table {
  readonly name: string;
  readonly isIndex: boolean;
  readonly columns: readonly Column[];
  /** Column that is the rowid; -1 = none. */
  readonly #alias: number;
  /** Columns that a row of an older version has at least. */
  readonly #required: number;

  constructor(name: string, columns: readonly Column[], isIndex: boolean) {
    this.name = name;
    this.columns = columns;
    this.isIndex = isIndex;
    this.#alias = isIndex ? -1 : columns.findIndex(({ pk, type }) => pk === 1 && type === "INTEGER");
    const optional = [...columns]
      .reverse()
      .findIndex(({ notnull, dflt_value }) => notnull === 1 && dflt_value === null);
    this.#required = optional < 0 ? 1 : columns.length - optional;
  }

  /** @returns the row's columns, fewer than the table has for one of an older version; null when it is no row of this table */
  valuesOf(row: Row): Value[] | null {
    const { columns } = this;
    const values = [...row.values];
    if (values.length > columns.length || values.length < this.#required) return null;
    for (let n = 0; n < values.length; n++) {
      const column = columns[n] as Column;
      if (n === this.#alias) {
        if (values[n] !== null) return null;
        values[n] = row.rowid;
      } else if (!fits(values[n] as Value, column)) return null;
    }
    const check = CHECKS[this.name];
    return check === undefined || check(values) ? values : null;
  }
}

/** The secondary index that knows receivers by name, where the table itself is lost. */
export const RECEIVER_INDEX = new Table(
  "sqlite_autoindex_receiver_1",
  ["TEXT", "TEXT", "INTEGER"].map((type, n) => ({ name: `c${n}`, type, notnull: 1, dflt_value: null, pk: 0 })),
  true,
);

/** All tables of a fresh file, by name. */
export function tablesOf(db: Database): Map<string, Table> {
  const list = db.pragma("table_list") as { schema: string; name: string; type: string; wr: number }[];
  const tables = new Map<string, Table>();
  for (const { schema, name, type, wr } of list) {
    if (schema !== "main" || type !== "table" || name.startsWith("sqlite_")) continue;
    const columns = db.pragma(`table_info(${name})`) as Column[];
    tables.set(name, new Table(name, columns, wr === 1));
  }
  return tables;
}

function fits(value: Value, { type, notnull }: Column): boolean {
  if (value === null) return notnull === 0;
  if (type === "INTEGER") return typeof value === "number";
  return type === "TEXT" ? typeof value === "string" : Buffer.isBuffer(value);
}

const CHECKS: Record<string, (values: readonly Value[]) => boolean> = {
  log: ([seq, accepted, expires, flags, topicEnd, propertiesEnd, receivers, bytes]) =>
    atLeast(seq, 1) &&
    atLeast(accepted, 0) &&
    atLeast(expires, 0) &&
    isMessage(flags, topicEnd, propertiesEnd, bytes) &&
    lists.isList(receivers as Buffer),
  receiver: ([id, , , headSeq, headOrdinal, , count, bytes, counted]) =>
    atLeast(id, 0) &&
    atLeast(headSeq, 0) &&
    atLeast(headOrdinal, 0) &&
    atLeast(count, 0) &&
    atLeast(bytes, 0) &&
    atLeast(counted, 0),
  session: ([id, , expirySeconds, disconnected]) =>
    atLeast(id, 1) && within(expirySeconds, 0, EXPIRY_SECONDS_MAX) && atLeast(disconnected, 0),
  subscription: ([id, filter, options, identifier]) =>
    atLeast(id, 1) && filter !== "" && within(options, 0, 0xff) && within(identifier, 0, SUBSCRIPTION_ID_MAX),
  // Rows of drop_count have the same types.
  sqlite_autoindex_receiver_1: ([kind, , id]) =>
    /^(session|share|uplink|serial|library)$/.test(String(kind)) && atLeast(id, 1),
  will: ([clientId, , delay, expiry, flags, topicEnd, propertiesEnd, bytes]) =>
    clientId !== "" && atLeast(delay, 0) && atLeast(expiry, -1) && isMessage(flags, topicEnd, propertiesEnd, bytes),
  inbound: ([id, packetId]) => atLeast(id, 1) && within(packetId, 1, PACKET_ID_MAX),
  retained: ([topic, accepted, expires, flags, propertiesEnd, bytes]) =>
    atLeast(accepted, 0) &&
    atLeast(expires, 0) &&
    isMessage(flags, Buffer.byteLength(topic as string), propertiesEnd, bytes) &&
    (bytes as Buffer).toString("utf8", 0, Buffer.byteLength(topic as string)) === topic,
};

function isMessage(flags: Value | undefined, topicEnd: Value | undefined, end: Value | undefined, b: unknown): boolean {
  const bytes = b as Buffer;
  return (
    within(flags, 0, ROW_QOS | ROW_RETAIN) &&
    ((flags as number) & ROW_QOS) !== 3 &&
    within(topicEnd, 1, bytes.length) &&
    within(end, topicEnd as number, bytes.length) &&
    isTopicName(bytes.toString("utf8", 0, topicEnd as number))
  );
}

function atLeast(value: Value | undefined, min: number): boolean {
  return typeof value === "number" && value >= min;
}

function within(value: Value | undefined, min: number, max: number): boolean {
  return typeof value === "number" && value >= min && value <= max;
}
