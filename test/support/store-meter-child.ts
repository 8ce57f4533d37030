/**
 * A process that writes to a store, and says what its meter counted and what the kernel did.
 *
 *   node store-meter-child.ts DIR JSON      JSON: see Orders
 */
import fs from "node:fs";
import { openStore } from "../../src/store/store.ts";
import { Answers, FakeReceiver, publish, storeOptions } from "./store-fixture.ts";

interface Orders {
  readonly messages: number;
  readonly bytes: number;
  readonly commitDelayMs: number;
  /** Messages after which it waits until they are stored. */
  readonly pause: number;
  /** The receiver acknowledges what is stored. */
  readonly drain: boolean;
}

const [dir = "", text = ""] = process.argv.slice(2);
const orders = JSON.parse(text) as Orders;

/** Bytes of pages that this process made dirty. */
function kernelBytes(): number {
  return Number(/^write_bytes: (\d+)$/m.exec(fs.readFileSync("/proc/self/io", "latin1"))?.[1]);
}

const before = kernelBytes();
const options = storeOptions(dir, {
  commitDelayMs: orders.commitDelayMs,
  checkpointFrames: 64,
  reserveBytes: 512 * 1024,
});
const store = await openStore(options);
const answers = new Answers();
const cloud = new FakeReceiver(store, "uplink", "cloud");
for (let n = 0; n < orders.messages; n += orders.pause) {
  const some = Array.from({ length: orders.pause }, (_, i) =>
    publish(store, answers, [cloud], `${n + i} ${"x".repeat(orders.bytes)}`),
  );
  await Promise.all(some.map(({ stored }) => stored));
  if (orders.drain) for (const { message } of some) cloud.acknowledge(message);
}
await answers.barrier(store);
const { counters } = options;
const checkpoints = counters.get("store.checkpoints");
await store.close();
process.stdout.write(
  JSON.stringify({ metered: counters.get("store.bytes_written"), kernel: kernelBytes() - before, checkpoints }),
);
