// Other people's MQTT clients as processes: mosquitto_sub, mosquitto_pub, and Debian's paho (paho_peer.py).
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { eventually } from "./eventually.ts";
import { peerPath } from "./peers.ts";

export interface Message {
  readonly topic: string;
  readonly payload: string;
  readonly qos: number;
  readonly retain: boolean;
}

/** A client as a process, whose lines are events. */
export class ClientProgram {
  readonly messages: Message[] = [];
  output = "";
  readonly #child: ChildProcessWithoutNullStreams;

  constructor(command: string, args: readonly string[], onLine: (line: string, messages: Message[]) => void) {
    this.#child = spawn(command, args);
    this.#child.stdin.on("error", () => {}); // it may have ended
    this.#child.stderr.on("data", (text: Buffer) => {
      this.output += text;
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      this.output += `${line}\n`;
      onLine(line, this.messages);
    });
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Waits until `count` messages are here, and gives them. */
  async take(count: number): Promise<Message[]> {
    await eventually(`${count} messages`, () => this.messages.length >= count).catch((error: Error) => {
      throw new Error(`${error.message}; got ${JSON.stringify(this.messages)}\n${this.output}`);
    });
    return this.messages.splice(0);
  }

  /** Waits for the end. @returns exit code, or the signal it died of */
  async end(signal?: NodeJS.Signals): Promise<number | string> {
    if (!this.ended) {
      const exit = once(this.#child, "exit");
      if (signal !== undefined) this.#child.kill(signal);
      await exit;
    }
    return this.#child.exitCode ?? this.#child.signalCode ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGKILL");
  }
}

/** @param args of mosquitto_sub, without -p; resolves when it has subscribed, or has ended */
export async function mosquittoSub(port: number, ...args: string[]): Promise<ClientProgram> {
  const own = ["-d", "-F", "= %q %r %t %p"];
  const program = new ClientProgram(
    peerPath("stdbuf"), // or it prints nothing before its end
    ["-oL", peerPath("mosquitto_sub"), ...target(port, args), ...own, ...args],
    (line, messages) => {
      const match = /^= (\d) (\d) (\S*) (.*)$/.exec(line);
      if (match === null) return;
      const [, qos, retain, topic, payload] = match as unknown as [string, string, string, string, string];
      messages.push({ topic, payload, qos: Number(qos), retain: retain === "1" });
    },
  );
  await eventually("mosquitto_sub has subscribed", () => program.ended || /^Subscribed/m.test(program.output));
  return program;
}

function target(port: number, args: readonly string[]): string[] {
  if (args.includes("--unix")) return [];
  return [...(args.includes("-h") ? [] : ["-h", "127.0.0.1"]), "-p", String(port)];
}

/** Runs mosquitto_pub to its end. */
export async function mosquittoPub(port: number, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(peerPath("mosquitto_pub"), [...target(port, args), ...args]);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text: Buffer) => {
      output += text;
    });
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

export interface PahoOptions {
  readonly id: string;
  readonly port: number;
  /** As paho counts: 3 = 3.1, 4 = 3.1.1, 5. */
  readonly version: 3 | 4 | 5;
  readonly host?: string;
  readonly clean?: boolean;
  /** Session Expiry Interval in seconds, 5.0 only. */
  readonly expiry?: number;
  readonly transport?: "tcp" | "websockets";
  readonly user?: string;
  readonly password?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly will?: { topic: string; payload: string; qos: number; retain: boolean };
}

interface PahoEvent extends Partial<Message> {
  readonly event: "connected" | "message" | "subscribed" | "published" | "disconnected";
  readonly code?: number;
  readonly present?: boolean;
  readonly granted?: number[];
}

/** Debian's paho. */
export class Paho {
  readonly program: ClientProgram;
  /** Of the CONNACK; null = none came yet. */
  code: number | null = null;
  present = false;
  /** Of the last SUBACK. */
  granted: number[] = [];
  #published = 0;
  #subscribed = 0;

  constructor(options: PahoOptions) {
    const script = join(import.meta.dirname, "paho_peer.py");
    this.program = new ClientProgram("/usr/bin/python3", [script, JSON.stringify(options)], (line, messages) => {
      this.#onEvent(JSON.parse(line) as PahoEvent, messages);
    });
  }

  /** Resolves with the CONNACK, or when it has ended. */
  static async start(options: PahoOptions): Promise<Paho> {
    const paho = new Paho(options);
    await eventually("paho got CONNACK", () => paho.program.ended || paho.code !== null);
    return paho;
  }

  #onEvent(event: PahoEvent, messages: Message[]): void {
    if (event.event === "connected") {
      this.present = event.present === true;
      this.code = event.code ?? null;
    } else if (event.event === "message") {
      const { topic, payload, qos, retain } = event as unknown as Message;
      messages.push({ topic, payload, qos, retain });
    } else if (event.event === "subscribed") {
      this.granted = event.granted ?? [];
      this.#subscribed++;
    } else if (event.event === "published") {
      this.#published++;
    }
  }

  take(count: number): Promise<Message[]> {
    return this.program.take(count);
  }

  async subscribe(filter: string, qos: number): Promise<void> {
    const before = this.#subscribed;
    this.#do({ do: "subscribe", filter, qos });
    await eventually("paho has subscribed", () => this.#subscribed > before);
  }

  /** Resolves when the exchange is over. */
  async publish(topic: string, payload: string, qos: number, retain = false): Promise<void> {
    const before = this.#published;
    this.#do({ do: "publish", topic, payload, qos, retain });
    await eventually("paho has published", () => this.#published > before);
  }

  /** Says goodbye. */
  async leave(): Promise<void> {
    this.#do({ do: "leave" });
    await this.program.end();
  }

  #do(command: Record<string, unknown>): void {
    this.program.tell(JSON.stringify(command));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.program[Symbol.asyncDispose]();
  }
}
