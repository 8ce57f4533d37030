import assert from "node:assert/strict";
import { test } from "node:test";
import { HELD_BYTES_MAX, HELD_RETRY_MS } from "../../../../src/uplink/in/receive.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import { type FakeConnection, properties } from "../fake-server.ts";
import { forward, receive, UplinkWorld } from "../uplink-world.ts";

const QUOTA = 0x97;

/** [type, packetId] of what the client sent. */
function acks(connection: FakeConnection): [number, number][] {
  return connection.take().map(({ type, packetId }) => [type, packetId]);
}

/** An uplink that brings `r/#` down as `l/#`; a message with RETAIN has to be stored, the others have no durable receiver. */
function durableWorld(): { world: UplinkWorld; connection: FakeConnection } {
  const world = new UplinkWorld({ receive: [receive("r/#", { qos: 2, to: "l/{rest}" })] });
  const connection = world.connect();
  connection.send(connection.suback(connection.takeOne(codes.SUBSCRIBE).packetId, [2]));
  return { world, connection };
}

test("a message is published locally under the rule's topic, with payload, properties and RETAIN", () => {
  const world = new UplinkWorld({ receive: [receive("site/17/cmd/#", { to: "cmd/{rest}" })] });
  const got = world.subscriber("#");
  const connection = world.connect();
  const block = properties((p) => {
    p.varint(table.SUBSCRIPTION_IDENTIFIER, 5);
    p.pair("k", "v");
  });
  const blockBytes = Buffer.from(block.buffer.subarray(0, block.length));
  connection.send(connection.publish("site/17/cmd/valve", "open", 0, 0, { properties: blockBytes }));
  connection.send(connection.publish("site/17/cmd", "all", 1, 1, { retain: true }));
  assert.deepEqual(got, ["cmd/valve open 0 0", "cmd all 1 1"]);
});

test("QoS 1 without a durable receiver is acknowledged at once; with one when the store has it, in order", () => {
  const { world, connection } = durableWorld();
  connection.send(
    connection.publish("r/1", "a", 1, 1),
    connection.publish("r/2", "b", 1, 2, { retain: true }),
    connection.publish("r/3", "c", 1, 3),
  );
  assert.deepEqual(acks(connection), [[codes.PUBACK, 1]]);
  world.persist();
  assert.deepEqual(acks(connection), [
    [codes.PUBACK, 2],
    [codes.PUBACK, 3],
  ]);
});

test("QoS 2: PUBREC when message and id are stored, PUBCOMP when the release is", () => {
  const { world, connection } = durableWorld();
  const got = world.subscriber("#");
  connection.send(connection.publish("r/1", "a", 2, 9));
  assert.deepEqual(acks(connection), []);
  world.persist();
  assert.deepEqual(acks(connection), [[codes.PUBREC, 9]]);
  connection.send(connection.publish("r/1", "a", 2, 9, { dup: true }));
  world.persist();
  assert.deepEqual(acks(connection), [[codes.PUBREC, 9]]);
  connection.send(connection.ack(codes.PUBREL, 9));
  assert.deepEqual(acks(connection), []);
  world.persist();
  assert.deepEqual(acks(connection), [[codes.PUBCOMP, 9]]);
  connection.send(connection.publish("r/1", "b", 2, 9));
  assert.deepEqual(got, ["l/1 a 2 0", "l/1 b 2 0"]);
});

test("PUBREL of an id we do not know: PUBCOMP with 0x92", () => {
  const { world, connection } = durableWorld();
  world.persist();
  connection.send(connection.ack(codes.PUBREL, 5));
  world.persist();
  const packet = connection.takeOne(codes.PUBCOMP);
  assert.deepEqual([packet.packetId, packet.reasonCode], [5, codes.PACKET_IDENTIFIER_NOT_FOUND]);
});

test("[MQTT5-4.3.3-13] PUBREL again on the next connection waits for the store as the first did", () => {
  const { world, connection } = durableWorld();
  connection.send(connection.publish("r/1", "a", 2, 9));
  world.persist();
  connection.send(connection.ack(codes.PUBREL, 9));
  connection.drop();
  const next = world.connect(true);
  next.take();
  next.send(next.ack(codes.PUBREL, 9));
  assert.deepEqual(acks(next), []);
  world.persist();
  assert.deepEqual(acks(next), [[codes.PUBCOMP, 9]]);
});

test("QoS 2 over a crash: what was stored is known again, what was not is published", () => {
  const { world, connection } = durableWorld();
  connection.send(connection.publish("r/1", "stored", 2, 1));
  world.persist();
  connection.send(connection.publish("r/2", "lost", 2, 2));
  const after = world.crash();
  const got = after.subscriber("#");
  const next = after.connect(true);
  next.take();
  next.send(next.publish("r/1", "stored", 2, 1, { dup: true }), next.publish("r/2", "lost", 2, 2, { dup: true }));
  after.persist();
  assert.deepEqual(got, ["l/2 lost 2 0"]);
  assert.deepEqual(acks(next), [
    [codes.PUBREC, 1],
    [codes.PUBREC, 2],
  ]);
});

