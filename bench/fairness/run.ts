/**
 * npm run bench -- fairness [--seconds N] [--rounds N] [--rate N] [--json FILE] [--compare FILE]
 *
 * How long the messages of a paced stream take while somebody else is greedy: 1,000 a second, one per write, alone, beside
 * a firehose, and beside a client that subscribes and unsubscribes 20,000 times a second. Sluice and mosquitto in
 * turn, in one run. How to read it: ../README.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { type Figure, median } from "../figures.ts";
import { readFlags } from "../flags.ts";
import { runStream, type StreamResult, subscribeSteadily } from "../load/beside.ts";
import { buildLoad } from "../load/build.ts";
import { type Broker, runLoad } from "../load/load.ts";
import { OUTCOME_OPTIONS, publish } from "../outcome.ts";
import { startMosquitto } from "../peers/mosquitto.ts";
import type { Peer } from "../peers/peer.ts";
import { startSluice } from "../peers/sluice.ts";
import { Progress } from "../progress.ts";
import { microseconds, perSecond, table, threeDigits } from "../table.ts";

const WARM_UP_MS = 500;
/** As fast as it is answered would be another storm for each broker. */
const SUBSCRIBES_PER_SECOND = 20_000;
const PERCENTILES = ["p50Us", "p99Us", "p999Us"] as const;
const HEADS = { p50Us: "p50", p99Us: "p99", p999Us: "p99.9" } as const;

/** What somebody else gets done meanwhile, per second; null: there is nobody. */
type Greed = (broker: Broker, durationMs: number, stream: Promise<unknown>) => Promise<number | null>;

const CASES: readonly { readonly title: string; readonly greed: Greed }[] = [
  { title: "alone", greed: () => Promise.resolve(null) },
  { title: "beside a 1:1 firehose", greed: firehose },
  { title: `beside ${SUBSCRIBES_PER_SECOND.toLocaleString("en")} SUBSCRIBE/s`, greed: subscribing },
];

interface Round {
  readonly title: string;
  readonly peer: string;
  readonly stream: StreamResult;
  readonly meanwhile: number | null;
}

const values = readFlags("fairness", {
  seconds: { type: "string", default: "5" },
  rounds: { type: "string", default: "3" },
  rate: { type: "string", default: "1000" },
  ...OUTCOME_OPTIONS,
});
const durationMs = Number(values.seconds) * 1_000;
const rate = Number(values.rate);
const directory = mkdtempSync(`${tmpdir()}/sluice-bench-`);
const progress = new Progress();
const peers: Peer[] = [];
const rounds: Round[] = [];
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1)); // the keepers see it
try {
  await buildLoad();
  for (const peer of [await startSluice(`${directory}/sluice`), await startMosquitto(`${directory}/mosquitto`)]) {
    if (peer !== null) peers.push(peer);
  }
  for (let i = 1; i <= Number(values.rounds); i++) {
    for (const { title, greed } of CASES) {
      for (const peer of peers) {
        progress.show(`${title}: ${peer.name}, round ${i} of ${values.rounds}`);
        const stream = runStream(peer, rate, durationMs, WARM_UP_MS);
        const meanwhile = await greed(peer, durationMs, stream);
        rounds.push({ title, peer: peer.name, stream: await stream, meanwhile });
      }
    }
  }
} finally {
  await Promise.all(peers.map((peer) => peer.process?.stop()));
}
progress.clear();
publish({
  bench: "fairness",
  options: values,
  method: `${values.rounds} x ${values.seconds} s each, the median of the rounds`,
  text: printed(),
  figures: figures(),
  details: { rounds },
});

async function firehose(broker: Broker, ms: number): Promise<number> {
  const { deliveries, seconds } = await runLoad(broker, {}, ms, WARM_UP_MS);
  return deliveries / seconds;
}

async function subscribing(broker: Broker, _ms: number, stream: Promise<unknown>): Promise<number> {
  const end = await subscribeSteadily(broker, SUBSCRIBES_PER_SECOND);
  await stream;
  const { subscribed, seconds } = await end();
  return subscribed / seconds;
}

function of(title: string, peer: string): Round[] {
  return rounds.filter((round) => round.title === title && round.peer === peer);
}

function printed(): string {
  const [ours, theirs] = peers;
  const lost: string[] = [];
  const rows = CASES.map(({ title }) => {
    const middle = ({ name }: Peer, key: (typeof PERCENTILES)[number]): number =>
      median(of(title, name).map(({ stream }) => stream[key]));
    for (const { name } of peers) {
      const missing = of(title, name).reduce((sum, { stream }) => sum + stream.missing, 0);
      if (missing > 0) lost.push(`${title}: ${name} lost ${missing} messages of the stream`);
    }
    const ratios =
      ours === undefined || theirs === undefined
        ? []
        : [PERCENTILES.map((key) => threeDigits(middle(ours, key) / middle(theirs, key))).join(", ")];
    const meanwhile = peers.map(({ name }) => {
      const done = of(title, name).flatMap((round) => round.meanwhile ?? []);
      return done.length === 0 ? "" : perSecond(median(done));
    });
    const latencies = peers.map((peer) => PERCENTILES.map((key) => microseconds(middle(peer, key))).join(", "));
    return [title, ...latencies, ...ratios, ...meanwhile];
  });
  const names = peers.map(({ name }) => name);
  const ratioHead = names.length === 2 ? [names.join(" : ")] : [];
  const head = ["", ...names, ...ratioHead, ...names.map((name) => `${name} meanwhile`)];
  const title = `Latency of a stream of ${rate.toLocaleString("en")} msg/s: ${PERCENTILES.map((key) => HEADS[key]).join(", ")}`;
  return [title, table([head, ...rows]), ...lost].join("\n\n");
}

function figures(): Figure[] {
  return CASES.flatMap(({ title }) =>
    peers.flatMap(({ name }) =>
      PERCENTILES.map(
        (percentile): Figure => ({
          name: `${title}: ${name}, ${HEADS[percentile]} us`,
          better: "less",
          values: of(title, name).map(({ stream }) => stream[percentile]),
        }),
      ),
    ),
  );
}
