/** Why messages are lost. Stable strings: they appear in status, log, counters and on disk. */
export const DROP_CAUSES = [
  "queue-full",
  "expired",
  "too-old",
  "superseded",
  "too-large",
  "disk-full",
  "output-full",
  "session-ended",
  "offline",
  "refused",
  "invalid",
  "encoding",
  "removed",
  "pace",
] as const;
export type DropCause = (typeof DROP_CAUSES)[number];

/** @returns -1 for what another version of the gateway may have written */
export function causeIndex(cause: string): number {
  return (DROP_CAUSES as readonly string[]).indexOf(cause);
}
