// node scripts/package.ts --arch x64|arm64: packs the appliance into build/sluice-<version>-linux-<arch>.tar.gz.
// node scripts/package.ts --npm: packs build/sluice-<version>.tgz for npm, with the addons for both CPUs.
//
//   bin/sluice bin/node      launcher and runtime
//   lib/sluice.mjs chunks/   the bundle, with lib/node_modules/ for the packages that have native parts
//   lib/dtls-<arch>.node     the DTLS addon; tty-<arch>.node that for serial lines
//   sluice.service sluice.yaml sluice.sysusers    what README.md (board/README.md) installs
//   LICENSE licenses/        ours, and those of what we ship
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import * as esbuild from "esbuild";
import { ADDONS, addonFile, ensureAddon } from "./addon.mjs";
import { builtFiles, EXTERNAL, ensureBuilt } from "./build.mjs";
import { npmCommand } from "./install.mjs";
import { nodeOf } from "./package-node.ts";
import { ROOT, SetupError } from "./root.mjs";

const ARCHES = ["x64", "arm64"] as const;
type Arch = (typeof ARCHES)[number];
const ADDON_NAMES = Object.keys(ADDONS) as (keyof typeof ADDONS)[];

/** The native parts that go with the externals; prebuilt inside their packages, glibc. */
const NATIVE: Readonly<Record<Arch, readonly string[]>> = {
  x64: [
    "better-sqlite3/prebuilds/linux-x64.node",
    "@serialport/bindings-cpp/prebuilds/linux-x64/@serialport+bindings-cpp.glibc.node",
  ],
  arm64: [
    "better-sqlite3/prebuilds/linux-arm64.node",
    "@serialport/bindings-cpp/prebuilds/linux-arm64/@serialport+bindings-cpp.armv8.glibc.node",
  ],
};
/** Needed to compile the natives, not to run them. */
const BUILD_ONLY = new Set(["node-addon-api"]);
const BOARD_FILES = ["sluice.service", "sluice.yaml", "sluice.sysusers"];

