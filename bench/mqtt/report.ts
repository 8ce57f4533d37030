import type { Memory } from "../../scripts/kept/proc.ts";
import { mebibytes, microseconds, perSecond, table, threeDigits } from "../table.ts";
import type { Measurement } from "./measure.ts";
import type { Workload } from "./workloads.ts";

export interface PeerReport {
  readonly name: string;
  readonly version: string;
  /** Before the first connection. */
  readonly atRest: Memory;
  /** Null when it did not live to see it. */
  readonly afterwards: Memory | null;
}

export interface Report {
  readonly workloads: readonly Workload[];
  readonly peers: readonly PeerReport[];
  readonly measurements: readonly Measurement[];
}

/** What every broker is compared with. */
export const REFERENCE = "mosquitto";

export function ratioOf(report: Report, workload: string, peer: string): number {
  const cost = (name: string): number => find(report, workload, name)?.cpuUsPerDelivery ?? Number.NaN;
  return cost(peer) / cost(REFERENCE);
}

export function printReport(report: Report): string {
  const notes: string[] = [];
  const parts = ["CPU microseconds per delivered message (deliveries per second)", cpuTable(report, notes)];
  if (notes.length > 0) parts.push(notes.join("\n"));
  parts.push("Latency from write to delivery, median and 99th percentile", latencyTable(report));
  parts.push("Memory (RSS; peak over all workloads above)", memoryTable(report));
  return parts.join("\n\n");
}

function find(report: Report, workload: string, peer: string): Measurement | undefined {
  return report.measurements.find((m) => m.workload === workload && m.peer === peer);
}

function cpuTable(report: Report, notes: string[]): string {
  const others = report.peers.map((peer) => peer.name).filter((name) => name !== REFERENCE);
  const compared = report.peers.length > others.length ? others : [];
  const head = ["workload", ...report.peers.map((p) => p.name), ...compared.map((name) => `${name} : ${REFERENCE}`)];
  const rows = report.workloads.map((workload) => [
    workload.title,
    ...report.peers.map(({ name }) => cpuCell(find(report, workload.name, name), workload.title, notes)),
    ...compared.map((name) => threeDigits(ratioOf(report, workload.name, name))),
  ]);
  return table([head, ...rows]);
}

/** The figure; a broker that did not deliver everything gets a mark and a note. */
function cpuCell(m: Measurement | undefined, title: string, notes: string[]): string {
  if (m === undefined) return "";
  const faults = [
    m.lost > 0 ? `lost ${m.lost} of ${m.owed} deliveries` : "",
    m.repeated > 0 ? `repeated or reordered ${m.repeated}` : "",
    m.refused > 0 ? `refused ${m.refused}` : "",
    m.stalls > 0 ? `stopped delivering ${m.stalls} times for a second` : "",
    m.error ?? "",
  ].filter((text) => text !== "");
  let mark = "";
  if (faults.length > 0) {
    mark = ` [${notes.length + 1}]`;
    notes.push(`[${notes.length + 1}] ${title}, ${m.peer}: ${faults.join("; ")}`);
  }
  if (m.error !== null) return `failed${mark}`;
  return `${threeDigits(m.cpuUsPerDelivery)} (${perSecond(m.deliveriesPerSecond)})${mark}`;
}

function latencyTable(report: Report): string {
  const rows = report.workloads.map((workload) => [
    workload.title,
    ...report.peers.map(({ name }) => {
      const m = find(report, workload.name, name);
      return m === undefined || m.error !== null ? "" : `${microseconds(m.p50Us)}, ${microseconds(m.p99Us)}`;
    }),
  ]);
  return table([["workload", ...report.peers.map((p) => p.name)], ...rows]);
}

function memoryTable(report: Report): string {
  const rows = report.peers.map((peer) => {
    const peak = Math.max(0, ...report.measurements.filter((m) => m.peer === peer.name).map((m) => m.peakBytes));
    const { atRest, afterwards } = peer;
    return [
      `${peer.name} ${peer.version}`.trim(),
      ...[atRest.rssBytes, peak, afterwards?.rssBytes].map((bytes) => (bytes === undefined ? "" : mebibytes(bytes))),
    ];
  });
  return table([["broker", "at rest", "peak", "afterwards"], ...rows]);
}
