/** What may wait for one receiver: how many, how much, how old, and what happens when it is full. */
import type { DropCause } from "./ledger.ts";
import type { Message } from "./message.ts";
import type { TimeSource } from "./ports.ts";

/** Words of the configuration. */
export type WhenFull = "drop-oldest" | "drop-newest" | "refuse" | "latest-per-topic";

export interface QueueLimits {
  readonly messages: number;
  readonly bytes: number;
  /** In force while the peer is connected (a session's queue limits are for what waits offline). */
  readonly onlineMessages: number;
  readonly onlineBytes: number;
  /** Older messages are dropped when their turn comes; Infinity = none is too old. */
  readonly maxAgeMs: number;
  readonly whenFull: WhenFull;
  /** Bytes that wait in memory before the log takes over. */
  readonly windowBytes: number;
  /** What goes beyond the window does not stay in memory: it is read when it can be sent. Absent: one message does. */
  readonly spills?: boolean;
  /** Messages read from the log may keep each other's memory: half of `windowBytes` is read at a time then. */
  readonly sharesMemory?: boolean;
}

/** Bytes of backlog read in one slice, at most. */
const READ_SLICE_BYTES = 64 * 1024;

/** Bytes of backlog (Message.size) that a queue reads in one slice. */
export function sliceBytes({ windowBytes, sharesMemory }: QueueLimits): number {
  return Math.min(READ_SLICE_BYTES, windowBytes) / (sharesMemory === true ? 2 : 1);
}

/** Share of a limit that drop-oldest frees at once, so that a full queue does not read the log for every message. */
const DROP_SHARE = 64;

/** Whether `count` messages of `bytes` together are within the limits. */
export function fits(limits: QueueLimits, online: boolean, count: number, bytes: number): boolean {
  return online
    ? count <= limits.onlineMessages && bytes <= limits.onlineBytes
    : count <= limits.messages && bytes <= limits.bytes;
}

/** Answers of `admission`. */
export const TAKES = 0;
export const DROPS = 1;
export const REFUSES = 2;

/** Whether one more message of `size` is taken, dropped, or refused to its publisher. */
export function admission(limits: QueueLimits, online: boolean, count: number, bytes: number, size: number): number {
  const { whenFull } = limits;
  if (whenFull === "drop-oldest" || whenFull === "latest-per-topic") return TAKES;
  if (fits(limits, online, count + 1, bytes + size)) return TAKES;
  return whenFull === "refuse" ? REFUSES : DROPS;
}

/** Whether there is something to be dropped for room. */
export function makesRoom(limits: QueueLimits): boolean {
  return limits.whenFull === "drop-oldest" || limits.whenFull === "latest-per-topic";
}

/** Whether drop-oldest has to go on. */
export function isAboveDropGoal(limits: QueueLimits, online: boolean, count: number, bytes: number): boolean {
  const messageShare = Math.floor((online ? limits.onlineMessages : limits.messages) / DROP_SHARE);
  const byteShare = Math.floor((online ? limits.onlineBytes : limits.bytes) / DROP_SHARE);
  return !fits(limits, online, count + messageShare, bytes + byteShare);
}

/** Why the message is not worth sending any more; null = it is. */
export function staleCause(limits: QueueLimits, message: Message, time: TimeSource): DropCause | null {
  if (message.expiresMs === 0 && limits.maxAgeMs === Number.POSITIVE_INFINITY) return null;
  const ageMs = time.elapsedMs(message.acceptedMs);
  // An interval of 0 lets it go to who is there: some time must have passed.
  if (message.expiresMs !== 0 && ageMs >= Math.max(1, message.expiresMs - message.acceptedMs)) return "expired";
  return ageMs > limits.maxAgeMs ? "too-old" : null;
}
