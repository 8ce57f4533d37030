// Where things are, and which Node runs the product. Plain JavaScript: this runs on Node >= 20.
import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const BUNDLE = join(ROOT, "build/sluice.mjs");

/** The oldest system Node that serves where no pinned one is installed: it strips types by itself. */
const SYSTEM_NODE_MIN = [22, 18];

/** V8's flags: the launcher's, but for the limit of the heap. What they gain is in bench/README.md. */
export const RUN_FLAGS = [
  "--max-semi-space-size=1",
  "--no-maglev",
  "--invocation-count-for-turbofan=20000",
  "--max-inlined-bytecode-size-cumulative=2000",
];
export const RUN_ENV = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_TRIM_THRESHOLD_: "131072",
  MALLOC_MMAP_THRESHOLD_: "131072",
};

/** A mistake of the caller or the machine: printed without a stack, exit code 1. */
export class SetupError extends Error {}

/** The Node that the product, the tests and the scripts run under. */
export function findNode() {
  const pinned = join(ROOT, `node_modules/node-linux-${process.arch}/bin/node`);
  try {
    accessSync(pinned, constants.X_OK);
    return pinned;
  } catch {
    const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
    if (major > SYSTEM_NODE_MIN[0] || (major === SYSTEM_NODE_MIN[0] && minor >= SYSTEM_NODE_MIN[1])) {
      return process.execPath;
    }
    const wanted = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).optionalDependencies;
    const name = `node-linux-${process.arch}`;
    throw new SetupError(
      `no Node to run on: ${
        wanted[name]
          ? `the package ${name}@${wanted[name]} is not installed (optional dependencies left out?). Run: npm ci --include=optional`
          : `there is no pinned Node for ${process.platform}-${process.arch}`
      }\nAlternatively use a system Node >= ${SYSTEM_NODE_MIN.join(".")}; this one is ${process.versions.node}.`,
    );
  }
}
