/** The devices at the ends of the lines: `load/serial-load.c`, one process for all ports. */
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { KeptProcess } from "../../scripts/kept/kept-process.ts";
import { programOf } from "../load/build.ts";

export const BAUD = 115_200;
/** 8N1 takes ten bits a byte. */
export const BYTES_PER_SECOND = BAUD / 10;

/** What is measured: the keys of serial-load.c. */
export type Order = Readonly<Record<string, string | number>>;

export interface Measured {
  readonly seconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  /** Of the devices. */
  readonly framesSent: number;
  /** As messages. */
  readonly framesReceived: number;
  /** Of all that were sent, warm-up included. */
  readonly lost: number;
  readonly bytesIn: number;
  /** Bytes that there was no room for any more in the terminal: a UART would have lost them. */
  readonly bytesHeld: number;
  readonly bytesOut: number;
  readonly outSent: number;
  readonly outAcked: number;
  /** read and write of all kinds, of the processes that count. */
  readonly readCalls: number;
  readonly writeCalls: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export class Feeder {
  /** The terminals to open. */
  readonly paths: readonly string[];
  readonly #process: KeptProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(paths: readonly string[], started: KeptProcess, lines: AsyncIterator<string>) {
    this.paths = paths;
    this.#process = started;
    this.#lines = lines;
  }

  static async start(ports: number): Promise<Feeder> {
    const words = ["--ports", String(ports), "--baud", String(BAUD)];
    const started = await KeptProcess.start(programOf("serial-load"), words);
    started.stderr.pipe(process.stderr);
    const lines = createInterface({ input: started.stdout })[Symbol.asyncIterator]();
    return new Feeder((await next(lines)) as string[], started, lines);
  }

  async measure(order: Order): Promise<Measured> {
    const words = Object.entries(order).map(([key, value]) => `${key}=${value}`);
    this.#process.write(`${words.join(" ")}\n`);
    return (await next(this.#lines)) as Measured;
  }

  async stop(): Promise<void> {
    await this.#process.stop();
  }
}

async function next(lines: AsyncIterator<string>): Promise<unknown> {
  const { value, done } = await lines.next();
  if (done === true) throw new Error("serial-load ended");
  return JSON.parse(value as string);
}

/** Writes what the device at each port says, over and over. */
export function writeTapes(file: string, ports: number, framesOf: (port: number) => readonly Buffer[]): void {
  for (let port = 0; port < ports; port++) {
    const parts = framesOf(port).flatMap((frame) => {
      const length = Buffer.alloc(2);
      length.writeUInt16LE(frame.length);
      return [length, frame];
    });
    writeFileSync(`${file}.${port}`, Buffer.concat(parts));
  }
}
