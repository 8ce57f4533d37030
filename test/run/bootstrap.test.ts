// Test whether `npm start` and its siblings do only what is needed and stand aside for what they run.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { isInstalled } from "../../scripts/install.mjs";
import { eventually } from "../support/eventually.ts";
import { lineWith, outcomeOf, Tree } from "./tree.ts";

const MAIN = `
import { SEED } from "./seed.ts";
const [verb = "", ...rest] = process.argv.slice(2);
if (verb === "run") {
  const timer = setInterval(() => {}, 60_000);
  process.on("SIGHUP", () => console.log("reloaded"));
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => { console.log(signal); clearInterval(timer); });
}
console.log(JSON.stringify({ verb, rest, pid: process.pid, version: process.env["SLUICE_VERSION"], seed: SEED }));
if (verb === "exit") process.exit(Number(rest[0]));
if (verb === "die") process.kill(process.pid, "SIGKILL");
if (verb === "lazy") console.log((await import("./lazy.ts")).WORD);
`;

const tree = new Tree(MAIN);
tree.write("src/seed.ts", "export const SEED: number = 1;\n");
tree.write("src/lazy.ts", 'export const WORD: string = "only when asked";\n');
tree.write("scripts/demo.ts", 'console.log("demo", process.argv.slice(2).join(" "), process.versions.node);\n');
after(() => tree.close());

test("two that start at once build once, and both run", async () => {
  const [first, second] = await Promise.all([tree.bootstrap("start"), tree.bootstrap("start", "--keep")]);
  assert.deepEqual([first.code, second.code], [0, 0], first.stderr + second.stderr);
  assert.match(first.stdout, /^demo {2}\d/);
  assert.match(second.stdout, /^demo --keep \d/);
});

test("nothing is said and nothing is built when nothing changed", async () => {
  const before = statSync(join(tree.root, "build/sluice.mjs")).mtimeMs;
  const { stdout, stderr } = await tree.bootstrap("build");
  assert.equal(stdout + stderr, "");
  assert.equal(statSync(join(tree.root, "build/sluice.mjs")).mtimeMs, before);
});

test("a changed source is built before it runs", async () => {
  tree.write("src/seed.ts", "export const SEED: number = 2;\n");
  assert.match((await tree.bootstrap("start", "exit", "0")).stdout, /"seed":2/);
});

test("a source that does not build: the place, exit code 1, the last build stays", async () => {
  tree.write("src/seed.ts", "export const SEED: number = ;\n");
  const { code, stderr } = await tree.bootstrap("start", "exit", "0");
  assert.equal(code, 1);
  assert.match(stderr, /the build failed[\s\S]*src\/seed.ts:1/);
  assert.ok(readFileSync(join(tree.root, "build/sluice.mjs"), "utf8").includes("SEED"));
  tree.write("src/seed.ts", "export const SEED: number = 2;\n");
});

test("--config FILE is the verb run; other verbs and --version go to the command line", async () => {
  const child = tree.spawn(process.execPath, ["scripts/bootstrap.mjs", "start", "--config", "gw.yaml"]);
  const line = await lineWith(child, "verb");
  child.kill("SIGTERM");
  assert.equal((await outcomeOf(child)).code, 0);
  const { verb, rest, version } = JSON.parse(line);
  assert.deepEqual({ verb, rest }, { verb: "run", rest: ["--config", "gw.yaml"] });
  assert.equal(version, JSON.parse(readFileSync(join(tree.root, "package.json"), "utf8")).version);
  assert.match((await tree.bootstrap("start", "--version")).stdout, /"verb":"--version"/);
  assert.match((await tree.bootstrap("start", "check", "--config", "x")).stdout, /"check","rest":\["--config","x"\]/);
});

test("exit codes and deaths are passed on", async () => {
  assert.equal((await tree.bootstrap("start", "exit", "2")).code, 2);
  assert.equal((await tree.bootstrap("start", "die")).signal, "SIGKILL");
});

test("SIGHUP, SIGINT and SIGTERM reach the product, which decides how it ends", async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    const child = tree.spawn(process.execPath, ["scripts/bootstrap.mjs", "start", "run"]);
    await lineWith(child, "verb");
    child.kill("SIGHUP");
    await lineWith(child, "reloaded");
    const end = outcomeOf(child);
    child.kill(signal);
    const { code, stdout } = await end;
    assert.deepEqual({ code, stdout }, { code: 0, stdout: `${signal}\n` });
  }
});

