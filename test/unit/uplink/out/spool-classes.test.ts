import assert from "node:assert/strict";
import { test } from "node:test";
import type { SpoolConfig } from "../../../../src/config/uplink-spool.ts";
import { CLASS_PACKET_IDS, CLASS_RING_PLACES, SPOOL_WINDOW_BYTES } from "../../../../src/uplink/out/spool-class.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import { forward, published, receive, UplinkWorld } from "../uplink-world.ts";

const LOW = forward("low/#");
const HIGH = forward("high/#", { priority: 7 });
const SPOOL: SpoolConfig = {
  maxBytes: 1e8,
  maxMessages: 1e6,
  maxAgeMs: 1e9,
  whenFull: "drop-oldest",
  priorities: [],
};

test("with a long backlog and the window full, an urgent message goes out in the next free place", () => {
  const world = new UplinkWorld({ forward: [LOW, HIGH], window: 4, spool: SPOOL });
  for (let i = 0; i < 2000; i++) world.publish("low/a", `${i}`);
  const connection = world.connect();
  const first = connection.take();
  assert.deepEqual(
    first.map(({ payload }) => payload),
    ["0", "1", "2", "3"],
  );
  world.publish("high/a", "alarm");
  world.publish("high/a", "second");
  assert.deepEqual(connection.take(), []);
  connection.puback(first[0]!.packetId);
  assert.deepEqual(published(connection.take()), ["high/a alarm 1"]);
  connection.puback(first[1]!.packetId);
  assert.deepEqual(published(connection.take()), ["high/a second 1"]);
  connection.puback(first[2]!.packetId);
  assert.deepEqual(published(connection.take()), ["low/a 4 1"]);
});

test("packet ids say the class: each has a range of its own, and goes round in it", async () => {
  const world = new UplinkWorld({ forward: [LOW, HIGH], window: 50, spool: SPOOL });
  for (let i = 0; i < CLASS_PACKET_IDS + 10; i++) world.publish("high/a", `${i}`);
  world.publish("low/a", "x");
  const packets = await world.serve(world.connect());
  const high = packets.filter(({ topic }) => topic === "high/a").map(({ packetId }) => packetId);
  assert.equal(high.length, CLASS_PACKET_IDS + 10);
  assert(high.every((id) => id >= 1 + 7 * CLASS_PACKET_IDS && id <= 8 * CLASS_PACKET_IDS));
  assert.equal(high[CLASS_PACKET_IDS], high[0]);
  assert.equal(packets.find(({ topic }) => topic === "low/a")?.packetId, 1);
  assert.equal(world.uplink.status().spool.messages, 0);
});

test("after an outage all that is urgent goes before the rest, read from the log in many slices", async () => {
  const world = new UplinkWorld({ forward: [LOW, HIGH], window: 10, spool: SPOOL });
  for (let i = 0; i < 400; i++) {
    world.publish("low/a", `l${i}`);
    world.publish("high/a", `h${i}`.padEnd(500));
  }
  world.persist();
  const packets = await world.serve(world.connect());
  const order = packets.map(({ payload }) => payload.trim());
  const expected = [..."hl"].flatMap((c) => Array.from({ length: 400 }, (_, i) => `${c}${i}`));
  assert.deepEqual(order, expected);
});

test("an urgent class that finds nothing in the log for long does not hold up the others", async () => {
  const world = new UplinkWorld({ forward: [LOW, HIGH], window: 10, spool: SPOOL });
  world.publish("high/a", "first");
  for (let i = 0; i < 300; i++) world.publish("low/a", `${i}`);
  world.publish("high/a", "last");
  world.persist();
  const connection = world.connect();
  // The log is read five rows at a time here.
  const packets = connection.take();
  assert.deepEqual(
    packets.map(({ payload }) => payload),
    ["first"],
  );
  const rest = await world.serve(connection);
  assert.equal(rest.length, 301);
  assert(rest.findIndex(({ payload }) => payload === "last") > 10, "the others went on meanwhile");
});

test("one packet of a class that is never answered leaves the others their turn", async () => {
  const world = new UplinkWorld({ forward: [LOW, HIGH], window: 3, spool: SPOOL });
  const connection = world.connect();
  world.publish("high/a", "stuck");
  const [stuck] = connection.take();
  for (let i = 0; i < 50; i++) world.publish("low/a", `${i}`);
  const packets = await world.serve(connection);
  assert.equal(packets.length, 50);
  assert.equal(world.uplink.status().inFlight, 1);
  connection.puback(stuck!.packetId);
  assert.equal(world.uplink.status().spool.messages, 0);
});

test("the window is one for all classes", () => {
  const world = new UplinkWorld({ forward: [LOW, HIGH], window: 4, spool: SPOOL });
  const connection = world.connect();
  for (let i = 0; i < 3; i++) world.publish("low/a", "1");
  for (let i = 0; i < 3; i++) world.publish("high/a", "1");
  assert.equal(connection.take().length, 4);
  assert.equal(world.uplink.status().inFlight, 4);
});

