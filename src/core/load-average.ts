/**
 * How fast a counter grows: per minute, as moving averages over 1, 5 and 15 minutes that forget exponentially, as the
 * load of a Unix machine and Mosquitto's `$SYS/broker/load` do. After `t` seconds at a rate of `r` an average over `T`
 * seconds has become
 *
 *     average' = r + (average - r) * exp(-t / T)
 */

/** Names of the averages, and the seconds they span. */
export const LOAD_SPANS: readonly (readonly [name: string, seconds: number])[] = [
  ["1min", 60],
  ["5min", 300],
  ["15min", 900],
];

const MS_PER_MINUTE = 60_000;

export class LoadAverage {
  /** Per minute, in the order of LOAD_SPANS. */
  readonly perMinute: number[] = LOAD_SPANS.map(() => 0);
  readonly #read: () => number;
  #seen: number;

  /** @param read the counter; what it has counted so far does not count here */
  constructor(read: () => number) {
    this.#read = read;
    this.#seen = read();
  }

  /** @param elapsedMs since the last call, more than 0 */
  sample(elapsedMs: number): void {
    const value = this.#read();
    const rate = ((value - this.#seen) * MS_PER_MINUTE) / elapsedMs;
    this.#seen = value;
    for (const [i, [, seconds]] of LOAD_SPANS.entries()) {
      const forgotten = Math.exp(-elapsedMs / 1000 / seconds);
      this.perMinute[i] = rate + ((this.perMinute[i] as number) - rate) * forgotten;
    }
  }
}
