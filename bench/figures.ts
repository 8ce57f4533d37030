/** What a bench measured, in a form in which two runs can be compared. */
import { table, threeDigits } from "./table.ts";

export interface Figure {
  /** What it is, and in which unit. The same in every run. */
  readonly name: string;
  readonly better: "less" | "more";
  /** By round or sample; their median counts, their range is the spread. */
  readonly values: readonly number[];
}

/**
 * A line for each figure that both runs have. The word at its end says "better" or "worse" where no value of the one run
 * lies within the range of the other; with a single value in each run there is no spread to tell it by, and no word.
 */
export function compareFigures(before: readonly Figure[], now: readonly Figure[]): string {
  const rows = now.flatMap((figure) => {
    const earlier = before.find(({ name }) => name === figure.name);
    if (earlier === undefined || earlier.values.length === 0 || figure.values.length === 0) return [];
    const [was, is] = [median(earlier.values), median(figure.values)];
    const change = was === 0 ? "" : `${is >= was ? "+" : ""}${(100 * (is / was - 1)).toFixed(0)} %`;
    return [[figure.name, threeDigits(was), threeDigits(is), change, verdict(earlier, figure)]];
  });
  return table([["figure", "before", "now", "change", "beyond the spread"], ...rows]);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

function verdict(before: Figure, now: Figure): string {
  if (before.values.length + now.values.length < 3) return "";
  const isLess = Math.max(...now.values) < Math.min(...before.values);
  const isMore = Math.min(...now.values) > Math.max(...before.values);
  if (!isLess && !isMore) return "";
  return (now.better === "less" ? isLess : isMore) ? "better" : "worse";
}
