import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/random.ts";
import { eventually } from "../../support/eventually.ts";
import { dataDir, FakeReceiver, openTestStore } from "../../support/store-fixture.ts";
import { StoreProcess } from "../../support/store-process.ts";

const ROUNDS = 6;
const KEEP = 300;

test("kill -9 at random moments: every acknowledged message is found, in order and once", async (t) => {
  const seed = Number(process.env["SLUICE_LONG"] ?? 1);
  const rounds = process.env["SLUICE_LONG"] === undefined ? ROUNDS : 20 * ROUNDS;
  const random = seededRandom(seed);
  const dir = dataDir(t);
  let first = 1;
  for (let round = 0; round < rounds; round++) {
    const writer = new StoreProcess(dir, { first, keep: KEEP, window: 50 + Math.floor(random() * 500) });
    await writer.until("ready");
    const goal = 1 + Math.floor(random() * 3000);
    await eventually("acknowledgements", () => writer.acknowledged.length >= goal);
    await writer.ends("SIGKILL");
    const { store } = await openTestStore(dir);
    const numbers = new FakeReceiver(store, "uplink", "cloud").recover().map((text) => Number.parseInt(text, 10));
    const highest = Math.max(...writer.acknowledged);
    assert.deepEqual(writer.refused, []);
    assert.deepEqual(
      numbers,
      [...numbers].sort((a, b) => a - b),
      `round ${round}, seed ${seed}: in order`,
    );
    assert.equal(new Set(numbers).size, numbers.length, `round ${round}, seed ${seed}: once`);
    // What the receiver acknowledged goes, at most half a second later; what it did not must be there.
    const missing = writer.acknowledged.filter((n) => n > highest - KEEP && !numbers.includes(n));
    assert.deepEqual(missing, [], `round ${round}, seed ${seed}: lost`);
    const record = store.loadReceiver("uplink", "cloud");
    assert.equal(record?.count, numbers.length, `round ${round}, seed ${seed}: the count is that of the log`);
    first = Math.max(...numbers) + 1;
    await store.close();
  }
  assert.ok(first > 1000);
});

test("a lock whose holder was killed is no lock", async (t) => {
  const dir = dataDir(t);
  const writer = new StoreProcess(dir, {});
  await writer.until("ready");
  await assert.rejects(openTestStore(dir), new RegExp(`in use by another gateway, pid ${writer.child.pid}$`));
  await writer.ends("SIGKILL");
  const { store } = await openTestStore(dir);
  assert.equal(store.health, "ok");
});

test("SIGTERM: the store is closed, the log is in the database, nothing is counted again", async (t) => {
  const dir = dataDir(t);
  const writer = new StoreProcess(dir, { keep: 100 });
  await eventually("acknowledgements", () => writer.acknowledged.length > 500);
  assert.equal(await writer.ends("SIGTERM"), 0);
  const { store } = await openTestStore(dir);
  const numbers = new FakeReceiver(store, "uplink", "cloud").recover().map((text) => Number.parseInt(text, 10));
  const last = numbers.at(-1) ?? 0;
  assert.equal(store.lastSeq, last, "one number per message: no restart jumped");
  assert.deepEqual(
    writer.acknowledged.slice(-100).filter((n) => !numbers.includes(n)),
    [],
  );
});
