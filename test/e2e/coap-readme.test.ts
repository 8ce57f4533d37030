// README.md's section on CoAP as a new user pastes it: each command, and what it prints. In a network of its own, so that
// the ports are those that stand there.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/gateway-process.ts";
import { Namespace } from "../support/namespace.ts";
import { requirePeer, requireRoot } from "../support/peers.ts";

const ROOT = resolve(import.meta.dirname, "../..");

interface Step {
  readonly command: string;
  readonly prints: string[];
}

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

/** A shell that is given one line at a time. */
class Shell {
  readonly #child: ChildProcess;
  #text = "";
  #lines = 0;

  constructor(command: readonly string[], folder: string) {
    const [program = "", ...words] = [...command, "bash", "-m"];
    this.#child = spawn(program, words, { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (bytes: Buffer) => {
        this.#text += bytes;
      });
    }
  }

  /** Runs one line, and waits until all these have been printed since the last call, and the line is done. */
  async run({ command, prints }: Step): Promise<void> {
    const from = this.#text.length;
    const done = `--- line ${++this.#lines} is done`;
    this.#child.stdin?.write(`${command}\necho '${done}'\n`);
    const printed = (): string[] => this.#text.slice(from).split("\n");
    try {
      await eventually(command, () => printed().some((line) => line.endsWith(done)));
      for (const line of prints) await eventually(line, () => printed().some((one) => one.replace(done, "") === line));
    } catch (error) {
      throw new Error(`${command}: ${(error as Error).message}\nit printed:\n${this.#text.slice(from)}`);
    }
  }

  async waitFor(line: RegExp): Promise<void> {
    await eventually(`${line}`, () => line.test(this.#text));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#child, "close");
    this.#child.stdin?.end("kill $(jobs -p); wait\nexit\n");
    await closed;
  }
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
