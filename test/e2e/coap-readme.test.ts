// README.md's section on CoAP as a new user pastes it: each command, and what it prints. In a network of its own, so that
// the ports are those that stand there.
import assert from "node:assert/strict";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../support/gateway-process.ts";
import { Namespace } from "../support/namespace.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";
import { Shell, type Step } from "../support/shell.ts";

const ROOT = resolve(import.meta.dirname, "../..");

/** The section's configuration, and its commands with the lines that follow them. */
function example(): { config: string; steps: Step[] } {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  const section = readme.split(/^## /m).find((text) => text.startsWith("CoAP, for constrained devices")) ?? "";
  const blocks = [...section.matchAll(/^```(\w*)\n(.*?)^```$/gms)];
  const config = blocks.find(([, language]) => language === "yaml")?.[2];
  const console = blocks.find(([, language]) => language === "")?.[2];
  assert.ok(config !== undefined && console !== undefined, "README.md has a configuration and commands");
  const steps: Step[] = [];
  for (const line of console.trim().split("\n")) {
    if (line.startsWith("$ ")) steps.push({ command: line.slice(2), prints: [] });
    else steps.at(-1)?.prints.push(line);
  }
  return { config, steps };
}

test("README.md: each command of the section on CoAP does what stands there", {
  skip: requirePeer("coap-client-notls", "coap-client-openssl", "ip") || requireRoot(),
}, async () => {
  using far = new Namespace("r");
  using folder = temporaryFolder();
  symlinkSync(join(ROOT, "build"), join(folder.path, "build"));
  const { config, steps } = example();
  writeFileSync(join(folder.path, "gateway.yaml"), config);
  await using shell = new Shell(far.command, folder.path);
  for (const step of steps) {
    // `npm start` is the same with the installation before it, which tests/run looks at.
    await shell.run({ ...step, command: step.command.replace("npm start --", "build/sluice run") });
    if (step.command.startsWith("npm start")) await shell.waitFor(/^ready /m);
  }
  assert.ok(steps.length >= 14, "all of them were found");
});
