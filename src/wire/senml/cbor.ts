/** A SenML pack as CBOR: labels are small integers. @see RFC 8428 section 6 */
import { encode } from "cborg";
import type { PackRecord } from "./pack.ts";

/** Labels of table 6; a pack has no others. */
const LABELS: Readonly<Record<keyof PackRecord, number>> = {
  bn: -2,
  bt: -3,
  bu: -4,
  n: 0,
  u: 1,
  v: 2,
  vs: 3,
  vb: 4,
  t: 6,
};

/** Labels stay in the order of PackRecord, so that the base comes first; numbers are as short as they can be. */
const OPTIONS = { mapSorter: () => 0 };

const KEYS = Object.keys(LABELS) as (keyof PackRecord)[];

export function encodeSenmlCbor(pack: readonly PackRecord[]): Buffer {
  const bytes = encode(pack.map(labelled), OPTIONS);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function labelled(record: PackRecord): Map<number, unknown> {
  const map = new Map<number, unknown>();
  for (const key of KEYS) {
    const value = record[key];
    if (value !== undefined) map.set(LABELS[key], value);
  }
  return map;
}
