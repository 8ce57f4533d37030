// The DTLS addon: src/native/dtls by node-gyp, with the headers inside the pinned Node's package, so nothing is
// downloaded. Built when its sources or that Node changed. Where it cannot be built that is one line, and the rest goes on.
//
//   build/dtls-x64.node      beside build/sluice.mjs; src/native/dtls/binding.ts finds it
//   build/native/x64/        where it is compiled, with build.log
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { withLock } from "./lock.mjs";
import { findNode, ROOT } from "./root.mjs";

const SOURCES = join(ROOT, "src/native/dtls");
const INPUTS = ["scripts/addon.mjs", "node_modules/node-gyp/package.json"];
/** What compiles for another CPU, as Debian calls it. */
const CROSS = { arm64: "aarch64-linux-gnu", x64: "x86_64-linux-gnu" };
const CHECKED =
  "-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1 -DSLUICE_CHECKED";

/**
 * Builds the addon if it is missing or older than its sources.
 * @param {string} [arch]
 * @param {{ checked?: boolean }} [how] checked: with AddressSanitizer, in a folder of its own
 * @returns {Promise<string | null>} why there is none now, null = there is
 */
export async function ensureAddon(arch = process.arch, { checked = false } = {}) {
  if (!existsSync(join(SOURCES, "binding.gyp"))) return "there is no src/native/dtls";
  if (isBuilt(arch, checked)) return null;
  return await withLock(() => (isBuilt(arch, checked) ? null : build(arch, checked)));
}

/** Where it lies once it is built. */
export function addonFile(arch = process.arch, checked = false) {
  return join(ROOT, "build", checked ? "native/checked" : "", `dtls-${arch}.node`);
}

function isBuilt(arch, checked) {
  try {
    return existsSync(addonFile(arch, checked)) && readFileSync(stampOf(arch, checked), "utf8") === hashOf();
  } catch {
    return false;
  }
}

function stampOf(arch, checked) {
  return join(workOf(arch, checked), "stamp");
}

function workOf(arch, checked) {
  return join(ROOT, "build/native", checked ? `checked-${arch}` : arch);
}

function sources() {
  return readdirSync(SOURCES)
    .filter((name) => /\.(cc|h|gyp)$/.test(name))
    .sort();
}

function hashOf() {
  const hash = createHash("sha256");
  const headers = join(headersFolder() ?? "", "package.json");
  for (const file of [
    ...sources().map((name) => join(SOURCES, name)),
    ...INPUTS.map((name) => join(ROOT, name)),
    headers,
  ])
    hash.update(`${file.slice(ROOT.length)}\0`).update(existsSync(file) ? readFileSync(file) : "");
  return hash.digest("hex");
}

/** The pinned Node of this machine's CPU; its headers serve for every CPU. */
function headersFolder() {
  const folder = join(ROOT, `node_modules/node-linux-${process.arch}`);
  return existsSync(join(folder, "include/node/node_api.h")) ? folder : undefined;
}

function build(arch, checked) {
  const cross = arch !== process.arch;
  const compiler = cross ? `${CROSS[arch]}-g++` : (process.env.CXX ?? "g++");
  const missing = ["python3", "make", compiler].filter((program) => !isProgram(program));
  if (missing.length > 0) {
    const packages = cross ? `python3 make g++-${CROSS[arch].replace("_", "-")}` : "python3 make g++";
    return `it needs ${missing.join(" and ")} (Debian: apt-get install ${packages})`;
  }
  const headers = headersFolder();
  if (headers === undefined) return `it needs the headers of node-linux-${process.arch} (npm ci --include=optional)`;

  const work = workOf(arch, checked);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const hash = hashOf();
  for (const name of sources()) copyFileSync(join(SOURCES, name), join(work, name));
  process.stderr.write(`sluice: building the DTLS addon${cross ? ` for ${arch}` : ""}${checked ? ", checked" : ""}\n`);
  const gyp = join(ROOT, "node_modules/node-gyp/bin/node-gyp.js");
  const args = ["rebuild", "-C", work, `--nodedir=${headers}`, `--arch=${arch}`, "--jobs=max", "--loglevel=error"];
  const env = { ...process.env };
  if (cross) Object.assign(env, { CC: `${CROSS[arch]}-gcc`, CXX: compiler });
  if (checked) Object.assign(env, { CXXFLAGS: CHECKED, LDFLAGS: "-fsanitize=address,undefined" });
  const { status, stdout, stderr } = spawnSync(findNode(), [gyp, ...args], { cwd: work, env, encoding: "utf8" });
  const log = join(work, "build.log");
  writeFileSync(log, `${stdout}${stderr}`);
  if (status !== 0) return `its build failed, see ${log}`;

  const file = addonFile(arch, checked);
  mkdirSync(join(file, ".."), { recursive: true });
  // By rename: a gateway that has the old one loaded keeps it.
  copyFileSync(join(work, "build/Release/dtls.node"), `${file}.tmp`);
  renameSync(`${file}.tmp`, file);
  writeFileSync(stampOf(arch, checked), hash);
  return null;
}

function isProgram(name) {
  const candidates = name.includes("/")
    ? [name]
    : (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name));
  return candidates.some((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
