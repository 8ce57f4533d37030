// Debian's ser2net, a terminal server: raw TCP or a unix socket before a serial device.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { peerPath } from "./peers.ts";
import { Program } from "./program.ts";

export class Ser2net implements AsyncDisposable {
  readonly #program: Program;
  readonly #config: string;

  /**
   * @param accepter  as its configuration has it: "tcp,127.0.0.1,2001", "unix,/run/line.sock"
   * @param device    what it opens
   * @param namespace where it runs; "" = here
   */
  constructor(folder: string, accepter: string, device: string, namespace = "") {
    this.#config = join(folder, "ser2net.yaml");
    const lines = [
      "connection: &line",
      `  accepter: ${accepter}`,
      `  connector: serialdev,${device},115200n81,local`,
      // Who comes back after a cable was cut finds his old connection open.
      "  options: {kickolduser: true}",
    ];
    writeFileSync(this.#config, `${lines.join("\n")}\n`);
    const there = namespace === "" ? [] : ["ip", "netns", "exec", namespace];
    this.#program = new Program([...there, namespace === "" ? "ser2net" : peerPath("ser2net")]);
  }

  start(): void {
    this.#program.start("-n", "-u", "-c", this.#config);
  }

  kill(): Promise<void> {
    return this.#program.kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
