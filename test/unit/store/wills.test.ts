import assert from "node:assert/strict";
import { test } from "node:test";
import type { WillRecord } from "../../../src/core/ports.ts";
import { LAZY_DELAY_MS } from "../../../src/store/due.ts";
import type { SqliteStore } from "../../../src/store/store.ts";
import { eventually } from "../../support/eventually.ts";
import {
  Answers,
  crashImage,
  dataDir,
  FakeReceiver,
  messageOfText,
  type OpenedStore,
  openTestStore,
} from "../../support/store-fixture.ts";

function willOf(clientId: string, payload = "gone", more: Partial<WillRecord> = {}): WillRecord {
  return {
    clientId,
    principal: "user",
    delaySeconds: 30,
    expirySeconds: -1,
    qos: 1,
    retain: false,
    bytes: Buffer.from(`topic${payload}`),
    topicEnd: 5,
    propertiesEnd: 5,
    ...more,
  };
}

function willsOf(store: SqliteStore): WillRecord[] {
  const wills: WillRecord[] = [];
  store.loadWills((record) => wills.push(record));
  return wills;
}

/** All that entered until now is written and synced. */
async function settled({ store }: OpenedStore): Promise<void> {
  assert.equal(await new Answers().barrier(store), 0);
}

function commits({ counters }: OpenedStore): number {
  return counters.get("store.commits") as number;
}

test("a will is found after kill -9 as it was put, every column of it", async (t) => {
  const dir = dataDir(t);
  const opened = await openTestStore(dir);
  const wills = [
    willOf("a"),
    willOf("b", "", { delaySeconds: 0xffffffff, expirySeconds: 0, qos: 2, retain: true, propertiesEnd: 5 }),
    willOf("c", "\x00".repeat(60_000), { principal: "", delaySeconds: 0, expirySeconds: 0xffffffff, qos: 0 }),
    willOf("ü/+ #'", "pp-payload", { propertiesEnd: 7 }),
  ];
  for (const will of wills) opened.store.putWill(will);
  await settled(opened);
  const { store } = await openTestStore(crashImage(t, dir));
  assert.deepEqual(willsOf(store), wills);
});

test("more wills than a slice, some deleted and some replaced", async (t) => {
  const dir = dataDir(t);
  const opened = await openTestStore(dir);
  const id = (n: number): string => `client-${String(n).padStart(3, "0")}`;
  for (let n = 0; n < 100; n++) opened.store.putWill(willOf(id(n)));
  await settled(opened);
  for (let n = 0; n < 100; n += 2) opened.store.deleteWill(id(n));
  opened.store.putWill(willOf(id(1), "another"));
  await opened.store.close();
  const { store } = await openTestStore(dir);
  assert.deepEqual(
    willsOf(store).map(({ clientId, bytes }) => clientId + bytes.subarray(5)),
    Array.from({ length: 50 }, (_, n) => id(2 * n + 1) + (n === 0 ? "another" : "gone")),
  );
});

test("nobody waits for a will: it is written with the next group, at most LAZY_DELAY_MS later", async (t) => {
  const dir = dataDir(t);
  const opened = await openTestStore(dir);
  const receiver = new FakeReceiver(opened.store, "uplink", "cloud");
  await settled(opened);
  const before = commits(opened);
  opened.store.putWill(willOf("a"));
  const message = messageOfText("1");
  message.addReceiver(receiver.id, 1);
  const answers = new Answers();
  const stored = answers.expect(message);
  opened.store.append(message);
  receiver.took(message);
  await stored;
  assert.equal(commits(opened), before + 1, "one commit for both");
  assert.equal(willsOf(opened.store).length, 1);
  const enteredMs = performance.now();
  opened.store.putWill(willOf("b"));
  await eventually("it is written by itself", () => willsOf(opened.store).length === 2);
  assert.ok(performance.now() - enteredMs >= LAZY_DELAY_MS - 1);
});

test("a client that comes and goes within a group costs nothing; neither does one with the will that is stored", async (t) => {
  const dir = dataDir(t);
  const opened = await openTestStore(dir);
  opened.store.putWill(willOf("stays"));
  await settled(opened);
  const before = commits(opened);
  opened.store.putWill(willOf("passes"));
  opened.store.deleteWill("passes");
  opened.store.deleteWill("never-was");
  // It is lost, its will published, and it is back; twice. An equal will, not the same object.
  for (let n = 0; n < 2; n++) {
    opened.store.deleteWill("stays");
    opened.store.putWill(willOf("stays"));
  }
  opened.store.putWill(willOf("changes", "1"));
  opened.store.deleteWill("changes");
  await settled(opened);
  assert.equal(commits(opened), before);
  // Each difference is one.
  const others: Partial<WillRecord>[] = [
    { principal: "other" },
    { delaySeconds: 31 },
    { expirySeconds: 5 },
    { qos: 2 },
    { retain: true },
    { topicEnd: 4 },
    { propertiesEnd: 6 },
    { bytes: Buffer.from("topicgonf") },
  ];
  for (const [n, other] of others.entries()) {
    opened.store.putWill(willOf("stays", "gone", other));
    await settled(opened);
    assert.equal(commits(opened), before + 2 * n + 1, Object.keys(other).join());
    opened.store.putWill(willOf("stays"));
    await settled(opened);
  }
});

test("a will that is deleted and a message that enters in the same turn are in one transaction", async (t) => {
  const dir = dataDir(t);
  const opened = await openTestStore(dir, { commitDelayMs: 0 });
  const receiver = new FakeReceiver(opened.store, "uplink", "cloud");
  opened.store.putWill(willOf("a"));
  await settled(opened);
  opened.store.deleteWill("a");
  const message = messageOfText("the will");
  message.addReceiver(receiver.id, 1);
  opened.store.append(message);
  receiver.took(message);
  const look = async (): Promise<[number, number]> => {
    const { store } = await openTestStore(crashImage(t, dir));
    return [willsOf(store).length, new FakeReceiver(store, "uplink", "cloud").recover().length];
  };
  assert.deepEqual(await look(), [1, 0]);
  await settled(opened);
  assert.deepEqual(await look(), [0, 1]);
});
