import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { storeRestartable } from "../../../src/cli/store-watch.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/gateway-process.ts";

const HALF_MINUTE_MS = 30_000;

async function beat(t: TestContext): Promise<void> {
  t.mock.timers.tick(HALF_MINUTE_MS);
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test("a store that failed is worth a restart when its disk takes a file and syncs it, and not at once", async (t) => {
  using folder = temporaryFolder();
  t.mock.timers.enable({ apis: ["setInterval"] });
  let failed = false;
  let restartable = false;
  void storeRestartable(folder.path, () => failed).then(() => {
    restartable = true;
  });
  for (let i = 0; i < 3; i++) await beat(t);
  assert.equal(restartable, false, "a store that works is left alone");
  assert.deepEqual(readdirSync(folder.path), [], "and nothing is written");
  failed = true;
  await beat(t);
  assert.equal(restartable, false, "half a minute between two restarts at least");
  t.mock.timers.tick(HALF_MINUTE_MS);
  await eventually("worth it", () => restartable);
  assert.deepEqual(readdirSync(folder.path), []);
});

test("as long as the disk refuses, the gateway is not restarted", async (t) => {
  using folder = temporaryFolder();
  t.mock.timers.enable({ apis: ["setInterval"] });
  const dataDir = join(folder.path, "data");
  let restartable = false;
  void storeRestartable(dataDir, () => true).then(() => {
    restartable = true;
  });
  for (let i = 0; i < 5; i++) await beat(t);
  assert.equal(restartable, false);
  mkdirSync(dataDir);
  await eventually("worth it", async () => {
    await beat(t);
    return restartable;
  });
});
