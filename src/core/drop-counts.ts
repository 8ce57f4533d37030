/** Drops by receiver and cause, since the first use of the data directory: of the receivers that dropped last, and of all others together. */
import { causeIndex, DROP_CAUSES, type DropCause } from "./drop-causes.ts";

/** Receivers whose drops are counted one by one; of the others, those that dropped longest ago, there is a sum. */
export const DROP_RECEIVERS_MAX = 256;
/** Name of that sum. No receiver has it: theirs are "session:meter-7", "uplink:cloud". */
export const OTHERS = "others";

/** One row as the store keeps it. */
export interface DropCount {
  readonly receiver: string;
  readonly cause: string;
  readonly count: number;
}

/** For status. */
export interface ReceiverDrops {
  readonly receiver: string;
  readonly causes: Readonly<Partial<Record<DropCause, number>>>;
}

export class DropCounts {
  /** By receiver, who dropped last at the end; counts in the order of DROP_CAUSES. */
  readonly #receivers = new Map<string, Float64Array>();
  readonly #others = new Float64Array(DROP_CAUSES.length);
  #lastReceiver = "";
  #lastCounts: Float64Array | null = null;
  /** What the store does not have yet. */
  readonly #changed = new Set<string>();
  /** Of the receivers here, those that the store has heard of. */
  readonly #stored = new Set<string>();
  /** Once stored, and not here any more: as many as were stored at the last `takeChanges`, at most. */
  readonly #forgotten = new Set<string>();

  count(receiver: string, cause: number, count: number): void {
    if (this.#lastCounts === null || receiver !== this.#lastReceiver) this.#touch(receiver);
    const counts = this.#lastCounts as Float64Array;
    counts[cause] = (counts[cause] as number) + count;
    this.#changed.add(receiver);
  }

  #touch(receiver: string): void {
    const counts = this.#receivers.get(receiver) ?? new Float64Array(DROP_CAUSES.length);
    this.#receivers.delete(receiver);
    this.#receivers.set(receiver, counts);
    if (this.#forgotten.delete(receiver)) this.#stored.add(receiver);
    this.#lastReceiver = receiver;
    this.#lastCounts = counts;
    if (this.#receivers.size > DROP_RECEIVERS_MAX) this.#forget();
  }

  #forget(): void {
    const [oldest, counts] = this.#receivers.entries().next().value as [string, Float64Array];
    this.#receivers.delete(oldest);
    this.#changed.delete(oldest);
    if (this.#stored.delete(oldest)) this.#forgotten.add(oldest);
    this.#changed.add(OTHERS);
    for (let i = 0; i < counts.length; i++) (this.#others[i] as number) += counts[i] as number;
  }

  get receivers(): number {
    return this.#receivers.size;
  }

  /** Who dropped last first, the sum of the others at the end. */
  all(): ReceiverDrops[] {
    const all = [...this.#receivers].reverse().map(([receiver, counts]) => ({ receiver, causes: causesOf(counts) }));
    const others = causesOf(this.#others);
    return Object.keys(others).length === 0 ? all : [...all, { receiver: OTHERS, causes: others }];
  }

  /** What the store had; to be called before anything is counted. */
  restore(rows: readonly DropCount[]): void {
    for (const { receiver, cause, count } of rows) {
      const index = causeIndex(cause);
      if (index < 0) continue;
      if (receiver !== OTHERS) this.count(receiver, index, count);
      else this.#others[index] = count;
    }
    this.#changed.clear();
    for (const receiver of this.#receivers.keys()) this.#stored.add(receiver);
  }

  /** What has changed since the last call. */
  takeChanges(): { counts: DropCount[]; forgotten: string[] } {
    const counts: DropCount[] = [];
    for (const receiver of this.#changed) {
      const values = receiver === OTHERS ? this.#others : (this.#receivers.get(receiver) as Float64Array);
      for (const [index, count] of values.entries()) {
        if (count > 0) counts.push({ receiver, cause: DROP_CAUSES[index] as DropCause, count });
      }
    }
    for (const receiver of this.#changed) if (receiver !== OTHERS) this.#stored.add(receiver);
    const forgotten = [...this.#forgotten];
    this.#changed.clear();
    this.#forgotten.clear();
    return { counts, forgotten };
  }
}

function causesOf(counts: Float64Array): Partial<Record<DropCause, number>> {
  const causes: Partial<Record<DropCause, number>> = {};
  for (const [index, count] of counts.entries()) if (count > 0) causes[DROP_CAUSES[index] as DropCause] = count;
  return causes;
}
