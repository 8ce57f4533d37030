/** One kind of lines: a gateway of its own, with each size of burst in turn. */
import { parkSession } from "../load/durable.ts";
import { startSluice } from "../peers/sluice.ts";
import type { SerialCase } from "./cases.ts";
import { Feeder, type Measured, writeTapes } from "./feeder.ts";

export interface Measurement {
  /** Its own. */
  readonly directory: string;
  readonly ports: number;
  readonly bursts: readonly number[];
  readonly ms: number;
  readonly warmUpMs: number;
  /** For the gateway. */
  readonly nodeFlags: readonly string[];
}

export interface OfBurst {
  readonly burst: number;
  readonly measured: Measured;
}

export async function measureCase(one: SerialCase, measurement: Measurement): Promise<OfBurst[]> {
  const { directory, ports, bursts, ms, warmUpMs, nodeFlags } = measurement;
  const tape = `${directory}/tape`;
  writeTapes(tape, ports, one.framesOf);
  const feeder = await Feeder.start(ports);
  const serial = feeder.paths.map((path, i) => `  - {name: p${i}, port: ${path}, baud: 115200, ${one.line(i)}}`);
  const config = ["serial:", ...serial, ...(one.config ?? [])];
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
