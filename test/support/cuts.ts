/** What delivery queues share for dropping, for tests that look at something else. */

import { Counters } from "../../src/base/counters.ts";
import { TimerWheel } from "../../src/base/timer-wheel.ts";
import { type CuttingShared, cuttingShared } from "../../src/core/cutting.ts";
import type { TimeSource } from "../../src/core/ports.ts";

export function cutsOf(time: TimeSource, counters = new Counters()): CuttingShared {
  return cuttingShared(new TimerWheel(time), time, counters, 64 * 2 ** 20);
}
