/** `commit_delay: auto`: how long a group may wait in the hope that nothing of it has to be written. */

/** Bounds, and the value while a durable receiver is away. */
export const COMMIT_DELAY_MS_MIN = 20;
export const COMMIT_DELAY_MS_MAX = 250;

/** An uplink, as far as this concerns it. */
export interface Remote {
  readonly online: boolean;
  /** Smoothed time from PUBLISH to its acknowledgement; 0 = not known. */
  readonly ackTimeMs: number;
}

/**
 * Twice the slowest remote's time to acknowledge, within the bounds, while every durable receiver is there to do so;
 * with one of them away the group has to be written anyway, so it is not kept waiting.
 * @param sessionsAway durable sessions whose client is away
 */
export function autoCommitDelayMs(sessionsAway: number, remotes: readonly Remote[]): number {
  if (sessionsAway > 0) return COMMIT_DELAY_MS_MIN;
  let ackTimeMs = 0;
  for (const remote of remotes) {
    if (!remote.online) return COMMIT_DELAY_MS_MIN;
    ackTimeMs = Math.max(ackTimeMs, remote.ackTimeMs);
  }
  return Math.min(Math.max(2 * ackTimeMs, COMMIT_DELAY_MS_MIN), COMMIT_DELAY_MS_MAX);
}
