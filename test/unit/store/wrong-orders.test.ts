// Tests of power-cut.test.ts: the exploration has to find each store that takes a step in the wrong order.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { requirePeer } from "../../support/peers.ts";
import { explore, recordLives } from "../../support/power-cut/explore.ts";
import { WRONG_ORDERS } from "../../support/power-cut/wrong-orders.ts";
import { preloadable } from "../../support/store-process.ts";

const skip = requirePeer("cc");
const recorder = skip === false ? preloadable("store-recorder") : "";
/** An order that does not show in one run shows in the next. */
const SEEDS = [3, 5, 8, 10, 13, 17, 19, 23];
const STATES = 400;
const TURNS = 250;

for (const [order, { what }] of Object.entries(WRONG_ORDERS)) {
  test(`the exploration finds a store that ${what}`, { skip }, async (t) => {
    let states = 0;
    for (const seed of SEEDS) {
      const base = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();
      const dir = fs.mkdtempSync(path.join(base, "sluice-wrong-"));
      t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
      const plan = { seed, order, states: STATES, turns: TURNS, untilFound: true, dir };
      const found = await explore(plan, await recordLives(plan, recorder));
      states += found.states;
      if (found.failures.length === 0) continue;
      t.diagnostic(`after ${states} states: ${found.failures[0]}`);
      return;
    }
    assert.fail(`not in ${states} states`);
  });
}
