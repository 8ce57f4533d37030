// Behind every npm script: installs and builds what is missing or changed, then runs the command under the pinned
// Node. Plain JavaScript without packages, for Node >= 20. Says nothing when there is nothing to do.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ensureInstalled } from "./install.mjs";
import { BUNDLE, findNode, ROOT, RUN_ENV, RUN_FLAGS, SetupError } from "./root.mjs";
import { runThrough } from "./run-through.mjs";

const COMMANDS = { start, test, build, check, bench };

const [command, ...args] = process.argv.slice(2);
try {
  if (!Object.hasOwn(COMMANDS, command ?? "")) {
    throw new SetupError(`usage: node scripts/bootstrap.mjs ${Object.keys(COMMANDS).join("|")} [arguments]`);
  }
  await ensureInstalled();
  await COMMANDS[command](args);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`sluice: ${error.message}\n`);
  process.exitCode = 1;
}

/** Nothing: the demo. `--config FILE`: the gateway. A verb, --help or --version: the command line. */
async function start(rest) {
  const first = rest[0] ?? "";
  const config = rest.some((arg) => arg === "--config" || arg.startsWith("--config="));
  const isVerb = first !== "" && !first.startsWith("-");
  await build();
  if (isVerb || first === "--help" || first === "--version") return product(rest);
  if (config) return product(["run", ...rest]);
  script("scripts/demo.ts", rest);
}

/** The test runner builds by itself, only for the tests that need the bundle. */
function test(rest) {
  script("scripts/test.ts", rest);
}

async function build() {
  const { ensureBuilt } = await import("./build.mjs");
  await ensureBuilt();
}

function check(rest) {
  script("scripts/check.ts", rest);
}

/**
 * `npm run bench -- NAME ARGS` runs bench/NAME/run.ts; a NAME that is none is a workload of bench/mqtt, or a group of
 * them; without a name, bench/mqtt.
 */
async function bench(rest) {
  await build();
  const [name, args] = rest[0] === undefined || rest[0].startsWith("-") ? ["mqtt", rest] : [rest[0], rest.slice(1)];
  if (existsSync(join(ROOT, `bench/${name}/run.ts`))) return script(`bench/${name}/run.ts`, args);
  script("bench/mqtt/run.ts", ["--only", name, "--json", join(ROOT, `build/bench/${name}.json`), ...args]);
}

function product(rest) {
  const node = findNode();
  runThrough(node, [...RUN_FLAGS, BUNDLE, ...rest], { ...RUN_ENV, ...definedOf(RUN_ENV) });
}

function script(path, rest) {
  if (!existsSync(join(ROOT, path))) throw new SetupError(`there is no ${path}`);
  runThrough(findNode(), [join(ROOT, path), ...rest]);
}

/** What the caller set stays as the caller set it. */
function definedOf(defaults) {
  return Object.fromEntries(
    Object.keys(defaults).flatMap((key) => (process.env[key] ? [[key, process.env[key]]] : [])),
  );
}
