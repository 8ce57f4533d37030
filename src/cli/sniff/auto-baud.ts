/**
 * `--baud auto`: listens at one rate after the other until frames are good. A rate is judged when bytes come: the wrong
 * one makes other bytes of them, whose check holds once in 65,536 times, or which are no text.
 */
import type { LineSettings } from "../../config/serial-port.ts";
import type { LineErrors, SerialStream } from "../../transport/serial/stream.ts";
import type { FrameSink } from "../../wire/serial/framing.ts";
import type { Ending } from "./ending.ts";
import { counted, plainText } from "./frame-text.ts";
import { errorsOf, errorWords } from "./line-errors.ts";
import type { Reading } from "./reading.ts";

/** The usual first. */
const RATES = [115_200, 9_600, 19_200, 57_600, 38_400, 4_800, 2_400, 1_200, 230_400];
const PARITIES = ["none", "even", "odd"] as const;
/** Behind the first byte. */
const LISTEN_MS = 2_000;
/** Nothing that comes says nothing about the rate; so another one has its turn. */
const SILENT_MS = 4_000;

export interface AutoBaudParts {
  readonly open: (settings: LineSettings) => Promise<SerialStream>;
  readonly readingOf: (settings: LineSettings) => Promise<Reading>;
  readonly say: (line: string) => void;
  readonly ending: Ending;
  readonly listenMs?: number;
  readonly silentMs?: number;
}

/** @returns the settings at which the line is understood; null: it is over  @throws when it cannot be opened */
export async function findBaud(
  line: LineSettings,
  parityGiven: boolean,
  parts: AutoBaudParts,
): Promise<LineSettings | null> {
  const parities = parityGiven ? [line.parity] : PARITIES;
  for (;;) {
    for (const parity of parities) {
      for (const baud of RATES) {
        const settings = { ...line, baud, parity };
        const score = await listen(settings, parts);
        if (parts.ending.over) return null;
        if (score.bytes > 0) parts.say(`${lineText(settings)}: ${scoreText(score)}`);
        if (isRight(score)) return settings;
      }
    }
    parts.say("no rate makes sense of it so far; once more");
  }
}

/** "9600 8N1" */
export function lineText({ baud, dataBits, parity, stopBits }: LineSettings): string {
  return `${baud} ${dataBits}${parity.charAt(0).toUpperCase()}${stopBits}`;
}

class Score implements FrameSink {
  good = 0;
  bad = 0;
  bytes = 0;
  /** What the driver counted; null = it does not. */
  errors: LineErrors | null = null;
  readonly #reading: Reading;

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  /** How many good frames are no chance. */
  get needed(): number {
    return this.#reading.strength === "strong" ? 1 : 3;
  }

  onFrame(bytes: Buffer, from: number, end: number): boolean {
    if (from === end) return true;
    const frame = bytes.subarray(from, end);
    const { verdict } = this.#reading.judge(frame);
    if (this.#reading.strength === "none" ? isText(frame) : verdict === "ok") this.good++;
    else if (verdict !== "unchecked" || this.#reading.strength === "none") this.bad++;
    return true;
  }

  onBadFrame(): void {
    this.bad++;
  }
}

/** "3 good frames, 1 bad; 2 framing errors" */
function scoreText({ good, bad, errors }: Score): string {
  const wrong = errors === null ? "" : errorWords(errors);
  return `${counted(good, "good frame")}, ${bad} bad${wrong === "" ? "" : `; ${wrong}`}`;
}

/** The first frame may be the rest of one. */
function isRight({ good, bad, needed }: Score): boolean {
  return good >= needed && bad <= 1 + good / 4;
}

function isText(frame: Buffer): boolean {
  return frame.length > 1 && plainText(frame).replaceAll("\\x09", "") === frame.toString().replaceAll("\t", "");
}

async function listen(settings: LineSettings, { open, readingOf, ending, ...times }: AutoBaudParts): Promise<Score> {
  const { listenMs = LISTEN_MS, silentMs = SILENT_MS } = times;
  const reading = await readingOf(settings);
  const { decoder } = reading;
  const score = new Score(reading);
  const stream = await open(settings);
  await new Promise<void>((resolve) => {
    let gap: NodeJS.Timeout | undefined;
    let over = setTimeout(resolve, silentMs);
    const finish = (): void => {
      clearTimeout(over);
      clearTimeout(gap);
      resolve();
    };
    const onGap = (): void => {
      decoder.onGap(score);
      if (isRight(score)) finish();
    };
    ending.onEnd = finish;
    stream.start({
      prompt: true,
      onData: (chunk) => {
        if (score.bytes === 0) {
          clearTimeout(over);
          over = setTimeout(finish, listenMs);
        }
        score.bytes += chunk.length;
        for (let at = decoder.feed(chunk, 0, score); decoder.busy; ) at = decoder.feed(chunk, at, score);
        clearTimeout(gap);
        if (isRight(score)) finish();
        else if (decoder.gapMs !== null) gap = setTimeout(onGap, decoder.gapMs);
      },
      onSent: () => {},
      onGone: finish,
    });
    if (ending.over) finish();
  });
  score.errors = errorsOf(stream);
  await stream.close();
  // Of a bus that is never silent.
  if (decoder.gapMs !== null && !isRight(score)) decoder.onGap(score);
  return score;
}
