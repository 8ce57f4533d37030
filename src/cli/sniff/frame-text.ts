/**
 * A frame as a technician reads it: when, how long after the one before, its verdict, how long, what it is.
 *
 *     12:34:56.789         ok            8  01 03 00 0a 00 01 a4 08                          ........
 *     12:34:57.290  +0.501 check         8  01 03 00 0a 00 01 ff 08                          ........
 *                                           its check would be a4 08
 *
 * Nothing that a device sends steers the terminal: what is no printable character is shown by its number.
 */
import { BAD_FRAMES } from "../../wire/serial/framing.ts";
import { errorWords } from "./line-errors.ts";
import type { Judgement, Verdict } from "./reading.ts";
import type { Sum } from "./sniffer.ts";

/** What of a frame is shown: bytes beside text, one of them, or all as an object. */
export type Form = "rows" | "hex" | "text" | "json";

export interface TellerOptions {
  readonly form: Form;
  /** Takes a line. */
  readonly say: (line: string) => void;
  /** Unix time in ms. */
  readonly wallMs: () => number;
  /** Monotonic ms. */
  readonly nowMs: () => number;
}

/** Bytes of a row. */
const ROW_BYTES = 16;
const VERDICTS: readonly Verdict[] = ["unchecked", "malformed", ...BAD_FRAMES];
const VERDICT_WIDTH = Math.max(...VERDICTS.map((verdict) => verdict.length));
const SINCE_WIDTH = 8;

export class Teller {
  readonly #options: TellerOptions;
  #lastMs = -1;

  constructor(options: TellerOptions) {
    this.#options = options;
  }

  tell(frame: Buffer, judged: Judgement): void {
    const { form, wallMs, nowMs } = this.#options;
    const time = new Date(wallMs()).toISOString();
    const sinceMs = this.#lastMs < 0 ? null : Math.round(nowMs() - this.#lastMs);
    this.#lastMs = nowMs();
    if (form === "json") this.#tellObject(frame, judged, time, sinceMs);
    else this.#tellLines(frame, judged, time, sinceMs);
  }

  /** The last line: "12 frames, 2 bad (check 1, too-long 1), 345 bytes in 10.5 s, 33 a second" */
  tellSum(sum: Sum): void {
    const { form, say } = this.#options;
    const { frames, bytes, seconds } = sum;
    if (form === "json") {
      say(JSON.stringify(sum));
      return;
    }
    const causes = Object.entries(sum.bad);
    const count = causes.reduce((all, [, each]) => all + each, 0);
    const bad = count === 0 ? "none bad" : `${count} bad (${causes.map((cause) => cause.join(" ")).join(", ")})`;
    const rate = seconds > 0 ? `, ${Math.round(bytes / seconds)} a second` : "";
    const wrong = sum.errors === undefined ? "" : errorWords(sum.errors);
    const onWire = wrong === "" ? "" : `; ${wrong}`;
    say(`${counted(frames, "frame")}, ${bad}, ${counted(bytes, "byte")} in ${seconds.toFixed(1)} s${rate}${onWire}`);
  }

  #tellObject(frame: Buffer, { verdict, words, expected }: Judgement, time: string, sinceMs: number | null): void {
    const optional = {
      ...(sinceMs === null ? {} : { sinceMs }),
      ...(expected === null ? {} : { expected: expected.toString("hex") }),
      ...(words === null ? {} : { words }),
    };
    const contents = { bytes: frame.length, hex: frame.toString("hex"), text: frame.toString() };
    this.#options.say(plainJson({ time, verdict, ...optional, ...contents }));
  }

  #tellLines(frame: Buffer, { verdict, words, expected }: Judgement, time: string, sinceMs: number | null): void {
    const { form, say } = this.#options;
    const since = (sinceMs === null ? "" : `+${(sinceMs / 1000).toFixed(3)}`).padStart(SINCE_WIDTH);
    const columns = [time.slice(11, -1), since, verdict.padEnd(VERDICT_WIDTH), String(frame.length).padStart(5)];
    const start = `${columns.join(" ")}  `;
    const indent = " ".repeat(start.length);
    if (form === "rows") {
      if (frame.length === 0) say(start.trimEnd());
      for (let at = 0; at < frame.length; at += ROW_BYTES) {
        say((at === 0 ? start : indent) + rowOf(frame.subarray(at, at + ROW_BYTES)));
      }
    } else {
      say(`${start}${form === "hex" ? frame.toString("hex") : plainText(frame)}`.trimEnd());
    }
    if (words !== null) say(indent + words);
    if (expected !== null) say(`${indent}its check would be ${hexOf(expected)}`);
  }
}

/** "1 byte", "2 bytes" */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** "01 03 02 00 d7  .....": what is not printable ASCII is a dot. */
function rowOf(bytes: Buffer): string {
  const text = bytes.toString("latin1").replace(/[^ -~]/g, ".");
  return `${hexOf(bytes).padEnd(ROW_BYTES * 3 - 1)}  ${text}`;
}

export function hexOf(bytes: Buffer): string {
  return bytes.toString("hex").replace(/..(?=.)/g, "$& ");
}

/** UTF-8; what is none, or no printable character, is `\xhh` for each byte. */
export function plainText(bytes: Buffer): string {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const width = widthAt(bytes, at);
    const character = bytes.toString("utf8", at, at + width);
    const isShown = !character.includes("\ufffd") && !HIDDEN.test(character);
    if (character === "\\") text += "\\\\";
    else text += isShown ? character : bytes.toString("hex", at, at + width).replace(/../g, "\\x$&");
    at += width;
  }
  return text;
}

/** Control and format characters (which turn the direction of text around), line separators, and what is not assigned. */
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u;

/** Bytes of the UTF-8 character at `at`; 1 where there is none. */
function widthAt(bytes: Buffer, at: number): number {
  const first = bytes[at] as number;
  const width = first < 0xc2 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (let i = 1; i < width; i++) if (((bytes[at + i] ?? 0) & 0xc0) !== 0x80) return 1;
  return width;
}

/** JSON in which no character acts on a terminal; JSON itself escapes only those below a space. */
function plainJson(value: object): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
