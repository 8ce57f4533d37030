// Test whether the addon's own tests, fuzzing included, touch memory that is not theirs, leave some behind, or do what
// C++ does not define: all of them once more, with a build of the addon under GCC's sanitizers and the leak detector.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { after, test } from "node:test";
import { addonFile, ensureAddon } from "../../../../scripts/addon.mjs";
import { requireAddon } from "../../../support/dtls-pair.ts";
import { requirePeer, requireThat, type Skip } from "../../../support/peers.ts";

/** What node itself does not give back at its end. */
const SUPPRESSIONS = ["leak:node::contextify", "leak:ossl_load_builtin_compressions"];

const work = mkdtempSync(join(tmpdir(), "sluice-dtls-"));
after(() => rmSync(work, { recursive: true, force: true }));

const skip: Skip =
  requireAddon() || requirePeer("g++") || requireThat(existsSync(libraryOf("libasan.so")), "libasan is not installed");

function libraryOf(name: string): string {
  return execFileSync("g++", [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
}

interface Outcome {
  readonly code: number | null;
  readonly output: string;
  /** What AddressSanitizer has to say. */
  readonly findings: string;
}

async function run(args: readonly string[]): Promise<Outcome> {
  const { NODE_TEST_CONTEXT: _, ...ours } = process.env;
  const log = mkdtempSync(join(work, "log-"));
  writeFileSync(join(work, "suppressions"), SUPPRESSIONS.join("\n"));
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...ours,
      SLUICE_DTLS_ADDON: dirname(addonFile(process.arch, true)),
      // The C++ library first: where it is loaded later, exceptions of node's own code are not found.
      LD_PRELOAD: ["libasan.so", "libstdc++.so"].map(libraryOf).join(" "),
      ASAN_OPTIONS: `detect_leaks=1:log_path=${log}/asan`,
      LSAN_OPTIONS: `suppressions=${work}/suppressions:print_suppressions=0`,
    },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  const findings = readdirSync(log).map((name) => readFileSync(join(log, name), "utf8"));
  return { code, output, findings: findings.join("\n") };
}

test("under AddressSanitizer and UndefinedBehaviorSanitizer all tests of the addon pass, and they find nothing", {
  skip,
}, async () => {
  assert.equal(await ensureAddon(process.arch, { checked: true }), null);
  const us = basename(import.meta.filename);
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts") && name !== us);
  assert.ok(files.length >= 8);
  const paths = files.map((name) => join(import.meta.dirname, name));
  const { code, output, findings } = await run(["--test", "--test-isolation=none", ...paths]);
  assert.equal(findings, "");
  assert.equal(code, 0, output.slice(-4_000));
  assert.match(output, /pass \d{2,}/);
});

test("AddressSanitizer sees the addon's memory: what is planted there is found", { skip }, async () => {
  assert.equal(await ensureAddon(process.arch, { checked: true }), null);
  const load = `
    const module = { exports: {} };
    process.dlopen(module, ${JSON.stringify(addonFile(process.arch, true))});
    const { DtlsContext } = module.exports;
    const psk = [{ identity: Buffer.from("a"), key: Buffer.from("b") }];
    new DtlsContext({ role: "client", psk }).connect().receive(Buffer.alloc(13));
    module.exports.plant();
  `;
  const { code, findings } = await run(["-e", load]);
  assert.notEqual(code, 0);
  assert.match(findings, /heap-buffer-overflow/);
});
