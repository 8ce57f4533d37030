import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import { KeptProcess, lineOf } from "../../scripts/kept/kept-process.ts";
import type { Peer } from "./peer.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LAUNCHER = `${ROOT}build/sluice`;
const BUNDLE = `${ROOT}build/sluice.mjs`;

/** All load comes from one address. */
const ONE_SOURCE = ", rate: 1000000";

interface Ready {
  readonly event: string;
  readonly listeners: readonly { readonly type: string; readonly name: string; readonly address: string }[];
}

export interface SluiceOptions {
  /** Types of listeners to open; the first is the one under load. */
  readonly listeners?: readonly string[];
  /** The listeners speak TLS, but for CoAP's. */
  readonly certificate?: CertificatePaths;
  /** Further lines of the configuration. */
  readonly config?: readonly string[];
  /** Flags for node, e.g. a profiler, beside those of the launcher that users run. */
  readonly nodeFlags?: readonly string[];
  /** Added to the environment. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface SluicePeer extends Peer {
  /** By type of listener. */
  readonly ports: Readonly<Record<string, number>>;
}

/** The product as it is shipped: the bundle, a data directory, the store on, default limits. */
export async function startSluice(directory: string, options: SluiceOptions = {}): Promise<SluicePeer | null> {
  if (!existsSync(BUNDLE)) return null;
  const listeners = options.listeners ?? ["mqtt"];
  mkdirSync(directory, { recursive: true });
  const config = [
    "node: bench",
    `data_dir: ${directory}/data`,
    "listeners:",
    ...listeners.map(
      (type) => `  - {type: ${type}, bind: "127.0.0.1:0"${type === "coap" ? ONE_SOURCE : tlsOf(options.certificate)}}`,
    ),
    ...(options.config ?? []),
    "log: {level: warn}",
    "",
  ].join("\n");
  const file = `${directory}/sluice.yaml`;
  writeFileSync(file, config);
  const verb = ["run", "--config", file, "--json"];
  const environment = { ...process.env, ...options.environment };
  const [program = "", ...words] = [...withNodeFlags(options.nodeFlags ?? []), LAUNCHER, ...verb];
  const started = await KeptProcess.start(program, words, environment);
  started.stderr.pipe(process.stderr);
  const ready = await lineOf(started.stdout, readReady, 15_000).catch(async (error: Error) => {
    await started.stop();
    throw new Error(`sluice: ${error.message}`);
  });
  const ports = Object.fromEntries(ready.listeners.map(({ type, address }) => [type, portOf(address)]));
  const port = ports[listeners[0] ?? ""] ?? 0;
  const peer = { name: "sluice", version: versionOf(), pid: started.pid, port, ports, process: started };
  if (listeners[0] === "ws") return { ...peer, transport: "websocket" };
  return options.certificate === undefined ? peer : { ...peer, transport: "tls" };
}

/** In front of the launcher, which has no flags for node: `env` becomes it, and the keeper beside it is left as it is. */
function withNodeFlags(flags: readonly string[]): string[] {
  if (flags.length === 0) return [];
  return ["env", `NODE_OPTIONS=${flags.map((flag) => `"${flag.replaceAll(/["\\]/g, "\\$&")}"`).join(" ")}`];
}

function readReady(line: string): Ready | null {
  if (!line.startsWith("{")) return null;
  const message = JSON.parse(line) as Ready;
  return message.event === "ready" ? message : null;
}

function tlsOf(certificate: CertificatePaths | undefined): string {
  return certificate === undefined ? "" : `, tls: {cert: ${certificate.cert}, key: ${certificate.key}}`;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

function versionOf(): string {
  return (JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { version: string }).version;
}
