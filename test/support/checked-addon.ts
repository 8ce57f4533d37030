// An addon's build under GCC's sanitizers and the leak detector, and a node that loads it.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { addonFile } from "../../scripts/addon.mjs";
import { requirePeer, requireThat, type Skip } from "./peers.ts";

/** What node itself does not give back at its end. */
const SUPPRESSIONS = ["leak:node::contextify", "leak:ossl_load_builtin_compressions"];

/** For a test's `skip`. */
export function requireSanitizers(): Skip {
  return requirePeer("g++") || requireThat(existsSync(libraryOf("libasan.so")), "libasan is not installed");
}

function libraryOf(name: string): string {
  return execFileSync("g++", [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
}

export interface Outcome {
  readonly code: number | null;
  readonly output: string;
  /** What AddressSanitizer has to say. */
  readonly findings: string;
}

/**
 * Runs node on `args`; the addon's tests take the checked build.
 * @param name of the addon
 */
export async function runChecked(name: "dtls" | "tty", args: readonly string[]): Promise<Outcome> {
  const { NODE_TEST_CONTEXT: _, ...ours } = process.env;
  const work = mkdtempSync(join(tmpdir(), "sluice-checked-"));
  try {
    writeFileSync(join(work, "suppressions"), SUPPRESSIONS.join("\n"));
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...ours,
        [`SLUICE_${name.toUpperCase()}_ADDON`]: dirname(addonFile(name, process.arch, true)),
        // The C++ library first: where it is loaded later, exceptions of node's own code are not found.
        LD_PRELOAD: ["libasan.so", "libstdc++.so"].map(libraryOf).join(" "),
        ASAN_OPTIONS: `detect_leaks=1:log_path=${work}/asan`,
        LSAN_OPTIONS: `suppressions=${work}/suppressions:print_suppressions=0`,
      },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (output += text));
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    const logs = readdirSync(work).filter((file) => file.startsWith("asan"));
    return { code, output, findings: logs.map((file) => readFileSync(join(work, file), "utf8")).join("\n") };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
