/** The gateway under soak: the product as it is shipped, with a probe beside it in its process. */
import { readdirSync } from "node:fs";
import { createConnection } from "node:net";
import { fileURLToPath } from "node:url";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { askControl } from "../../src/cli/control.ts";
import { controlSocket } from "../../src/config/names.ts";
import type { UplinkStatus } from "../../src/uplink/uplink.ts";
import { type SluicePeer, startSluice } from "../peers/sluice.ts";
import { RETAINED_MAX } from "./fill.ts";

const PROBE = fileURLToPath(new URL("probe.mjs", import.meta.url));

/** What of `sluice status` a soak looks at. */
export interface Status {
  readonly subscriptions: number;
  readonly uplinks: readonly UplinkStatus[];
  readonly counters: Readonly<Record<string, number>>;
}

/** What the probe says, after two full collections. */
export interface Heap {
  /** What V8 had taken from the system before them. */
  readonly heapTotal: number;
  readonly heapUsed: number;
  /** Of it, in the spaces of code: what has been compiled, and from what. */
  readonly code: number;
  readonly external: number;
  readonly arrayBuffers: number;
  /** Timers of node. */
  readonly timeouts: number;
}

export interface Sample extends Heap, Status {
  readonly rssBytes: number;
  readonly peakBytes: number;
  readonly privateDirtyBytes: number;
  readonly fds: number;
}

export class SoakedGateway {
  readonly peer: SluicePeer;
  readonly #probe: string;
  readonly #control: string;

  private constructor(peer: SluicePeer, directory: string) {
    this.peer = peer;
    this.#probe = `${directory}/probe.sock`;
    this.#control = controlSocket(`${directory}/data`);
  }

  /** @param cloudPort where its uplink goes; 0 = it has none */
  static async start(directory: string, cloudPort: number): Promise<SoakedGateway> {
    const peer = await startSluice(directory, {
      listeners: ["mqtt", "ws", "coap", "http"],
      config: configuration(cloudPort),
      nodeFlags: ["--expose-gc", "--import", PROBE],
      environment: { SLUICE_PROBE: `${directory}/probe.sock` },
    });
    if (peer === null) throw new Error("build first: npm run build");
    return new SoakedGateway(peer, directory);
  }

  async sample(): Promise<Sample> {
    const heap = (await this.#ask("memory")) as Heap;
    const { pid } = this.peer;
    return {
      ...heap,
      ...(await this.status()),
      ...memoryOf(pid),
      fds: readdirSync(`/proc/${pid}/fd`).length,
    };
  }

  async status(): Promise<Status> {
    return (await askControl(this.#control, { verb: "status" })) as Status;
  }

  async snapshot(file: string): Promise<void> {
    await this.#ask(`snapshot ${file}`);
  }

  /** The end of the warm-up, in which code was compiled early. */
  async runAsShipped(): Promise<void> {
    await this.#ask("as-shipped");
  }

  async stop(): Promise<void> {
    await this.peer.process?.stop();
  }

  #ask(question: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(this.#probe);
      let answer = "";
      socket.setEncoding("utf8");
      socket.on("data", (text: string) => {
        answer += text;
      });
      socket.on("end", () => resolve(JSON.parse(answer)));
      socket.on("error", reject);
      socket.write(question);
    });
  }
}

/** As shipped, but for what would make a soak wait: how long newcomers, sessions and slow readers are waited for. */
function configuration(cloudPort: number): string[] {
  const limits = `connect_timeout: 1s, session_expiry_max: 2s, pause_max: 50ms, retained_messages: ${RETAINED_MAX}`;
  const forward = '[{match: "up/#", qos: keep, to: "site/{topic}"}]';
  const receive = '[{match: "down/#", qos: 2}]';
  return [
    `limits: {${limits}}`,
    ...(cloudPort === 0
      ? []
      : [
          "uplinks:",
          `  - {name: cloud, client_id: soaked, url: "mqtt://127.0.0.1:${cloudPort}", forward: ${forward}, receive: ${receive}}`,
        ]),
  ];
}
