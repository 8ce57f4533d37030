/** Lives that follow one another: so many at once, each a throw of the dice, until the crowd is told to end. */
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { World } from "./world.ts";

/** From coming to going; what it made must be gone a few seconds after it. */
export type Live = (world: World, random: Random) => Promise<void>;

export interface Kind {
  readonly name: string;
  /** Share of all lives, relative to the others. */
  readonly weight: number;
  readonly live: Live;
}

export class Crowd {
  /** Lives that ended, by kind. */
  readonly lived = new Map<string, number>();
  readonly #world: World;
  readonly #kinds: readonly Kind[];
  readonly #random: Random;
  #ending = false;

  constructor(world: World, kinds: readonly Kind[], seed: number) {
    this.#world = world;
    this.#kinds = kinds;
    this.#random = seededRandom(seed);
  }

  get lives(): number {
    let sum = 0;
    for (const count of this.lived.values()) sum += count;
    return sum;
  }

  /** `size` lives at once for `durationMs`; resolves when the last has ended. Rejects with the first error. */
  async run(size: number, durationMs: number): Promise<void> {
    this.#ending = false;
    const timer = setTimeout(() => this.end(), durationMs);
    try {
      await Promise.all(Array.from({ length: size }, () => this.#oneAfterAnother()));
    } finally {
      clearTimeout(timer);
      this.#ending = true;
    }
  }

  /** No more lives begin. */
  end(): void {
    this.#ending = true;
  }

  async #oneAfterAnother(): Promise<void> {
    while (!this.#ending) {
      const { name, live } = this.#pick();
      await live(this.#world, seededRandom(Math.floor(this.#random() * 2 ** 31)));
      this.lived.set(name, (this.lived.get(name) ?? 0) + 1);
    }
  }

  #pick(): Kind {
    let at = this.#random() * this.#kinds.reduce((sum, { weight }) => sum + weight, 0);
    return this.#kinds.find(({ weight }) => (at -= weight) < 0) ?? this.#kinds[0]!;
  }
}
