// Rules that gather among other rules, priorities, policies and configurations.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { UplinkConfig } from "../../../../src/config/uplinks.ts";
import { Publication } from "../../../../src/core/publication.ts";
import { LoopMark } from "../../../../src/uplink/out/loop-mark.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import { forward, published, receive, UplinkWorld } from "../uplink-world.ts";
import { batch, onChange, reduce } from "./gathering-world.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await turn();
}

async function sent(world: UplinkWorld, connection: ReturnType<UplinkWorld["connect"]>): Promise<string[]> {
  await turns();
  return published(await world.serve(connection));
}

const SPOOL: UplinkConfig["spool"] = {
  maxBytes: 1_000_000,
  maxMessages: 4,
  maxAgeMs: 1e9,
  whenFull: "refuse",
  priorities: [],
};

describe("among other rules", () => {
  test("a plain rule and two that gather have the same message, each in its own way; the publisher is told once", async () => {
    const rules = [
      forward("s/#", { to: "plain/{topic}" }),
      forward("s/#", { to: "batch/{topic}", batch: batch({ maxMessages: 2 }) }),
      forward("s/+", { to: "change/{1}", onChange: onChange() }),
    ];
    const world = new UplinkWorld({ forward: rules, window: 20 });
    const connection = world.connect();
    for (const payload of ["1", "1.1", "2"]) world.publish("s/a", payload);
    const out = await sent(world, connection);
    assert.deepEqual(out.sort(), [
      "batch/s/a [1,1.1] 1",
      "change/a 1 1",
      "change/a 2 1",
      "plain/s/a 1 1",
      "plain/s/a 1.1 1",
      "plain/s/a 2 1",
    ]);
    world.persist();
    assert.deepEqual(
      world.told.map(([, reason]) => reason),
      [0, 0, 0],
    );
  });

  test("the same rule twice is two rules, and each keeps its rows over a restart", async () => {
    const rules = [forward("s/#", { batch: batch() }), forward("s/#", { batch: batch({ maxMessages: 2 }) })];
    const world = new UplinkWorld({ forward: rules, window: 20 });
    world.publish("s/a", "1");
    await turns();
    world.persist();
    const after = world.crash();
    await turns();
    const connection = after.connect();
    after.publish("s/a", "2");
    after.publish("s/a", "3");
    assert.deepEqual((await sent(after, connection)).sort(), ["s/a [1,2,3] 1", "s/a [1,2] 1"]);
  });

  test("QoS 0 is raised and stored; the result has the rule's QoS and the newest RETAIN flag", async () => {
    const world = new UplinkWorld({ forward: [forward("s/#", { qos: 2, batch: batch() })] });
    world.publish("s/a", "1", 0);
    world.publish("s/a", "2", 0, true);
    await turns();
    assert.equal(world.uplink.status().aggregates[0]?.messages, 2);
    world.publish("s/a", "3", 1, true);
    await turns();
    world.persist();
    const [packet] = await world.serve(world.connect());
    assert.deepEqual([packet?.payload, packet?.qos, packet?.retain], ["[1,2,3]", 2, true]);
  });

  test("at QoS 2 a batch leaves once it is written together with the record that leaves its rows out: it comes once", async () => {
    const world = new UplinkWorld({ forward: [forward("s/#", { qos: 2, batch: batch({ maxMessages: 2 }) })] });
    const connection = world.connect();
    world.publish("s/a", "1");
    await turns();
    world.persist();
    world.publish("s/a", "2");
    await turns();
    assert.deepEqual(connection.take(), []);
    const before = world.crash();
    await turns();
    assert.equal(before.uplink.status().aggregates[0]?.messages, 1);
    world.persist();
    const [packet] = connection.take();
    assert.deepEqual([packet?.payload, packet?.qos], ["[1,2]", 2]);
    const after = world.crash();
    await turns();
    assert.deepEqual([after.uplink.status().aggregates[0]?.messages, after.uplink.status().spool.messages], [0, 1]);
  });

  test("the priority of the rule is that of its batches", async () => {
    const rules = [forward("s/#"), forward("u/#", { priority: 7, batch: batch({ maxMessages: 1 }) })];
    const world = new UplinkWorld({ forward: rules, window: 1 });
    for (const payload of ["1", "2"]) world.publish("s/a", payload);
    world.publish("u/a", "3");
    await turns();
    world.persist();
    assert.deepEqual(published(await world.serve(world.connect())), ["u/a [3] 1", "s/a 1 1", "s/a 2 1"]);
  });

  test("what came in by the uplink does not go out by it", async () => {
    const world = new UplinkWorld({
      forward: [forward("#", { batch: batch({ maxMessages: 1 }) })],
      receive: [receive("cmd/#")],
    });
    const connection = world.connect();
    connection.take();
    connection.send(connection.publish("cmd/x", "1", 1, 7));
    world.publish("s/a", "2");
    await turns();
    const packets = await world.serve(connection);
    const topics = packets.filter(({ type }) => type === codes.PUBLISH).map(({ topic }) => topic);
    assert.deepEqual(topics, ["s/a"]);
  });

  test("what carries the node's own mark is not gathered", async () => {
    const world = new UplinkWorld({ loopMark: true, forward: [forward("s/#", { batch: batch({ maxMessages: 2 }) })] });
    const connection = world.connect();
    for (const [payload, marked] of [
      ["1", false],
      ["2", true],
      ["3", false],
    ] as const) {
      const p = new Publication();
      const mark = new LoopMark("gw-17").property;
      p.setParts("s/a", Buffer.from(payload), 1, false, marked ? mark : undefined);
      world.router.publish(p, { onStored(): void {} }, 0);
    }
    assert.deepEqual(await sent(world, connection), ["s/a [1,3] 1"]);
    const [rule] = world.uplink.status().aggregates;
    assert.deepEqual([rule?.in, rule?.messages, world.counters.get("uplink.cloud.looped")], [3, 0, 1]);
  });

  for (const drain of ["newest-first", "interleave"] as const) {
    test(`drain: ${drain} takes what was gathered like anything else`, async () => {
      const rule = forward("s/#", { batch: batch({ maxMessages: 2 }) });
      const world = new UplinkWorld({ drain, forward: [rule, forward("p/#")], window: 1 });
      for (const payload of ["1", "2", "3", "4", "5"]) world.publish("s/a", payload);
      world.publish("p/a", "6");
      await turns();
      world.persist();
      const after = world.crash();
      await turns();
      after.publish("s/a", "7");
      await turns();
      after.persist();
      const out = await sent(after, after.connect());
      assert.deepEqual(out.sort(), ["p/a 6 1", "s/a [1,2] 1", "s/a [3,4] 1", "s/a [5,7] 1"]);
    });
  }

  test("values that nobody stores, such as those of $SYS, are stored for it", async () => {
    const world = new UplinkWorld({ forward: [forward("$SYS/#", { to: "sys", batch: batch({ maxMessages: 2 }) })] });
    const connection = world.connect();
    for (const payload of ["1", "2"]) {
      const p = new Publication();
      p.setParts("$SYS/uptime", Buffer.from(payload), 0, true);
      world.router.publishLive(p);
      world.router.publish(p, { onStored(): void {} }, 0);
    }
    const out = await sent(world, connection);
    assert(out.length >= 1 && out[0]?.startsWith("sys [1,"), out.join());
  });
});

