/** Compiles the load generators. With OpenSSL's headers on the machine they speak TLS. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const SOURCES = fileURLToPath(new URL(".", import.meta.url));
const BUILD = fileURLToPath(new URL("../../build/bench/", import.meta.url));
/** Flags that the programs there were built with. */
const FLAGS_FILE = `${BUILD}cc-flags`;
/** Each has a `main`; the other sources belong to all of them. */
const PROGRAMS = [
  "mqtt-load",
  "store-load",
  "stream-load",
  "subscribe-load",
  "hold",
  "storm",
  "sink",
  "coap-load",
  "dtls-load",
  "serial-load",
] as const;

/** Where `buildLoad` puts it. */
export function programOf(name: (typeof PROGRAMS)[number]): string {
  return BUILD + name;
}

/** Whether the load generators can speak TLS. */
export async function hasOpenSsl(): Promise<boolean> {
  try {
    await run("cc", ["-fsyntax-only", "-include", "openssl/ssl.h", "-x", "c", "/dev/null"]);
    return true;
  } catch {
    return false;
  }
}

/** Builds those that are older than a source, all when the flags are others. */
export async function buildLoad(): Promise<void> {
  const sources = readdirSync(SOURCES).filter((name) => /\.[ch]$/.test(name));
  const newest = Math.max(...sources.map((name) => statSync(SOURCES + name).mtimeMs));
  const common = sources.filter((name) => name.endsWith(".c") && !PROGRAMS.some((program) => name === `${program}.c`));
  const openSsl = await hasOpenSsl();
  const flags = ["-O2", "-Wall", "-Wextra", ...(openSsl ? ["-DHAVE_OPENSSL"] : [])];
  const libraries = openSsl ? ["-lssl", "-lcrypto"] : [];
  mkdirSync(BUILD, { recursive: true });
  const sameFlags = readIfThere(FLAGS_FILE) === flags.join(" ");
  for (const program of PROGRAMS) {
    const age = statSync(BUILD + program, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (sameFlags && age > newest) continue;
    const temporary = `${BUILD}${program}.${process.pid}`;
    const files = [`${program}.c`, ...common].map((name) => SOURCES + name);
    await run("cc", [...flags, "-o", temporary, ...files, ...libraries]);
    renameSync(temporary, BUILD + program);
  }
  if (!sameFlags) writeFileSync(FLAGS_FILE, flags.join(" "));
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
