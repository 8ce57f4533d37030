/** `sluice serial sniff PORT`: the frames that come over a line, live. */
import { closeSync, openSync, writeSync } from "node:fs";
import { SystemClock } from "../../base/clock.ts";
import { TimerWheel } from "../../base/timer-wheel.ts";
import { type LineSettings, placeText } from "../../config/serial-port.ts";
import { openSocket } from "../../transport/serial/socket.ts";
import type { SerialStream } from "../../transport/serial/stream.ts";
import { describeError } from "../../transport/socket-error.ts";
import { FAILED, OK, parse, say, sayError, UsageError, wholeNumber } from "../arguments.ts";
import { printable } from "../printable.ts";
import { findBaud, lineText } from "./auto-baud.ts";
import { Ending } from "./ending.ts";
import { counted, type Form, Teller } from "./frame-text.ts";
import { Hints } from "./hints.ts";
import { errorsOf, sumOf } from "./line-errors.ts";
import { configuredLine, SNIFF_OPTIONS, type SniffedLine, sniffedLine } from "./options.ts";
import type { Reading } from "./reading.ts";
import { readingOf } from "./readings.ts";
import { Sniffer } from "./sniffer.ts";

const COUNT_MAX = 1_000_000_000;
const SECONDS_MAX = 1_000_000;
/** Between tries to open a device that was unplugged. */
const REOPEN_MS = 500;
const LOOK_MS = 1_000;
const NOTHING: Buffer = Buffer.alloc(0);

export async function serialSniff(args: string[]): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: SNIFF_OPTIONS });
  const [port] = positionals;
  if (port === undefined || positionals.length > 1)
    throw new UsageError("serial sniff needs one PORT, or --config FILE and the NAME of a line");
  const form = formOf(values);
  const framesMax = wholeNumber("-C", values.count ?? String(COUNT_MAX), 1, COUNT_MAX);
  const seconds = values.timeout === undefined ? null : wholeNumber("-W", values.timeout, 1, SECONDS_MAX);
  const { config } = values;
  const line = config === undefined ? sniffedLine(port, values) : await configuredLine(port, config, values);
  const capture = values.write === undefined ? null : captureTo(values.write);
  // Whoever reads us may have seen enough: `sluice serial sniff ... | head -1`.
  process.stdout.once("error", () => process.exit(OK));
  const wheel = new TimerWheel(new SystemClock());
  wheel.start();
  const ending = new Ending(seconds);
  try {
    const watch = new Watch(line, wheel, ending, capture);
    const sniffer = await watch.run(form, framesMax);
    if (sniffer === null || watch.captureFailed) return FAILED;
    return ending.timeIsUp && values.count !== undefined && !sniffer.full ? FAILED : OK;
  } finally {
    ending.cancel();
    wheel.stop();
    if (capture !== null) closeSync(capture);
  }
}

function formOf({ hex, text, json }: { readonly hex: boolean; readonly text: boolean; readonly json: boolean }): Form {
  const given = Object.entries({ hex, text, json }).filter(([, isGiven]) => isGiven);
  if (given.length > 1) throw new UsageError(`--${given.map(([name]) => name).join(" and --")} exclude each other`);
  return (given[0]?.[0] as Form | undefined) ?? "rows";
}

/** @returns a descriptor; what is there already is not written over */
function captureTo(file: string): number {
  try {
    return openSync(file, "wx");
  } catch (error) {
    throw new UsageError(`--write ${file}: ${(error as Error).message}`);
  }
}

/** One line that is looked at, over all its openings. */
class Watch {
  readonly #line: SniffedLine;
  readonly #name: string;
  readonly #wheel: TimerWheel;
  readonly #ending: Ending;
  readonly #capture: number | null;
  /** What came could not be written to the file. */
  captureFailed = false;

  constructor(line: SniffedLine, wheel: TimerWheel, ending: Ending, capture: number | null) {
    this.#line = line;
    this.#name = printable(placeText(line.place));
    this.#wheel = wheel;
    this.#ending = ending;
    this.#capture = capture;
  }

  /** Until the end; a device that is unplugged is waited for. @returns null when it could not be opened at first */
  async run(form: Form, framesMax: number): Promise<Sniffer | null> {
    const line = this.#line;
    try {
      const settings = line.autoBaud ? await this.#findBaud() : line.settings;
      if (settings !== null) return await this.#watch(settings, await this.#open(settings), form, framesMax);
      sayError(`${this.#name}: no baud rate was found`);
    } catch (error) {
      sayError(`${this.#name}: ${failureWords(line, error)}`);
    }
    return null;
  }

