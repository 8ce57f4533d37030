// Test whether the addon is built when it has to be, and only then.
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import { addonFile, ensureAddon } from "../../../scripts/addon.mjs";
import { requireAddon } from "../../support/dtls-pair.ts";
import { requirePeer } from "../../support/peers.ts";

test("what is built is not built again", { skip: requireAddon() || requirePeer("g++") }, async () => {
  assert.equal(await ensureAddon("dtls"), null);
  const { mtimeMs } = statSync(addonFile("dtls"));
  assert.equal(await ensureAddon("dtls"), null);
  assert.equal(statSync(addonFile("dtls")).mtimeMs, mtimeMs);
});

test("the checked build, and that for another CPU, have files of their own", () => {
  const files = new Set([
    addonFile("dtls", "x64"),
    addonFile("dtls", "arm64"),
    addonFile("dtls", "x64", true),
    addonFile("tty", "x64"),
  ]);
  assert.equal(files.size, 4);
});
