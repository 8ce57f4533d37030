/** The storm of storm.c: many clients at once, which come, subscribe, and come back. */
import { createInterface } from "node:readline";
import { KeptProcess } from "../../scripts/kept/kept-process.ts";
import { programOf } from "./build.ts";

export interface StormResult {
  readonly event: "connect" | "subscribe" | "reconnect";
  /** Clients that are in. */
  readonly clients: number;
  readonly seconds: number;
  /** CONNACKs that said no. */
  readonly refused: number;
  /** Connections that ended before their CONNACK. */
  readonly broken: number;
}

export class Storm {
  readonly #process: KeptProcess;
  readonly #results: AsyncIterator<string>;

  private constructor(process: KeptProcess) {
    this.#process = process;
    this.#results = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
  }

  /** Has `clients` that wait for a word; their sessions stay when they are cut off. */
  static async gather(port: number, clients: number): Promise<Storm> {
    const kept = await KeptProcess.start(programOf("storm"), ["--port", String(port), "--clients", String(clients)]);
    kept.stderr.pipe(process.stderr);
    return new Storm(kept);
  }

  /** All connect. */
  connect(): Promise<StormResult> {
    return this.#blow("connect");
  }

  /** Each asks for a filter of its own. */
  subscribe(): Promise<StormResult> {
    return this.#blow("subscribe");
  }

  /** The broker was killed, and is back on `port`. */
  reconnect(port: number): Promise<StormResult> {
    return this.#blow(`reconnect ${port}`);
  }

  async end(): Promise<void> {
    await this.#process.stop();
  }

  async #blow(how: string): Promise<StormResult> {
    this.#process.write(`${how}\n`);
    const { value, done } = await this.#results.next();
    if (done === true) throw new Error("the storm ended by itself");
    return JSON.parse(value) as StormResult;
  }
}
