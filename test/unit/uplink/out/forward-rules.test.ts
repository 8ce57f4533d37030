import assert from "node:assert/strict";
import { test } from "node:test";
import { Publication } from "../../../../src/core/publication.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import { nextUserProperty, UserPropertyView } from "../../../../src/wire/mqtt/property-table.ts";
import { properties } from "../fake-server.ts";
import { forward, published, receive, UplinkWorld } from "../uplink-world.ts";

/** User Properties of a block, as "key=value". */
function pairs(block: Buffer): string[] {
  const view = new UserPropertyView();
  const found: string[] = [];
  for (let at = nextUserProperty(block, 0, block.length, view); at >= 0; ) {
    const text = (from: number, length: number): string => block.toString("utf8", from, from + length);
    found.push(`${text(view.keyAt, view.keyLength)}=${text(view.valueAt, view.valueLength)}`);
    at = nextUserProperty(block, at, block.length, view);
  }
  return found;
}

function block(...user: [key: string, value: string][]): Buffer {
  const writer = properties((p) => {
    for (const [key, value] of user) p.pair(key, value);
  });
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

/** A local client publishes with properties. */
function publishWith(world: UplinkWorld, topic: string, payload: string, qos: number, user: Buffer): void {
  const p = new Publication();
  p.setParts(topic, Buffer.from(payload), qos, false, user);
  world.router.publish(p, { onStored: () => undefined }, 0);
}

test("retain: clear sends without the flag; where another rule of the topic keeps it, it stays", () => {
  const world = new UplinkWorld({
    forward: [
      forward("c/#", { retain: "clear" }),
      forward("k/#", { retain: "clear" }),
      forward("k/+", { retain: "keep" }),
      forward("z/#", { retain: "clear", qos: 0 }),
    ],
  });
  const connection = world.connect();
  for (const topic of ["c/1", "k/1", "z/1"]) world.publish(topic, "x", 1, true);
  assert.deepEqual(
    connection.take().map(({ topic, retain }) => [topic, retain]),
    [
      ["c/1", false],
      ["k/1", true],
      ["z/1", false],
    ],
  );
});

test("expiry: a message gets the rule's Message Expiry Interval where it has none or a longer one", async () => {
  const world = new UplinkWorld({ forward: [forward("#", { expiryMs: 60_000 })] });
  const connection = world.connect();
  world.publish("a", "none");
  world.publish("a", "longer", 1, false, 100);
  world.publish("a", "shorter", 1, false, 30);
  const live = connection.take();
  for (const { packetId } of live) connection.puback(packetId);
  assert.deepEqual(
    live.map(({ expirySeconds }) => expirySeconds),
    [60, 60, 30],
  );
  connection.drop("reset");
  for (const [payload, seconds] of [
    ["none", -1],
    ["longer", 100],
    ["shorter", 30],
  ] as const)
    world.publish("a", payload, 1, false, seconds);
  world.persist();
  world.server.advance(20_000);
  const again = await world.serve(world.accept());
  assert.deepEqual(
    again.map(({ payload, expirySeconds }) => [payload, expirySeconds]),
    [
      ["none", 40],
      ["longer", 40],
      ["shorter", 10],
    ],
  );
});

test("expiry: not sent when it is older, to a server of 3.1.1 neither; dropped as expired, per remote topic", async () => {
  for (const protocol of [4, 5] as const) {
    const world = new UplinkWorld({
      protocol,
      forward: [forward("#", { to: "soon/{topic}", expiryMs: 10_000 }), forward("#", { to: "any/{topic}" })],
    });
    world.publish("a", "old");
    world.persist();
    world.server.advance(10_000);
    world.publish("a", "new");
    assert.deepEqual(published(await world.serve(world.connect())), ["any/a old 1", "soon/a new 1", "any/a new 1"]);
    assert.deepEqual(world.uplink.status().dropped, { expired: 1 });
    assert.equal(world.uplink.status().spool.messages, 0);
  }
});

test("expiry: two rules for one topic let it live as long as the one that lets it live longer", async () => {
  const rules = [forward("a/#", { to: "t", expiryMs: 10_000 }), forward("+/b", { to: "t", expiryMs: 20_000 })];
  const world = new UplinkWorld({ forward: rules });
  world.publish("a/b", "1");
  world.persist();
  world.server.advance(15_000);
  assert.deepEqual(published(await world.serve(world.connect())), ["t 1 1"]);
});

test("what expires between two connections goes out again if the server may have it, and keeps everybody's packet id", async () => {
  for (const crash of [false, true]) {
    let world = new UplinkWorld({
      window: 10,
      forward: [forward("#", { qos: 2, to: "soon/{topic}", expiryMs: 5000 }), forward("#", { qos: 2 })],
    });
    const connection = world.connect();
    world.publish("a", "1", 2);
    world.publish("a", "2", 2);
    world.persist();
    const before = connection.take().map(({ topic, packetId }) => [topic, packetId]);
    assert.equal(before.length, 4);
    const elapse = (): void => world.server.advance(6000);
    if (crash) world = world.crash();
    else connection.drop("reset");
    elapse();
    const again = crash ? world.connect(true) : world.accept(true);
    world.persist();
    assert.deepEqual(
      again.take().map(({ topic, packetId }) => [topic, packetId]),
      before,
      crash ? "after a crash" : "after a reconnect",
    );
  }
});

test("in 5.0 what goes out is marked with the node's name, behind the publisher's own properties, which stay as they are", async () => {
  const world = new UplinkWorld({ loopMark: true, forward: [forward("z/#", { qos: 0 }), forward("#")] });
  const user = block(["sluice", "gw-9"], ["k", "v"], ["k", "v"], ["sluice", "gw-170"]);
  publishWith(world, "a", "stored", 1, user);
  world.persist();
  const connection = world.connect();
  publishWith(world, "z/live", "live", 0, user);
  publishWith(world, "b", "bare", 0, Buffer.alloc(0));
  const packets = connection.take();
  assert.equal(packets.length, 3);
  for (const { payload, properties: sent } of packets) {
    const own = payload === "bare" ? [] : ["sluice=gw-9", "k=v", "k=v", "sluice=gw-170"];
    assert.deepEqual(pairs(sent), [...own, "sluice=gw-17"], payload);
    if (payload !== "bare") assert.deepEqual(sent.subarray(0, user.length), user);
  }
});

test("what has our mark is not forwarded, at any QoS, and counted; without loop_mark it is, and nothing is marked", () => {
  const own = block(["k", "v"], ["sluice", "gw-17"]);
  const world = new UplinkWorld({ loopMark: true, forward: [forward("z/#", { qos: 0 }), forward("#")] });
  const connection = world.connect();
  publishWith(world, "a", "1", 1, own);
  publishWith(world, "z/a", "2", 0, own);
  publishWith(world, "a", "3", 1, block(["sluice", "gw-18"]));
  assert.deepEqual(published(connection.take()), ["a 3 1"]);
  assert.equal(world.counters.get("uplink.cloud.looped"), 2);
  assert.deepEqual(world.uplink.status().dropped, {});
  assert.equal(world.uplink.status().spool.messages, 1);
  const plain = new UplinkWorld({ loopMark: false, forward: [forward("#")] });
  publishWith(plain, "a", "1", 1, own);
  assert.deepEqual(pairs(plain.connect().takeOne(codes.PUBLISH).properties), ["k=v", "sluice=gw-17"]);
});

test("what comes in with our mark is acknowledged and goes no further", () => {
  const world = new UplinkWorld({ loopMark: true, receive: [receive("#", { qos: 2 })] });
  const connection = world.connect();
  connection.take();
  const got = world.subscriber("#");
  const mine = { properties: block(["sluice", "gw-9"], ["sluice", "gw-17"]) };
  const other = { properties: block(["sluice", "gw-9"]) };
  for (const qos of [0, 1, 2]) {
    connection.send(connection.publish("a", `mine ${qos}`, qos, qos, mine));
    connection.send(connection.publish("a", `other ${qos}`, qos, 10 + qos, other));
    world.persist();
  }
  assert.deepEqual(
    got.map((line) => line.slice(2, 9)),
    ["other 0", "other 1", "other 2"],
  );
  assert.deepEqual(
    connection.take().map(({ type, packetId }) => [type, packetId]),
    [
      [codes.PUBACK, 1],
      [codes.PUBACK, 11],
      [codes.PUBREC, 2],
      [codes.PUBREC, 12],
    ],
  );
  assert.equal(world.counters.get("uplink.cloud.looped"), 3);
  assert.equal(world.uplink.receive.unmatched.value, 0);
});

test("before 5.0 nothing is appended", () => {
  const world = new UplinkWorld({ protocol: 4, loopMark: true, forward: [forward("#", { expiryMs: 1e6 })] });
  const connection = world.connect();
  publishWith(world, "a", "x", 1, block(["k", "v"]));
  assert.deepEqual(published([connection.takeOne(codes.PUBLISH)]), ["a x 1"]);
});

test("[MQTT5-3.1.2-25] the server's Maximum Packet Size counts the mark and the expiry, to the byte", () => {
  for (const expiryMs of [null, 60_000]) {
    for (const qos of [0, 1] as const) {
      const world = new UplinkWorld({ loopMark: true, forward: [forward("#", { expiryMs, qos })] });
      world.uplink.start();
      const connection = world.server.accept();
      connection.take();
      connection.connack({ properties: properties((p) => p.four(table.MAXIMUM_PACKET_SIZE, 100)) });
      const mark = 1 + 2 + "sluice".length + 2 + "gw-17".length;
      const overhead = 2 + 2 + 1 + (qos === 0 ? 0 : 2) + 1 + mark + (expiryMs === null ? 0 : 5);
      world.publish("a", "x".repeat(100 - overhead));
      world.publish("a", "y".repeat(101 - overhead));
      world.publish("a", "z");
      world.persist();
      assert.deepEqual(
        connection.take().map(({ payload }) => payload[0]),
        ["x", "z"],
      );
      assert.deepEqual(world.uplink.status().dropped, { "too-large": 1 });
    }
  }
});

test("{client} is the uplink's own client id, in both directions", () => {
  const world = new UplinkWorld({
    clientId: "dev-9",
    forward: [forward("#", { to: "devices/{client}/messages/events/{topic}" })],
    receive: [receive("devices/dev-9/#", { to: "from/{client}/{rest}" })],
  });
  const connection = world.connect();
  connection.takeOne(codes.SUBSCRIBE);
  const got = world.subscriber("from/#");
  world.publish("a", "1");
  assert.deepEqual(published([connection.takeOne(codes.PUBLISH)]), ["devices/dev-9/messages/events/a 1 1"]);
  connection.send(connection.publish("devices/dev-9/cmd", "go"));
  assert.deepEqual(got, ["from/dev-9/cmd go 0 0"]);
});

test("receive rules: retain: clear publishes without the flag", () => {
  const world = new UplinkWorld({ receive: [receive("c/#", { retain: "clear" }), receive("k/#")] });
  const connection = world.connect();
  connection.take();
  const got = world.subscriber("#");
  for (const topic of ["c/a", "k/a"]) connection.send(connection.publish(topic, "x", 0, 0, { retain: true }));
  assert.deepEqual(got, ["c/a x 0 0", "k/a x 0 1"]);
});
