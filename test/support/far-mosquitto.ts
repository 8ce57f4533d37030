// Mosquitto on another machine (namespace.ts), with MQTT over TCP and over WebSocket: its WebSocket listener looks at no
// bind address, so it must not be on this machine.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import type { Namespace } from "./namespace.ts";
import { peerPath } from "./peers.ts";

export const MQTT_PORT = 1883;
export const WS_PORT = 8083;

/** Mosquitto over there. */
export class FarMosquitto implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(machine: Namespace, folder: string): Promise<FarMosquitto> {
    const file = join(folder, "far.conf");
    const lines = [
      "user root",
      "allow_anonymous true",
      "set_tcp_nodelay true",
      "max_inflight_messages 60000",
      "max_queued_messages 100000",
      `listener ${MQTT_PORT} ${machine.address}`,
      `listener ${WS_PORT} ${machine.address}`,
      "protocol websockets",
      "",
    ];
    writeFileSync(file, lines.join("\n"));
    const [ip = "", ...words] = machine.command;
    const child = spawn(ip, [...words, peerPath("mosquitto"), "-c", file], { stdio: ["ignore", "ignore", "pipe"] });
    let output = "";
    child.stderr.on("data", (text: Buffer) => {
      output += text;
    });
    for (const port of [MQTT_PORT, WS_PORT]) {
      await eventually(`mosquitto listens: ${output}`, () => answers(machine.address, port));
    }
    return new FarMosquitto(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

async function answers(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host);
  const connected = await Promise.race([
    once(socket, "connect").then(
      () => true,
      () => false,
    ),
    once(socket, "close").then(() => false),
  ]);
  socket.destroy();
  return connected;
}
