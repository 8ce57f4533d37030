// An MQTT-SN client that is not ours: Debian's scapy makes each message that it sends from fields and reads each that
// comes (mqtt_sn_peer.py). One address of the listener's net for each.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { eventually } from "./eventually.ts";

const SCRIPT = join(import.meta.dirname, "mqtt_sn_peer.py");

/** A message as scapy reads it: its type, and fields by scapy's names. */
export interface ReadMessage {
  readonly type: string;
  readonly len: number;
  /** Its bytes, in hexadecimal, when it came from the gateway. */
  readonly came?: string;
  /** Of a forwarder's envelope. */
  readonly node?: string;
  readonly inner?: ReadMessage;
  readonly [field: string]: unknown;
}

export class ScapyClient implements AsyncDisposable {
  readonly #child: ChildProcess;
  /** What has come and was not taken. */
  readonly came: ReadMessage[] = [];
  /** The bytes of all that ever came. */
  readonly bytes: Buffer[] = [];

  /** @param port of the listener on loopback; absent: it reads only */
  constructor(port?: number) {
    const args = port === undefined ? [] : [`${port}`];
    this.#child = spawn("/usr/bin/python3", [SCRIPT, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("no stdout");
    createInterface(this.#child.stdout).on("line", (line) => {
      const message = JSON.parse(line) as ReadMessage;
      this.came.push(message);
      if (message.came !== undefined) this.bytes.push(Buffer.from(message.came, "hex"));
    });
  }

  /** @param node the wireless node id, in hexadecimal, of a client behind a forwarder */
  send(type: string, fields: Record<string, string | number> = {}, node?: string): void {
    this.#say({ send: type, fields, ...(node === undefined ? {} : { node }) });
  }

  /** Waits for the first message of this type, or of the node behind it, and takes it. */
  async take(type: string, node?: string): Promise<ReadMessage> {
    let at = -1;
    await eventually(`${type} for ${node ?? "it"}, got ${JSON.stringify(this.came)}`, () => {
      at = this.came.findIndex((message) =>
        node === undefined ? message.type === type : message.node === node && message.inner?.type === type,
      );
      return at >= 0;
    });
    const message = this.came.splice(at, 1)[0] as ReadMessage;
    return node === undefined ? message : (message.inner as ReadMessage);
  }

  async ask(
    type: string,
    fields: Record<string, string | number>,
    answer: string,
    node?: string,
  ): Promise<ReadMessage> {
    this.send(type, fields, node);
    return this.take(answer, node);
  }

  /** What scapy makes of these messages. */
  async read(messages: readonly Buffer[]): Promise<ReadMessage[]> {
    for (const message of messages) this.#say({ read: message.toString("hex") });
    await eventually(`${messages.length} read`, () => this.came.length >= messages.length);
    return this.came.splice(0);
  }

  #say(command: Record<string, unknown>): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
  }
}
