/** A line for each time the gateway was looked at. */
import type { Figure } from "../figures.ts";
import { mebibytes } from "../table.ts";
import type { Sample } from "./gateway.ts";

export const HEAD = [
  "",
  "lives",
  "cuts",
  "RSS",
  "peak",
  "private dirty",
  "V8's pages",
  "heap",
  "code in it",
  "external",
  "sessions",
  "subscriptions",
  "routes' places",
  "messages",
  "retained",
  "timers",
  "node's timers",
  "fds",
];

export function rowOf(when: string, lives: number, cuts: number, sample: Sample): string[] {
  const { counters, subscriptions, timeouts, fds } = sample;
  const count = (name: string): number => counters[name] ?? 0;
  const numbers = [
    count("session.count"),
    subscriptions,
    count("router.cache_width"),
    count("store.log_rows"),
    count("retained.messages"),
    count("timers.armed"),
    timeouts,
    fds,
  ];
  const process = [sample.rssBytes, sample.peakBytes, sample.privateDirtyBytes, sample.heapTotal].map(mebibytes);
  const heap = [sample.heapUsed, sample.code, sample.external].map(kibibytes);
  return [when, lives, cuts, ...process, ...heap, ...numbers].map(String);
}

export function figuresOf(lives: number, begin: Sample, end: Sample): Figure[] {
  const less = (name: string, value: number): Figure => ({ name, better: "less", values: [value] });
  return [
    { name: "lives", better: "more", values: [lives] },
    less("peak RSS, bytes", end.peakBytes),
    less("RSS at the end, bytes", end.rssBytes),
    less("private dirty at the end, bytes", end.privateDirtyBytes),
    less("heap at the end, bytes", end.heapUsed),
    less("heap more than at the beginning, bytes", end.heapUsed - begin.heapUsed),
  ];
}

/** +12 KiB */
export function signed(bytes: number): string {
  return `${bytes < 0 ? "" : "+"}${kibibytes(bytes)}`;
}

function kibibytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(0)} KiB`;
}
