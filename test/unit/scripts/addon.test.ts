// Test whether the addon is built when it has to be, and only then.
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { addonFile, ensureAddon } from "../../../scripts/addon.mjs";
import { requireAddon } from "../../support/dtls-pair.ts";
import { requirePeer } from "../../support/peers.ts";

test("what is built is not built again", { skip: requireAddon() || requirePeer("g++") }, async () => {
  assert.equal(await ensureAddon(), null);
  const { mtimeMs } = statSync(addonFile());
  assert.equal(await ensureAddon(), null);
  assert.equal(statSync(addonFile()).mtimeMs, mtimeMs);
});

test("the checked build, and that for another CPU, have files of their own", () => {
  const files = new Set([addonFile("x64"), addonFile("arm64"), addonFile("x64", true)]);
  assert.equal(files.size, 3);
});
