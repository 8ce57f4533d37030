/** Time as the rest of the house sees it: monotonic for durations, wall for what leaves the process or the disk. */
export interface Clock {
  /** Monotonic ms since some start; never goes back. */
  nowMs(): number;
  /** Unix time in ms; may jump either way. */
  wallMs(): number;
}

export class SystemClock implements Clock {
  nowMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }
}

/** Time that stands still until a test moves it. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #wallMs: number;

  constructor(wallMs = 1_700_000_000_000) {
    this.#wallMs = wallMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  /** Both times go on by `ms`, at least 0. */
  advance(ms: number): void {
    this.#nowMs += ms;
    this.#wallMs += ms;
  }

  /** The wall clock is set, as by NTP; monotonic time does not notice. */
  setWall(ms: number): void {
    this.#wallMs = ms;
  }
}
