// Test whether the addon's own tests, fuzzing included, touch memory that is not theirs, leave some behind, or do what
// C++ does not define: all of them once more, with a build of the addon under GCC's sanitizers and the leak detector.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { addonFile, ensureAddon } from "../../../../scripts/addon.mjs";
import { requireSanitizers, runChecked } from "../../../support/checked-addon.ts";
import { requireAddon } from "../../../support/dtls-pair.ts";

const skip = requireAddon() || requireSanitizers();

test("under AddressSanitizer and UndefinedBehaviorSanitizer all tests of the addon pass, and they find nothing", {
  skip,
}, async () => {
  assert.equal(await ensureAddon("dtls", process.arch, { checked: true }), null);
  const us = basename(import.meta.filename);
  const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts") && name !== us);
  assert.ok(files.length >= 8);
  const paths = files.map((name) => join(import.meta.dirname, name));
  const { code, output, findings } = await runChecked("dtls", ["--test", "--test-isolation=none", ...paths]);
  assert.equal(findings, "");
  assert.equal(code, 0, output.slice(-4_000));
  assert.match(output, /pass \d{2,}/);
});

test("AddressSanitizer sees the addon's memory: what is planted there is found", { skip }, async () => {
  assert.equal(await ensureAddon("dtls", process.arch, { checked: true }), null);
  const load = `
    const module = { exports: {} };
    process.dlopen(module, ${JSON.stringify(addonFile("dtls", process.arch, true))});
    const { DtlsContext } = module.exports;
    const psk = [{ identity: Buffer.from("a"), key: Buffer.from("b") }];
    new DtlsContext({ role: "client", psk }).connect().receive(Buffer.alloc(13));
    module.exports.plant();
  `;
  const { code, findings } = await runChecked("dtls", ["-e", load]);
  assert.notEqual(code, 0);
  assert.match(findings, /heap-buffer-overflow/);
});
