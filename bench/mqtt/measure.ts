import { memoryOf, resetPeak } from "../../scripts/kept/proc.ts";
import { median } from "../figures.ts";
import { type Load, type LoadResult, runLoad } from "../load/load.ts";
import type { Peer } from "../peers/peer.ts";
import { type BesideResult, withBeside } from "./beside.ts";
import type { Workload } from "./workloads.ts";

/** One broker under one workload, all rounds together. */
export interface Measurement {
  readonly workload: string;
  readonly peer: string;
  /** The median of the rounds. */
  readonly cpuUsPerDelivery: number;
  /** The same, by round. */
  readonly cpuUsByRound: readonly number[];
  /** From here on, of all rounds together. */
  readonly userUsPerDelivery: number;
  readonly systemUsPerDelivery: number;
  readonly deliveriesPerSecond: number;
  /** Of the worst round. */
  readonly p50Us: number;
  readonly p99Us: number;
  readonly rssBytes: number;
  readonly peakBytes: number;
  /** Deliveries there should have been. */
  readonly owed: number;
  readonly lost: number;
  readonly repeated: number;
  readonly refused: number;
  readonly stalls: number;
  /** Of the last round; null when the load was alone. */
  readonly beside: BesideResult | null;
  /** Why there is no figure; null when there is. */
  readonly error: string | null;
}

interface Round {
  readonly result: LoadResult;
  readonly beside: BesideResult | null;
  readonly rssBytes: number;
  readonly peakBytes: number;
}

/**
 * Runs `workload` against every peer in turn, `rounds` times over, so that a change of the machine's mood meets all of
 * them alike.
 */
export async function measure(
  workload: Workload,
  peers: readonly Peer[],
  rounds: number,
  durationMs: number,
  progress: (text: string) => void,
): Promise<Measurement[]> {
  const done = new Map<string, Round[]>(peers.map((peer) => [peer.name, []]));
  const errors = new Map<string, string>();
  for (let round = 1; round <= rounds; round++) {
    for (const peer of peers) {
      if (errors.has(peer.name) || !serves(peer, workload.load)) continue;
      progress(`${workload.title}: ${peer.name}, round ${round} of ${rounds}`);
      try {
        resetPeak(peer.pid);
        const { result, beside } = await withBeside(peer, workload.beside, () =>
          runLoad(peer, workload.load, durationMs, warmUpMs(durationMs)),
        );
        const { rssBytes, peakBytes } = memoryOf(peer.pid);
        done.get(peer.name)!.push({ result, beside, rssBytes, peakBytes });
      } catch (error) {
        errors.set(peer.name, await reasonOf(error, peer));
      }
    }
  }
  return peers
    .filter((peer) => serves(peer, workload.load))
    .map((peer) => combine(workload.name, peer.name, done.get(peer.name)!, errors.get(peer.name) ?? null));
}

function serves(peer: Peer, load: Load): boolean {
  return peer.serves?.(load) ?? true;
}

/** Long enough for a JIT, not longer than the measurement. */
function warmUpMs(durationMs: number): number {
  return Math.min(1_000, durationMs);
}

async function reasonOf(error: unknown, { process: broker }: Peer): Promise<string> {
  if (broker !== null && !broker.running) {
    const { code, signal } = await broker.exited;
    return `the broker ended with ${code ?? signal}`;
  }
  const { stderr, message } = error as { stderr?: string; message: string };
  return (stderr?.trim() || message).split("\n")[0]!;
}

function combine(workload: string, peer: string, rounds: readonly Round[], error: string | null): Measurement {
  const sum = (pick: (result: LoadResult) => number): number => rounds.reduce((total, r) => total + pick(r.result), 0);
  const deliveries = sum((r) => r.deliveries);
  const userUs = (sum((r) => r.userSeconds) * 1e6) / deliveries;
  const systemUs = (sum((r) => r.systemSeconds) * 1e6) / deliveries;
  const cpuUsByRound = rounds.map(({ result: r }) => ((r.userSeconds + r.systemSeconds) * 1e6) / r.deliveries);
  return {
    workload,
    peer,
    cpuUsPerDelivery: median(cpuUsByRound),
    cpuUsByRound,
    userUsPerDelivery: userUs,
    systemUsPerDelivery: systemUs,
    deliveriesPerSecond: deliveries / sum((r) => r.seconds),
    p50Us: Math.max(0, ...rounds.map((r) => r.result.p50Us)),
    p99Us: Math.max(0, ...rounds.map((r) => r.result.p99Us)),
    rssBytes: rounds.at(-1)?.rssBytes ?? 0,
    peakBytes: Math.max(0, ...rounds.map((r) => r.peakBytes)),
    owed: sum((r) => r.owed),
    lost: sum((r) => r.lost),
    repeated: sum((r) => r.repeated),
    refused: sum((r) => r.refused),
    stalls: sum((r) => r.stalls),
    beside: rounds.at(-1)?.beside ?? null,
    error: error ?? (deliveries === 0 ? "nothing was delivered" : null),
  };
}
