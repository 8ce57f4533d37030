import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../../kept/kept-process.ts";
import type { Device } from "./device.ts";

const PSEUDO_LINE = fileURLToPath(new URL("pseudo-line.py", import.meta.url));
const START_TIMEOUT_MS = 5_000;

/** A pseudo serial line: what a device writes into `line` the gateway reads from `path`. */
export interface SerialLine {
  readonly path: string;
  readonly line: KeptProcess;
}

/** Opens one with python3 or socat, whichever works; null when neither does. `directory` takes socat's link. */
export async function openSerialLine(directory: string): Promise<SerialLine | null> {
  return (await attempt(() => withPython())) ?? (await attempt(() => withSocat(`${directory}/line`)));
}

async function attempt(open: () => Promise<SerialLine>): Promise<SerialLine | null> {
  try {
    return await open();
  } catch {
    return null; // not installed, or no ptys on this system: the caller says so
  }
}

async function withPython(): Promise<SerialLine> {
  const line = await KeptProcess.start("python3", [PSEUDO_LINE]);
  line.stderr.resume();
  const path = await lineOf(line.stdout, (text) => (text.startsWith("/dev/") ? text : null), START_TIMEOUT_MS);
  return { path, line };
}

async function withSocat(link: string): Promise<SerialLine> {
  const line = await KeptProcess.start("socat", ["-d", "-d", `PTY,raw,echo=0,link=${link}`, "STDIO"]);
  line.stdout.resume();
  await lineOf(line.stderr, () => (existsSync(link) ? link : null), START_TIMEOUT_MS);
  return { path: link, line };
}

/** A device that prints lines and listens to nobody, as meters do. */
export function serialDevice(source: string, { line }: SerialLine, messagesPerSecond: number): Device {
  return {
    source,
    speaks: "serial line",
    acknowledges: false,
    messagesPerSecond,
    windowMax: 1,
    publish: (payload, done) => {
      line.write(`${payload}\n`);
      done(null);
    },
    close: async () => {
      await line.stop();
    },
  };
}
