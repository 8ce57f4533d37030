/**
 * What the log's own row carries in its `state`: the moment that ages are measured from after a restart, and how much
 * was written to the medium. It lies there because the page of that row is written by most commits anyway.
 *
 *     format 1 | flags 1 | ageMs | wallMs | sinceMs | dayMs | lifetime x 5 | day x 5      little-endian doubles
 */

/** What bytes were written for. */
export const WRITE_CLASSES = ["messages", "retained", "sessions", "checkpoint", "upkeep"] as const;
export type WriteClass = (typeof WRITE_CLASSES)[number];

const FORMAT = 1;
const WALL_TRUSTED = 1;
const DOUBLES = 4 + 2 * WRITE_CLASSES.length;
const STATE_BYTES = 2 + 8 * DOUBLES;

export class LogState {
  /** Age time, ms, when the state was last encoded. */
  ageMs = 0;
  /** Wall time, Unix ms, at `ageMs`. */
  wallMs = 0;
  /** Whether `wallMs` is known to be right. */
  wallTrusted = false;
  /** Age time of the first use: `lifetime` counts from then. */
  sinceMs = 0;
  /** Age time at which `day` began. */
  dayMs = 0;
  /** Bytes written since the first use, by class. */
  readonly lifetime = new Float64Array(WRITE_CLASSES.length);
  /** Bytes written in the present day, by class. */
  readonly day = new Float64Array(WRITE_CLASSES.length);
  readonly #bytes = Buffer.alloc(STATE_BYTES);

  /** @param bytes of the row; what an older version left empty, or a newer one wrote, stays at its defaults */
  constructor(bytes: Buffer) {
    if (bytes.length !== STATE_BYTES || bytes[0] !== FORMAT) return;
    this.wallTrusted = ((bytes[1] as number) & WALL_TRUSTED) !== 0;
    let at = 2;
    const next = (): number => {
      const value = bytes.readDoubleLE(at);
      at += 8;
      return Number.isFinite(value) ? value : 0;
    };
    this.ageMs = next();
    this.wallMs = next();
    this.sinceMs = next();
    this.dayMs = next();
    for (const values of [this.lifetime, this.day]) for (let i = 0; i < values.length; i++) values[i] = next();
  }

  /** @returns bytes that the next call overwrites */
  encode(): Buffer {
    const bytes = this.#bytes;
    bytes[0] = FORMAT;
    bytes[1] = this.wallTrusted ? WALL_TRUSTED : 0;
    let at = bytes.writeDoubleLE(this.ageMs, 2);
    at = bytes.writeDoubleLE(this.wallMs, at);
    at = bytes.writeDoubleLE(this.sinceMs, at);
    at = bytes.writeDoubleLE(this.dayMs, at);
    for (const values of [this.lifetime, this.day]) {
      for (let i = 0; i < values.length; i++) at = bytes.writeDoubleLE(values[i] as number, at);
    }
    return bytes;
  }
}
