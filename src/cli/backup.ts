/**
 * `sluice backup`: the gateway writes FILE.part beside FILE and syncs it; this process checks the copy, as the gateway
 * has better to do, and gives it its name. Killed in between it leaves FILE.part, never half a FILE.
 */
import { closeSync, existsSync, fsyncSync, openSync, realpathSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { controlSocket } from "../config/names.ts";
import { bytesText } from "../config/units.ts";
import { FAILED, NO_GATEWAY, OK, parse, say, sayError, UsageError } from "./arguments.ts";
import { askControl, NoGatewayError } from "./control.ts";
import { dataDirOf } from "./where.ts";

interface Progress {
  readonly bytes?: number;
  readonly totalBytes?: number;
}

export async function backup(args: string[]): Promise<number> {
  const { values, positionals } = parse({
    args,
    allowPositionals: true,
    options: {
      config: { type: "string" },
      "data-dir": { type: "string" },
      force: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [name] = positionals;
  if (name === undefined || positionals.length > 1) throw new UsageError("backup needs one FILE to write");
  const dataDir = await dataDirOf(values.config, values["data-dir"]);
  const file = resolve(name);
  refuse(file, dataDir, values.force);
  const part = `${file}.part`;
  const show = values.json || !process.stderr.isTTY ? () => {} : showProgress;
  try {
    const { bytes } = await copy(dataDir, part, show);
    await finish(part, file);
    say(values.json ? JSON.stringify({ event: "backup", path: file, bytes }) : `${file}: ${bytesText(bytes)}, whole`);
    return OK;
  } catch (error) {
    sayError((error as Error).message);
    return error instanceof NoGatewayError ? NO_GATEWAY : FAILED;
  }
}

/** @throws UsageError */
function refuse(file: string, dataDir: string, force: boolean): void {
  if (!existsSync(dirname(file))) throw new UsageError(`${dirname(file)}: there is no such folder`);
  const inside = existsSync(dataDir) && realpathSync(dirname(file)) === realpathSync(dataDir);
  if (inside && basename(file).startsWith("sluice."))
    throw new UsageError(`${file} is a name that the gateway itself uses`);
  if (existsSync(file) && !force) throw new UsageError(`${file} is there already; --force replaces it`);
}

/** By the running gateway; of a stopped one's store, by this process. */
async function copy(dataDir: string, part: string, onProgress: (p: Progress) => void): Promise<{ bytes: number }> {
  try {
    const request = { verb: "backup", target: part };
    return (await askControl(controlSocket(dataDir), request, (value) => onProgress(value as Progress))) as {
      bytes: number;
    };
  } catch (error) {
    if (!(error instanceof NoGatewayError) || !existsSync(join(dataDir, "sluice.db"))) throw error;
    const { copyStopped } = await import("../store/backup-stopped.ts");
    return { bytes: copyStopped(dataDir, part) };
  }
}

/** Looks through the copy, and gives it its name. @throws when it is not whole; then it is deleted */
async function finish(part: string, file: string): Promise<void> {
  const { quickCheck } = await import("../store/inspect-file.ts");
  const found = quickCheck(part);
  if (found !== "ok") {
    rmSync(part, { force: true });
    throw new Error(`the copy is not whole: ${found}. Is the store? sluice check --store says so of a stopped gateway`);
  }
  renameSync(part, file);
  const directory = openSync(dirname(file), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function showProgress({ bytes, totalBytes }: Progress): void {
  if (bytes === undefined || totalBytes === undefined) return;
  process.stderr.write(`\r${bytesText(bytes)} of ${bytesText(totalBytes)} `);
}
