/** Numbers and tables as people read them; the tables are Markdown. */

/** `rows[0]` is the head. The first column is text, the others are numbers and stand right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, i) => (i === 0 ? (row[i] ?? "").padEnd(width) : (row[i] ?? "").padStart(width))).join(" | ")} |`;
  const rule = `|${widths.map((width, i) => (i === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
  const [head, ...body] = rows.map(line);
  return [head, rule, ...body].join("\n");
}

/** Three digits that count: 0.167, 1.90, 12.3, 147. */
export function threeDigits(value: number): string {
  if (!Number.isFinite(value)) return "";
  return value < 1
    ? value.toFixed(3)
    : value < 10
      ? value.toFixed(2)
      : value < 100
        ? value.toFixed(1)
        : value.toFixed(0);
}

/** 950/s, 147k/s, 2.33M/s */
export function perSecond(value: number): string {
  if (value < 1_000) return `${value.toFixed(0)}/s`;
  return value < 1e6 ? `${threeDigits(value / 1e3)}k/s` : `${threeDigits(value / 1e6)}M/s`;
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** 95 µs, 1.6 ms */
export function microseconds(value: number): string {
  return value < 1_000 ? `${value.toFixed(0)} µs` : `${threeDigits(value / 1_000)} ms`;
}
