// The product: one esbuild bundle of src/main.ts, the native packages outside.
//
//   build/sluice          launcher (sh)
//   build/sluice.mjs      what always loads
//   build/chunks/run-*    the gateway: one file, with what it always needs (gateway-bundle.mjs)
//   build/chunks/*.mjs    what `await import("./x.ts")` loads when it is configured, and the other verbs
//   build/library/        the doors for programs: index.mjs, client.mjs and what they share
//   build/types/          their declarations
//   build/dtls-x64.node   the DTLS addon (addon.mjs), and tty-x64.node that for serial lines
//   build/stamp.json      hash of the sources and the list of the files above
import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative } from "node:path";
import { ADDONS, ensureAddon, hasSources } from "./addon.mjs";
import { declarations } from "./declarations.mjs";
import { bundleGateway } from "./gateway-bundle.mjs";
import { withLock } from "./lock.mjs";
import { BUNDLE, ROOT, SetupError } from "./root.mjs";

/** Stay outside the bundle: they find their native part by their own path. */
export const EXTERNAL = ["better-sqlite3", "serialport"];
/** Optional accelerators of ws, which it does without. */
const ABSENT = ["bufferutil", "utf-8-validate"];

const RUN = join(ROOT, "src/cli/run.ts");
const STAMP = join(ROOT, "build/stamp.json");
const INPUTS = [
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "scripts/build.mjs",
  "scripts/declarations.mjs",
  "scripts/gateway-bundle.mjs",
  "scripts/launcher.sh",
];
/** Chunks of earlier builds stay this long: a gateway started before may still load them. */
const CHUNK_KEEP_MS = 3_600_000;

/** Builds what has a source that changed since the last build. */
export async function ensureBuilt() {
  await ensureBundle();
  await ensureAddonsOrSay();
}

/** The addons; where one cannot be built, that is a line and no more. */
export async function ensureAddonsOrSay() {
  for (const [name, what] of Object.entries(ADDONS).filter(([name]) => hasSources(name))) {
    const reason = await ensureAddon(name);
    if (reason !== null) process.stderr.write(`sluice: no ${what}, its addon is not built: ${reason}\n`);
  }
}

async function ensureBundle() {
  if (isBuilt()) return;
  await withLock(async () => {
    if (!isBuilt()) await build();
  });
}

/**
 * The files of the last build that the command needs, relative to build/.
 * @returns {string[]}
 */
export function builtFiles() {
  const { files } = JSON.parse(readFileSync(STAMP, "utf8"));
  return files.filter((file) => !/^(library|types)\//.test(file));
}

function isBuilt() {
  try {
    const { hash, files } = JSON.parse(readFileSync(STAMP, "utf8"));
    return hash === sourceHash() && files.every((file) => existsSync(join(ROOT, "build", file)));
  } catch {
    return false;
  }
}

function sourceHash() {
  const hash = createHash("sha256");
  const sources = readdirSync(join(ROOT, "src"), { recursive: true })
    .filter((name) => /\.(ts|html|css|sql)$/.test(name))
    .sort();
  for (const file of [...INPUTS, ...sources.map((name) => join("src", name))]) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(ROOT, file)))
      .update("\0");
  }
  return hash.digest("hex");
}

async function build() {
  const entry = join(ROOT, "src/main.ts");
  if (!existsSync(entry)) throw new SetupError("src/main.ts is missing: there is nothing to build");
  const hash = sourceHash();
  const outdir = join(ROOT, "build");
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  // Bundles of their own: what others share with the gateway must not cut its code into pieces.
  const common = { ...settings(version), outdir: join(outdir, "chunks"), chunkNames: "[name]-[hash]" };
  const gateway = await bundleGateway(RUN, hash.slice(0, 8), required, (options) => esbuild({ ...common, ...options }));
  const { outputFiles } = await bundle({ sluice: entry }, outdir, version, `./chunks/${gateway.name}`);
  const doors = { index: join(ROOT, "src/index.ts"), client: join(ROOT, "src/client.ts") };
  const library = await bundle(doors, join(outdir, "library"), version);
  const files = [];
  for (const { path, contents } of [...library.outputFiles, ...declarations(outdir)]) {
    replace(path, contents);
    files.push(relative(outdir, path));
  }
  // Chunks first, the entry last, each by rename: whoever starts meanwhile gets the old product or the new one.
  const command = [...gateway.files, ...outputFiles];
  for (const { path, contents } of command.sort((a, b) => Number(a.path === BUNDLE) - Number(b.path === BUNDLE))) {
    replace(path, contents);
    files.push(relative(outdir, path));
  }
  const launcher = join(outdir, "sluice");
  replace(launcher, readFileSync(join(ROOT, "scripts/launcher.sh")));
  chmodSync(launcher, 0o755);
  files.push("sluice");
  pruneChunks(outdir, "chunks", new Set(files));
  pruneChunks(outdir, "library/chunks", new Set(files));
  replace(STAMP, JSON.stringify({ hash, files }, null, 1));
}

