/** Runs a table's coverage script as the tests do: its numbers are printed, a complaint fails. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

export function assertCovered(script: string): void {
  const run = spawnSync(process.execPath, [script], {
    encoding: "utf8",
    env: { ...process.env, NODE_TEST_CONTEXT: "" },
  });
  process.stdout.write(run.stdout);
  assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
}
