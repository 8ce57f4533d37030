// Test whether the launcher starts node with the limits that the configuration asks for.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { RUN_FLAGS } from "../../../scripts/root.mjs";
import { temporaryFolder } from "../../support/gateway-process.ts";

const LAUNCHER = fileURLToPath(new URL("../../../scripts/launcher.sh", import.meta.url));
const folder = temporaryFolder();
after(() => folder[Symbol.dispose]());
for (const name of ["bin", "lib"]) mkdirSync(join(folder.path, name));
copyFileSync(LAUNCHER, join(folder.path, "bin/sluice"));
writeFileSync(join(folder.path, "lib/sluice.mjs"), "");
// Stands in for node, and says how it was called.
writeFileSync(join(folder.path, "bin/node"), '#!/bin/sh\nprintf "%s\\n" "$@" "arenas $MALLOC_ARENA_MAX"\n');
for (const name of ["sluice", "node"]) chmodSync(join(folder.path, "bin", name), 0o755);

function launched(args: readonly string[], env: NodeJS.ProcessEnv = process.env): string[] {
  return execFileSync(join(folder.path, "bin/sluice"), args, { encoding: "utf8", env }).trim().split("\n");
}

/** MiB of heap that `run` with this configuration gets; null when it is V8's own choice. */
function heapOf(configuration: string, form: (file: string) => string[] = (file) => ["--config", file]): number | null {
  const file = join(folder.path, "a config.yaml");
  writeFileSync(file, configuration);
  const flag = launched(["run", ...form(file)]).find((word) => word.startsWith("--max-old-space-size="));
  return flag === undefined ? null : Number(flag.slice(flag.indexOf("=") + 1));
}

test("the heap may be memory_limit and 32 MiB, however the configuration is written", () => {
  assert.equal(heapOf("node: a\n"), 16 + 32);
  assert.equal(heapOf("# memory_limit: 64MiB\n"), 16 + 32);
  assert.equal(heapOf("node: a\nmemory_limit: 24MiB   # a comment\n"), 24 + 32);
  assert.equal(heapOf("memory_limit: '8 MiB'\n"), 8 + 32);
  assert.equal(heapOf('{\n  "memory_limit": "1GiB",\n  "node": "a"\n}\n'), 1024 + 32);
  assert.equal(
    heapOf("memory_limit: 64MiB\n", (file) => [`--config=${file}`, "--json"]),
    64 + 32,
  );
});

test("a memory_limit that the launcher cannot read leaves the heap to V8", () => {
  assert.equal(heapOf('{"node": "a", "memory_limit": "64MiB"}'), null);
  assert.equal(heapOf("memory_limit: 33554432\n"), null);
  assert.equal(heapOf("memory_limit: 1.5GiB\n"), null);
});

test("only the gateway has a limited heap, and its words reach it unchanged", () => {
  assert.ok(launched(["run"]).includes("--max-old-space-size=48"));
  const words = launched(["pub", "-m", "two  words", "*", ""]);
  assert.ok(!words.some((word) => word.startsWith("--max-old-space-size=")));
  assert.deepEqual(words.slice(words.indexOf("pub"), -1), ["pub", "-m", "two  words", "*", ""]);
});

test("node gets the flags that tests and `npm start` use, in the same order", () => {
  assert.deepEqual(launched(["status"]).slice(0, RUN_FLAGS.length), RUN_FLAGS);
});

test("what the environment says about malloc stays as it is", () => {
  assert.equal(launched(["run"]).at(-1), "arenas 1");
  assert.equal(launched(["run"], { ...process.env, MALLOC_ARENA_MAX: "2" }).at(-1), "arenas 2");
});

test("without a PATH the gateway starts, and the heap is left to V8", () => {
  const words = launched(["run", "--config", "x"], { PATH: "" });
  assert.ok(words.includes("--max-semi-space-size=1"));
  assert.ok(!words.some((word) => word.startsWith("--max-old-space-size=")));
});
