// Brings node_modules to what package-lock.json says; does nothing when it already is.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { withLock } from "./lock.mjs";
import { ROOT, SetupError } from "./root.mjs";

/** Installs if a package is missing or has another version than the lock file says. */
export async function ensureInstalled() {
  if (isInstalled(ROOT)) return;
  await withLock(() => {
    if (isInstalled(ROOT)) return;
    process.stderr.write("sluice: installing packages (npm ci)\n");
    const [program, ...npm] = npmCommand();
    // npm's own notices would bury ours.
    const args = [...npm, "ci", "--include=dev", "--include=optional", "--loglevel=error"];
    const run = spawnSync(program, args, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
    if (run.error) throw new SetupError(`cannot run npm: ${run.error.message}`);
    if (run.status !== 0) {
      throw new SetupError(
        `npm ci failed (${run.signal ?? `exit ${run.status}`}); nothing was started.\n` +
          "npm's own words are above. Is the package registry reachable, and is there room for 400 MB on this disk?",
      );
    }
    if (!isInstalled(ROOT)) throw new SetupError("npm ci ended without installing what package-lock.json lists");
  });
}

/**
 * How to call npm: the one that started us, else the one on PATH.
 * @returns {[string, ...string[]]}
 */
export function npmCommand() {
  const npm = process.env.npm_execpath;
  return npm?.endsWith("js") ? [process.execPath, npm] : ["npm"];
}

/** npm writes node_modules/.package-lock.json as its last step; it lists what is there. */
export function isInstalled(root) {
  const wanted = packagesOf(join(root, "package-lock.json"));
  if (wanted === undefined) throw new SetupError("package-lock.json is missing or is not JSON");
  const present = packagesOf(join(root, "node_modules/.package-lock.json"));
  if (present === undefined) return false;
  for (const [path, { integrity, optional }] of Object.entries(wanted)) {
    if (path === "") continue;
    const found = present[path];
    // An optional package for another CPU or system is not there, and is not wanted.
    if (found === undefined ? !optional : found.integrity !== integrity) return false;
  }
  return true;
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
