// A door in front of a plain MQTT broker: TLS with client certificates and an ALPN name that is demanded, as clouds have
// it on port 443. (Mosquitto's own listener, 2.0.11, looks at no ALPN name.) It is a process of its own, as
// what it stands for is.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import { eventually } from "./eventually.ts";

/** What AWS IoT Core calls MQTT with client certificates on port 443. */
export const ALPN_NAME = "x-amzn-mqtt-ca";

interface FromChild {
  readonly port?: number;
  readonly nameless?: true;
  readonly shown?: true;
}

export class TlsDoor {
  port = 0;
  /** Connections that came without the name: they are closed. Another name is refused in the handshake. */
  nameless = 0;
  readonly #ca: string;
  readonly #child: ChildProcess;
  #shown = 0;

  constructor(ca: string, server: CertificatePaths, targetPort: number) {
    this.#ca = ca;
    const script = join(import.meta.dirname, "tls-door-child.ts");
    this.#child = fork(script, [String(targetPort), ALPN_NAME, JSON.stringify({ ca, ...server })], {
      env: { ...process.env, NODE_TEST_CONTEXT: "" },
    });
    this.#child.on("message", (message: FromChild) => {
      this.port = message.port ?? this.port;
      if (message.nameless) this.nameless++;
      if (message.shown) this.#shown++;
    });
  }

  /** @param ca of client certificates  @param server its own */
  static async open(ca: string, server: CertificatePaths, targetPort: number): Promise<TlsDoor> {
    const door = new TlsDoor(ca, server, targetPort);
    await eventually("the door listens", () => door.port !== 0);
    return door;
  }

  /** Another certificate, from the next connection on. */
  async show(server: CertificatePaths): Promise<void> {
    const shown = this.#shown;
    this.#child.send({ ca: this.#ca, ...server });
    await eventually("the door shows it", () => this.#shown > shown);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
  }
}
