// The pinned Node for a CPU: from node_modules if it is installed there, else from the registry, kept in build/cache.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { npmCommand } from "./install.mjs";
import { ROOT, SetupError } from "./root.mjs";

/** @returns a folder with bin/node and LICENSE, of exactly the version and content that package-lock.json names */
export async function nodeOf(arch: string): Promise<string> {
  const name = `node-linux-${arch}`;
  const installed = join(ROOT, "node_modules", name);
  if (existsSync(join(installed, "bin/node"))) return installed;

  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const { version, integrity } = lock.packages[`node_modules/${name}`] as { version: string; integrity: string };
  const cache = join(ROOT, "build/cache");
  const folder = join(cache, `${name}-${version}`);
  if (existsSync(folder)) return folder;

  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "fetch-"));
  try {
    process.stderr.write(`sluice: fetching ${name}@${version}\n`);
    const [program, ...npm] = npmCommand();
    run(program, [...npm, "pack", `${name}@${version}`, "--pack-destination", work, "--loglevel=error"]);
    const archive = join(work, `${name}-${version}.tgz`);
    const actual = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`;
    if (actual !== integrity) throw new SetupError(`${name}@${version} is not what package-lock.json names`);
    run("tar", ["-xzf", archive, "-C", work, "package/bin/node", "package/LICENSE"]);
    // Whoever packs at the same time may have been first; theirs is as good.
    if (!existsSync(folder)) renameSync(join(work, "package"), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

function run(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) throw new SetupError(`${program} ${args.join(" ")} failed${error ? `: ${error.message}` : ""}`);
}
