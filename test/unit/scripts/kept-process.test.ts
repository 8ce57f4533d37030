import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { KeptProcess, lineOf } from "../../../scripts/kept/kept-process.ts";
import { eventually } from "../../support/eventually.ts";

const MODULE = fileURLToPath(new URL("../../../scripts/kept/kept-process.ts", import.meta.url));

test("a kept process reports its pid, its output and its exit code", async () => {
  const kept = await KeptProcess.start("sh", ["-c", 'echo "pid $$"; read line; exit 7']);
  const pid = await lineOf(kept.stdout, (line) => Number(/^pid (\d+)/.exec(line)?.[1]) || null, 5_000);
  assert.equal(pid, kept.pid);
  kept.write("go\n");
  assert.deepEqual(await kept.exited, { code: 7, signal: null });
  assert.equal(kept.running, false);
});

test("a program that does not exist is an error that names it", async () => {
  await assert.rejects(KeptProcess.start("/nowhere/program", []), /\/nowhere\/program/);
});

test("stop ends a program that ignores SIGTERM", async () => {
  const kept = await KeptProcess.start("sh", ["-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]);
  await lineOf(kept.stdout, (line) => line || null, 5_000);
  assert.deepEqual(await kept.stop(200), { code: null, signal: "SIGKILL" });
});

test("a stream that ends without the line is an error with what was said", async () => {
  const kept = await KeptProcess.start("sh", ["-c", "echo port in use; exit 1"]);
  await assert.rejects(
    lineOf(kept.stdout, () => null, 5_000),
    /port in use/,
  );
  await kept.exited;
});

test("when the script is killed with SIGKILL, what it started ends", async () => {
  const script = `
    import { KeptProcess } from ${JSON.stringify(MODULE)};
    const kept = await KeptProcess.start("sleep", ["60"]);
    console.log(kept.pid);
    setInterval(() => {}, 1000);
  `;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const pid = await lineOf(parent.stdout, (line) => Number(line) || null, 10_000);
  assert.ok(existsSync(`/proc/${pid}`));
  parent.kill("SIGKILL");
  await eventually("the program ends", () => !existsSync(`/proc/${pid}`));
});
