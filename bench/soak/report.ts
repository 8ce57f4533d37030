/** A line for each time the gateway was looked at. */
import { mebibytes } from "../table.ts";
import type { Sample } from "./gateway.ts";

export const HEAD = [
  "",
  "lives",
  "cuts",
  "RSS",
  "heap",
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
  const { rssBytes, heapUsed, external, counters, subscriptions, timeouts, fds } = sample;
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
  return [when, lives, cuts, mebibytes(rssBytes), kibibytes(heapUsed), kibibytes(external), ...numbers].map(String);
}

function kibibytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(0)} KiB`;
}
