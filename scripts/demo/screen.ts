/** What the demo prints. On a terminal with colours, and the current line is written over as numbers change. */
import type { Balance, SourceBalance } from "./balance.ts";

const BAR_COLUMNS = 30;
const NUMBER_COLUMNS = 15;

const terminal = process.stdout.isTTY === true;
const coloured = terminal && process.env["NO_COLOR"] === undefined;

export const bold = (text: string): string => paint("1", text);
export const dim = (text: string): string => paint("2", text);
export const red = (text: string): string => paint("31;1", text);
export const green = (text: string): string => paint("32;1", text);
export const yellow = (text: string): string => paint("33", text);

function paint(code: string, text: string): string {
  return coloured ? `\x1b[${code}m${text}\x1b[0m` : text;
}

export function say(text = ""): void {
  process.stdout.write(terminal ? `\r\x1b[K${text}\n` : `${text}\n`);
}

/** A fact with its name in a column of its own. */
export function fact(name: string, text: string): void {
  say(`  ${bold(name.padEnd(13))}${text}`);
}

export function progressHead(): void {
  const columns = ["taken in", "at the cloud", "on disk", "waiting"]
    .map((name) => name.padStart(NUMBER_COLUMNS))
    .join("");
  say(bold(`  second${columns}`));
}

/**
 * One line of progress; `final` ends it, otherwise it is written over by the next (and not at all off a terminal).
 * @param waitingMax number of waiting messages that fills the bar
 */
export function progress(second: number, balance: Balance, written: number, waitingMax: number, final: boolean): void {
  if (!final && !terminal) return;
  const cells = [count(balance.owed), count(balance.received), kibibytes(written), count(balance.missing)];
  const numbers = cells.map((cell) => cell.padStart(NUMBER_COLUMNS));
  const columns = Math.ceil((BAR_COLUMNS * balance.missing) / Math.max(waitingMax, 1));
  const line = `  ${String(second).padStart(6)}${numbers.join("")}  ${yellow("█".repeat(Math.min(columns, BAR_COLUMNS)))}`;
  process.stdout.write(terminal ? `\r\x1b[K${line}${final ? "\n" : ""}` : `${line.trimEnd()}\n`);
}

export function event(text: string): void {
  say(`          ${dim("──")} ${text}`);
}

/** 12,345 */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

export function kibibytes(bytes: number): string {
  return bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** The balance as a table, a line per source and the sum. */
export function balanceTable(rows: readonly SourceBalance[]): string {
  const sum = (pick: (row: SourceBalance) => number): string =>
    count(rows.reduce((total, row) => total + pick(row), 0));
  const refusals = rows.some((row) => row.refused > 0);
  const line = (row: SourceBalance): string[] => [
    row.source,
    row.speaks,
    count(row.sent),
    row.acknowledged === null ? "-" : count(row.acknowledged),
    ...(refusals ? [count(row.refused)] : []),
    count(row.received),
    count(row.lost),
    count(row.duplicates),
  ];
  const head = [
    "source",
    "speaks",
    "sent",
    "acknowledged",
    ...(refusals ? ["refused"] : []),
    "at the cloud",
    "lost",
    "duplicates",
  ];
  const total = [
    "together",
    "",
    sum((row) => row.sent),
    sum((row) => row.acknowledged ?? 0),
    ...(refusals ? [sum((row) => row.refused)] : []),
    sum((row) => row.received),
    sum((row) => row.lost),
    sum((row) => row.duplicates),
  ];
  const cells = [head, ...rows.map(line), total];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const TEXT_COLUMNS = 2;
  const print = (row: readonly string[]): string =>
    `  ${row.map((cell, i) => (i < TEXT_COLUMNS ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ")}`;
  const rule = `  ${"─".repeat(print(head).length - 2)}`;
  return [bold(print(head)), ...rows.map((row) => print(line(row))), dim(rule), bold(print(total))].join("\n");
}
