// What the busiest loads take at their height, and whether they leave more behind each time: the product as shipped.
import assert from "node:assert/strict";
import { test } from "node:test";
import { buildLoad } from "../../bench/load/build.ts";
import { type Load, runLoad } from "../../bench/load/load.ts";
import { memoryOf } from "../../scripts/kept/proc.ts";
import { GatewayProcess, LAUNCHER, temporaryFolder } from "../support/gateway-process.ts";
import { requirePeer } from "../support/peers.ts";

const ROUNDS = 10;
const LOADS: readonly Load[] = [
  {},
  { publishers: 20, topics: 20, wildcard: true },
  { subscribers: 20 },
  { publishers: 20, subscribers: 20 },
  { qos: 1 },
  { qos: 1, payload: 1024 },
];
const LOAD_MS = 250;
/** 74 to 78 measured. */
const PEAK_BYTES_MAX = 96e6;
/** By then all code is compiled and each pool has been as full as it gets; what follows is garbage, in steps of 3 MB. */
const SETTLED_ROUND = 3;
const GROWTH_BYTES_MAX = 8e6;

test("ten rounds of firehoses 1:1, 20:1, 1:20, 20 x 20 and at QoS 1 stay below 96 MB RSS, and the last leaves at most 8 MB more than the third", {
  skip: requirePeer("cc"),
  timeout: 120_000,
}, async (context) => {
  await buildLoad();
  using folder = temporaryFolder();
  const listeners = [{ type: "mqtt", bind: "127.0.0.1:0" }];
  await using gateway = new GatewayProcess(folder.path, { listeners, log: { level: "error" } }, {}, [LAUNCHER]);
  await gateway.start();
  const broker = { port: gateway.port(), pid: gateway.pid };
  const atRest = memoryOf(gateway.pid).rssBytes;
  const afterRounds: number[] = [];
  let deliveries = 0;
  for (let round = 1; round <= ROUNDS; round++) {
    for (const load of LOADS) {
      const result = await runLoad(broker, load, LOAD_MS, 0);
      assert.equal(result.lost, 0, JSON.stringify(load));
      deliveries += result.deliveries;
    }
    afterRounds.push(memoryOf(gateway.pid).rssBytes);
  }
  const peak = memoryOf(gateway.pid).peakBytes;
  const say = (bytes: number): string => (bytes / 1e6).toFixed(1);
  context.diagnostic(`MB RSS: ${say(atRest)} at rest, ${say(peak)} at most in ${deliveries} deliveries`);
  context.diagnostic(`MB RSS after each round: ${afterRounds.map(say).join(" ")}`);
  assert.ok(peak < PEAK_BYTES_MAX, `${say(peak)} MB at most`);
  const growth = (afterRounds.at(-1) as number) - (afterRounds[SETTLED_ROUND - 1] as number);
  assert.ok(
    growth < GROWTH_BYTES_MAX,
    `${say(growth)} MB more after round ${ROUNDS} than after round ${SETTLED_ROUND}`,
  );
});
