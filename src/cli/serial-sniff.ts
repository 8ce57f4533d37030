/** `sluice serial sniff PORT`: the frames that come over a line, live. */
import { SystemClock } from "../base/clock.ts";
import { TimerWheel } from "../base/timer-wheel.ts";
import { holderOf } from "../transport/port-holder.ts";
import { openSocket } from "../transport/serial-socket.ts";
import type { SerialStream, SerialStreamHandler } from "../transport/serial-stream.ts";
import { describeError } from "../transport/socket-error.ts";
import { FrameCheck } from "../wire/serial/check.ts";
import type { FrameDecoder } from "../wire/serial/framing.ts";
import { decoderOf } from "../wire/serial/framings.ts";
import { FAILED, OK, parse, say, sayError, UsageError, wholeNumber } from "./arguments.ts";
import { printable } from "./printable.ts";
import { SNIFF_OPTIONS, type SniffedLine, sniffedLine } from "./sniff-options.ts";
import { Sniffer } from "./sniffer.ts";

const COUNT_MAX = 1_000_000_000;
const SECONDS_MAX = 1_000_000;
const NOTHING = Buffer.alloc(0);
/** Between tries to open a device that was unplugged. */
const REOPEN_MS = 500;

export async function serialSniff(args: string[]): Promise<number> {
  const { values, positionals } = parse({ args, allowPositionals: true, options: SNIFF_OPTIONS });
  const [port] = positionals;
  if (port === undefined || positionals.length > 1) throw new UsageError("serial sniff needs one PORT");
  const framesMax = wholeNumber("-C", values.count ?? String(COUNT_MAX), 1, COUNT_MAX);
  const seconds = values.timeout === undefined ? null : wholeNumber("-W", values.timeout, 1, SECONDS_MAX);
  const line = sniffedLine(port, values);
  const finds = checkFinds(line);
  const check = line.check === null || finds ? null : new FrameCheck(line.check);
  const sniffer = new Sniffer({
    check,
    checkedBefore: finds,
    json: values.json,
    say,
    wallMs: () => Date.now(),
    framesMax,
  });
  // Whoever reads us may have seen enough: `sluice serial sniff ... | head -1`.
  process.stdout.once("error", () => process.exit(OK));
  const wheel = new TimerWheel(new SystemClock());
  wheel.start();
  const ending = new Ending(seconds);
  try {
    const opened = await sniff(port, line, wheel, sniffer, ending);
    if (!opened) return FAILED;
  } finally {
    ending.cancel();
    wheel.stop();
  }
  say(sniffer.summary());
  return ending.timeIsUp && values.count !== undefined && !sniffer.full ? FAILED : OK;
}

/**
 * Whether the decoder needs the check, to find frames behind noise or the check behind a frame, or is to have it before
 * the text becomes another. Other checks are judged by the sniffer, where they can be shown.
 */
function checkFinds({ framing, check }: SniffedLine): boolean {
  if (check === null) return false;
  const finds = framing.type === "length" || framing.type === "fixed" || check.position === "behind";
  return finds || framing.encoding !== null || framing.trim;
}

/** Until the end; a device that is unplugged is waited for. @returns false when it could not be opened at first */
async function sniff(port: string, line: SniffedLine, wheel: TimerWheel, sniffer: Sniffer, ending: Ending) {
  let stream: SerialStream;
  try {
    stream = await open(line, wheel);
  } catch (error) {
    sayError(`${printable(port)}: ${failureWords(line, error)}`);
    return false;
  }
  const decoder = decoderOf(line.framing, checkFinds(line) ? line.check : null);
  while (!ending.over) {
    sayError(`${printable(port)} is open`);
    const words = await read(stream, decoder, sniffer, ending);
    await stream.close();
    if (words === null) break;
    sayError(`${printable(port)}: ${words}; waiting for it`);
    decoder.reset();
    const again = await reopen(line, wheel, ending);
    if (again === null) break;
    stream = again;
  }
  return true;
}

/** @returns why it is over, null when nothing more is wanted */
function read(stream: SerialStream, decoder: FrameDecoder, sniffer: Sniffer, ending: Ending): Promise<string | null> {
  return new Promise((resolve) => {
    let gap: NodeJS.Timeout | undefined;
    const finish = (words: string | null): void => {
      clearTimeout(gap);
      resolve(words);
    };
    const handler: SerialStreamHandler = {
      prompt: true,
      onData: (chunk) => {
        sniffer.bytes += chunk.length;
        let at = 0;
        do at = decoder.feed(chunk, at, sniffer);
        while (decoder.busy);
        if (sniffer.full) ending.end();
        if (decoder.gapMs === null) return;
        clearTimeout(gap);
        gap = setTimeout(() => {
          decoder.onGap(sniffer);
          while (decoder.busy) decoder.feed(NOTHING, 0, sniffer);
          if (sniffer.full) ending.end();
        }, decoder.gapMs);
      },
      onSent: () => {},
      onGone: finish,
    };
    ending.onEnd = () => finish(null);
    if (ending.over) finish(null);
    else stream.start(handler);
  });
}

async function reopen(line: SniffedLine, wheel: TimerWheel, ending: Ending): Promise<SerialStream | null> {
  while (!ending.over) {
    await ending.wait(REOPEN_MS);
    if (ending.over) return null;
    const stream = await open(line, wheel).catch(() => null);
    if (stream !== null) return stream;
  }
  return null;
}

async function open({ place, settings }: SniffedLine, wheel: TimerWheel): Promise<SerialStream> {
  if (place.kind === "tcp" || place.kind === "unix") return openSocket(place, settings.baud, wheel);
  const { openTty } = await import("../transport/serial-tty.ts");
  return openTty(place.path, settings, wheel);
}

/** A device that another program has open is refused by its lock (EAGAIN) or by the kernel (EBUSY). */
function failureWords({ place }: SniffedLine, error: unknown): string {
  const words = printable(describeError(error).replace(/^Error:? /, ""));
  if (place.kind !== "device" || !/lock|busy|EBUSY/i.test(words)) return words;
  const holder = holderOf(place.path);
  const who = holder === null ? "another program" : `process ${holder.pid} (${printable(holder.program)})`;
  return `${who} has it open (${words}): stop that first; a running gateway holds the ports of its configuration`;
}

/** Ctrl-C, the end of the time given, or enough frames. */
class Ending {
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
    });
  }

  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    process.off("SIGINT", this.end).off("SIGTERM", this.end);
  }
}