/** @param run where the bundle of the gateway is; null = there is none beside this one */
function bundle(entryPoints, outdir, version, run = null) {
  const plugins = [required, ...(run === null ? [] : [besides(RUN, run)])];
  return esbuild({ ...settings(version), entryPoints, outdir, splitting: true, plugins });
}

function settings(version) {
  return {
    outExtension: { ".js": ".mjs" },
    chunkNames: "chunks/[name]-[hash]",
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node24",
    external: [...EXTERNAL, ...ABSENT],
    loader: { ".html": "text", ".css": "text", ".sql": "text" },
    define: { "process.env.SLUICE_VERSION": JSON.stringify(version), "process.env.SLUICE_BUILD_TIME": buildTime() },
    // Packages in CommonJS call require() for node's own modules.
    banner: { js: 'import { createRequire as $cr } from "node:module"; const require = $cr(import.meta.url);' },
    logLevel: "silent",
  };
}

async function esbuild(options) {
  const { build, formatMessages } = await import("esbuild");
  try {
    return await build(options);
  } catch (failure) {
    if (!failure.errors) throw failure;
    const text = await formatMessages(failure.errors, { kind: "error", color: process.stderr.isTTY ?? false });
    throw new SetupError(`the build failed\n${text.join("")}`);
  }
}

/**
 * Node's own modules and the native packages come by `require`. An ES import of one reads every property of it: getters
 * of `node:http`, `node:fs` and `node:crypto` load undici, http2, tls, readline and webcrypto, and a CommonJS package is
 * parsed for its names. At rest 13.6 MiB for `node:http` alone, 4 MiB of the gateway's private memory.
 */
const required = {
  name: "required",
  setup({ onResolve, onLoad }) {
    const namespace = "required";
    const filter = new RegExp(`^(node:.*|${EXTERNAL.join("|")})$`);
    // One for each importer: what several share would become a file of its own.
    onResolve({ filter }, ({ path, kind, importer }) =>
      kind === "require-call" ? { path, external: true } : { path: `${path}#${importer}`, namespace },
    );
    onLoad({ filter: /^node:/, namespace }, async ({ path: asked }) => {
      const path = moduleOf(asked);
      const names = Object.keys(await import(path)).filter((name) => name !== "default");
      // Only the names that somebody imports stay in the bundle.
      const lines = names.map((name) => `export const ${name} = /* @__PURE__ */ (() => all.${name})();`);
      return { contents: [`const all = require("${path}");`, "export default all;", ...lines].join("\n") };
    });
    onLoad({ filter: /.*/, namespace }, ({ path }) => ({ contents: `module.exports = require("${moduleOf(path)}");` }));
  },
};

/** What is before the importer. */
function moduleOf(path) {
  return path.slice(0, path.indexOf("#"));
}

/** Takes the source file `source` from a bundle that was made before, `bundle`. */
function besides(source, bundle) {
  return {
    name: "besides",
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ path, resolveDir }) =>
        join(resolveDir, path) === source ? { path: bundle, external: true } : null,
      );
    },
  };
}

/** Seconds since 1970 as a string literal; SOURCE_DATE_EPOCH makes a build repeatable. */
function buildTime() {
  return JSON.stringify(process.env.SOURCE_DATE_EPOCH ?? String(Math.floor(Date.now() / 1000)));
}

function replace(path, contents) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}

function pruneChunks(outdir, chunks, keep) {
  const folder = join(outdir, chunks);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (!keep.has(`${chunks}/${name}`) && Date.now() - statSync(path).mtimeMs > CHUNK_KEEP_MS) rmSync(path);
  }
}
