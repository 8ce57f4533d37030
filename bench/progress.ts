/** What goes on, on standard error: one line that is written over on a terminal, a line each elsewhere. */
export class Progress {
  readonly #terminal = process.stderr.isTTY === true;

  show(text: string): void {
    process.stderr.write(this.#terminal ? `\r\x1b[K${text}` : `${text}\n`);
  }

  /** A line that stays. */
  note(text: string): void {
    this.clear();
    process.stderr.write(`${text}\n`);
  }

  clear(): void {
    if (this.#terminal) process.stderr.write("\r\x1b[K");
  }
}
