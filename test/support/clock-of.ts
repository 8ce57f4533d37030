import type { Clock } from "../../src/base/clock.ts";

/** A clock all of whose times are what `now` says. */
export function clockOf(now: () => number): Clock {
  return { nowMs: now, wallMs: now, ageMs: now, elapsedMs: (stampMs) => Math.max(0, now() - stampMs) };
}
