// The addons: each folder of src/native by node-gyp, with the headers inside the pinned Node's package, so nothing is
// downloaded. Built when its sources or that Node changed. Where one cannot be built that is a line, and the rest goes on.
//
//   build/dtls-x64.node      beside build/sluice.mjs; src/native/load.ts finds it
//   build/native/dtls-x64/   where it is compiled, with build.log
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

/** By the name of its folder, and what there is not without it. */
export const ADDONS = { dtls: "DTLS", tty: "RS-485 by the driver, mark or space parity" };

const INPUTS = ["scripts/addon.mjs", "node_modules/node-gyp/package.json"];
/** What compiles for another CPU, as Debian calls it. */
const CROSS = { arm64: "aarch64-linux-gnu", x64: "x86_64-linux-gnu" };
const CHECKED =
  "-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1 -DSLUICE_CHECKED";

/**
 * Builds the addon if it is missing or older than its sources.
 * @param {keyof typeof ADDONS} name
 * @param {string} [arch]
 * @param {{ checked?: boolean }} [how] checked: with AddressSanitizer, in a folder of its own
 * @returns {Promise<string | null>} why there is none now, null = there is
 */
export async function ensureAddon(name, arch = process.arch, { checked = false } = {}) {
  if (!hasSources(name)) return `there is no src/native/${name}`;
  if (isBuilt(name, arch, checked)) return null;
  return await withLock(() => (isBuilt(name, arch, checked) ? null : build(name, arch, checked)));
}

/** @param {keyof typeof ADDONS} name */
export function hasSources(name) {
  return existsSync(join(sourcesOf(name), "binding.gyp"));
}

/**
 * Where it lies once it is built.
 * @param {keyof typeof ADDONS} name
 */
export function addonFile(name, arch = process.arch, checked = false) {
  return join(ROOT, "build", checked ? "native/checked" : "", `${name}-${arch}.node`);
}

function isBuilt(name, arch, checked) {
  try {
    return (
      existsSync(addonFile(name, arch, checked)) && readFileSync(stampOf(name, arch, checked), "utf8") === hashOf(name)
    );
  } catch {
    return false;
  }
}

function stampOf(name, arch, checked) {
  return join(workOf(name, arch, checked), "stamp");
}

function workOf(name, arch, checked) {
  return join(ROOT, "build/native", `${checked ? "checked-" : ""}${name}-${arch}`);
}

function sourcesOf(name) {
  return join(ROOT, "src/native", name);
}

function sourceNames(name) {
  return readdirSync(sourcesOf(name))
    .filter((file) => /\.(cc|h|gyp)$/.test(file))
    .sort();
}

function hashOf(name) {
  const hash = createHash("sha256");
  const headers = join(headersFolder() ?? "", "package.json");
  for (const file of [
    ...sourceNames(name).map((file) => join(sourcesOf(name), file)),
    ...INPUTS.map((file) => join(ROOT, file)),
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

function build(name, arch, checked) {
  const cross = arch !== process.arch;
  const compiler = cross ? `${CROSS[arch]}-g++` : (process.env.CXX ?? "g++");
  const missing = ["python3", "make", compiler].filter((program) => !isProgram(program));
  if (missing.length > 0) {
    const packages = cross ? `python3 make g++-${CROSS[arch].replace("_", "-")}` : "python3 make g++";
    return `it needs ${missing.join(" and ")} (Debian: apt-get install ${packages})`;
  }
  const headers = headersFolder();
  if (headers === undefined) return `it needs the headers of node-linux-${process.arch} (npm ci --include=optional)`;

  const work = workOf(name, arch, checked);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  const hash = hashOf(name);
  for (const source of sourceNames(name)) copyFileSync(join(sourcesOf(name), source), join(work, source));
  process.stderr.write(
    `sluice: building the ${name} addon${cross ? ` for ${arch}` : ""}${checked ? ", checked" : ""}\n`,
  );
  const gyp = join(ROOT, "node_modules/node-gyp/bin/node-gyp.js");
  const args = ["rebuild", "-C", work, `--nodedir=${headers}`, `--arch=${arch}`, "--jobs=max", "--loglevel=error"];
  const env = { ...process.env };
  if (cross) Object.assign(env, { CC: `${CROSS[arch]}-gcc`, CXX: compiler });
  if (checked) Object.assign(env, { CXXFLAGS: CHECKED, LDFLAGS: "-fsanitize=address,undefined" });
  const { status, stdout, stderr } = spawnSync(findNode(), [gyp, ...args], { cwd: work, env, encoding: "utf8" });
  const log = join(work, "build.log");
  writeFileSync(log, `${stdout}${stderr}`);
  if (status !== 0) return `its build failed, see ${log}`;

  const file = addonFile(name, arch, checked);
  mkdirSync(join(file, ".."), { recursive: true });
  // By rename: a gateway that has the old one loaded keeps it.
  copyFileSync(join(work, "build/Release", `${name}.node`), `${file}.tmp`);
  renameSync(`${file}.tmp`, file);
  writeFileSync(stampOf(name, arch, checked), hash);
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
