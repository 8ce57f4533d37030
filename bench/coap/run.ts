/**
 * npm run bench -- coap [--requests N] [--rounds N] [--memory-requests N] [--only cpu|memory] [--alone] [--json FILE] [--compare FILE]
 *
 * CPU per CoAP request, beside npm's coap as a server in the same run; and memory over 240,000 requests, which ends with
 * exit code 1 when it grows by more than it may. How to read it: ../README.md.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { type Memory, memoryOf } from "../../scripts/kept/proc.ts";
import { type Figure, median } from "../figures.ts";
import { readFlags, wrongUse } from "../flags.ts";
import { buildLoad, programOf } from "../load/build.ts";
import { flagsOf } from "../load/load.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { startNpmCoap } from "../peers/npm-coap.ts";
import type { Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { Progress } from "../progress.ts";
import { mebibytes, microseconds, perSecond, table, threeDigits } from "../table.ts";

interface Case {
  readonly name: string;
  readonly method: "put" | "get";
  readonly non?: boolean;
  readonly query?: string;
  readonly payload: number;
  readonly window: number;
  /** Of `--requests`. */
  readonly share: number;
  /** Whether npm's server does the like. */
  readonly both: boolean;
}

const SOURCES = 8;
const WINDOW = 32;
/** What is stored waits for its group, so more have to be under way; one address may have 128. */
const STORED_WINDOW = 96;
const GET = { method: "get", payload: 0, window: WINDOW, share: 1 } as const;
const PUT = { method: "put", payload: 50, window: WINDOW, share: 1 } as const;
const CASES: readonly Case[] = [
  { ...PUT, name: "CON PUT, QoS 1, nobody keeps it", both: true },
  { ...PUT, name: "CON PUT, QoS 0", query: "qos=0", both: false },
  {
    ...PUT,
    name: "CON PUT, QoS 1, stored",
    query: "retain=1",
    payload: 16,
    window: STORED_WINDOW,
    share: 0.25,
    both: false,
  },
  { ...PUT, name: "NON PUT", non: true, both: true },
  { ...GET, name: "CON GET of a retained value", both: true },
];
/** The code is compiled by then, and the tables are full. */
const WARM_UP = 40_000;
const MEMORY_BYTES_MAX = 8e6;
/** npm's server keeps 5 kB for each request that it answered in the last minutes. */
const NPM_REQUESTS_MAX = 20_000;
const SETTLE_MS = 1_000;

interface Answered {
  readonly answered: number;
  readonly seconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly refused: number;
  readonly repeated: number;
  readonly unanswered: number;
}

const run = promisify(execFile);
const values = readFlags("coap", {
  requests: { type: "string", default: "200000" },
  rounds: { type: "string", default: "3" },
  "memory-requests": { type: "string", default: "240000" },
  only: { type: "string" },
  alone: { type: "boolean", default: false },
  ...OUTCOME_OPTIONS,
});
const PARTS = ["cpu", "memory"];
if (values.only !== undefined && !PARTS.includes(values.only)) {
  wrongUse("coap", `there is no ${values.only}`, [`--only: ${PARTS.join(" ")}`]);
}
const requests = Number(values.requests);
const rounds = Number(values.rounds);
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
await buildLoad();
const figures: Figure[] = [];
const texts: string[] = [];
const details: Record<string, unknown> = {};
if (values.only !== "memory") texts.push(await cpu());
if (values.only !== "cpu") texts.push(await memory());
progress.clear();
publish({
  bench: "coap",
  options: values,
  method: `${rounds} rounds of ${requests.toLocaleString("en")} requests, ${SOURCES} source ports, ${WINDOW} under way`,
  text: texts.join("\n\n"),
  figures,
  details,
});

async function load(peer: Peer, one: Case, count: number, warmUp: number): Promise<Answered> {
  const { method, payload, window, non = false, query = "" } = one;
  const flags = { requests: count, "warm-up": warmUp, sources: SOURCES, method, payload, window, non, query };
  const to = { port: peer.port, "broker-pid": peer.pid };
  const { stdout } = await run(programOf("coap-load"), flagsOf({ ...to, ...flags }));
  const result = JSON.parse(stdout) as Answered;
  if (result.refused + result.unanswered > 0) throw new Error(`${peer.name}, ${one.name}: ${stdout}`);
  return result;
}

