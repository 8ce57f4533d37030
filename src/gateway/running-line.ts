/** A serial line as the gateway runs it, whatever is spoken on it. */
export interface RunningLine {
  /** Takes part in routing, and opens the port for ever. To be called in the turn it was made in. */
  start(): void;
  /** Says goodbye where the protocol has one. Resolves when the port is closed. */
  stop(): Promise<void>;
  /**
   * After `stop`, for good: router and timers know it no more. Its receiver stays in the store, for a line of the same name
   * that is made in the same turn, or to be deleted.
   */
  leave(): void;
  /** What its protocol adds to the port's status. Absent: nothing. */
  status?(): object;
}
