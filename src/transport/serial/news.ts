/**
 * What the log says of a serial port: a line for each change of state, and the reasons why it is away once each. One that
 * hangs up as soon as it is open, as a terminal server does that is busy, would say the same every few seconds for ever:
 * after the first time its openings are news when they last.
 */
import type { Log, LogFields } from "../../base/log.ts";

/** Reasons that were told and are not told again; of more the oldest are forgotten. */
const REASONS_MAX = 8;

export class SerialNews {
  readonly #log: Log;
  readonly #name: string;
  readonly #path: string;
  /** Since the last opening that was told. */
  readonly #reasons: string[] = [];
  /** Of the present opening; null = it was told, or the port is away. */
  #untold: LogFields | null = null;
  #open = false;
  #proven = false;
  /** The last opening did not last. */
  #fleeting = false;

  constructor(log: Log, name: string, path: string) {
    this.#log = log;
    this.#name = name;
    this.#path = path;
  }

  opened(fields: LogFields): void {
    this.#open = true;
    this.#proven = false;
    this.#untold = fields;
    if (!this.#fleeting) this.#tellOpen();
  }

  /** It lasts, or was of use. */
  proven(): void {
    this.#proven = true;
    this.#fleeting = false;
    this.#tellOpen();
  }

  away(reason: string): void {
    if (this.#open) this.#fleeting = !this.#proven;
    this.#open = false;
    this.#untold = null;
    if (this.#reasons.includes(reason)) return;
    if (this.#reasons.length === REASONS_MAX) this.#reasons.shift();
    this.#reasons.push(reason);
    this.#log.warn("serial-away", { name: this.#name, path: this.#path, error: reason });
  }

  /** The other end takes nothing. */
  held(reason: string): void {
    this.#log.warn("serial-held", { name: this.#name, path: this.#path, reason });
  }

  flows(): void {
    this.#log.info("serial-flows", { name: this.#name, path: this.#path });
  }

  #tellOpen(): void {
    if (this.#untold === null) return;
    this.#log.info("serial-open", { name: this.#name, path: this.#path, ...this.#untold });
    this.#untold = null;
    this.#reasons.length = 0;
  }
}
