/** The memory bill: every owner of memory says what it may take at most, and the sum must fit in `memory_limit`. */
import { bytesText } from "./units.ts";

export interface Line {
  /** "store: open group". */
  readonly owner: string;
  /** Worst case. */
  readonly bytes: number;
  /** The sum in words: "1024 connections x 2 KiB". */
  readonly how: string;
  /** Memory of a library beside the gateway's own, which `memory_limit` is not about: named, not summed. */
  readonly outside?: boolean;
}

export function totalBytes(lines: readonly Line[]): number {
  return lines.reduce((sum, line) => (line.outside === true ? sum : sum + line.bytes), 0);
}

export function fits(lines: readonly Line[], memoryLimitBytes: number): boolean {
  return totalBytes(lines) <= memoryLimitBytes;
}

/** A line per owner, the sum and the limit, in columns; below it what comes besides. */
export function budgetTable(lines: readonly Line[], memoryLimitBytes: number): string {
  const outside = lines.filter((line) => line.outside === true);
  const rows = lines.filter((line) => line.outside !== true).map(rowOf);
  const verdict = fits(lines, memoryLimitBytes) ? "fits" : "does not fit";
  rows.push(["total", bytesText(totalBytes(lines)), `${verdict} in memory_limit ${bytesText(memoryLimitBytes)}`]);
  rows.push(...outside.map(rowOf).map(([owner, bytes, how]): Row => [owner, bytes, `${how}, besides memory_limit`]));
  const ownerWidth = Math.max(...rows.map(([owner]) => owner.length));
  const bytesWidth = Math.max(...rows.map(([, bytes]) => bytes.length));
  return rows
    .map(([owner, bytes, how]) => `${owner.padEnd(ownerWidth)}  ${bytes.padStart(bytesWidth)}  ${how}`)
    .join("\n");
}

type Row = [owner: string, bytes: string, how: string];

function rowOf({ owner, bytes, how }: Line): Row {
  return [owner, bytesText(bytes), how];
}
