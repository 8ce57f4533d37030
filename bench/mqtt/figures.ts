import type { Figure } from "../figures.ts";
import type { Measurement } from "./measure.ts";
import type { Report } from "./report.ts";

/** What two runs are compared by: CPU per delivery, and Sluice's as a ratio to each other peer's in the same round. */
export function figuresOf({ workloads, measurements }: Report): Figure[] {
  return workloads.flatMap(({ name }) => {
    const all = measurements.filter((m) => m.workload === name && m.error === null);
    const ours = all.find((m) => m.peer === "sluice");
    return [
      ...all.map(
        (m): Figure => ({ name: `${name}: ${m.peer}, CPU us`, better: "less", values: m.cpuUsByRound.map(sane) }),
      ),
      ...all.filter((m) => ours !== undefined && m !== ours).map((m) => ratioFigure(name, ours as Measurement, m)),
    ];
  });
}

function ratioFigure(workload: string, ours: Measurement, theirs: Measurement): Figure {
  const values = ours.cpuUsByRound.map((us, round) => sane(us / (theirs.cpuUsByRound[round] ?? Number.NaN)));
  return { name: `${workload}: sluice : ${theirs.peer}`, better: "less", values };
}

/** JSON has no NaN. */
function sane(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