test("SIGTERM to npm itself reaches the product: no shell stays between them", async () => {
  const child = tree.spawn("npm", ["start", "--", "run"]);
  const { pid } = JSON.parse(await lineWith(child, "verb")) as { pid: number };
  const end = outcomeOf(child);
  child.kill("SIGTERM");
  assert.match((await end).stdout, /^SIGTERM$/m);
  await eventually("the product has ended", () => !existsSync(`/proc/${pid}`));
});

test("a lazily imported part is a file of its own", async () => {
  assert.match((await tree.bootstrap("start", "lazy")).stdout, /only when asked/);
  assert.ok(!readFileSync(join(tree.root, "build/sluice.mjs"), "utf8").includes("only when asked"));
});

test("the launcher becomes the product, also through a link", async () => {
  const link = join(tree.root, "link");
  symlinkSync("build/sluice", link);
  const child = tree.spawn(link, ["run"]);
  assert.equal(JSON.parse(await lineWith(child, "verb")).pid, child.pid);
  child.kill("SIGTERM");
  assert.equal((await outcomeOf(child)).code, 0);
});

test("an unknown command and a missing script are told, with exit code 1", async () => {
  const unknown = await tree.bootstrap("strat");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /usage: .*start\|test\|build\|check\|bench/);
  const missing = await tree.bootstrap("bench");
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /there is no bench\/mqtt\/run.ts/);
});

test("a bench is a folder of bench, or else a workload of bench/mqtt with a JSON file of its own", async () => {
  const says = (name: string): string =>
    `console.log(JSON.stringify([${JSON.stringify(name)}, ...process.argv.slice(2)]));\n`;
  tree.write("bench/memory/idle/run.ts", says("memory/idle"));
  tree.write("bench/mqtt/run.ts", says("mqtt"));
  const run = async (...args: string[]): Promise<unknown> =>
    JSON.parse((await tree.bootstrap("bench", ...args)).stdout);
  assert.deepEqual(await run("memory/idle", "--seconds", "3"), ["memory/idle", "--seconds", "3"]);
  assert.deepEqual(await run("--rounds", "1"), ["mqtt", "--rounds", "1"]);
  const json = join(tree.root, "build/bench/unique.json");
  assert.deepEqual(await run("unique", "--rounds", "1"), ["mqtt", "--only", "unique", "--json", json, "--rounds", "1"]);
});

test("installed is what the lock file says, but for optional packages of another CPU", () => {
  const root = join(tree.root, "installed");
  const wanted = {
    "": { name: "x" },
    "node_modules/a": { integrity: "sha512-a" },
    "node_modules/arm": { integrity: "sha512-arm", optional: true },
  };
  const present = (packages: object | undefined): boolean => {
    mkdirSync(join(root, "node_modules"), { recursive: true });
    writeFileSync(join(root, "package-lock.json"), JSON.stringify({ packages: wanted }));
    writeFileSync(join(root, "node_modules/.package-lock.json"), packages ? JSON.stringify({ packages }) : "cut of");
    return isInstalled(root);
  };
  assert.equal(present({ "node_modules/a": { integrity: "sha512-a" } }), true);
  assert.equal(present({ "node_modules/a": { integrity: "sha512-old" } }), false);
  assert.equal(present({}), false);
  assert.equal(present(undefined), false);
});

test("the DTLS addon: one line says why it cannot be built, and the rest goes on", async () => {
  const small = new Tree(MAIN);
  try {
    small.write("src/seed.ts", "export const SEED: number = 1;\n");
    small.write("src/lazy.ts", 'export const WORD: string = "";\n');
    small.write("src/native/dtls/binding.gyp", "no gyp");
    const tools = join(small.root, "tools");
    mkdirSync(tools);
    const path = process.env["PATH"] ?? "";
    small.env["PATH"] = tools;
    const without = await small.bootstrap("start", "--version");
    assert.equal(without.code, 0);
    assert.equal(
      without.stderr,
      "sluice: no DTLS, its addon is not built: it needs python3 and make and g++ (Debian: apt-get install python3 make g++)\n",
    );
    small.env["PATH"] = path;
    const failing = await small.bootstrap("start", "--version");
    assert.equal(failing.code, 0);
    assert.match(failing.stderr, /^sluice: no DTLS, its addon is not built: its build failed, see .*build.log$/m);
  } finally {
    small.close();
  }
});
