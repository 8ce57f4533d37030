// Rules that gather, through an uplink with a real router, against the FakeServer. The store's timing is the test's.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { BatchConfig, OnChangeConfig, ReduceConfig } from "../../../../src/config/uplink-aggregate.ts";
import type { ForwardRule } from "../../../../src/config/uplink-rules.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

function batch(options: Partial<BatchConfig> = {}): BatchConfig {
  return { maxMessages: 3, maxBytes: 16_384, maxDelayMs: 10_000, format: "json-array", compress: "none", ...options };
}

function reduce(options: Partial<ReduceConfig> = {}): ReduceConfig {
  return { windowMs: 60_000, fields: null, emit: ["mean"], ...options };
}

function onChange(options: Partial<OnChangeConfig> = {}): OnChangeConfig {
  return { deadband: 0.5, maxSilenceMs: null, fields: null, ...options };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function turns(): Promise<void> {
  for (let i = 0; i < 4; i++) await turn();
}

class Site extends UplinkWorld {
  constructor(...rules: ForwardRule[]) {
    super({ forward: rules, window: 64 });
  }

  /** What went out since the last call, as "topic payload". */
  async sent(connection: ReturnType<UplinkWorld["connect"]>): Promise<string[]> {
    await turns();
    const packets = await this.serve(connection);
    return packets.map(({ topic, payload }) => `${topic} ${payload}`);
  }
}

describe("batch", () => {
  test("closes when it is full, and its payloads are byte for byte what came", async () => {
    const site = new Site(forward("s/#", { to: "site/{topic}", batch: batch() }));
    const connection = site.connect();
    for (const payload of ["21.50", ' {"temp" : 1e1}\n', "-0"]) site.publish("s/a", payload);
    assert.deepEqual(await site.sent(connection), ['site/s/a [21.50, {"temp" : 1e1}\n,-0]']);
  });

  test("closes when its time has come, by monotonic time", async () => {
    const site = new Site(forward("s/#", { batch: batch({ maxDelayMs: 10_000 }) }));
    const connection = site.connect();
    site.publish("s/a", "1");
    await turns();
    site.server.advance(9_900);
    site.server.clock.setWall(4_000_000_000_000);
    assert.deepEqual(await site.sent(connection), []);
    site.server.advance(150);
    assert.deepEqual(await site.sent(connection), ["s/a [1]"]);
  });

  test("what was acknowledged to the publisher stays in the log until the batch is, and goes in the same transaction", async () => {
    const site = new Site(forward("s/#", { batch: batch() }));
    site.publish("s/a", "1");
    await turns();
    site.persist();
    assert.deepEqual(
      site.told.map(([, reason]) => reason),
      [0],
    );
    assert.deepEqual(
      site.store.rows.map(({ message }) => message.payload.toString()),
      ["1"],
    );
    site.publish("s/a", "2");
    site.publish("s/a", "3");
    await turns();
    assert.deepEqual(
      site.store.rows.map(({ message }) => message.payload.toString()),
      ["1"],
      "nothing is committed yet",
    );
    assert.equal(site.told.length, 1);
    site.store.commit();
    // Rows 2 and 3 were open when the batch was made: they are not written at all.
    assert.deepEqual(
      site.store.rows.map(({ message }) => message.payload.toString()),
      ["[1,2,3]"],
    );
    site.store.sync();
    assert.equal(site.told.length, 3);
  });

  test("a crash before the batch is written makes the same batch again, one after it makes none", async () => {
    const rule = forward("s/#", { batch: batch({ maxMessages: 4 }) });
    const site = new Site(rule);
    for (const payload of ["1", "2", "3"]) site.publish("s/a", payload);
    await turns();
    site.persist();
    site.publish("s/a", "4");
    await turns();
    const before = site.crash();
    await turns();
    before.publish("s/a", "5");
    await turns();
    before.persist();
    assert.deepEqual(
      before.store.rows.map(({ message }) => message.payload.toString()),
      ["[1,2,3,5]"],
    );
    site.persist();
    const after = site.crash();
    await turns();
    after.persist();
    assert.deepEqual(
      after.store.rows.map(({ message }) => message.payload.toString()),
      ["[1,2,3,4]"],
    );
    assert.equal(after.uplink.status().aggregates[0]?.messages, 0);
  });
});

describe("on_change", () => {
  test("what has not changed is never written", async () => {
    const site = new Site(forward("s/#", { onChange: onChange() }));
    const connection = site.connect();
    for (const payload of ["20", "20.4", "20.5", "20.1", "19.9"]) site.publish("s/a", payload);
    assert.deepEqual(await site.sent(connection), ["s/a 20", "s/a 20.5", "s/a 19.9"]);
    assert.equal(site.uplink.status().aggregates[0]?.suppressed, 2);
    assert.equal(site.store.rows.length, 0);
    assert.equal(site.told.length, 5);
  });
});

describe("reduce", () => {
  test("one line of figures for each topic and window", async () => {
    const site = new Site(forward("s/#", { reduce: reduce({ emit: ["mean", "min", "max", "last", "count"] }) }));
    const connection = site.connect();
    site.server.clock.setWall(1_763_740_830_000);
    for (const payload of ["21", "22", "25"]) site.publish("s/a", payload);
    site.publish("s/b", '{"temp":1.5,"ok":true,"hum":40}');
    await turns();
    site.server.advance(30_100);
    assert.deepEqual(await site.sent(connection), [
      's/a {"from":1763740800,"to":1763740860,"mean":22.6666666667,"min":21,"max":25,"last":25,"count":3}',
      's/b {"from":1763740800,"to":1763740860,"fields":{"temp":{"mean":1.5,"min":1.5,"max":1.5,"last":1.5,"count":1},"hum":{"mean":40,"min":40,"max":40,"last":40,"count":1}}}',
    ]);
  });
});

describe("what is no reading", () => {
  test("passes through as it came, in order with its topic, and is written once", async () => {
    const site = new Site(forward("s/#", { to: "x/{topic}", batch: batch() }));
    for (const payload of ["1", "hello", "2", '{"door":"open"}']) site.publish("s/a", payload);
    site.publish("s/b", "");
    await turns();
    site.persist();
    assert.equal(site.store.rows.length, 5);
    const connection = site.connect();
    assert.deepEqual(await site.sent(connection), [
      "x/s/a [1]",
      "x/s/a hello",
      "x/s/a [2]",
      'x/s/a {"door":"open"}',
      "x/s/b ",
    ]);
    const [status] = site.uplink.status().aggregates;
    assert.deepEqual([status?.passedThrough, status?.closedEarly, status?.in, status?.out], [3, 2, 5, 5]);
  });
});
