// The gateway as few files: one with all that always loads, and one for each room that `await import("./x.ts")` loads when it
// is configured. Left to esbuild, which cuts wherever two rooms share something with the rest, it was 86 files:
// resolving their imports was so hot that V8's optimising compiler came into memory for it, 6 MB (bench/README.md).
//
//   run-HASH.mjs     the static imports of run.ts, all the way down; exports what rooms need of them
//   ROOM-HASH.mjs    what else the room needs; imports from run-HASH.mjs
//   chunk-*.mjs      what several rooms need, and the rest does not
import { basename, join, relative, resolve } from "node:path";
import { ROOT } from "./root.mjs";

/**
 * @param entry     source file of the gateway
 * @param hash      of all sources: names of files of another build are other names
 * @param required  plugin for node's own modules
 * @param build     esbuild with the options that all bundles have
 * @returns the name of the file that loads first, and all files
 */
export async function bundleGateway(entry, hash, required, build) {
  const { inputs } = await survey(entry, build);
  const always = closure(inputs, entry);
  const rooms = roomsOf(inputs, always);
  const fileOf = (room) => `./${nameOf(room)}-${hash}.mjs`;
  const offers = await offersOf(inputs, always, build);
  const first = `run-${hash}.mjs`;

  const lines = [...offers].map(([path, { names, id }]) => {
    const list = names.map((name) => `${name} as ${id}_${name}`);
    return `export { ${list.join(", ")} } from ${JSON.stringify(path)};`;
  });
  const stdin = {
    contents: [`export * from ${JSON.stringify(entry)};`, ...lines].join("\n"),
    resolveDir: ROOT,
    loader: "ts",
  };
  const core = await build({ stdin, entryNames: `run-${hash}`, plugins: [loadedLater(rooms, fileOf), required] });

  const entryPoints = Object.fromEntries([...rooms].map((room) => [nameOf(room), room]));
  const entryNames = `[name]-${hash}`;
  const rest = await build({
    entryPoints,
    entryNames,
    splitting: true,
    plugins: [loadedBefore(offers, `./${first}`), required],
  });
  return { name: first, files: [...core.outputFiles, ...rest.outputFiles] };
}

/** What imports what. */
async function survey(entry, build) {
  const { metafile } = await build({ entryPoints: [entry], metafile: true, splitting: true, absWorkingDir: ROOT });
  return metafile;
}

/** The modules that `entry` needs before it runs, by absolute paths. */
function closure(inputs, entry) {
  const found = new Set();
  const left = [relative(ROOT, entry)];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (found.has(resolve(ROOT, path)) || inputs[path] === undefined) continue;
    found.add(resolve(ROOT, path));
    for (const { path: imported, kind } of inputs[path].imports) if (kind !== "dynamic-import") left.push(imported);
  }
  return found;
}

/** What is loaded by `import()`, and not always. */
function roomsOf(inputs, always) {
  const rooms = new Set();
  for (const { imports } of Object.values(inputs)) {
    for (const { path, kind, external } of imports) {
      if (kind === "dynamic-import" && !external && !always.has(resolve(ROOT, path))) rooms.add(resolve(ROOT, path));
    }
  }
  const names = [...rooms].map(nameOf);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw new Error(`two rooms are called ${twice}: rename one of the files`);
  return rooms;
}

function nameOf(room) {
  return basename(room, ".ts");
}

/** Modules that always load and that rooms import from, with all that they export: path -> {names, id}. */
async function offersOf(inputs, always, build) {
  const paths = new Set();
  for (const [path, { imports }] of Object.entries(inputs)) {
    if (always.has(resolve(ROOT, path))) continue;
    for (const { path: imported } of imports) {
      if (always.has(resolve(ROOT, imported)) && imported.endsWith(".ts")) paths.add(resolve(ROOT, imported));
    }
  }
  const entryPoints = [...paths].sort();
  const { metafile } = await build({
    entryPoints,
    bundle: false,
    external: undefined,
    metafile: true,
    absWorkingDir: ROOT,
  });
  const offers = new Map();
  for (const { entryPoint, exports } of Object.values(metafile.outputs)) {
    const path = resolve(ROOT, entryPoint);
    offers.set(path, { names: exports, id: `m${entryPoints.indexOf(path)}` });
  }
  return offers;
}

function loadedLater(rooms, fileOf) {
  return {
    name: "loaded-later",
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ path, resolveDir, kind }) => {
        const room = join(resolveDir, path);
        return kind === "dynamic-import" && rooms.has(room) ? { path: fileOf(room), external: true } : null;
      });
    },
  };
}

function loadedBefore(offers, first) {
  const namespace = "loaded-before";
  return {
    name: namespace,
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\./ }, ({ path, resolveDir, importer }) => {
        const module = join(resolveDir, path);
        // One for each importer: what several share would become a file of its own.
        return offers.has(module) ? { path: `${module}#${importer}`, namespace } : null;
      });
      onResolve({ filter: /^\./, namespace }, () => ({ path: first, external: true }));
      onLoad({ filter: /.*/, namespace }, ({ path }) => {
        const { names, id } = offers.get(path.slice(0, path.indexOf("#")));
        const list = names.map((name) => `${id}_${name} as ${name}`);
        return { contents: `export { ${list.join(", ")} } from ${JSON.stringify(first)};` };
      });
    },
  };
}
