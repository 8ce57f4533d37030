/** Sluice's CPU per delivered message as a share of another broker's, and whether that is within the target. */
import { median } from "../figures.ts";
import { table, threeDigits } from "../table.ts";
import type { Measurement } from "./measure.ts";
import type { Report } from "./report.ts";
import type { Workload } from "./workloads.ts";

/** What is measured against the others. */
const OURS = "sluice";
/** What it is measured against, with a target each. */
const REFERENCES = ["mosquitto", "probe"] as const;
type Reference = (typeof REFERENCES)[number];

/** One workload beside one reference. */
interface Comparison {
  readonly reference: Reference;
  /** By round. */
  readonly shares: readonly number[];
  /** NaN without a target. */
  readonly atMost: number;
}

/** CPU per delivery of `peer` : `reference`, the median of the rounds; NaN without both. */
export function ratioOf(report: Report, workload: string, peer: string, reference: string): number {
  return median(ratiosOf(report, workload, peer, reference));
}

/** A table with each target beside what was measured, and how many are met; nothing when there is nothing to compare. */
export function printTargets(report: Report): string[] {
  const references = REFERENCES.filter((name) => report.peers.some((peer) => peer.name === name));
  if (references.length === 0 || !report.peers.some(({ name }) => name === OURS)) return [];
  const rows = report.workloads.map((workload) => {
    const all = references.map((reference) => comparisonOf(report, workload, reference));
    const cells = all.flatMap(({ shares, atMost }) => [shareText(shares), threeDigits(atMost)]);
    return { cells: [workload.title, ...cells], met: verdict(find(report, workload.name, OURS), all) };
  });
  const judged = rows.filter(({ met }) => met !== "");
  const kept = judged.filter(({ met }) => met === "yes");
  const count = judged.length === 0 ? "" : `; ${kept.length} of ${judged.length} are within their targets`;
  return [
    `Sluice's share of another's CPU per delivered message (in the least and the most of the rounds)${count}`,
    table([
      ["workload", ...references.flatMap((name) => [`of ${name}'s`, "at most"]), "met"],
      ...rows.map(({ cells, met }) => [...cells, met]),
    ]),
  ];
}

function comparisonOf(report: Report, { name, target }: Workload, reference: Reference): Comparison {
  const shares = ratiosOf(report, name, OURS, reference);
  return { reference, shares, atMost: target?.[reference] ?? Number.NaN };
}

/** In each round that both lived to see. */
function ratiosOf(report: Report, workload: string, peer: string, reference: string): number[] {
  const theirs = find(report, workload, reference)?.cpuUsByRound ?? [];
  const costs = find(report, workload, peer)?.cpuUsByRound ?? [];
  return costs.map((us, round) => us / (theirs[round] ?? Number.NaN)).filter(Number.isFinite);
}

function find({ measurements }: Report, workload: string, peer: string): Measurement | undefined {
  return measurements.find((m) => m.workload === workload && m.peer === peer);
}

function shareText(shares: readonly number[]): string {
  if (shares.length < 2) return threeDigits(median(shares));
  return `${threeDigits(median(shares))} (${threeDigits(Math.min(...shares))} to ${threeDigits(Math.max(...shares))})`;
}

/** "no" says why; "" where there is nothing to judge by. What was not delivered, or twice, did not cost anything. */
function verdict(ours: Measurement | undefined, all: readonly Comparison[]): string {
  if (ours === undefined) return "";
  if (ours.error !== null) return "no (failed)";
  if (ours.lost > 0 || ours.repeated > 0 || ours.refused > 0) return "no (not all was delivered)";
  const withTarget = all.filter(({ shares, atMost }) => shares.length > 0 && Number.isFinite(atMost));
  if (withTarget.length === 0) return "";
  const missed = withTarget.filter(({ shares, atMost }) => median(shares) > atMost);
  return missed.length === 0 ? "yes" : `no (${missed.map(({ reference }) => reference).join(", ")})`;
}
