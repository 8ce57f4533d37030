import { openSync, readSync } from "node:fs";

/** Reads what the cloud noted since the last time: lines of source and sequence number. */
export class Journal {
  readonly #file: number;
  readonly #buffer = Buffer.alloc(1 << 16);
  #rest = "";

  constructor(path: string) {
    this.#file = openSync(path, "a+");
  }

  read(note: (source: string, sequence: number) => void): void {
    for (;;) {
      const length = readSync(this.#file, this.#buffer);
      if (length === 0) return;
      const lines = (this.#rest + this.#buffer.toString("utf8", 0, length)).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) {
        const [source = "", sequence = ""] = line.split(" ");
        note(source, Number(sequence));
      }
    }
  }
}
