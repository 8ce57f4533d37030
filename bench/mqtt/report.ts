import type { Memory } from "../../scripts/kept/proc.ts";
import { mebibytes, microseconds, perSecond, table, threeDigits } from "../table.ts";
import type { Measurement } from "./measure.ts";
import type { Setting } from "./settings.ts";
import { printTargets } from "./targets.ts";
import type { Workload } from "./workloads.ts";

export interface PeerReport {
  readonly name: string;
  readonly version: string;
  readonly setting: Setting;
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

export function printReport(report: Report): string {
  const notes: string[] = [];
  const besides = besideNotes(report);
  const parts = [
    ...printTargets(report),
    "CPU microseconds per delivered message (deliveries per second)",
    cpuTable(report, notes),
  ];
  if (notes.length > 0) parts.push(notes.join("\n"));
  if (besides.length > 0) parts.push(besides.join("\n"));
  parts.push("Latency from write to delivery, median and 99th percentile", latencyTable(report));
  parts.push("Memory (RSS; peak over all workloads above)", memoryTable(report));
  return parts.join("\n\n");
}

function find(report: Report, workload: string, peer: string): Measurement | undefined {
  return report.measurements.find((m) => m.workload === workload && m.peer === peer);
}

/** Peers in the order of their columns. */
function namesOf(report: Report): string[] {
  return [...new Set(report.peers.map(({ name }) => name))];
}

function cpuTable(report: Report, notes: string[]): string {
  const names = namesOf(report);
  const rows = report.workloads.map((workload) => [
    workload.title,
    ...names.map((name) => cpuCell(find(report, workload.name, name), workload.title, notes)),
  ]);
  return table([["workload", ...names], ...rows]);
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

/** What the brokers did beside the load: a broker that does not do it has an easy time. */
function besideNotes(report: Report): string[] {
  return report.workloads.flatMap((workload) => {
    const all = report.measurements.filter((m) => m.workload === workload.name);
    const texts = all.flatMap(({ peer, beside }) => {
      if (beside === null) return [];
      const { perSecond: rate, refused, p99Us } = beside;
      return [
        `${peer} ${perSecond(rate)}, 99 % within ${microseconds(p99Us)}${refused > 0 ? `, ${refused} refused` : ""}`,
      ];
    });
    return texts.length === 0 ? [] : [`SUBSCRIBE answered, ${workload.title}: ${texts.join("; ")}`];
  });
}

function latencyTable(report: Report): string {
  const names = namesOf(report);
  const rows = report.workloads.map((workload) => [
    workload.title,
    ...names.map((name) => {
      const m = find(report, workload.name, name);
      return m === undefined || m.error !== null ? "" : `${microseconds(m.p50Us)}, ${microseconds(m.p99Us)}`;
    }),
  ]);
  return table([["workload", ...names], ...rows]);
}

function memoryTable(report: Report): string {
  const rows = report.peers.map((peer) => {
    const { name, version, setting, atRest, afterwards } = peer;
    const ofSetting = report.workloads.filter((workload) => workload.setting === setting);
    const peak = Math.max(0, ...ofSetting.map((workload) => find(report, workload.name, name)?.peakBytes ?? 0));
    return [
      `${name} ${version}`.trim() + (setting === "plain" ? "" : `, ${setting}`),
      ...[atRest.rssBytes, peak, afterwards?.rssBytes].map((bytes) => (bytes === undefined ? "" : mebibytes(bytes))),
    ];
  });
  return table([["broker", "at rest", "peak", "afterwards"], ...rows]);
}
