// Test whether CoAP under load costs what it may: CPU per request beside npm's coap in the same run, and memory over many
// requests from several source ports.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { temporaryFolder } from "../support/gateway-process.ts";

const run = promisify(execFile);
const BENCH = resolve(import.meta.dirname, "../../bench/coap/run.ts");
/** Under --long as many as the bench sends. */
const REQUESTS = process.env["SLUICE_LONG"] === undefined ? "60000" : "240000";
/** Half is measured; three times that is for whatever else the machine does. */
const RATIO_MAX = 1.5;
/** What is slow is so each time; what the machine does meanwhile is not. */
const TRIES = 3;
/** 4 MB are measured. */
const GROWTH_BYTES_MAX = 8e6;

interface Figure {
  readonly name: string;
  readonly values: readonly number[];
}

async function bench(...flags: string[]): Promise<readonly Figure[]> {
  using folder = temporaryFolder();
  const json = join(folder.path, "bench.json");
  await run(process.execPath, [BENCH, ...flags, "--json", json]);
  return (JSON.parse(readFileSync(json, "utf8")) as { figures: Figure[] }).figures;
}

function least(figures: readonly Figure[], beginning: string): number {
  return Math.min(...(figures.find(({ name }) => name.startsWith(beginning))?.values ?? []));
}

test("a CON PUT takes no more CPU than npm's coap needs for it", async () => {
  const ratios: number[] = [];
  for (let i = 0; i < TRIES && !(Math.min(...ratios) <= RATIO_MAX); i++) {
    const figures = await bench("--only", "cpu", "--requests", "10000", "--rounds", "1");
    const put = "CoAP CPU us, CON PUT, QoS 1, nobody keeps it: ";
    ratios.push(least(figures, `${put}sluice`) / least(figures, `${put}npm coap`));
  }
  assert.ok(Math.min(...ratios) <= RATIO_MAX, `${ratios}`);
});

test("RSS after 60,000 requests (with --long, 240,000) from eight source ports is within 8 MB of that before", async () => {
  const figures = await bench("--only", "memory", "--alone", "--memory-requests", REQUESTS);
  const growth = least(figures, "CoAP RSS growth, sluice");
  assert.ok(growth <= GROWTH_BYTES_MAX, `${growth} bytes`);
});