/** CPU of user and system per request, in microseconds. */
function cpuUs({ userSeconds, systemSeconds, answered }: Answered): number {
  return ((userSeconds + systemSeconds) * 1e6) / answered;
}

async function cpu(): Promise<string> {
  const sluice = await startSluice(`${directory}/cpu`, { listeners: ["coap"] });
  if (sluice === null) throw new Error("there is no build: npm run build");
  const npm = values.alone ? null : await startNpmCoap(32 * 1024);
  const peers = npm === null ? [sluice] : [sluice, npm];
  const results = new Map<string, Answered[]>();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const one of CASES) {
        for (const peer of peers) {
          if (peer === npm && !one.both) continue;
          progress.show(`round ${round + 1}, ${one.name}, ${peer.name}`);
          const most = peer === npm ? NPM_REQUESTS_MAX : requests * one.share;
          const count = Math.min(most, requests);
          const result = await load(peer, one, count, Math.min(WARM_UP, count) / (round === 0 ? 1 : 10));
          const key = `${one.name}: ${peer.name}`;
          results.set(key, [...(results.get(key) ?? []), result]);
        }
      }
    }
  } finally {
    await Promise.all(peers.map((peer) => peer.process?.stop()));
  }
  details["cpu"] = Object.fromEntries(results);
  for (const [key, all] of results)
    figures.push({ name: `CoAP CPU us, ${key}`, better: "less", values: all.map(cpuUs) });
  const cell = (
    one: Case,
    peer: Peer,
    read: (result: Answered) => number,
    print: (value: number) => string,
  ): string => {
    const all = results.get(`${one.name}: ${peer.name}`);
    return all === undefined ? "" : print(median(all.map(read)));
  };
  const head = ["", ...peers.map(({ name }) => `${name}, CPU us`), "ratio", "sluice, rate", "p50", "p99"];
  const rows = CASES.map((one) => {
    const [ours = 0, theirs] = peers
      .map((peer) => results.get(`${one.name}: ${peer.name}`))
      .map((all) => (all === undefined ? undefined : median(all.map(cpuUs))));
    return [
      one.name,
      ...peers.map((peer) => cell(one, peer, cpuUs, threeDigits)),
      theirs === undefined ? "" : threeDigits(ours / theirs),
      cell(one, sluice, ({ answered, seconds }) => answered / seconds, perSecond),
      cell(one, sluice, ({ p50Us }) => p50Us, microseconds),
      cell(one, sluice, ({ p99Us }) => p99Us, microseconds),
    ];
  });
  return table([head, ...rows]);
}

async function memory(): Promise<string> {
  const [put] = CASES as [Case, ...Case[]];
  const rows = [["RSS", "at rest", "warmed up", "after", "growth"]];
  const weigh = async (peer: Peer | null, name: string, count: number): Promise<number> => {
    if (peer === null) return 0;
    try {
      progress.show(`memory, ${name}`);
      await delay(SETTLE_MS);
      const atRest: Memory = memoryOf(peer.pid);
      await load(peer, put, Math.min(WARM_UP, count), 0);
      const warm = memoryOf(peer.pid);
      await load(peer, put, count, 0);
      await delay(SETTLE_MS);
      const after = memoryOf(peer.pid);
      const growth = after.rssBytes - warm.rssBytes;
      rows.push([name, ...[atRest, warm, after].map(({ rssBytes }) => mebibytes(rssBytes)), mebibytes(growth)]);
      figures.push({ name: `CoAP RSS growth, ${name}, bytes`, better: "less", values: [growth] });
      details[`memory, ${name}`] = { atRest, warm, after };
      return growth;
    } finally {
      await peer.process?.stop();
    }
  };
  const sluice = await startSluice(`${directory}/memory`, { listeners: ["coap"] });
  const count = Number(values["memory-requests"]);
  const growth = await weigh(sluice, `sluice, ${count.toLocaleString("en")} requests`, count);
  await weigh(
    await startNpmCoap(null),
    `npm coap, ${NPM_REQUESTS_MAX.toLocaleString("en")} requests`,
    NPM_REQUESTS_MAX,
  );
  const kept = growth <= MEMORY_BYTES_MAX;
  if (!kept) process.exitCode = 1;
  return `${table(rows)}\n\nsluice grows by ${kept ? "no more than" : "MORE than"} ${MEMORY_BYTES_MAX / 1e6} MB once it is warm`;
}
