/** A gateway up to its conversations, started as the product starts, without listeners and uplinks. */
import type { KeptClock } from "../../../src/base/clock.ts";
import { Counters } from "../../../src/base/counters.ts";
import { Log } from "../../../src/base/log.ts";
import { defaultConfig } from "../../../src/config/config.ts";
import { buildRooms, type Rooms } from "../../../src/gateway/rooms.ts";
import { HASTY_TOPICS } from "./habits.ts";

/** Makes the log of the database as short as it gets: checkpoints are frequent. */
const MAX_BYTES = 3 * 1024 * 1024;

type Parts = "store" | "registry" | "retained" | "mqtt" | "router" | "queueHost" | "wheel";

export interface Core extends Pick<Rooms, Parts> {
  readonly counters: Counters;
  readonly failed: () => boolean;
  readonly stop: () => Promise<void>;
}

export async function startCore(
  dataDir: string,
  clock: KeptClock,
  store: { readonly sync: "full" | "normal" | "off"; readonly commitDelayMs: number },
): Promise<Core> {
  const base = defaultConfig();
  const config = {
    ...base,
    dataDir,
    sysIntervalMs: "off" as const,
    limits: {
      ...base.limits,
      sessionQueueMessages: 100_000,
      sessionQueueBytes: 1 << 28,
      sessionWhenFull: "refuse" as const,
    },
    store: { ...base.store, ...store, maxBytes: MAX_BYTES },
    durability: HASTY_TOPICS.map((match) => ({ match, commitDelayMs: null, sync: "off" as const })),
  };
  const log = new Log({ level: "error", format: "text", write: () => {} });
  const counters = new Counters();
  const stops: (() => void | Promise<void>)[] = [];
  const rooms = await buildRooms({ config, log, clock, counters, stops }, () => 5, null);
  return {
    ...rooms,
    counters,
    failed: () => rooms.store.health === "failed",
    stop: async () => {
      for (const stop of stops.reverse()) await stop();
    },
  };
}
