/**
 * What this thread has handed to the kernel, as Linux counts it. It tells how many pages SQLite copied at a checkpoint,
 * which SQLite does not say: a thousand frames of the log may be forty pages or a thousand.
 */
import fs from "node:fs";

const FILE = "/proc/thread-self/io";
const TEXT_BYTES_MAX = 512;

export class ThreadWrites {
  /** -1 = this system does not count. */
  readonly #fd: number;
  readonly #text = Buffer.alloc(TEXT_BYTES_MAX);

  constructor() {
    this.#fd = openOrNot();
  }

  /** Bytes until now; null = this system does not count. */
  total(): number | null {
    if (this.#fd < 0) return null;
    const length = fs.readSync(this.#fd, this.#text, 0, TEXT_BYTES_MAX, 0);
    const match = /^wchar: (\d+)$/m.exec(this.#text.toString("latin1", 0, length));
    return match === null ? null : Number(match[1]);
  }

  /** Bytes since `total` said `before`, or `estimate` where nobody counts. */
  since(before: number | null, estimate: number): number {
    const total = this.total();
    return before === null || total === null ? estimate : total - before;
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd);
  }
}

function openOrNot(): number {
  try {
    return fs.openSync(FILE, "r");
  } catch {
    return -1;
  }
}
