import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { Log } from "../../../src/base/log.ts";
import { FileAuthority } from "../../../src/core/authority.ts";
import { HookAuthority } from "../../../src/core/hook-authority.ts";
import { HookCalls, type Hooks } from "../../../src/core/hooks.ts";

/** Keys of the user u, as `sluice passwd` would write them; the numbers mean nothing here. */
const KEY = Buffer.alloc(32, 1).toString("base64");
const FILE = `u:$scram-sha-256$4096$${Buffer.alloc(16, 2).toString("base64")}$${KEY}$${KEY}\n`;

function scramRecordWith(hooks: Hooks): unknown {
  const counters = new Counters();
  const files = new FileAuthority(counters);
  const passwords = { text: FILE, file: "passwd" };
  assert.deepEqual(files.reload({ anonymous: "never", passwords, acl: null }), []);
  const calls = new HookCalls(counters, new Log({ level: "error", format: "text", write: () => {} }));
  return new HookAuthority(files, hooks, calls).scramRecord("u");
}

test("an authenticate hook cannot judge a SCRAM proof, so there is none: no login goes past it", () => {
  assert.notEqual(scramRecordWith({ authorize: () => true }), null);
  assert.equal(scramRecordWith({ authenticate: () => null }), null);
});
