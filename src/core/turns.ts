/**
 * Delivery queues that have more to do than one turn of the event loop should take: each gets one slice per turn, in
 * the order in which they asked, so that a receiver with a long backlog does not hold up the others.
 */
import type { DeliveryQueue } from "./delivery-queue.ts";

export class Turns {
  #asked: DeliveryQueue[] = [];
  #spare: DeliveryQueue[] = [];
  #armed = false;

  readonly schedule = (queue: DeliveryQueue): void => {
    this.#asked.push(queue);
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(this.#run);
  };

  readonly #run = (): void => {
    const due = this.#asked;
    this.#asked = this.#spare;
    this.#armed = false;
    for (const queue of due) queue.runScheduled();
    due.length = 0;
    this.#spare = due;
  };
}
