/**
 * What the process counts. Rooms ask for their counters once, by dotted name ("mqtt.publish.received"), keep the object
 * and raise `value`; status, $SYS and metrics only read. Names come from the program, never from peers, so the map is
 * bounded by the source.
 */
export class Counter {
  value = 0;
}

/** Names that begin with `under`, and with none of `except`. */
export interface NamesUnder {
  readonly under: string;
  readonly except: readonly string[];
}

export function isUnder(name: string, { under, except }: NamesUnder): boolean {
  return name.startsWith(under) && !except.some((other) => name.startsWith(other));
}

export class Counters {
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, () => number>();

  /** The same object for the same name. */
  counter(name: string): Counter {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new Counter();
      this.#counters.set(name, counter);
    }
    return counter;
  }

  /** A value that is read when somebody looks. A later gauge of the same name replaces the earlier. */
  gauge(name: string, read: () => number): void {
    this.#gauges.set(name, read);
  }

  /** Who counted is no more: what a reload removes. Who holds one of the counters counts for nobody. */
  remove(names: NamesUnder): void {
    for (const name of this.#counters.keys()) if (isUnder(name, names)) this.#counters.delete(name);
    this.removeGauges(names);
  }

  /** Who is read is no more, and another one goes on with the counters. */
  removeGauges(names: NamesUnder): void {
    for (const name of this.#gauges.keys()) if (isUnder(name, names)) this.#gauges.delete(name);
  }

  has(name: string): boolean {
    return this.#counters.has(name) || this.#gauges.has(name);
  }

  /** In the order of `entries`. */
  *names(): Iterable<string> {
    yield* this.#counters.keys();
    yield* this.#gauges.keys();
  }

  /** Counters, then gauges, each in order of first use. */
  *entries(): Iterable<[string, number]> {
    for (const [name, counter] of this.#counters) yield [name, counter.value];
    for (const [name, read] of this.#gauges) yield [name, read()];
  }

  /** 0 for a name nobody counts. */
  get(name: string): number {
    return this.#counters.get(name)?.value ?? this.#gauges.get(name)?.() ?? 0;
  }
}
