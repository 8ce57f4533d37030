import assert from "node:assert/strict";
import { test } from "node:test";
import { covers } from "../../../src/uplink/subscriptions.ts";
import * as codes from "../../../src/wire/mqtt/codes.ts";
import type { FakeConnection, Packet } from "./fake-server.ts";
import { receive, UplinkWorld } from "./uplink-world.ts";

function filters(packet: Packet): string[] {
  return packet.filters.map(({ filter, qos }) => `${filter} ${qos}`);
}

/** Answers a SUBSCRIBE with what it asks for. */
function grant(connection: FakeConnection): string[] {
  const packet = connection.takeOne(codes.SUBSCRIBE);
  connection.send(
    connection.suback(
      packet.packetId,
      packet.filters.map(({ qos }) => qos),
    ),
  );
  return filters(packet);
}

test("SUBSCRIBE: one filter each with the highest QoS of its rules, No Local, Retain As Published", () => {
  const rules = [
    receive("a/#"),
    receive("b", { qos: 2 }),
    receive("a/#", { qos: 2, to: "x/{rest}" }),
    receive("$share/g/c", { qos: 0 }),
  ];
  const packet = new UplinkWorld({ receive: rules }).connect().takeOne(codes.SUBSCRIBE);
  assert.notEqual(packet.packetId, 0);
  const common = { retainAsPublished: true, retainHandling: 1 };
  assert.deepEqual(packet.filters, [
    { filter: "a/#", qos: 2, noLocal: true, ...common },
    { filter: "b", qos: 2, noLocal: true, ...common },
    { filter: "$share/g/c", qos: 0, noLocal: false, ...common }, // [MQTT5-3.8.3-4]
  ]);
});

test("a filter that another one covers is not subscribed to: servers may send a message once for each", () => {
  const rules = [receive("a/b/+", { qos: 2 }), receive("a/#"), receive("c/+"), receive("+/d")];
  const packet = new UplinkWorld({ receive: rules }).connect().takeOne(codes.SUBSCRIBE);
  assert.deepEqual(filters(packet), ["a/# 2", "c/+ 1", "+/d 1"]);
});

const COVERS: readonly [wide: string, narrow: string, answer: boolean][] = [
  ["a", "a", true],
  ["a", "b", false],
  ["#", "a/b", true],
  ["#", "#", true],
  ["#", "+/a", true],
  ["a/#", "a", true],
  ["a/#", "a/#", true],
  ["a/#", "a/+/c", true],
  ["a/+", "a/#", false],
  ["a/+", "a", false],
  ["a/+", "a/b", true],
  ["a/+", "a/+", true],
  ["a/b", "a/+", false],
  ["+/b", "a/+", false],
  ["+/+", "a/b/c", false],
  ["#", "$SYS/a", false],
  ["+/a", "$SYS/a", false],
  ["$SYS/#", "$SYS/a", true],
  ["$share/g/a", "$share/g/a", true],
  ["$share/g/#", "$share/g/a", false],
  ["#", "$share/g/a", false],
];

for (const [wide, narrow, answer] of COVERS) {
  test(`${wide} ${answer ? "covers" : "does not cover"} ${narrow}`, () => assert.equal(covers(wide, narrow), answer));
}

test("SUBSCRIBE goes out until it is answered, then only when the server has no session", () => {
  const world = new UplinkWorld({ receive: [receive("a")] });
  const first = world.connect(true);
  first.takeOne(codes.SUBSCRIBE);
  first.drop();
  world.server.advance(1000);
  const second = world.accept(true);
  grant(second);
  second.drop();
  world.server.advance(3000);
  const third = world.accept(true);
  assert.deepEqual(third.take(), []);
  third.drop();
  world.server.advance(5000);
  assert.deepEqual(grant(world.accept(false)), ["a 1"]);
});

test("over a restart: what the rules want is compared with what the session has", () => {
  const world = new UplinkWorld({ receive: [receive("keep"), receive("raise"), receive("drop/#")] });
  assert.deepEqual(grant(world.connect()), ["keep 1", "raise 1", "drop/# 1"]);
  world.persist();
  const after = world.crash({ receive: [receive("keep"), receive("raise", { qos: 2 }), receive("new")] });
  const connection = after.connect(true);
  const [subscribe, unsubscribe] = connection.take() as [Packet, Packet];
  assert.deepEqual(filters(subscribe), ["raise 2", "new 1"]);
  assert.deepEqual(
    [unsubscribe.type, ...unsubscribe.filters.map(({ filter }) => filter)],
    [codes.UNSUBSCRIBE, "drop/#"],
  );
  assert.notEqual(subscribe.packetId, unsubscribe.packetId);
  connection.send(connection.suback(subscribe.packetId, [2, 1]));
  connection.send(Buffer.from([0xb0, 4, unsubscribe.packetId >> 8, unsubscribe.packetId & 0xff, 0, 0]));
  after.persist();
  assert.deepEqual(after.crash().connect(true).take(), []);
});

test("a refused or lowered subscription is logged with its filter, and a refused one asked for again", () => {
  const world = new UplinkWorld({ receive: [receive("a", { qos: 2 }), receive("b")] });
  const connection = world.connect();
  const { packetId } = connection.takeOne(codes.SUBSCRIBE);
  connection.send(connection.suback(packetId, [1, codes.NOT_AUTHORIZED]));
  assert.deepEqual(world.log.slice(-2), [
    "warn  uplink-subscription-lowered uplink=cloud filter=a asked=2 granted=1",
    'warn  uplink-subscription-refused uplink=cloud filter=b reason="not authorised"',
  ]);
  connection.drop();
  world.server.advance(1000);
  assert.deepEqual(filters(world.accept(true).takeOne(codes.SUBSCRIBE)), ["b 1"]);
});
