import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import { KeptProcess } from "../../scripts/kept/kept-process.ts";
import { freePort, listens, type Peer } from "./peer.ts";

const PLACES = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "mosquitto"];
const TRIES = 5;
/** In front of a command: it gets a network of its own, in which only 127.0.0.1 is up. It keeps its pid. */
const OWN_NETWORK = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"];

/** Keeps everything in memory, as Debian's package does without a configuration. */
const MEMORY_ONLY = ["persistence false"];
/** A snapshot of everything each second, and no limit to what waits for a session. */
export const MOSQUITTO_PERSISTENT = ["persistence true", "autosave_interval 1", "max_queued_messages 0"];

export interface MosquittoOptions {
  /** Lines of its configuration; a database it left in `directory` is read again. */
  readonly persistence?: readonly string[];
  readonly certificate?: CertificatePaths;
  /** In a network of its own, which takes root: whatever address it is told, that listener opens on all of them. */
  readonly websocket?: boolean;
}

/** Debian's mosquitto with its defaults; logs warnings and errors only. */
export async function startMosquitto(directory: string, options: MosquittoOptions = {}): Promise<Peer | null> {
  const found = PLACES.map((path) => ({ path, version: versionOf(path) })).find(({ version }) => version !== null);
  if (found === undefined || (options.websocket === true && process.geteuid?.() !== 0)) return null;
  mkdirSync(directory, { recursive: true });
  const file = `${directory}/mosquitto.conf`;
  for (let i = 0; i < TRIES; i++) {
    const port = await freePort();
    writeFileSync(file, configuration(port, directory, options));
    const [command = "", ...rest] = [...(options.websocket === true ? OWN_NETWORK : []), found.path, "-c", file];
    const broker = await KeptProcess.start(command, rest);
    broker.stdout.resume();
    broker.stderr.pipe(process.stderr);
    if (await listens(port, broker, 60_000)) {
      const peer = { name: "mosquitto", version: found.version ?? "", pid: broker.pid, port, process: broker };
      if (options.certificate !== undefined) return { ...peer, transport: "tls" };
      if (options.websocket !== true) return peer;
      return { ...peer, transport: "websocket", enter: ["nsenter", `--net=/proc/${broker.pid}/ns/net`] };
    }
    await broker.stop();
  }
  throw new Error("mosquitto did not start");
}

function configuration(port: number, directory: string, options: MosquittoOptions): string {
  const { persistence = MEMORY_ONLY, certificate, websocket = false } = options;
  return [
    `listener ${port} 127.0.0.1`,
    // A WebSocket listener by itself does not count, and it would not start: a plain one beside it.
    ...(websocket ? ["protocol websockets", `listener ${port === 65_535 ? port - 1 : port + 1} 127.0.0.1`] : []),
    ...(certificate === undefined ? [] : [`certfile ${certificate.cert}`, `keyfile ${certificate.key}`]),
    "allow_anonymous true",
    `user ${userInfo().username}`, // started as root it becomes another user, who may not write here
    `persistence_location ${directory}/`,
    ...persistence,
    "log_dest stderr",
    "log_type error",
    "log_type warning",
    "",
  ].join("\n");
}

function versionOf(path: string): string | null {
  try {
    return (
      execFileSync(path, ["-h"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).match(
        /version (\S+)/,
      )?.[1] ?? ""
    );
  } catch (error) {
    // mosquitto -h exits 3 after printing its help.
    const { stdout } = error as { stdout?: string };
    return stdout?.match(/version (\S+)/)?.[1] ?? null;
  }
}
