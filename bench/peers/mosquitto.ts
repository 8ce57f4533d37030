import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { KeptProcess } from "../../scripts/kept/kept-process.ts";
import { freePort, listens, type Peer } from "./peer.ts";

const PLACES = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "mosquitto"];
const TRIES = 5;

/** A snapshot of everything each second, and no limit to what waits for a session. */
export const MOSQUITTO_PERSISTENT = ["persistence true", "autosave_interval 1", "max_queued_messages 0"];

/**
 * Debian's mosquitto with its defaults: in memory, nothing written, logs errors only.
 * @param persistence lines of its configuration; a database it left in `directory` is read again
 */
export async function startMosquitto(
  directory: string,
  persistence: readonly string[] = ["persistence false"],
): Promise<Peer | null> {
  const found = PLACES.map((path) => ({ path, version: versionOf(path) })).find(({ version }) => version !== null);
  if (found === undefined) return null;
  mkdirSync(directory, { recursive: true });
  const file = `${directory}/mosquitto.conf`;
  for (let i = 0; i < TRIES; i++) {
    const port = await freePort();
    const lines = [
      `listener ${port} 127.0.0.1`,
      "allow_anonymous true",
      `user ${userInfo().username}`, // started as root it becomes another user, who may not write here
      `persistence_location ${directory}/`,
      ...persistence,
      "log_dest stderr",
      "log_type error",
      "log_type warning",
      "",
    ];
    writeFileSync(file, lines.join("\n"));
    const broker = await KeptProcess.start(found.path, ["-c", file]);
    broker.stdout.resume();
    broker.stderr.pipe(process.stderr);
    if (await listens(port, broker, 60_000)) {
      return { name: "mosquitto", version: found.version ?? "", pid: broker.pid, port, process: broker };
    }
    await broker.stop();
  }
  throw new Error("mosquitto did not start");
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