test("rules of two classes that give one remote topic send it once, by the urgent one, with the higher QoS", async () => {
  const world = new UplinkWorld({
    forward: [forward("a/#", { to: "t/{rest}", qos: 2 }), forward("+/b", { to: "t/{1}", priority: 3, qos: 0 }), HIGH],
  });
  const rules = [forward("a/#", { to: "t", qos: 2 }), forward("a/b", { to: "t", priority: 3, qos: 0 })];
  const same = new UplinkWorld({ forward: rules });
  for (const one of [world, same]) {
    one.publish("a/b", "1", 0);
    one.publish("a/c", "2", 0);
    one.persist();
  }
  const sent = published(await world.serve(world.connect())).sort();
  assert.deepEqual(sent, ["t/b 1 2", "t/c 2 2"], "another remote topic, of QoS 0, is of those that are there");
  const packets = await same.serve(same.connect());
  assert.deepEqual(published(packets), ["t 1 2", "t 2 2"]);
  assert(packets[0]!.packetId > 3 * CLASS_PACKET_IDS && packets[1]!.packetId <= CLASS_PACKET_IDS);
});

test("where the more urgent class sends a topic, a full one below it has no say", () => {
  const spool: SpoolConfig = { ...SPOOL, maxMessages: 1, whenFull: "refuse", priorities: [] };
  const wide = { ...spool, priorities: [{ ...SPOOL, priority: 3 }] };
  const world = new UplinkWorld({ forward: [forward("#"), forward("a", { priority: 3 })], spool: wide });
  assert.notEqual(world.publish("b", "1"), -1);
  assert.equal(world.publish("b", "2"), -1, "the class of b is full");
  assert.notEqual(world.publish("a", "3"), -1);
  assert.deepEqual(published(world.connect().take()), ["a 3 1", "b 1 1"]);
});

test("each class has its limits and its answer when it is full", async () => {
  const spool: SpoolConfig = {
    ...SPOOL,
    maxMessages: 2,
    whenFull: "drop-newest",
    priorities: [
      { ...SPOOL, priority: 1, maxMessages: 3, whenFull: "drop-oldest" },
      { ...SPOOL, priority: 2, maxMessages: 4, whenFull: "refuse" },
      { ...SPOOL, priority: 3, maxMessages: 5, whenFull: "latest-per-topic" },
      { ...SPOOL, priority: 4, maxAgeMs: 5000 },
    ],
  };
  const rules = [0, 1, 2, 3, 4].map((priority) => forward(`${priority}/#`, { priority }));
  const world = new UplinkWorld({ forward: rules, spool, window: 50 });
  const refused: string[] = [];
  world.publish("4/x", "old");
  world.server.advance(6000);
  world.publish("4/x", "new");
  for (let i = 0; i < 8; i++) {
    for (const topic of ["0/x", "1/x", "2/x", `3/${i % 2}`]) {
      if (world.publish(topic, `${i}`) < 0) refused.push(topic);
    }
    world.persist();
    await new Promise((resolve) => setImmediate(resolve));
  }
  world.persist();
  assert.deepEqual(
    refused.filter((topic) => topic === "2/x"),
    ["2/x", "2/x", "2/x", "2/x"],
    "negative to the device",
  );
  const packets = await world.serve(world.connect());
  const of = (priority: number): string[] =>
    packets.filter(({ topic }) => topic.startsWith(`${priority}/`)).map(({ payload }) => payload);
  assert.deepEqual(of(4), ["new"]);
  assert.deepEqual(of(3).slice(-2), ["6", "7"]);
  assert.deepEqual(of(2), ["0", "1", "2", "3"]);
  assert.deepEqual(of(1), ["5", "6", "7"]);
  assert.deepEqual(of(0), ["0", "1"]);
  const causes = new Set(world.ledger.entries().map(({ receiver, cause }) => `${receiver} ${cause}`));
  assert.deepEqual([...causes].sort(), [
    "uplink:cloud#1 queue-full",
    "uplink:cloud#3 superseded",
    "uplink:cloud#4 too-old",
  ]);
  assert.equal(world.uplink.status().spool.messages, 0);
});

test("a class that no rule uses any more is drained under the rules there are, and is gone then", async () => {
  const before = new UplinkWorld({ forward: [LOW, HIGH, forward("mid/#", { priority: 3 })] });
  before.publish("high/a", "1");
  before.publish("low/a", "2");
  before.persist();
  // The rule is another class's now; `mid` held nothing.
  const after = before.crash({ forward: [LOW, forward("high/#")] });
  assert.notEqual(after.store.loadReceiver("uplink", "cloud#7"), null);
  assert.equal(after.store.loadReceiver("uplink", "cloud#3"), null);
  after.publish("high/a", "3");
  const packets = await after.serve(after.connect());
  assert.deepEqual(published(packets), ["high/a 1 1", "low/a 2 1", "high/a 3 1"]);
  assert.equal(after.store.loadReceiver("uplink", "cloud#7"), null);
  assert.deepEqual(after.uplink.status().dropped, {});
});