try {
  const { values } = parseArgs({ options: { arch: { type: "string" }, npm: { type: "boolean", default: false } } });
  const arch = ARCHES.find((known) => known === values.arch);
  if ((arch === undefined) !== values.npm) {
    throw new SetupError(`usage: node scripts/package.ts --arch ${ARCHES.join("|")}, or --npm`);
  }
  await ensureBuilt();
  process.stdout.write(`${arch === undefined ? await packForNpm() : await pack(arch)}\n`);
} catch (error) {
  process.stderr.write(`sluice: ${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}

/** With the addon for every CPU that this machine can compile for. */
async function packForNpm(): Promise<string> {
  for (const arch of ARCHES) {
    for (const name of ADDON_NAMES) {
      const reason = await ensureAddon(name, arch);
      if (reason === null) continue;
      rmSync(addonFile(name, arch), { force: true });
      process.stderr.write(`sluice: this package has no ${ADDONS[name]} on ${arch}: ${reason}\n`);
    }
  }
  const [program, ...npm] = npmCommand();
  const args = [...npm, "pack", "--ignore-scripts", "--silent", "--pack-destination", join(ROOT, "build")];
  const { status, stdout, error } = spawnSync(program, args, { cwd: ROOT, encoding: "utf8" });
  if (status !== 0) throw new SetupError(`npm pack failed${error ? `: ${error.message}` : ""}`);
  return join(ROOT, "build", stdout.trim().split("\n").at(-1) ?? "");
}

async function pack(arch: Arch): Promise<string> {
  for (const addon of ADDON_NAMES) {
    const reason = await ensureAddon(addon, arch);
    if (reason !== null) throw new SetupError(`no package without ${ADDONS[addon]}: ${reason}`);
  }
  const { version, dependencies } = readJson(join(ROOT, "package.json"));
  const name = `sluice-${version}-linux-${arch}`;
  const staging = mkdtempSync(join(ROOT, "build/package-"));
  const tree = join(staging, name);
  for (const folder of ["bin", "lib", "licenses"]) mkdirSync(join(tree, folder), { recursive: true });

  const node = await nodeOf(arch);
  copyFileSync(join(ROOT, "scripts/launcher.sh"), join(tree, "bin/sluice"));
  copyFileSync(join(node, "bin/node"), join(tree, "bin/node"));
  for (const file of ["bin/sluice", "bin/node"]) chmodSync(join(tree, file), 0o755);
  copyFileSync(join(node, "LICENSE"), join(tree, "licenses/node"));

  for (const file of builtFiles().filter((file) => file !== "sluice")) {
    copyInto(join(ROOT, "build", file), join(tree, "lib", file));
  }
  for (const file of await filesLoadedBy(EXTERNAL)) copyInto(join(ROOT, file), join(tree, "lib", file));
  for (const file of NATIVE[arch]) {
    copyInto(join(ROOT, "node_modules", file), join(tree, "lib/node_modules", file));
  }
  for (const addon of ADDON_NAMES.map((addonName) => addonFile(addonName, arch))) {
    copyInto(addon, join(tree, "lib", basename(addon)));
  }
  for (const folder of closure(Object.keys(dependencies ?? {}))) copyLicense(folder, join(tree, "licenses"));

  for (const file of BOARD_FILES) copyFileSync(join(ROOT, "board", file), join(tree, file));
  copyFileSync(join(ROOT, "board/README.md"), join(tree, "README.md"));
  copyFileSync(join(ROOT, "LICENSE"), join(tree, "LICENSE"));
  writeFileSync(join(tree, "VERSION"), `sluice ${version}\n`);

  const archive = join(ROOT, "build", `${name}.tar.gz`);
  // Same input, same bytes.
  const stable = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--mode=go-w"];
  const packed = join(staging, "packed");
  const tar = spawnSync("tar", ["-czf", packed, ...stable, "-C", staging, name], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (tar.status !== 0) throw new SetupError("tar failed");
  renameSync(packed, archive);
  rmSync(staging, { recursive: true });
  return archive;
}

/** Folders of the named packages and of all they need to run, as node finds them. */
function closure(names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const visit = (name: string, from: string) => {
    const folder = resolvePackage(name, from);
    if (found.has(folder)) return;
    found.add(folder);
    for (const next of Object.keys(readJson(join(folder, "package.json")).dependencies ?? {})) {
      if (!BUILD_ONLY.has(next)) visit(next, folder);
    }
  };
  for (const name of names) visit(name, ROOT);
  return found;
}

function resolvePackage(name: string, from: string): string {
  for (let at = from; ; at = dirname(at)) {
    const folder = join(at, "node_modules", name);
    if (existsSync(join(folder, "package.json"))) return folder;
    if (at === dirname(at)) throw new SetupError(`the package ${name} is not installed`);
  }
}

/** The scripts that `names` load, followed import by import, and the package.json of each package on the way. */
async function filesLoadedBy(names: readonly string[]): Promise<Set<string>> {
  const { metafile } = await esbuild.build({
    stdin: { contents: names.map((name) => `require("${name}");`).join("\n"), resolveDir: ROOT },
    absWorkingDir: ROOT,
    bundle: true,
    platform: "node",
    preserveSymlinks: true,
    external: ["supports-color"],
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  const files = new Set<string>();
  for (const file of Object.keys(metafile.inputs).filter((file) => file.startsWith("node_modules/"))) {
    files.add(file);
    const [home = ""] = file.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/) ?? [];
    files.add(`${home}/package.json`);
  }
  return files;
}

function copyLicense(folder: string, licenses: string): void {
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  const { name, license } = readJson(join(folder, "package.json"));
  const target = join(licenses, `${name}`.replaceAll("/", "+"));
  if (file === undefined) writeFileSync(target, `${name}: ${license}\n`);
  else copyFileSync(join(folder, file), target);
}

function copyInto(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to);
}

interface PackageJson {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function readJson(path: string): PackageJson {
  return JSON.parse(readFileSync(path, "utf8")) as PackageJson;
}
