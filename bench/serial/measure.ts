/** One kind of lines: a gateway of its own, with each size of burst in turn. */
import { parkSession } from "../load/durable.ts";
import { startSluice } from "../peers/sluice.ts";
import type { SerialCase } from "./cases.ts";
import { BAUD, Feeder, type Measured, writeTapes } from "./feeder.ts";
import type { SerialBench } from "./run.ts";

export interface OfBurst {
  readonly burst: number;
  readonly measured: Measured;
}

/** @param directory its own */
export async function measureCase(
  one: SerialCase,
  bursts: readonly number[],
  directory: string,
  { ports, ms, warmUpMs, nodeFlags }: Pick<SerialBench, "ports" | "ms" | "warmUpMs" | "nodeFlags">,
): Promise<OfBurst[]> {
  const tape = `${directory}/tape`;
  writeTapes(tape, ports, one.framesOf);
  const feeder = await Feeder.start(ports);
  const config = [...linesConfig(feeder.paths, one), ...(one.config ?? [])];
  const sluice = await startSluice(`${directory}/sluice`, { config, nodeFlags });
  if (sluice === null) throw new Error("there is no build: npm run build");
  try {
    if (one.stored === true) await parkSession(sluice.port, "away", "in/#");
    const found: OfBurst[] = [];
    for (const burst of bursts) {
      const order = { pids: sluice.pid, mqtt: sluice.port, ms, warm: warmUpMs, tape, burst, ...one.order };
      found.push({ burst, measured: await feeder.measure(order) });
    }
    return found;
  } finally {
    await sluice.process?.stop();
    await feeder.stop();
  }
}

export function linesConfig(paths: readonly string[], { line }: Pick<SerialCase, "line">): string[] {
  if (paths.length === 0) return [];
  return ["serial:", ...paths.map((path, i) => `  - {name: p${i}, port: ${path}, baud: ${BAUD}, ${line(i)}}`)];
}
