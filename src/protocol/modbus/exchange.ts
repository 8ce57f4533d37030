/** A request with its answer, one after another. A bus has one; a connection with the MBAP header may have several at a time. */
import { Request } from "../../wire/modbus/request.ts";
import type { Job } from "./job.ts";

/** Nothing to do. */
export const FREE = 0;
/** To be sent, anew or again. */
export const READY = 1;
/** Sent, or with the port. */
export const SENT = 2;

export class Exchange {
  readonly request = new Request();
  state: typeof FREE | typeof READY | typeof SENT = FREE;
  job: Job | null = null;
  /** Times that this request was sent. */
  tries = 0;
  /** An answer has to begin before. Infinity while the port has the request. */
  deadlineMs = Number.POSITIVE_INFINITY;

  begin(job: Job): void {
    this.state = READY;
    this.job = job;
    this.tries = 0;
  }

  free(): void {
    this.state = FREE;
    this.job = null;
  }
}
