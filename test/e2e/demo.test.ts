// What `npm start` shows: an outage of the cloud in the middle, nothing acknowledged lost, the balance printed.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { lineOf } from "../../scripts/kept/kept-process.ts";
import { eventually } from "../support/eventually.ts";

const DEMO = resolve(import.meta.dirname, "../../scripts/demo.ts");
const DEMO_SECONDS_MAX = 30;

test("the demo ends by itself with exit code 0 and a balance without losses", async () => {
  const startedAt = performance.now();
  const { stdout } = await promisify(execFile)(process.execPath, [DEMO]); // rejects on another exit code
  assert.ok(performance.now() - startedAt < DEMO_SECONDS_MAX * 1_000);
  const head = stdout.split("\n").find((line) => line.trim().startsWith("source"));
  assert.match(head ?? "", /sent +acknowledged +at the cloud +lost +duplicates/);
  const [sent, acknowledged, received, lost] = numbersOf(stdout, "together");
  assert.equal(lost, 0);
  assert.ok(acknowledged! > 0 && acknowledged! <= sent! && received! >= acknowledged!);
  for (const source of ["thermometer", "pump", "valve", "camera"]) {
    const [, perSource, perSourceReceived] = numbersOf(stdout, source);
    assert.ok(perSource! > 0 && perSourceReceived! >= perSource!, `${source}: ${perSource} acknowledged`);
  }
  assert.match(stdout, /the cloud is killed[\s\S]*the cloud is back/);
  assert.match(stdout, /Nothing that was acknowledged was lost\./);
});

test("SIGTERM in the middle ends the demo and every process it started", async () => {
  const demo = spawn(process.execPath, [DEMO, "--keep"], { stdio: ["ignore", "pipe", "inherit"] });
  await lineOf(demo.stdout, (line) => (/^ +1 /.test(line) ? line : null), 20_000);
  const started = descendantsOf(demo.pid!);
  assert.ok(started.length >= 4, `keepers, cloud and gateway: ${started.length} processes`);
  demo.kill("SIGTERM");
  const [code] = (await once(demo, "exit")) as [number];
  assert.equal(code, 128 + 15);
  await eventually("all processes are gone", () => started.every((pid) => !isRunning(pid)));
});

test("an unknown option is answered with the usage and exit code 2", async () => {
  await assert.rejects(
    promisify(execFile)(process.execPath, [DEMO, "--kepe"]),
    (error: Error & { code: number; stderr: string }) => {
      assert.equal(error.code, 2);
      assert.match(error.stderr, /usage: npm start/);
      return true;
    },
  );
});

/** Numbers in the balance's line of `source`. */
function numbersOf(output: string, source: string): number[] {
  const line = output.split("\n").find((candidate) => candidate.startsWith(`  ${source} `)) ?? "";
  const columns = line.trim().split(/ {2,}/);
  return columns.map((cell) => Number(cell.replaceAll(",", ""))).filter((value) => !Number.isNaN(value));
}

function descendantsOf(parent: number): number[] {
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
  return children.flatMap((pid) => [pid, ...descendantsOf(pid)]);
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return 0; // ended meanwhile
  }
}

function isRunning(pid: number): boolean {
  return parentOf(pid) > 0;
}
