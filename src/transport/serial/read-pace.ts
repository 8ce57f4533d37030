/**
 * When a device is read again. A UART without a FIFO, or a USB device that sends each character by itself, wakes the gateway
 * for each byte: eight such lines at 115,200 baud took 34 % of a core, most of it for waking up. Who has been read so often
 * within a millisecond is read by a timer, until it has nothing:
 *
 *     POLLED --- one more than READS_PER_MS in a ms, each of few bytes ---> TIMED, once a ms --- nothing, or much ---> POLLED
 */

/** At 115,200 baud a FIFO of 14 bytes, or of 8, does not come to more. */
const READS_PER_MS = 3;
/** What comes in larger pieces needs no gathering. */
const FEW_BYTES = 256;

export class ReadPace {
  #sinceMs = 0;
  #reads = 0;
  #timed = false;

  get timed(): boolean {
    return this.#timed;
  }

  /** `bytes` were read at `nowMs`. @returns whether the next read is the timer's */
  onRead(bytes: number, nowMs: number): boolean {
    if (bytes === 0 || bytes >= FEW_BYTES) this.#timed = false;
    else if (!this.#timed) this.#timed = this.#isHasty(nowMs);
    return this.#timed;
  }

  #isHasty(nowMs: number): boolean {
    if (nowMs - this.#sinceMs >= 1) {
      this.#sinceMs = nowMs;
      this.#reads = 0;
    }
    return ++this.#reads > READS_PER_MS;
  }
}
