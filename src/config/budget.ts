/** The memory bill: every owner of memory says what it may take at most, and the sum must fit in `memory_limit`. */
import { bytesText } from "./units.ts";

export interface Line {
  /** "store: open group". */
  readonly owner: string;
  /** Worst case. */
  readonly bytes: number;
  /** The sum in words: "1024 connections x 2 KiB". */
  readonly how: string;
}

export function totalBytes(lines: readonly Line[]): number {
  return lines.reduce((sum, line) => sum + line.bytes, 0);
}

export function fits(lines: readonly Line[], memoryLimitBytes: number): boolean {
  return totalBytes(lines) <= memoryLimitBytes;
}

/** A line per owner, the sum and the limit, in columns. */
export function budgetTable(lines: readonly Line[], memoryLimitBytes: number): string {
  const rows: [string, string, string][] = lines.map((line) => [line.owner, bytesText(line.bytes), line.how]);
  const verdict = fits(lines, memoryLimitBytes) ? "fits" : "does not fit";
  rows.push(["total", bytesText(totalBytes(lines)), `${verdict} in memory_limit ${bytesText(memoryLimitBytes)}`]);
  const ownerWidth = Math.max(...rows.map(([owner]) => owner.length));
  const bytesWidth = Math.max(...rows.map(([, bytes]) => bytes.length));
  return rows
    .map(([owner, bytes, how]) => `${owner.padEnd(ownerWidth)}  ${bytes.padStart(bytesWidth)}  ${how}`)
    .join("\n");
}
