/** What sessions, their wills and their subscriptions may take of the memory. */
import { Allowance } from "../base/allowance.ts";
import type { Line } from "../config/budget.ts";
import { PLACE_IN_RING_BYTES } from "./inflight.ts";
import { isShared, MEMBER_BYTES } from "./shared-groups.ts";
import { levelCount } from "./topic.ts";

/** Measured bytes of a session that outlives its connection, without subscriptions: 2,240, the store's place in the log and maps 490. */
const STAYING_BYTES = 2752;
/** Of one that ends with it: 1,180, 32 QoS 2 ids 340, its window 430 before it takes of the memory of rings. */
const PASSING_BYTES = 2048;
/** Measured bytes of a subscription without its filter. */
const SUBSCRIPTION_BYTES = 160;
const CLIENT_ID_INCLUDED = 64;
/** Measured bytes of a level of its own in the topic tree; the first few are mostly shared with other filters. */
const LEVEL_BYTES = 240;
const LEVELS_INCLUDED = 4;
/** Shares of `memory_limit`: all sessions with their wills, all subscriptions. Who goes beyond is refused (0x97). */
const SESSIONS_SHARE = 7;
/** Of the sessions' share: wills and QoS 2 ids together, so that a few clients with many cannot shut out newcomers. */
const EXTRAS_SHARE = 2;
const SUBSCRIPTIONS_SHARE = 48;
/** Of packet ids in flight to sessions, shared groups and uplinks, beyond what each may have. Who finds no room has a shorter window. */
const RINGS_SHARE = 96;

/** The accounts of all sessions, of their wills and QoS 2 ids among them, and of all subscriptions. */
export function allowancesOf(
  memoryLimitBytes: number,
): Record<"sessions" | "extras" | "subscriptions" | "rings", Allowance> {
  const sessions = new Allowance(Math.floor(memoryLimitBytes / SESSIONS_SHARE));
  const extras = new Allowance(Math.floor(sessions.bytesMax / EXTRAS_SHARE), sessions);
  const shareOf = (share: number): Allowance => new Allowance(Math.floor(memoryLimitBytes / share));
  return { sessions, extras, subscriptions: shareOf(SUBSCRIPTIONS_SHARE), rings: shareOf(RINGS_SHARE) };
}

/**
 * A long client id stands in the session and in the label of its queue.
 * @param stays it outlives its connection
 */
export function bytesOfSession(clientId: string, stays: boolean): number {
  return (stays ? STAYING_BYTES : PASSING_BYTES) + 2 * Math.max(0, clientId.length - CLIENT_ID_INCLUDED);
}

export function bytesOfSubscription(filter: string): number {
  const shared = isShared(filter) ? MEMBER_BYTES : 0;
  return SUBSCRIPTION_BYTES + shared + filter.length + LEVEL_BYTES * Math.max(0, levelCount(filter) - LEVELS_INCLUDED);
}

/** Worst case of all sessions and subscriptions. */
export function budget(limits: { readonly maxSessions: number }, memoryLimitBytes: number): Line[] {
  const bytes = Math.floor(memoryLimitBytes / SESSIONS_SHARE);
  const sessions = Math.min(limits.maxSessions, Math.floor(bytes / PASSING_BYTES));
  return [
    {
      owner: "sessions",
      bytes,
      how: `1/${SESSIONS_SHARE} of memory_limit: up to ${sessions} sessions x ${PASSING_BYTES} B, ${STAYING_BYTES} B for those that outlive their connection; in half of it wills and QoS 2 ids`,
    },
    {
      owner: "subscriptions",
      bytes: Math.floor(memoryLimitBytes / SUBSCRIPTIONS_SHARE),
      how: `1/${SUBSCRIPTIONS_SHARE} of memory_limit for all clients together, and their shared groups`,
    },
    {
      owner: "packet ids in flight",
      bytes: Math.floor(memoryLimitBytes / RINGS_SHARE),
      how: `1/${RINGS_SHARE} of memory_limit for sessions, shared groups and uplinks, ${PLACE_IN_RING_BYTES} B each beyond the first eight`,
    },
  ];
}
