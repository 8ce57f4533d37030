/** Why sniffing ends: Ctrl-C, the end of the time given, or enough frames. */
export class Ending {
  over = false;
  timeIsUp = false;
  onEnd: () => void = () => {};
  readonly #timer: NodeJS.Timeout | null;
  readonly end = (): void => {
    this.over = true;
    this.onEnd();
  };

  constructor(seconds: number | null) {
    process.once("SIGINT", this.end).once("SIGTERM", this.end);
    const onTime = (): void => {
      this.timeIsUp = true;
      this.end();
    };
    this.#timer = seconds === null ? null : setTimeout(onTime, seconds * 1000);
  }

  /** As long, or until the end. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.onEnd = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.over) this.onEnd();
    });
  }

  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    process.off("SIGINT", this.end).off("SIGTERM", this.end);
  }
}