describe("a class that is full", () => {
  test("when_full: refuse is told to the publisher, and what was taken waits until there is room", async () => {
    const world = new UplinkWorld({
      forward: [forward("p/#"), forward("s/#", { batch: batch({ maxMessages: 2 }) })],
      spool: SPOOL,
      window: 10,
    });
    world.publish("s/a", "1");
    await turns();
    world.persist();
    for (let i = 0; i < 4; i++) world.publish("p/a", `${i}`);
    world.publish("s/a", "2");
    await turns();
    world.persist();
    assert.equal(world.uplink.status().aggregates[0]?.messages, 1, "the second was refused");
    world.server.advance(11_000);
    await turns();
    assert.equal(world.uplink.status().aggregates[0]?.out, 0, "the batch is closed, and finds no room");
    const connection = world.connect();
    const out = published(await world.serve(connection));
    assert.equal(out.length, 4);
    world.server.advance(1000);
    assert.deepEqual(await sent(world, connection), ["s/a [1] 1"]);
  });

  test("when_full: drop-newest drops what was gathered, counted and listed", async () => {
    const spool = { ...SPOOL, whenFull: "drop-newest" as const };
    const world = new UplinkWorld({
      forward: [forward("p/#"), forward("s/#", { batch: batch({ maxMessages: 2 }) })],
      spool,
    });
    world.publish("s/a", "1");
    await turns();
    world.persist();
    for (let i = 0; i < 4; i++) world.publish("p/a", `${i}`);
    world.server.advance(11_000);
    await turns();
    world.persist();
    const status = world.uplink.status();
    assert.deepEqual(
      [status.aggregates[0]?.messages, status.aggregates[0]?.out, status.dropped],
      [0, 0, { "queue-full": 1 }],
    );
    assert.equal(world.crash().uplink.status().aggregates[0]?.messages, 0);
  });
});

describe("another configuration after a restart", () => {
  test("other limits: what is held goes on under them", async () => {
    const world = new UplinkWorld({ forward: [forward("s/#", { batch: batch({ maxMessages: 100 }) })] });
    for (const payload of ["1", "2", "3"]) world.publish("s/a", payload);
    await turns();
    world.persist();
    const after = world.crash({
      forward: [forward("p/#"), forward("s/#", { batch: batch({ maxMessages: 2, format: "lines" }) })],
    });
    await turns();
    after.persist();
    assert.deepEqual(published(await after.serve(after.connect())), ["s/a 1\n2\n 1"]);
    assert.equal(after.uplink.status().aggregates[0]?.messages, 1);
  });

  test("the rule is gone: what it held goes out as it came, and nothing of it is left", async () => {
    const rule = forward("s/#", { to: "x/{topic}", batch: batch({ maxMessages: 100 }), priority: 3 });
    const world = new UplinkWorld({ forward: [rule] });
    for (const payload of ["1", "2"]) world.publish("s/a", payload);
    await turns();
    world.persist();
    const after = world.crash({ forward: [forward("p/#")] });
    await turns();
    after.publish("s/a", "3");
    await turns();
    after.persist();
    assert.deepEqual(published(await after.serve(after.connect())), ["x/s/a 1 1", "x/s/a 2 1"]);
    await turns();
    assert.deepEqual(after.uplink.status().aggregates, []);
    assert.equal(after.store.deleteOthers("aggregate", () => true).length, 0);
    assert.equal(after.store.loadReceiver("aggregate", 'cloud#["s/#","x/{topic}"]'), null);
  });

  test("a window goes on after a restart, with the readings from before", async () => {
    const rule = forward("s/#", { reduce: reduce({ emit: ["count", "last"] }) });
    const world = new UplinkWorld({ forward: [rule] });
    for (const payload of ["1", "2"]) world.publish("s/a", payload);
    await turns();
    world.persist();
    const after = world.crash();
    await turns();
    after.publish("s/a", "3");
    await turns();
    after.server.advance(61_000);
    await turns();
    after.persist();
    const [line] = published(await after.serve(after.connect()));
    assert.match(line ?? "", /"count":3|"last":3,"count":3/);
  });
});
