// What one receiver got: how often each message came, and whether first arrivals kept their order per topic. A message
// is known by its topic and the number at the end of its payload ("pump 17").

export interface Known {
  readonly topic: string;
  readonly payload: string;
}

export class Journal {
  readonly receiver: string;
  /** First arrivals that came behind a later message of their topic. */
  readonly disorder: string[] = [];
  readonly #topics = new Map<string, { highest: number; arrivals: Map<number, number> }>();

  constructor(receiver: string) {
    this.receiver = receiver;
  }

  arrive({ topic, payload }: Known): void {
    let entry = this.#topics.get(topic);
    if (entry === undefined) {
      entry = { highest: -1, arrivals: new Map() };
      this.#topics.set(topic, entry);
    }
    const number = numberOf(payload);
    const times = entry.arrivals.get(number) ?? 0;
    entry.arrivals.set(number, times + 1);
    if (times === 0 && number < entry.highest) this.disorder.push(`${topic}: ${number} after ${entry.highest}`);
    entry.highest = Math.max(entry.highest, number);
  }

  /** Different messages that came. */
  get count(): number {
    let count = 0;
    for (const { arrivals } of this.#topics.values()) count += arrivals.size;
    return count;
  }

  /** How often it came. */
  times({ topic, payload }: Known): number {
    return this.#topics.get(topic)?.arrivals.get(numberOf(payload)) ?? 0;
  }

  /** Those of `messages` that never came. */
  missing(messages: readonly Known[], topicAt: (topic: string) => string = (topic) => topic): string[] {
    return messages
      .filter(({ topic, payload }) => this.times({ topic: topicAt(topic), payload }) === 0)
      .map(({ topic, payload }) => `${this.receiver} lacks ${topic} ${payload}`);
  }

  /** Messages that came more than once, of topics that `isOnce` says should not. */
  repeated(isOnce: (topic: string) => boolean): string[] {
    const repeated: string[] = [];
    for (const [topic, { arrivals }] of this.#topics) {
      if (!isOnce(topic)) continue;
      for (const [number, times] of arrivals) {
        if (times > 1) repeated.push(`${this.receiver} got ${topic} ${number} ${times} times`);
      }
    }
    return repeated;
  }
}

export function numberOf(payload: string): number {
  return Number(payload.slice(payload.lastIndexOf(" ") + 1));
}
