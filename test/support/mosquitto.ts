// Debian's mosquitto as the broker at the other end of an uplink: a plain listener for the test, one over TLS with
// client certificates for the gateway.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { type CertificatePaths, type CertificateRequest, makeCertificates } from "../../scripts/demo/certificates.ts";
import { eventually } from "./eventually.ts";
import { peerPath } from "./peers.ts";

export class Mosquitto {
  readonly port: number;
  readonly tlsPort: number;
  /** Of the authority that issued the certificates of broker and gateway. */
  readonly ca: string;
  /** For the gateway. */
  readonly client: CertificatePaths;
  readonly #configFile: string;
  #child: ChildProcess | null = null;
  output = "";
  others: readonly CertificatePaths[] = [];

  constructor(folder: string, ports: [number, number], ca: string, client: CertificatePaths) {
    [this.port, this.tlsPort] = ports;
    this.ca = ca;
    this.client = client;
    this.#configFile = join(folder, "mosquitto.conf");
  }

  /**
   * @param folder   for certificates and configuration  @param lines added to the configuration
   * @param tlsLines added to the listener over TLS
   * @param others   more client certificates, in `others`: their names, or all that is to be said
   */
  static async start(
    folder: string,
    lines: readonly string[] = [],
    tlsLines: readonly string[] = [],
    others: readonly (string | CertificateRequest)[] = [],
  ): Promise<Mosquitto> {
    const { ca, issued } = await makeCertificates(join(folder, "certificates"), [
      { name: "cloud", usage: "server" },
      { name: "gateway", usage: "client" },
      ...others.map((other) => (typeof other === "string" ? { name: other, usage: "client" as const } : other)),
    ]);
    const [server, client, ...more] = issued as [CertificatePaths, CertificatePaths, ...CertificatePaths[]];
    const broker = new Mosquitto(folder, await freePorts(), ca, client);
    broker.others = more;
    writeFileSync(
      broker.#configFile,
      [
        "user root", // else it gives up root before it reads the key
        "allow_anonymous true",
        "set_tcp_nodelay true",
        "max_queued_messages 100000", // not 0: then it answers 0x97 at random
        ...["error", "warning", "notice", "subscribe"].map((type) => `log_type ${type}`),
        ...lines,
        `listener ${broker.port} 127.0.0.1`,
        `listener ${broker.tlsPort} 127.0.0.1`,
        `cafile ${ca}`,
        `certfile ${server.cert}`,
        `keyfile ${server.key}`,
        "require_certificate true",
        ...tlsLines,
        "",
      ].join("\n"),
    );
    await broker.restart();
    return broker;
  }

  /** Starts it, or starts it again after `stop`. */
  async restart(): Promise<void> {
    const child = spawn(peerPath("mosquitto"), ["-c", this.#configFile], { stdio: ["ignore", "ignore", "pipe"] });
    this.#child = child;
    child.stderr.on("data", (text: Buffer) => {
      this.output += text;
    });
    await eventually("mosquitto listens", async () => {
      if (child.exitCode !== null) throw new Error(`mosquitto ended\n${this.output}`);
      return (await answers(this.port)) && (await answers(this.tlsPort));
    });
  }

  /** SIGSTOP: the kernel answers for it, it does not. SIGCONT: it goes on. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(signal);
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Two ports that are free now: mosquitto cannot pick its own. */
async function freePorts(): Promise<[number, number]> {
  const servers = [createServer(), createServer()] as const;
  const ports = await Promise.all(
    servers.map(async (server) => {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      return (server.address() as { port: number }).port;
    }),
  );
  for (const server of servers) server.close();
  return ports as [number, number];
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
