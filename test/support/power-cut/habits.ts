/** The clients of a recorded gateway. */

export const PUBLISHERS: readonly string[] = ["p0", "p1", "p2"];

/** Whose messages a rule gathers on their way to a cloud. */
export const GATHERED = "p0";

/** One who publishes to topics with `sync: off`: what it was told there a power cut may take back, and nothing else. */
export const HASTY = "p2";
export const HASTY_TOPICS: readonly string[] = ["0", "1", "2", "r0", "r1", "r2", "r3"].map((at) => `m/${HASTY}/h${at}`);

/** Pace: acknowledgements per turn; share of the turns in which it leaves and returns; QoS of its subscriptions. */
export const RECEIVERS = [
  { name: "prompt", pace: 50, leaves: 0.004, returns: 0.2, qos: 2 },
  { name: "slow", pace: 3, leaves: 0.01, returns: 0.1, qos: 2 },
  { name: "away", pace: 50, leaves: 0.2, returns: 0.05, qos: 1 },
  { name: "fickle", pace: 5, leaves: 0.02, returns: 0.05, qos: 2 },
] as const;