  async #watch(settings: LineSettings, opened: SerialStream, form: Form, framesMax: number): Promise<Sniffer> {
    const nowMs = () => performance.now();
    const reading = await readingOf({ ...this.#line, settings });
    const teller = new Teller({ form, say, wallMs: () => Date.now(), nowMs });
    const sniffer = new Sniffer({ reading, teller, nowMs, framesMax });
    const { kind } = this.#line.place;
    const line = kind === "device" || kind === "match" ? lineText(settings) : null;
    const hints = new Hints({ sniffer, line, reading: reading.name, say: sayError, nowMs });
    for (let stream: SerialStream | null = opened; stream !== null; stream = await this.#reopen(settings)) {
      sayError(`${this.#name} is open: ${line === null ? "" : `${line}, `}${reading.name}; only listening`);
      const words = await this.#read(stream, reading, sniffer, hints);
      sniffer.errors = sumOf(sniffer.errors, errorsOf(stream));
      await stream.close();
      const { pendingBytes } = reading.decoder;
      if (pendingBytes > 0) sayError(`${counted(pendingBytes, "byte")} of a frame whose end has not come`);
      if (words === null) break;
      sayError(`${this.#name}: ${words}; waiting for it`);
      reading.decoder.reset();
    }
    teller.tellSum(sniffer.sum);
    return sniffer;
  }

  /** @returns why it is over, null when nothing more is wanted */
  #read(stream: SerialStream, { decoder }: Reading, sniffer: Sniffer, hints: Hints): Promise<string | null> {
    const ending = this.#ending;
    return new Promise((resolve) => {
      let gap: NodeJS.Timeout | undefined;
      let reading = true;
      const looking = setInterval(() => hints.look(errorsOf(stream)), LOOK_MS);
      const finish = (words: string | null): void => {
        reading = false;
        clearTimeout(gap);
        clearInterval(looking);
        resolve(words);
      };
      // What is told waits in memory for a slow reader, so nothing is read meanwhile.
      const waitForReader = (): void => {
        stream.pause();
        process.stdout.once("drain", () => {
          if (reading) stream.resume();
        });
      };
      const onGap = (): void => {
        decoder.onGap(sniffer);
        while (decoder.busy) decoder.feed(NOTHING, 0, sniffer);
        if (sniffer.full) ending.end();
      };
      const onData = (chunk: Buffer): void => {
        if (this.#capture !== null && !this.#save(chunk, this.#capture)) {
          finish(null);
          return;
        }
        hints.onData(chunk);
        sniffer.bytes += chunk.length;
        let at = 0;
        do at = decoder.feed(chunk, at, sniffer);
        while (decoder.busy);
        if (sniffer.full) ending.end();
        else if (process.stdout.writableNeedDrain) waitForReader();
        clearTimeout(gap);
        if (decoder.gapMs !== null) gap = setTimeout(onGap, decoder.gapMs);
      };
      ending.onEnd = () => finish(null);
      if (ending.over) finish(null);
      else stream.start({ prompt: true, onData, onSent: () => {}, onGone: finish });
    });
  }

  #save(chunk: Buffer, capture: number): boolean {
    try {
      writeSync(capture, chunk);
      return true;
    } catch (error) {
      sayError(`--write: ${(error as Error).message}`);
      this.captureFailed = true;
      return false;
    }
  }

  #findBaud(): Promise<LineSettings | null> {
    const { settings, parityGiven } = this.#line;
    return findBaud(settings, parityGiven, {
      open: (tried) => this.#open(tried),
      readingOf: (tried) => readingOf({ ...this.#line, settings: tried }),
      say: sayError,
      ending: this.#ending,
    });
  }

  async #reopen(settings: LineSettings): Promise<SerialStream | null> {
    while (!this.#ending.over) {
      await this.#ending.wait(REOPEN_MS);
      if (this.#ending.over) return null;
      const stream = await this.#open(settings).catch(() => null);
      if (stream !== null) return stream;
    }
    return null;
  }

  async #open(settings: LineSettings): Promise<SerialStream> {
    const { place } = this.#line;
    if (place.kind === "tcp" || place.kind === "unix") return openSocket(place, settings, this.#wheel);
    const { openTty } = await import("../../transport/serial/tty.ts");
    if (place.kind === "device") return openTty(place.path, settings, this.#wheel);
    return openTty(await (await import("../../transport/serial/devices.ts")).pathOf(place), settings, this.#wheel);
  }
}

/** Why it cannot be opened, and what to do. */
function failureWords({ place }: SniffedLine, error: unknown): string {
  const words = printable(describeError(error).replace(/^Error:? /, ""));
  if (place.kind !== "device") return words;
  if (!place.path.includes("/") && /No such file/i.test(words))
    return `${words}; for the name of a line give --config FILE, too`;
  if (!words.includes("has it open")) return words;
  return `${words}: stop that first. A running gateway has the ports of its configuration: take the line out of it and \`sluice reload\`, or look at what it counts with \`sluice status --json\``;
}
