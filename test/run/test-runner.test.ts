// Test whether `npm test` counts right: a runner that loses a failure is worse than none.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { lineWith, outcomeOf, Tree } from "./tree.ts";

const tree = new Tree("export {};\n");
after(() => tree.close());

const USES_TEST = 'import { test } from "node:test";\n';
tree.write(
  "test/unit/good.test.ts",
  `${USES_TEST}test("passes", () => {}); test("needs a peer", { skip: "mosquitto is not installed" }, () => {});`,
);
tree.write("test/unit/bad.test.ts", `${USES_TEST}test("breaks", () => { throw new Error("on purpose"); });`);
tree.write("test/unit/unloadable.test.ts", 'import "./nowhere.ts";');
tree.write("test/unit/exits.test.ts", "process.exit(3);");
tree.write(
  "test/unit/late.test.ts",
  `${USES_TEST}test("passes", () => {}); setImmediate(() => { throw new Error("late"); });`,
);
tree.write(
  "test/unit/deep.test.ts",
  `${USES_TEST}test("outer", (t) => t.test("inner", () => { throw new Error("in"); }));`,
);
tree.write("test/unit/long.test.ts", `${USES_TEST}test("seed " + process.env["SLUICE_LONG"], () => {});`);

tree.write("test/unit/open.test.ts", `${USES_TEST}test("passes", () => { setInterval(() => {}, 1000); });`);
tree.write("test/unit/spins.test.ts", `${USES_TEST}test("never returns", () => { for (;;); });`);

test("passing tests: exit code 0, skips counted with their reason, slowest tests listed", async () => {
  const { code, stdout, stderr } = await tree.bootstrap("test", "good");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /The 1 slowest tests:\n +\d+ ms {2}test\/unit\/good.test.ts: passes\n/);
  assert.match(stdout, /Skipped:\n {2}1 x mosquitto is not installed\n/);
  assert.match(stdout, /\n1 passed, 0 failed, 1 skipped\n$/);
});

const FAILING: readonly (readonly [file: string, says: RegExp])[] = [
  ["bad", /bad.test.ts: breaks\n {4}Error: on purpose/],
  ["unloadable", /unloadable.test.ts\n {4}the file ended with exit code 1/],
  ["exits", /exits.test.ts\n {4}the file ended with exit code 3/],
  ["late", /late.test.ts/],
  ["deep", /deep.test.ts: inner\n {4}Error: in/],
];
for (const [file, says] of FAILING) {
  test(`a failure counts once: ${file}`, async () => {
    const { code, stdout } = await tree.bootstrap("test", `unit/${file}`);
    assert.equal(code, 1);
    assert.match(stdout, says);
    assert.match(stdout, /\n\d passed, 1 failed, 0 skipped\n$/);
  });
}

for (const file of ["open", "spins"]) {
  test(`a file that does not end is ended and fails: ${file}`, async () => {
    tree.env["SLUICE_TEST_FILE_SECONDS"] = "1";
    const { code, stdout } = await tree.bootstrap("test", `unit/${file}`);
    delete tree.env["SLUICE_TEST_FILE_SECONDS"];
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`${file}.test.ts\\n {4}Error: still running after 1 s`));
    assert.match(stdout, /\n\d passed, 1 failed, 0 skipped\n$/);
  });
}

test("interrupted, it takes its test processes with it and fails", async () => {
  tree.write(
    "test/unit/says.test.ts",
    `${USES_TEST}test("waits", async () => { console.log("pid", process.pid); for (;;); });`,
  );
  const runner = tree.spawn(process.execPath, ["scripts/bootstrap.mjs", "test", "says"]);
  const pid = Number((await lineWith(runner, "pid ")).split(" ")[1]);
  const end = outcomeOf(runner);
  runner.kill("SIGTERM");
  assert.equal((await end).code, 1);
  assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

test("a pattern that matches nothing is a failure", async () => {
  const { code, stderr } = await tree.bootstrap("test", "nosuch");
  assert.equal(code, 1);
  assert.match(stderr, /no test file matches nosuch/);
});

test("--long SEED reaches the tests", async () => {
  assert.match((await tree.bootstrap("test", "--long", "42", "long.test")).stdout, /seed 42/);
});
