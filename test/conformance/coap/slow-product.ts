/** A product whose disk is slow and whose clocks run fast, so that what a store takes seconds for takes none of the test's. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MovedClock } from "../../support/moved-clock.ts";
import { requirePeer } from "../../support/peers.ts";
import { preloadable } from "../../support/store-process.ts";
import { type Product, product } from "./harness.ts";

/** All clocks and timers of the product: 3 s of its time are 100 ms here. */
export const SPEED = 30;
/** What a sync of its disk takes here: 9 s of its time, while it acknowledges after one. */
const SYNC_MS = 300;

export interface SlowProduct extends Product {
  /** From now on QoS 1 waits so long for the disk; 0 = not at all. */
  disk(syncMs?: number): void;
}

/** For the `skip` of tests with a slow product: its disk and its clocks are compiled. */
export const noSlowProduct = requirePeer("cc");

export function slowProduct(): SlowProduct {
  let folder = "";
  const control = () => join(folder, "shim-control");
  const disk = (syncMs = SYNC_MS): void => {
    writeFileSync(`${control()}-new`, `slow_us=${syncMs * 1000}\n`);
    renameSync(`${control()}-new`, control());
  };
  const shared = product({}, (path: string) => {
    if (noSlowProduct !== false) return {};
    folder = path;
    disk(0);
    const clock = new MovedClock(path);
    clock.set({ speed: SPEED });
    return {
      ...clock.env,
      LD_PRELOAD: `${clock.env["LD_PRELOAD"]}:${preloadable("fsync-shim")}`,
      SHIM_MATCH: `${join(path, "data")}/sluice.`,
      SHIM_CONTROL: control(),
    };
  });
  return Object.assign(shared, { disk });
}
