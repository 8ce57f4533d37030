/** A SenML pack: records that share what they have in common. @see RFC 8428 sections 4 and 4.6 */
import { baseNameOf } from "./names.ts";

/** Content types. @see RFC 8428 section 12.3; here, as `cbor.ts` is loaded only when it is needed */
export const SENML_JSON = "application/senml+json";
export const SENML_CBOR = "application/senml+cbor";

/** A measurement with nothing left out: a resolved record. */
export interface SenmlRecord {
  /** As `senmlName` makes it. */
  readonly name: string;
  /** Of the SenML units registry; "" = none. */
  readonly unit: string;
  /** Since 1970, or, below 2^28, relative to now. */
  readonly timeSeconds: number;
  /** Numbers are finite. */
  readonly value: number | string | boolean;
}

/** A record as it is written, keys in this order; what is absent has the value of the base, or none. */
export interface PackRecord {
  bn?: string;
  bt?: number;
  bu?: string;
  n?: string;
  u?: string;
  t?: number;
  v?: number;
  vs?: string;
  vb?: boolean;
}

/** Takes base name, base time and base unit out of `records`, which share a unit or have one of their own each. */
export function packOf(records: readonly SenmlRecord[]): PackRecord[] {
  const [first] = records;
  if (first === undefined) return [];
  const baseName = baseNameOf(records.map(({ name }) => name));
  const baseTime = first.timeSeconds;
  const baseUnit = records.every(({ unit }) => unit === first.unit) ? first.unit : "";
  return records.map(({ name, unit, timeSeconds, value }, i) => {
    const record: PackRecord = {};
    if (i === 0) {
      if (baseName !== "") record.bn = baseName;
      if (baseTime !== 0) record.bt = baseTime;
      if (baseUnit !== "") record.bu = baseUnit;
    }
    if (name.length > baseName.length) record.n = name.slice(baseName.length);
    if (unit !== baseUnit) record.u = unit;
    const t = toMs(timeSeconds - baseTime);
    if (t !== 0) record.t = t;
    if (typeof value === "number") record.v = value;
    else if (typeof value === "string") record.vs = value;
    else record.vb = value;
    return record;
  });
}

/** A difference of two times, without what floats add to it. */
function toMs(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
