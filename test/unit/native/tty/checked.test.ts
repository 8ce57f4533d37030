// Test whether the tty addon's tests touch memory that is not theirs: once more, with a build of it under GCC's sanitizers.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ensureAddon } from "../../../../scripts/addon.mjs";
import { loadTty } from "../../../../src/native/tty/binding.ts";
import { requireSanitizers, runChecked } from "../../../support/checked-addon.ts";
import { requireThat } from "../../../support/peers.ts";

const loaded = loadTty();
const skip = requireThat(typeof loaded !== "string", String(loaded)) || requireSanitizers();

test("under AddressSanitizer and UndefinedBehaviorSanitizer the addon's tests pass, and they find nothing", {
  skip,
}, async () => {
  assert.equal(await ensureAddon("tty", process.arch, { checked: true }), null);
  const file = join(import.meta.dirname, "tty.test.ts");
  const { code, output, findings } = await runChecked("tty", ["--test", "--test-isolation=none", file]);
  assert.equal(findings, "");
  assert.equal(code, 0, output.slice(-4_000));
  assert.match(output, /pass \d+/);
});
