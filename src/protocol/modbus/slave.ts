/**
 * One slave: whether it answers, and when it is asked again if not. Who is silent is asked once at the end of each backoff,
 * so the others lose one timeout in as long.
 */
import { Backoff, type BackoffOptions } from "../../base/backoff.ts";
import type { Log } from "../../base/log.ts";
import type { Random } from "../../base/random.ts";
import type { ModbusSlave } from "../../config/serial-modbus.ts";
import { Rate } from "./rate.ts";

const NEVER_ANSWERED = "it has not answered yet: are unit, transport, baud, parity and wiring right?";

export type SlaveState = "unknown" | "answers" | "silent";

export class Slave {
  readonly name: string;
  readonly unit: number;
  /** For an answer to begin, after the request was sent. */
  readonly timeoutMs: number;
  /** Times it is asked again while it is not known to be silent. */
  readonly retries: number;
  readonly polls: Rate;
  state: SlaveState = "unknown";
  /** Hears when it begins to answer, and when it stops to. */
  onChange: ((online: boolean) => void) | null = null;
  /** Silent, and not asked before. */
  blockedUntilMs = 0;
  /** Not asked before, as an answer to an earlier request may still come. */
  heldUntilMs = 0;
  timeouts = 0;
  exceptions = 0;
  /** Polls that the bus had no time for. */
  pollsMissed = 0;
  #everAnswered = false;
  /** In words. */
  lastError: string | null = null;
  /** Requests a second that its poll groups ask for. */
  wantedPerSecond = 0;
  readonly #backoff: Backoff;
  readonly #log: Log;
  readonly #line: string;

  constructor(
    line: string,
    { name, unit, timeoutMs, retries }: Pick<ModbusSlave, "name" | "unit" | "timeoutMs" | "retries">,
    backoff: BackoffOptions,
    { random, log }: { readonly random: Random; readonly log: Log },
    nowMs: number,
  ) {
    this.#line = line;
    this.name = name;
    this.unit = unit;
    this.timeoutMs = timeoutMs;
    this.retries = retries;
    this.polls = new Rate(nowMs);
    this.#backoff = new Backoff(backoff, random);
    this.#log = log;
  }

  /** It answered, if only by an exception. */
  onAnswer(): void {
    this.blockedUntilMs = 0;
    if (this.state === "answers") return;
    this.#everAnswered = true;
    if (this.state === "silent") {
      this.#log.info("modbus-slave-back", { name: this.#line, slave: this.name, unit: this.unit });
    }
    this.state = "answers";
    this.#backoff.reset();
    this.onChange?.(true);
  }

  /** The port went away: nobody knows. */
  onAway(): void {
    if (this.state !== "answers") return;
    this.state = "unknown";
    this.onChange?.(false);
  }

  /** It did not answer, or cannot be reached: it is left alone for a while. */
  onSilence(nowMs: number, cause: string): void {
    this.blockedUntilMs = nowMs + this.#backoff.next();
    this.lastError = cause;
    if (this.state === "silent") return;
    if (this.state === "answers") this.onChange?.(false);
    this.state = "silent";
    this.#log.warn("modbus-slave-away", {
      name: this.#line,
      slave: this.name,
      unit: this.unit,
      cause,
      ...(this.#everAnswered ? {} : { advice: NEVER_ANSWERED }),
    });
  }
}
