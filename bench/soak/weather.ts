/** Cuts the way to the cloud now and then: for a moment, for seconds, and sometimes it holds for more than a minute. */
import type { Random } from "../../src/base/random.ts";
import type { Relay } from "./relay.ts";
import { oneOf } from "./world.ts";

const FINE_MS = [4_000, 10_000, 20_000, 70_000];
const BAD_MS = [0, 300, 2_000];

export class Weather {
  readonly #relay: Relay;
  readonly #random: Random;
  #timer: NodeJS.Timeout | null = null;

  constructor(relay: Relay, random: Random) {
    this.#relay = relay;
    this.#random = random;
  }

  begin(): void {
    this.#timer = setTimeout(() => this.#cut(), oneOf(this.#random, FINE_MS));
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#relay.open();
  }

  #cut(): void {
    this.#relay.cut();
    this.#timer = setTimeout(
      () => {
        this.#relay.open();
        this.begin();
      },
      oneOf(this.#random, BAD_MS),
    );
  }
}
