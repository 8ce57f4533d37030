/**
 * Keeps a restart right about packet ids when messages are dropped that were never in flight.
 *
 * A receiver with `latest-per-topic` says in its record that its peer is away: a restart knows then which messages were
 * never in flight and may be dropped from the middle of its backlog. When the peer is back, or when it is there and
 * drops are not stored yet, nothing of QoS 2 leaves before the record is: a crash could undo the drop, and what had left
 * would come again under another packet id. What was just superseded holds up QoS 1 as well: after a crash an old value
 * would follow a newer one.
 */
import type { LogPlace } from "./log-place.ts";
import type { Store, StoredReceiver, StoreWaiter } from "./ports.ts";

export class AwayMark implements StoreWaiter {
  readonly #store: Store;
  readonly #receiver: StoredReceiver;
  readonly #place: LogPlace;
  readonly #marks: boolean;
  readonly #onStored: () => void;
  /** Counts comings and goings, so that an answer that comes late is not taken for another's. */
  #epoch = 0;
  /** QoS 2 waits for the record. */
  holds = false;
  /** QoS 1 as well. */
  holdsAll = false;

  /**
   * Away, as every receiver is at first.
   * @param marks whether the record says so
   */
  constructor(store: Store, receiver: StoredReceiver, place: LogPlace, marks: boolean, onStored: () => void) {
    this.#store = store;
    this.#receiver = receiver;
    this.#place = place;
    this.#marks = marks;
    this.#onStored = onStored;
    place.away = marks;
  }

  set(): void {
    this.#place.away = this.#marks;
    this.#epoch++;
    this.#release();
    if (this.#marks) this.#store.touch(this.#receiver);
  }

  erase(): void {
    const { away, unsavedDrops } = this.#place;
    this.#place.away = false;
    if (unsavedDrops && this.#marks) this.holdAll();
    else if (away || unsavedDrops) this.hold();
  }

  holdAll(): void {
    if (this.holdsAll) return;
    this.holdsAll = true;
    this.hold();
  }

  #release(): void {
    this.holds = false;
    this.holdsAll = false;
  }

  hold(): void {
    this.holds = true;
    this.#store.touch(this.#receiver);
    this.#store.barrier(this, ++this.#epoch);
  }

  onStored(epoch: number, reason: number): void {
    if (epoch !== this.#epoch || reason !== 0) return;
    this.#place.unsavedDrops = false;
    this.#release();
    this.#onStored();
  }
}