test("a class whose exchanges are not over stays until they are released: its packet ids are in use", async () => {
  const before = new UplinkWorld({ forward: [LOW, { ...HIGH, qos: 2 }] });
  const connection = before.connect();
  before.publish("high/a", "1", 2);
  before.persist();
  const { packetId } = connection.takeOne(codes.PUBLISH);
  connection.send(connection.ack(codes.PUBREC, packetId));
  before.persist();
  const after = before.crash({ forward: [LOW] });
  assert.notEqual(after.store.loadReceiver("uplink", "cloud#7"), null);
  const again = after.connect(true);
  after.persist();
  const released = again.take().filter(({ type }) => type === codes.PUBREL);
  assert.ok(released.some((packet) => packet.packetId === packetId));
  for (const packet of released) again.send(again.ack(codes.PUBCOMP, packet.packetId));
  assert.equal(after.store.loadReceiver("uplink", "cloud#7"), null);
});

test("[MQTT5-3.8.3-3] what came in by an uplink does not go out by any class of it", () => {
  const world = new UplinkWorld({
    forward: [forward("#"), forward("a/#", { priority: 5 })],
    receive: [receive("a/#")],
  });
  const connection = world.connect();
  connection.takeOne(codes.SUBSCRIBE);
  const got = world.subscriber("#");
  connection.send(connection.publish("a/b", "x", 1, 7));
  world.persist();
  assert.deepEqual(got, ["a/b x 1 0"]);
  connection.takeOne(codes.PUBACK);
});

test("offline: drop of one class and store of another meet in one topic: what was published while away goes to the one that stores", async () => {
  const rules = [
    forward("#", { to: "live/{topic}", offline: "drop", priority: 1 }),
    forward("#", { to: "all/{topic}" }),
  ];
  const one = rules.map((rule) => ({ ...rule, priority: 0 }));
  for (const config of [rules, one]) {
    const world = new UplinkWorld({ forward: config });
    world.publish("a", "away");
    const connection = world.connect();
    world.publish("a", "there");
    const sent = published(await world.serve(connection)).sort();
    assert.deepEqual(sent, ["all/a away 1", "all/a there 1", "live/a there 1"]);
  }
});

test("what waits in memory is bounded for all classes together: a message larger than a class's share stays in the log", async () => {
  const priorities = [0, 1, 2, 3, 4, 5, 6, 7];
  const forward8 = priorities.map((priority) =>
    forward(`${priority}/#`, { priority, qos: priority % 2 === 0 ? 1 : 2 }),
  );
  const world = new UplinkWorld({ forward: forward8, window: 2, spool: SPOOL });
  const connection = world.connect();
  const sizes = [100, 5000, 20_000, 100_000];
  for (let round = 0; round < 3; round++) {
    for (const priority of priorities) {
      for (const size of sizes) world.publish(`${priority}/a`, `${round}`.padEnd(size, "x"), 2);
    }
    assert(world.waitingBytes <= SPOOL_WINDOW_BYTES, `${world.waitingBytes} bytes wait in memory`);
    if (round === 1) world.persist();
    assert(world.waitingBytes <= SPOOL_WINDOW_BYTES);
  }
  const packets = await world.serve(connection);
  assert.equal(packets.length, 3 * priorities.length * sizes.length);
  for (const priority of priorities) {
    const rounds = packets.filter(({ topic }) => topic === `${priority}/a`).map(({ payload }) => payload[0]);
    assert.deepEqual(rounds, rounds.toSorted(), `${priority} in order`);
  }
  assert.equal(world.waitingBytes, 0);
});

test("a class may have its share of packet ids in flight however many sessions have, and goes on beyond it where there is room", () => {
  for (const [taken, expected] of [
    [1e6, CLASS_RING_PLACES],
    [0, 300],
  ] as const) {
    const world = new UplinkWorld({ forward: [LOW, HIGH], window: 1000, spool: SPOOL });
    world.ringMemory.takeAnyway(taken);
    const connection = world.connect();
    for (let i = 0; i < 300; i++) world.publish("high/a", `${i}`);
    assert.equal(connection.take().length, expected);
  }
});

test("a class whose messages the server refuses, or that waits for the store, holds no other up", () => {
  const world = new UplinkWorld({ forward: [LOW, { ...HIGH, qos: 2 }], window: 2, spool: SPOOL });
  const connection = world.connect();
  for (let i = 0; i < 3; i++) world.publish("high/a", `h${i}`, 2);
  for (let i = 0; i < 3; i++) world.publish("low/a", `l${i}`);
  // QoS 2 goes out when it is durable.
  assert.deepEqual(
    connection.take().map(({ payload, packetId }) => {
      connection.puback(packetId);
      return payload;
    }),
    ["l0", "l1"],
  );
  world.persist();
  const order: string[] = [];
  for (let packets = connection.take(); packets.length > 0; packets = connection.take()) {
    for (const { payload, packetId, qos } of packets) {
      order.push(payload);
      if (qos === 2) connection.send(connection.ack(codes.PUBREC, packetId, 0x87));
      else connection.puback(packetId);
    }
  }
  assert.deepEqual(order, ["l2", "h0", "h1", "h2"]);
  assert.deepEqual(world.uplink.status().dropped, { refused: 3 });
  assert.deepEqual([world.uplink.status().spool.messages, world.uplink.status().inFlight], [0, 0]);
});
