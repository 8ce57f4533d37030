/** What may be wrong with what nobody can read, said once each: silence, the wrong baud rate, the wrong framing. */
import type { LineErrors } from "../../transport/serial/stream.ts";
import { counted, hexOf, plainText } from "./frame-text.ts";
import { errorWords } from "./line-errors.ts";
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

  /** To be called now and then. @param errors what the driver has counted; null = it does not */
  look(errors: LineErrors | null): void {
    const { sniffer, line, reading, nowMs } = this.#options;
    const { frames, badFrames, bytes } = sniffer;
    const auto = line === null ? "the settings of the other end" : `the line (${line}; --baud auto tries the others)`;
    const words = errors === null ? "" : errorWords(errors);
    if (errors !== null && errors.framing + errors.parity > 0) {
      this.#say(`the hardware counts ${words}: is it ${auto}, or noise?`);
    } else if (words !== "") {
      this.#say(`the hardware counts ${words}`);
    }
    if (bytes === 0 && nowMs() - this.#startMs >= SILENT_MS) {
      this.#say("nothing has come yet: does the device send by itself? are its TX and our RX connected?");
    } else if (frames === 0 && badFrames >= BAD_FRAMES) {
      this.#say(`all frames are bad: is it ${auto}, or --framing and --check (${reading})?`);
    } else if (frames === 0 && (bytes >= LOST_BYTES || (bytes > 0 && nowMs() - this.#startMs >= SILENT_MS))) {
      const begin = `${hexOf(this.#first)} "${plainText(this.#first)}"`;
      const none = `${counted(bytes, "byte")} and no ${badFrames > 0 ? "good frame" : "frame"}`;
      this.#say(
        `${none}: is it --framing${badFrames > 0 ? " and --check" : ""} (${reading}), or ${auto}? they begin with ${begin}`,
      );
    }
  }

  #say(words: string): void {
    const kind = words.replace(/[\d,]/g, "").slice(0, 20);
    if (this.#said.has(kind)) return;
    this.#said.add(kind);
    this.#options.say(words);
  }
}
