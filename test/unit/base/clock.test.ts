import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { SystemClock } from "../../../src/base/clock.ts";
import { builtMs } from "../../../src/base/version.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";

test("the machine's clock: stamps go on with monotonic time, a reading names the start of the machine", () => {
  const clock = new SystemClock();
  const first = clock.reading();
  const stamp = clock.ageMs();
  const second = clock.reading();
  assert.ok(stamp >= builtMs(), "no stamp is 0");
  assert.ok(clock.elapsedMs(stamp) >= 0 && clock.elapsedMs(stamp) < 60_000);
  assert.ok(second.nowMs >= first.nowMs && second.uptimeMs >= first.uptimeMs);
  assert.equal(second.bootId, existsSync(BOOT_ID) ? readFileSync(BOOT_ID, "latin1").trim() : "");
});

test("a build made by a machine without a clock is as old as its source; a later one says when", () => {
  const sourceMs = builtMs();
  assert.ok(sourceMs >= Date.UTC(2026, 10, 21));
  try {
    process.env["SLUICE_BUILD_TIME"] = "60";
    assert.equal(builtMs(), sourceMs);
    process.env["SLUICE_BUILD_TIME"] = "4000000000";
    assert.equal(builtMs(), 4_000_000_000_000);
  } finally {
    delete process.env["SLUICE_BUILD_TIME"];
  }
});
