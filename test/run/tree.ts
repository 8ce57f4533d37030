// A small working tree with our scripts and packages, and a product of the test's own making.
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "../../scripts/root.mjs";

export interface Outcome {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A working tree in a temporary folder; `close` removes it. */
export class Tree {
  /** Variables for what is started, on top of our own. */
  readonly env: Record<string, string> = {};
  readonly root = mkdtempSync(join(tmpdir(), "sluice-tree-"));

  constructor(main: string) {
    for (const name of ["package.json", "package-lock.json", "tsconfig.json", "scripts"]) {
      cpSync(join(ROOT, name), join(this.root, name), { recursive: true });
    }
    symlinkSync(join(ROOT, "node_modules"), join(this.root, "node_modules"));
    this.write("src/main.ts", main);
    this.write("src/cli/run.ts", "export {};\n"); // a bundle of its own
    for (const door of ["index", "client"]) this.write(`src/${door}.ts`, `export const DOOR = "${door}";\n`);
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  spawn(program: string, args: readonly string[]): ChildProcess {
    return spawn(program, args, {
      cwd: this.root,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...environment(), ...this.env },
    });
  }

  /** `node scripts/bootstrap.mjs ...`, to its end. */
  async bootstrap(...args: string[]): Promise<Outcome> {
    return await outcomeOf(this.spawn(process.execPath, ["scripts/bootstrap.mjs", ...args]));
  }

  close(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Ours, without what the test runner tells its own children. */
function environment(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, CI: __, SLUICE_LONG: ___, ...rest } = process.env;
  return rest;
}

/** Waits for the end of a process and collects what it said. */
export async function outcomeOf(child: ChildProcess): Promise<Outcome> {
  const said = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (said.stdout += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said.stderr += text));
  return await new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal, ...said })));
}

/** Waits until a process has printed a line with `word`, and gives that line. */
export async function lineWith(child: ChildProcess, word: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (more: string) => {
      text += more;
      const line = text.split("\n").find((candidate, at, all) => at < all.length - 1 && candidate.includes(word));
      if (line !== undefined) resolve(line);
    });
    child.once("close", () => reject(new Error(`it ended without saying ${word}:\n${text}`)));
  });
}