test("a server without our session uses its packet ids anew", () => {
  const { world, connection } = durableWorld();
  connection.send(connection.publish("r/1", "a", 2, 1));
  world.persist();
  const after = world.crash();
  const got = after.subscriber("#");
  const next = after.connect(false);
  next.take();
  next.send(next.publish("r/1", "b", 2, 1));
  assert.deepEqual(got, ["l/1 b 2 0"]);
});

test("refused messages are held, tried again in order, and acknowledged then", () => {
  const { world, connection } = durableWorld();
  const got = world.subscriber("#");
  world.store.refusal = QUOTA;
  connection.send(
    connection.publish("r/1", "a", 1, 1, { retain: true }),
    connection.publish("r/2", "b", 2, 2),
    connection.publish("r/3", "c", 0),
  );
  assert.equal(world.uplink.receive.held, 2);
  assert.deepEqual(got, ["l/3 c 0 0"]);
  world.server.advance(HELD_RETRY_MS * 3);
  assert.deepEqual(acks(connection), []);
  world.store.refusal = 0;
  world.server.advance(HELD_RETRY_MS);
  connection.send(connection.publish("r/4", "d", 1, 4));
  world.persist();
  assert.deepEqual(got, ["l/3 c 0 0", "l/1 a 1 1", "l/2 b 2 0", "l/4 d 1 0"]);
  assert.deepEqual(acks(connection), [
    [codes.PUBACK, 1],
    [codes.PUBREC, 2],
    [codes.PUBACK, 4],
  ]);
});

test("what is held is bounded: the rest is not taken, and comes again on the connection after", () => {
  const world = new UplinkWorld({ receive: [receive("r/#")] }, undefined, undefined, 100_000);
  const connection = world.connect();
  connection.take();
  world.store.refusal = QUOTA;
  const payload = "x".repeat(HELD_BYTES_MAX / 4);
  for (let i = 1; i <= 6; i++) connection.send(connection.publish("r/1", payload, 1, i, { retain: true }));
  assert.equal(world.uplink.receive.held, 4);
  assert.deepEqual(connection.take(), []);
  world.store.refusal = 0;
  world.server.advance(HELD_RETRY_MS);
  world.persist();
  const sent = connection.take();
  assert.deepEqual(
    sent.map(({ type, packetId }) => [type, packetId]),
    [...[1, 2, 3, 4].map((id) => [codes.PUBACK, id]), [codes.DISCONNECT, 0]],
  );
  assert.equal(sent.at(-1)?.reasonCode, codes.QUOTA_EXCEEDED);
  connection.drop();
  assert.equal(world.uplink.status().lastError, "more came at once than could be taken");
});

test("taken, and then withdrawn by the disk: no acknowledgement, and the connection is made anew", () => {
  const { world, connection } = durableWorld();
  connection.send(connection.publish("r/1", "a", 2, 1, { retain: true }));
  world.publish("x", "y");
  world.store.withdraw();
  assert.equal(connection.takeOne(codes.DISCONNECT).reasonCode, codes.IMPLEMENTATION_SPECIFIC_ERROR);
  connection.drop();
  world.server.advance(1000);
  const got = world.subscriber("#");
  const next = world.accept(true);
  next.send(next.publish("r/1", "a", 2, 1, { dup: true, retain: true }));
  world.persist();
  assert.deepEqual(got, ["l/1 a 2 1"]);
  assert.deepEqual(acks(next), [[codes.PUBREC, 1]]);
});

test("a message that no rule wants is acknowledged and counted", () => {
  const { world, connection } = durableWorld();
  connection.send(connection.publish("other", "a", 1, 1), connection.publish("other", "a", 2, 2));
  world.persist();
  assert.deepEqual(acks(connection), [
    [codes.PUBACK, 1],
    [codes.PUBREC, 2],
  ]);
  assert.equal(world.counters.get("uplink.cloud.unmatched"), 2);
});

test("two rules publish it twice, and it is acknowledged when both are stored", () => {
  const world = new UplinkWorld({
    receive: [receive("r/#", { to: "one/{rest}" }), receive("r/+", { qos: 0, to: "two/{1}" })],
  });
  const got = world.subscriber("#");
  const connection = world.connect();
  connection.take();
  connection.send(connection.publish("r/1", "a", 1, 1, { retain: true }));
  assert.deepEqual(acks(connection), []);
  world.persist();
  assert.deepEqual(got, ["one/1 a 1 1", "two/1 a 0 1"]);
  assert.deepEqual(acks(connection), [[codes.PUBACK, 1]]);
});

test("what comes in by an uplink does not go out by the same, but what others publish there does", () => {
  const world = new UplinkWorld({
    forward: [forward("#"), forward("l/#", { to: "again/{rest}" })],
    receive: [receive("r/#", { to: "l/{rest}" })],
  });
  const connection = world.connect();
  connection.take();
  connection.send(connection.publish("r/1", "in", 1, 1), connection.publish("r/1", "in", 0));
  assert.deepEqual(acks(connection), [[codes.PUBACK, 1]]);
  world.publish("l/1", "out");
  assert.deepEqual(
    connection.take().map(({ topic, payload }) => `${topic} ${payload}`),
    ["l/1 out", "again/1 out"],
  );
});
