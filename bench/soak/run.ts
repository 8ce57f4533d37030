/**
 * npm run bench -- soak [--minutes N] [--seed N] [--grow-kib N] [--snapshots DIR] [--json FILE] [--compare FILE]
 *
 * The gateway under everything that peers do to it, for as long as is asked for, and what is left of it in its memory:
 * after a warm-up and at the end all leave, all caches are filled, and the heap is weighed after full collections.
 * Exit code 1 when it grew by more than `--grow-kib` (1,024), or an answer did not come.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { seededRandom } from "../../src/base/random.ts";
import { readFlags } from "../flags.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { Progress } from "../progress.ts";
import { table } from "../table.ts";
import { Crowd } from "./crowd.ts";
import { fill } from "./fill.ts";
import { type Sample, SoakedGateway } from "./gateway.ts";
import { growth } from "./growth.ts";
import { KINDS } from "./lives.ts";
import { untilQuiet } from "./quiet.ts";
import { Relay } from "./relay.ts";
import { figuresOf, HEAD, rowOf, signed } from "./report.ts";
import { Weather } from "./weather.ts";
import { World } from "./world.ts";

const LIVES_AT_ONCE = 40;
/** Of the time, before the heap is weighed first; at least and at most. */
const WARM_UP_SHARE = 0.5;
const WARM_UP_MS = [5_000, 90_000] as const;
const MINUTE_MS = 60_000;
const CLASSES_SHOWN = 30;

const values = readFlags("soak", {
  minutes: { type: "string", default: "1" },
  seed: { type: "string", default: "1" },
  "grow-kib": { type: "string", default: "1024" },
  snapshots: { type: "string" },
  ...OUTCOME_OPTIONS,
});
const durationMs = Number(values.minutes) * MINUTE_MS;
const seed = Number(values.seed);
const directory = mkdtempSync(`${tmpdir()}/sluice-soak-`);
const progress = new Progress();
let cloud: Peer | null = null;
let relay: Relay | null = null;
let gateway: SoakedGateway | null = null;
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
try {
  cloud = await startMosquitto(`${directory}/cloud`);
  if (cloud === null) progress.note("mosquitto is not installed: no uplink takes part");
  else relay = await Relay.start(cloud.port);
  gateway = await SoakedGateway.start(`${directory}/sluice`, relay?.port ?? 0);
  process.exitCode = await soak(gateway);
} finally {
  await gateway?.stop();
  relay?.close();
  await cloud?.process?.stop();
}

async function soak(soaked: SoakedGateway): Promise<number> {
  const { mqtt = 0, ws = 0, coap = 0, http = 0 } = soaked.peer.ports;
  const world = new World({ mqtt, ws, coap, http, cloud: cloud?.port ?? 0 });
  const crowd = new Crowd(world, KINDS, seed);
  const weather = relay === null ? null : new Weather(relay, seededRandom(seed));
  const rows: string[][] = [];
  const note = (when: string, sample: Sample): void => {
    rows.push(rowOf(when, crowd.lives, relay?.cuts ?? 0, sample));
    progress.show(rows.at(-1)!.join("  "));
  };

  const warmUpMs = Math.min(Math.max(durationMs * WARM_UP_SHARE, WARM_UP_MS[0]), WARM_UP_MS[1]);
  progress.show(`warm-up, ${Math.round(warmUpMs / 1_000)} s`);
  await live(warmUpMs);
  await soaked.runAsShipped();
  const begin = await weigh("begin");
  for (let rest = durationMs, minute = 1; rest > 0; rest -= MINUTE_MS, minute++) {
    await live(Math.min(rest, MINUTE_MS), async () => {
      if (rest > MINUTE_MS) note(`minute ${minute}`, await soaked.sample());
    });
  }
  const end = await weigh("end");

  const grown = end.heapUsed - begin.heapUsed;
  const lines = [
    table([HEAD, ...rows]),
    `lives: ${[...crowd.lived].map(([kind, count]) => `${count} ${kind}`).join(", ")}`,
    `heap: ${signed(grown)}, of it code ${signed(end.code - begin.code)}; unanswered: ${world.unanswered}`,
  ];
  if (values.snapshots !== undefined) {
    const files = ["begin", "end"].map((when) => `${values.snapshots}/${when}.heapsnapshot`) as [string, string];
    lines.push(table([["what there is more of", "objects", "bytes"], ...growth(...files, CLASSES_SHOWN)]));
  }
  publish({
    bench: "soak",
    options: values,
    method: `${values.minutes} minutes, seed ${seed}`,
    text: lines.join("\n\n"),
    figures: figuresOf(crowd.lives, begin, end),
    details: {
      seed,
      grown,
      unanswered: world.unanswered,
      cuts: relay?.cuts ?? 0,
      lives: Object.fromEntries(crowd.lived),
      begin,
      end,
    },
  });
  return grown > Number(values["grow-kib"]) * 1024 || world.unanswered > 0 ? 1 : 0;

  /** All take part for so long; at the end of it, while they are there, somebody may look. */
  async function live(ms: number, look: () => Promise<void> = async () => {}): Promise<void> {
    weather?.begin();
    const lived = crowd.run(LIVES_AT_ONCE, ms);
    await Promise.race([lived, new Promise((resolve) => setTimeout(resolve, ms).unref())]);
    await look();
    await lived;
    weather?.end();
  }

  async function weigh(when: "begin" | "end"): Promise<Sample> {
    progress.show(`${when}: all leave`);
    await untilQuiet(soaked);
    progress.show(`${when}: caches are filled`);
    await fill(world);
    await untilQuiet(soaked);
    const sample = await soaked.sample();
    note(when, sample);
    if (values.snapshots !== undefined) await soaked.snapshot(`${values.snapshots}/${when}.heapsnapshot`);
    return sample;
  }
}
