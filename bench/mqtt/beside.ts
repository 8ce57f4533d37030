/** What goes on at a broker beside the load of a workload. */
import { holdIdle, type Idle, subscribeSteadily } from "../load/beside.ts";
import type { Broker, LoadResult } from "../load/load.ts";

/** Empty: nothing. */
export interface Beside {
  /** Connections that say nothing, with subscriptions that match nothing. */
  readonly idle?: Idle;
  /** And as many UNSUBSCRIBE. */
  readonly subscribesPerSecond?: number;
}

export interface BesideResult {
  /** SUBACK packets. */
  readonly perSecond: number;
  readonly refused: number;
  readonly p99Us: number;
}

export async function withBeside(
  broker: Broker,
  { idle, subscribesPerSecond }: Beside,
  load: () => Promise<LoadResult>,
): Promise<{ result: LoadResult; beside: BesideResult | null }> {
  const holder = idle === undefined ? null : await holdIdle(broker, idle);
  try {
    const end = subscribesPerSecond === undefined ? null : await subscribeSteadily(broker, subscribesPerSecond);
    const result = await load().catch(async (error: Error) => {
      await end?.().catch(() => {}); // the broker may be gone
      throw error;
    });
    const churn = await end?.();
    if (churn === undefined) return { result, beside: null };
    const { subscribed, seconds, refused, p99Us } = churn;
    return { result, beside: { perSecond: subscribed / seconds, refused, p99Us } };
  } finally {
    await holder?.stop();
  }
}
