import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import Database from "better-sqlite3";
import { seededRandom } from "../../../src/base/random.ts";
import { Message } from "../../../src/core/message.ts";
import { PACKED_BYTES_MAX, PACKED_LIST_MAX, type PackedRow, PackedRows } from "../../../src/store/packed-rows.ts";
import { ListEncoder } from "../../../src/store/receiver-list.ts";
import { RowFetch } from "../../../src/store/row-fetch.ts";
import { SCHEMA_1, SCHEMA_2 } from "../../../src/store/schema.ts";
import { Statements } from "../../../src/store/statements.ts";

const OURS = 7;
const SEQ_MAX = 600;

interface Row {
  readonly seq: number;
  readonly accepted: number;
  readonly expires: number;
  readonly flags: number;
  readonly topicEnd: number;
  readonly propertiesEnd: number;
  readonly bytes: Buffer;
  readonly ours: boolean;
}

/** A log with holes: contents and lists of all lengths around what comes packed, `share` of them for receiver OURS. */
function logOf(seed: number, share: number): { readonly statements: Statements; readonly rows: readonly Row[] } {
  const random = seededRandom(seed);
  const db = new Database(":memory:");
  db.exec(SCHEMA_1);
  db.exec(SCHEMA_2);
  const statements = new Statements(db);
  const lists = new ListEncoder(() => {});
  const below = (n: number): number => Math.floor(random() * n);
  const rows: Row[] = [];
  for (let seq = 1 + below(5); seq <= SEQ_MAX; seq += random() < 0.9 ? 1 : 1 + below(9)) {
    const lengths = [0, 1, below(40), 200, PACKED_BYTES_MAX - 1, PACKED_BYTES_MAX, PACKED_BYTES_MAX + 1, 3000];
    const bytes = randomBytes(lengths[below(lengths.length)] as number); // NULs and what is no UTF-8 among them
    const topicEnd = below(bytes.length + 1);
    const propertiesEnd = topicEnd + below(bytes.length - topicEnd + 1);
    const ours = random() < share;
    const message = new Message(bytes, topicEnd, propertiesEnd, 1, false, 0, 0, -1);
    const others = random() < 0.1 ? below(PACKED_LIST_MAX) : below(4);
    for (let i = 0; i < others; i++) message.addReceiver(100 + 3 * i, 1);
    if (ours || others === 0) message.addReceiver(ours ? OURS : 99, 1 + below(2));
    const row = { seq, accepted: below(9e9) - 1000, expires: below(2) * below(9e12), flags: 1 + below(6) };
    const list = Buffer.from(lists.encode(message));
    statements.insertMessage.run(...Object.values(row), topicEnd, propertiesEnd, list, bytes);
    rows.push({ ...row, topicEnd, propertiesEnd, bytes, ours });
  }
  return { statements, rows };
}

function assertMessage(message: Message, row: Row): void {
  const { seq, acceptedMs, expiresMs, topicEnd, propertiesEnd, bytes, qos, retain } = message;
  assert.deepEqual(
    { seq, acceptedMs, expiresMs, topicEnd, propertiesEnd, qos, retain },
    {
      seq: row.seq,
      acceptedMs: row.accepted,
      expiresMs: row.expires,
      topicEnd: row.topicEnd,
      propertiesEnd: row.propertiesEnd,
      qos: row.flags & 3,
      retain: (row.flags & 4) !== 0,
    },
  );
  assert.ok(bytes.equals(row.bytes), `content of row ${seq}`);
}

for (const share of [0.1, 0.5, 1]) {
  for (const back of [false, true]) {
    test(`rows fetched ${back ? "downwards" : "upwards"} are those that were written, byte for byte, with ${100 * share} % for the receiver`, () => {
      for (let seed = 1; seed <= 4; seed++) {
        const { statements, rows } = logOf(seed, share);
        const fetch = new RowFetch(statements);
        const expected = back ? [...rows].reverse() : [...rows];
        let next = back ? SEQ_MAX : 1;
        let done = 0;
        let packed = 0;
        let fetches = 0;
        while (back ? next >= 1 : next <= SEQ_MAX) {
          const bytes = [300, 5000, 64 * 1024][done % 3] as number;
          if (back) fetch.down(OURS, next, 1, bytes);
          else fetch.up(OURS, next, SEQ_MAX, bytes);
          fetches++;
          if (fetch.isPacked) packed++;
          for (let i = 0; i < fetch.count; i++) {
            const row = expected[done++] as Row;
            assert.equal(fetch.seqAt(i), row.seq);
            const message = fetch.messageFor(i, OURS, seed % 2 === 0);
            assert.equal(message !== null, row.ours);
            if (message !== null) assertMessage(message, row);
          }
          next = fetch.next;
        }
        assert.equal(done, rows.length);
        if (share === 1)
          assert.ok(packed > fetches / 2, "most are packed, but the first, and one that begins in a hole");
        if (share === 0.1) assert.equal(packed, 0);
      }
    });
  }
}

/** As SQL's `char` writes them. */
function characters(numbers: readonly number[]): Buffer {
  return Buffer.from(String.fromCodePoint(...numbers));
}

test("packed rows whose numbers and bytes disagree are not taken", () => {
  const first = [0, 2, 2, 1, 1, 1, 9, 0, 0, 0, 0, 0];
  const second = [1, 3, 2, 1, 1, 2, 9, 0, 0, 0, 0, 0];
  const good: PackedRow = [2, Buffer.from("t1t22"), Buffer.from([14, 1, 14, 1]), characters([...first, ...second])];
  const rows = new PackedRows();
  assert.ok(rows.take(good, 4));
  assert.deepEqual([rows.count, rows.seqAt(0), rows.seqAt(1)], [2, 4, 5]);
  assert.equal(rows.messageAt(1, true).bytes.toString(), "t22");
  const [, bytes, lists, numbers] = good;
  const other = (place: number, value: number): Buffer =>
    characters([...first, ...second.map((number, i) => (i === place ? value : number))]);
  const bad: readonly PackedRow[] = [
    [2, Buffer.from("t1t2"), lists, numbers],
    [2, bytes, Buffer.from([14, 1, 14]), numbers],
    [1, bytes, lists, numbers],
    [3, bytes, lists, numbers],
    [2, null, lists, numbers],
    [2, bytes, lists, null],
    [2, bytes, lists, numbers?.subarray(1) ?? null],
    [2, bytes, lists, numbers?.subarray(0, -1) ?? null],
    [2, bytes, lists, other(0, 0)],
    [2, bytes, lists, other(0, 128)],
    [2, bytes, lists, other(1, 4)],
    [2, bytes, lists, other(2, 1)],
    [2, bytes, lists, other(3, 8)],
    [2, bytes, lists, other(4, 3)],
    [2, bytes, lists, other(5, 4)],
    [2, bytes, lists, Buffer.concat([numbers ?? bytes ?? Buffer.alloc(0), Buffer.alloc(5000)])],
    [500, bytes, lists, numbers],
  ];
  for (const [i, row] of bad.entries()) assert.equal(rows.take(row, 4), false, `case ${i}`);
  assert.ok(rows.take([0, null, null, null], 4));
  assert.equal(rows.count, 0);
});
