// Declarations of the library's doors: what tsc emits, as far as the doors lead to it, with imports that every
// consumer's TypeScript resolves ("./x.js" finds "./x.d.ts").
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { ROOT, SetupError } from "./root.mjs";

const DOORS = ["index.d.ts", "client.d.ts"];
const IMPORT = /((?:from|import\()\s*")([^"]+)(")/g;

/**
 * @param {string} outdir
 * @returns {{ path: string, contents: string }[]}
 */
export function declarations(outdir) {
  mkdirSync(outdir, { recursive: true });
  const work = mkdtempSync(join(outdir, "declarations-"));
  try {
    emit(work);
    return reachable(join(work, "types"), join(outdir, "types"));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function emit(work) {
  const project = join(work, "tsconfig.json");
  const compilerOptions = {
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    outDir: "types",
    rootDir: join(ROOT, "src"),
    typeRoots: [join(ROOT, "node_modules/@types")],
  };
  const files = ["index.ts", "client.ts"].map((file) => join(ROOT, "src", file));
  writeFileSync(project, JSON.stringify({ extends: join(ROOT, "tsconfig.json"), compilerOptions, include: [], files }));
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, "-p", project], { encoding: "utf8" });
  if (status !== 0) throw new SetupError(`the declarations failed\n${stdout}${stderr}`);
}

function reachable(from, to) {
  const found = new Map();
  const visit = (file) => {
    if (found.has(file)) return;
    const text = readFileSync(join(from, file), "utf8");
    // Examples in comments import, too; those name packages.
    found.set(
      file,
      text.replaceAll(
        IMPORT,
        (_, before, target, after) => `${before}${target.replace(/^(\..*)\.ts$/, "$1.js")}${after}`,
      ),
    );
    for (const [, , target] of text.matchAll(IMPORT)) {
      if (target.startsWith(".")) visit(normalize(join(dirname(file), target)).replace(/\.ts$/, ".d.ts"));
    }
  };
  for (const door of DOORS) visit(door);
  return [...found].map(([file, contents]) => ({ path: join(to, file), contents }));
}
