/** What may be wrong with what nobody can read, said once each: silence, the wrong baud rate, the wrong framing. */
import type { Sniffer } from "./sniffer.ts";

/** For so long nothing came. */
const SILENT_MS = 10_000;
/** So many frames, and none of them good. */
const BAD_FRAMES = 10;
/** So many bytes, and no frame at all. */
const LOST_BYTES = 256;
const SHOWN_BYTES = 16;

export interface HintOptions {
  readonly sniffer: Pick<Sniffer, "frames" | "badFrames" | "bytes">;
  /** In words: "9600 8N1"; null = it is another's to set. */
  readonly line: string | null;
  readonly reading: string;
  readonly say: (line: string) => void;
  readonly nowMs: () => number;
}

export class Hints {
  readonly #options: HintOptions;
  readonly #startMs: number;
  #first: Buffer = Buffer.alloc(0);
  readonly #said = new Set<string>();

  constructor(options: HintOptions) {
    this.#options = options;
    this.#startMs = options.nowMs();
  }

  /** Before it is decoded. */
  onData(chunk: Buffer): void {
    if (this.#first.length < SHOWN_BYTES) this.#first = Buffer.concat([this.#first, chunk]).subarray(0, SHOWN_BYTES);
  }

  /** To be called now and then. */
  look(): void {
    const { sniffer, line, reading, nowMs } = this.#options;
    const { frames, badFrames, bytes } = sniffer;
    const auto = line === null ? "the settings of the other end" : `the line (${line}; --baud auto tries the others)`;
    if (bytes === 0 && nowMs() - this.#startMs >= SILENT_MS) {
      this.#say("nothing has come yet: does the device send by itself? are its TX and our RX connected?");
    } else if (frames === 0 && badFrames >= BAD_FRAMES) {
      this.#say(`all frames are bad: is it ${auto}, or --framing and --check (${reading})?`);
    } else if (frames + badFrames === 0 && bytes >= LOST_BYTES) {
      const hex = this.#first.toString("hex").replace(/..(?=.)/g, "$& ");
      this.#say(`${bytes} bytes and no frame: is it --framing (${reading}), or ${auto}? they begin with ${hex}`);
    }
  }

  #say(words: string): void {
    const kind = words.slice(0, 12).replace(/\d/g, "");
    if (this.#said.has(kind)) return;
    this.#said.add(kind);
    this.#options.say(words);
  }
}
