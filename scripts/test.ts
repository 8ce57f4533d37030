// npm test [-- [--long SEED] [PATTERN...]]: every test/**/*.test.ts, or those whose path contains a pattern.
//
// Prints failures as they happen, a line per file, what was skipped and why, the 20 slowest tests, the totals.
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import { parseArgs } from "node:util";
import { ensureAddonsOrSay, ensureBuilt } from "./build.mjs";
import { ROOT, SetupError } from "./root.mjs";
import { describeError, TestReport } from "./test-report.ts";

/** Two cores: two files at a time. */
const FILES_AT_ONCE = 2;
/** A file that takes longer is ended and fails. Long runs take what they need. */
const FILE_SECONDS_MAX = Number(process.env["SLUICE_TEST_FILE_SECONDS"] ?? 300);

const { values, positionals } = parseArgs({
  options: { long: { type: "string" } },
  allowPositionals: true,
});

const files = testFiles(positionals);
if (files.length === 0) fail(`no test file matches ${positionals.join(" ")}`);
await (files.some(needsProduct) ? ensureBuilt() : ensureAddonsOrSay()).catch((error: unknown) =>
  fail(error instanceof SetupError ? error.message : describeError(error)),
);
if (values.long !== undefined) process.env["SLUICE_LONG"] = values.long;

process.exitCode = 1; // until the report says otherwise
const report = new TestReport((line) => process.stdout.write(`${line}\n`));
const stopped = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopped.abort(new Error(signal)));

await Promise.all(Array.from({ length: FILES_AT_ONCE }, runFiles));
report.print();
if (report.ok && !stopped.signal.aborted) process.exitCode = 0;

/** Takes file after file from the list until none is left. */
async function runFiles(): Promise<void> {
  for (let file = files.shift(); file !== undefined && !stopped.signal.aborted; file = files.shift())
    await runFile(file);
}

/** A file is a process of its own. node:test ends it by signal when `signal` aborts, and not by any of its timeouts. */
async function runFile(file: string): Promise<void> {
  const tooLong = new AbortController();
  const reason = `still running after ${FILE_SECONDS_MAX} s: it spins, or what it started is still open`;
  const timer = setTimeout(() => tooLong.abort(new Error(reason)), FILE_SECONDS_MAX * 1000);
  if (values.long !== undefined) clearTimeout(timer);
  const stream = run({
    files: [join(ROOT, file)],
    cwd: ROOT,
    signal: AbortSignal.any([stopped.signal, tooLong.signal]),
  });
  stream.on("test:pass", (event) => report.passed(event));
  stream.on("test:fail", (event) => report.failed(event));
  stream.on("test:stdout", (event) => process.stdout.write(event.message));
  stream.on("test:stderr", (event) => process.stderr.write(event.message));
  stream.on("test:summary", (event) => {
    if (event.file === undefined) report.fileEnded(file, event.counts, event.duration_ms);
  });
  stream.resume();
  await once(stream, "end");
  clearTimeout(timer);
}

function testFiles(patterns: string[]): string[] {
  const all = readdirSync(join(ROOT, "test"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => `test/${name}`)
    .filter((name) => patterns.length === 0 || patterns.some((pattern) => name.includes(pattern)));
  // The long ones first, so that the short ones fill the second core at the end.
  return all.sort((a, b) => Number(needsProduct(b)) - Number(needsProduct(a)) || a.localeCompare(b));
}

/** Unit tests read the sources; these start the product. */
function needsProduct(file: string): boolean {
  return ["test/e2e/", "test/package/", "test/conformance/"].some((folder) => file.startsWith(folder));
}

function fail(text: string): never {
  process.stderr.write(`sluice: ${text}\n`);
  process.exit(1);
}
