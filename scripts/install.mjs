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
    // npm is reached through the environment when it started us; its own notices would bury ours.
    const npm = process.env.npm_execpath;
    const args = ["ci", "--include=dev", "--include=optional", "--loglevel=error"];
    const options = { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] };
    const run = npm?.endsWith("js")
      ? spawnSync(process.execPath, [npm, ...args], options)
      : spawnSync("npm", args, options);
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
