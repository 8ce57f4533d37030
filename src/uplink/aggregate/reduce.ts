/**
 * `reduce`: many readings of a topic become one line of figures per window of time.
 *
 * Windows begin at multiples of their length by the wall clock, so that those of 60 s begin with the minute; on a board
 * whose clock is not set, with the first reading after the last window. A reading belongs to the window in which it was
 * accepted: it begins at its `from` and ends before its `to`.
 *
 * Sums are compensated (Neumaier), so that a million readings add up as exactly as ten; a mean is rounded to 12
 * significant digits, as what comes after them are artefacts that cost bytes on the link.
 */
import type { Emit } from "../../config/uplink-aggregate.ts";
import type { Fields } from "./reading.ts";

/** Estimated bytes of one field's figures. */
export const FIGURES_BYTES = 112;
const MEAN_DIGITS = 12;

export class Figures {
  count = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;
  last = 0;
  #sum = 0;
  #compensation = 0;

  add(value: number): void {
    const sum = this.#sum + value;
    this.#compensation += Math.abs(this.#sum) >= Math.abs(value) ? this.#sum - sum + value : value - sum + this.#sum;
    this.#sum = sum;
    this.count++;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
    this.last = value;
  }

  get mean(): number {
    return Number(((this.#sum + this.#compensation) / this.count).toPrecision(MEAN_DIGITS));
  }
}

/** Figures by field, "" = of the payload itself. Only numbers count. */
export class Reduction {
  readonly #fields = new Map<string, Figures>();

  add(fields: Fields): void {
    for (const [name, value] of fields) {
      if (typeof value !== "number") continue;
      let figures = this.#fields.get(name);
      if (figures === undefined) {
        figures = new Figures();
        this.#fields.set(name, figures);
      }
      figures.add(value);
    }
  }

  /** Fields with figures. */
  get size(): number {
    return this.#fields.size;
  }

  /** How many of these fields it has no figures of yet. */
  lacks(fields: Fields): number {
    let count = 0;
    for (const [name, value] of fields) if (typeof value === "number" && !this.#fields.has(name)) count++;
    return count;
  }

  /**
   * The payload of a window: `{"from":…,"to":…,"mean":…}` where payloads are numbers, and with `"fields":{"temp":
   * {"mean":…},…}` where they are objects, so that no field can be taken for something else.
   * @param fromSeconds as in SenML: since 1970, or below 2^28 relative to the moment it was made
   */
  toJson(emit: readonly Emit[], fromSeconds: number, toSeconds: number): string {
    const parts = [`"from":${fromSeconds}`, `"to":${toSeconds}`];
    const bare = this.#fields.get("");
    if (bare !== undefined) parts.push(figuresText(bare, emit));
    const named = [...this.#fields].filter(([name]) => name !== "");
    const texts = named.map(([name, figures]) => `${JSON.stringify(name)}:{${figuresText(figures, emit)}}`);
    if (texts.length > 0) parts.push(`"fields":{${texts.join(",")}}`);
    return `{${parts.join(",")}}`;
  }

  /** As fields of a SenML pack: "temp:mean", and ":mean" where payloads are numbers. */
  toFields(emit: readonly Emit[]): Fields {
    const out: Fields = new Map();
    for (const [name, figures] of this.#fields) for (const word of emit) out.set(`${name}:${word}`, figures[word]);
    return out;
  }
}

function figuresText(figures: Figures, emit: readonly Emit[]): string {
  return emit.map((word) => `"${word}":${JSON.stringify(figures[word])}`).join(",");
}
