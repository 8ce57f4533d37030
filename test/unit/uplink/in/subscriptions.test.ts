import assert from "node:assert/strict";
import { test } from "node:test";
import { covers, overlaps, planOf } from "../../../../src/uplink/in/receive-plan.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import { type FakeConnection, type Packet, properties } from "../fake-server.ts";
import { receive, UplinkWorld } from "../uplink-world.ts";

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
  const rules = [receive("a/b/+", { qos: 2 }), receive("a/#"), receive("c/+"), receive("d/+")];
  const packet = new UplinkWorld({ receive: rules }).connect().takeOne(codes.SUBSCRIBE);
  assert.deepEqual(filters(packet), ["a/# 2", "c/+ 1", "d/+ 1"]);
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

const OVERLAPS: readonly [one: string, other: string, answer: boolean][] = [
  ["a/+/c", "a/b/#", true],
  ["a/+", "+/b", true],
  ["a/+", "b/+", false],
  ["a/#", "a", true],
  ["a/b/#", "a", false],
  ["a/+/c", "a/b", false],
  ["#", "$SYS/a", false],
  ["+/a", "$SYS/#", false],
  ["$SYS/+", "$SYS/#", true],
  ["$share/g/a/#", "a/b", true],
  ["$share/g/a", "$share/h/a", true],
  ["$share/g/a", "b", false],
];

for (const [one, other, answer] of OVERLAPS) {
  test(`${one} ${answer ? "overlaps" : "does not overlap"} ${other}`, () => {
    assert.equal(overlaps(one, other), answer);
    assert.equal(overlaps(other, one), answer);
  });
}

test("the plan: identifiers for subscriptions that overlap, and the rules that each stands for", () => {
  const rules = [receive("a/+/c"), receive("a/b/#"), receive("a/b/x", { qos: 2 }), receive("d/#"), receive("d/e")];
  const { wanted, identifiers } = planOf(rules);
  assert.deepEqual(
    wanted.map(({ filter, qos, identifier }) => [filter, qos, identifier > 0]),
    [
      ["a/+/c", 1, true],
      ["a/b/#", 2, true],
      ["d/#", 1, false],
    ],
  );
  const [one, two] = identifiers;
  assert.notEqual(one, two);
  assert.deepEqual(identifiers, [one, two, two, 0, 0]);
  const less = planOf([receive("a/b/#"), receive("+/+/c")]);
  assert.equal(less.wanted[0]?.identifier, two, "it follows from the filter");
});

const OVERLAPPING = [
  receive("a/+/c", { to: "one/{1}" }),
  receive("a/b/#", { to: "two/{rest}" }),
  receive("a/b/c", { to: "three" }),
  receive("d", { to: "four" }),
];

/** Takes the SUBSCRIBEs and answers them. @returns identifier by filter */
function grantAll(connection: FakeConnection): Map<string, number> {
  const found = new Map<string, number>();
  for (let packets = connection.take(); packets.length > 0; packets = connection.take()) {
    for (const { type, packetId, filters: asked, subscriptionId } of packets) {
      assert.equal(type, codes.SUBSCRIBE);
      assert(packetId > 8 * 8191, "no id of a class");
      for (const { filter } of asked) found.set(filter, subscriptionId);
      connection.send(
        connection.suback(
          packetId,
          asked.map(({ qos }) => qos),
        ),
      );
    }
  }
  return found;
}

function copyFor(...ids: number[]): { properties: Buffer } {
  const writer = properties((p) => {
    for (const id of ids) p.varint(table.SUBSCRIPTION_IDENTIFIER, id);
  });
  return { properties: Buffer.from(writer.buffer.subarray(0, writer.length)) };
}

test("in 5.0 overlapping subscriptions have identifiers, and a copy brings what its own rules say", () => {
  const world = new UplinkWorld({ receive: OVERLAPPING });
  const connection = world.connect();
  const ids = grantAll(connection);
  assert.deepEqual([...ids.keys()].sort(), ["a/+/c", "a/b/#", "d"]);
  assert.equal(ids.get("d"), 0);
  const [one, two] = [ids.get("a/+/c") as number, ids.get("a/b/#") as number];
  const got = world.subscriber("#");
  const taken = (): string[] => got.splice(0).map((line) => line.split(" ")[0] as string);
  // A server that sends a copy for each, as Mosquitto and EMQX do.
  connection.send(connection.publish("a/b/c", "x", 1, 1, copyFor(one)));
  connection.send(connection.publish("a/b/c", "x", 1, 2, copyFor(two)));
  assert.deepEqual(taken(), ["one/b", "three", "two/c"], "the third rule is covered by both, and applied once");
  // One that sends one copy for all, as this gateway does.
  connection.send(connection.publish("a/b/c", "x", 0, 0, copyFor(one, two)));
  connection.send(connection.publish("a/b/c", "x", 0, 0, copyFor(two, one)));
  assert.deepEqual(taken(), ["one/b", "two/c", "three", "one/b", "two/c", "three"]);
  connection.send(connection.publish("a/z/c", "x", 0, 0, copyFor(one)));
  connection.send(connection.publish("d", "x"));
  assert.deepEqual(taken(), ["one/z", "four"]);
  connection.send(connection.publish("a/b/c", "x", 0, 0, copyFor(77)));
  assert.deepEqual(taken(), ["one/b", "two/c", "three"], "of an earlier configuration: all rules");
});

test("without Subscription Identifiers (3.1.1, or a server that has none) there are none", () => {
  for (const protocol of [4, 5] as const) {
    const world = new UplinkWorld({ protocol, receive: OVERLAPPING });
    world.uplink.start();
    const connection = world.server.accept();
    connection.take();
    if (protocol === 4) connection.connack();
    else connection.connack({ properties: properties((p) => p.byte(table.SUBSCRIPTION_IDENTIFIER_AVAILABLE, 0)) });
    const packet = connection.takeOne(codes.SUBSCRIBE);
    assert.deepEqual(filters(packet), ["a/+/c 1", "a/b/# 1", "d 1"]);
    assert.equal(packet.subscriptionId, 0);
  }
});

test("more subscriptions with identifiers than packet ids for them go out one after the other", () => {
  const rules = Array.from({ length: 20 }, (_, i) => receive(`+/${i}`)).concat(receive("a/+"));
  const world = new UplinkWorld({ receive: rules });
  const connection = world.connect();
  assert.equal(grantAll(connection).size, 21);
  connection.drop();
  world.server.advance(1000);
  assert.deepEqual(world.accept(true).take(), [], "all are known");
});

test("a subscription that gets or loses its identifier with a change of the rules is made anew", () => {
  const before = new UplinkWorld({ receive: [receive("a/+")] });
  assert.deepEqual([...grantAll(before.connect())], [["a/+", 0]]);
  before.persist();
  const after = before.crash({ receive: [receive("a/+"), receive("+/b")] });
  const ids = grantAll(after.connect(true));
  assert.deepEqual([...ids.keys()].sort(), ["+/b", "a/+"]);
  assert([...ids.values()].every((id) => id > 0));
});
