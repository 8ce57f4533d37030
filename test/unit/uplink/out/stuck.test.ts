import assert from "node:assert/strict";
import { test } from "node:test";
import { SPAN_MAX } from "../../../../src/core/packet-ids.ts";
import { STALL_MS } from "../../../../src/uplink/link/stall.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import { type FakeConnection, type Packet, properties } from "../fake-server.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

const SPOOL = { maxBytes: 1e9, maxMessages: 1e6, maxAgeMs: 1e9, whenFull: "drop-oldest", priorities: [] } as const;
const TOPICS = 7;

/** A server by the book, but for messages that it takes and never answers. */
class Remote {
  /** Payloads by topic, in the order they came first. */
  readonly got = new Map<string, number[]>();
  readonly packets: Packet[] = [];
  readonly #ids = new Set<number>();
  readonly #stuck: (packet: Packet) => boolean;

  constructor(stuck: (packet: Packet) => boolean) {
    this.#stuck = stuck;
  }

  async serve(world: UplinkWorld, connection: FakeConnection): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      const packets = connection.take();
      quiet = packets.length === 0 ? quiet + 1 : 0;
      for (const packet of packets) this.#answer(connection, packet);
      world.persist();
      connection.turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The path is alive until the client leaves. @returns the reason code it gives */
  waitForGoodbye(world: UplinkWorld, connection: FakeConnection): number {
    for (let waited = 0; waited <= 2 * STALL_MS; waited += 1000) {
      world.server.advance(1000);
      for (const { type, reasonCode } of connection.take()) {
        if (type === codes.DISCONNECT) return reasonCode;
        assert.equal(type, codes.PINGREQ);
        connection.send(Buffer.from([codes.PINGRESP << 4, 0]));
      }
    }
    throw new Error("it stays");
  }

  #answer(connection: FakeConnection, packet: Packet): void {
    const { type, packetId, qos } = packet;
    if (type === codes.PUBREL) {
      this.#ids.delete(packetId);
      connection.send(connection.ack(codes.PUBCOMP, packetId));
    } else if (type === codes.PUBLISH) {
      this.packets.push(packet);
      if (!this.#ids.has(packetId) && !this.#isCopy(packet)) this.#take(packet);
      if (qos === 2) this.#ids.add(packetId);
      if (this.#stuck(packet)) return;
      connection.send(connection.ack(qos === 2 ? codes.PUBREC : codes.PUBACK, packetId));
    }
  }

  /** At QoS 1 what is sent again comes twice. */
  #isCopy({ topic, payload, dup }: Packet): boolean {
    return dup && this.got.get(topic)?.includes(Number(payload)) === true;
  }

  #take({ topic, payload }: Packet): void {
    const list = this.got.get(topic) ?? [];
    this.got.set(topic, list);
    list.push(Number(payload));
  }

  /** All of 0 to count - 1 came, each topic's in order. */
  check(count: number): void {
    const all: number[] = [];
    for (const [topic, list] of this.got) {
      const sorted = list.toSorted((a, b) => a - b);
      assert.deepEqual(list, sorted, `${topic} in order`);
      all.push(...list);
    }
    assert.equal(new Set(all).size, count, "nothing is lost");
    assert.equal(all.length, count, "nothing comes twice as new");
  }
}

for (const qos of [1, 2] as const) {
  test(`QoS ${qos}: one message that is never answered holds up no other for the length of the span; then the connection is made anew`, async () => {
    const count = SPAN_MAX + 500;
    const world = new UplinkWorld({ window: 64, forward: [forward("#", { qos })], spool: SPOOL });
    for (let i = 0; i < count; i++) world.publish(`t/${i % TOPICS}`, `${i}`, 2);
    world.persist();
    let helps = false;
    const remote = new Remote(({ payload }) => payload === "3" && !helps);
    const connection = world.connect();
    await remote.serve(world, connection);
    assert.equal(remote.packets.length, 3 + SPAN_MAX, "the span begins with what is stuck");
    assert.equal(world.uplink.status().inFlight, 1);
    world.publish("t/0", `${count}`, 2);
    await remote.serve(world, connection);
    assert.equal(remote.packets.length, 3 + SPAN_MAX);
    const stuck = remote.packets[3]!;
    const sent = remote.packets.length;
    assert.equal(remote.waitForGoodbye(world, connection), 0);
    connection.drop();
    assert.match(world.uplink.status().lastError ?? "", /no acknowledgement within 60 s/);
    // It came to its senses.
    helps = true;
    world.server.advance(1000);
    await remote.serve(world, world.accept(true));
    const again = remote.packets[sent]!;
    assert.deepEqual([again.payload, again.packetId, again.dup], ["3", stuck.packetId, true], "the same packet, first");
    remote.check(count + 1);
    assert.deepEqual([world.uplink.status().spool.messages, world.uplink.status().inFlight], [0, 0]);
    assert.deepEqual(world.uplink.status().dropped, {});
  });
}

test("a server that is stuck for ever gets everything else, and the connection is made anew each time", async () => {
  const world = new UplinkWorld({ window: 16, forward: [forward("#")], spool: SPOOL });
  world.store.sliceRows = 256;
  const remote = new Remote(({ payload }) => payload === "0");
  let connection = world.connect();
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 200; i++) world.publish(`t/${i % TOPICS}`, `${round * 200 + i}`);
    await remote.serve(world, connection);
    remote.waitForGoodbye(world, connection);
    connection.drop();
    world.server.advance(60_000);
    connection = world.accept(true);
  }
  await remote.serve(world, connection);
  remote.check(600);
  assert.equal(world.uplink.status().spool.messages, 1);
});

test("PUBREC came, PUBCOMP never does: the packet id is stuck, the messages go on, and the connection is made anew", async () => {
  const world = new UplinkWorld({ window: 4, forward: [forward("#", { qos: 2 })], spool: SPOOL });
  const connection = world.connect();
  world.publish("t", "0", 2);
  world.persist();
  const { packetId } = connection.takeOne(codes.PUBLISH);
  connection.send(connection.ack(codes.PUBREC, packetId));
  world.persist();
  connection.takeOne(codes.PUBREL);
  const remote = new Remote(() => false);
  for (let i = 1; i <= 20; i++) world.publish("t", `${i}`, 2);
  await remote.serve(world, connection);
  assert.equal(remote.packets.length, 20);
  remote.waitForGoodbye(world, connection);
  connection.drop();
  world.server.advance(1000);
  const again = world.accept(true);
  world.persist();
  assert.equal(again.takeOne(codes.PUBREL).packetId, packetId);
});

test("[MQTT5-3.3.4-7] a Receive Maximum of 1, two priorities, one at a time: the urgent one next", async () => {
  const world = new UplinkWorld({
    window: 64,
    forward: [forward("low/#"), forward("high/#", { priority: 1, qos: 2 })],
    spool: SPOOL,
  });
  for (let i = 0; i < 30; i++) world.publish(`low/${i % TOPICS}`, `${i}`);
  for (let i = 30; i < 60; i++) world.publish(`high/${i % TOPICS}`, `${i}`);
  world.persist();
  world.uplink.start();
  const connection = world.server.accept();
  connection.take();
  connection.connack({ properties: properties((p) => p.two(table.RECEIVE_MAXIMUM, 1)) });
  const order: string[] = [];
  const remote = new Remote(({ topic }) => {
    order.push(topic.split("/")[0] as string);
    assert.equal(world.uplink.status().inFlight, 1);
    return false;
  });
  await remote.serve(world, connection);
  remote.check(60);
  assert.deepEqual(order, [...new Array(30).fill("high"), ...new Array(30).fill("low")]);
});

test("a small Maximum Packet Size drops what is larger in each class and holds nothing up", async () => {
  const world = new UplinkWorld({
    forward: [forward("low/#"), forward("high/#", { priority: 1, qos: 2 })],
    spool: SPOOL,
  });
  for (let i = 0; i < 100; i++)
    world.publish(i % 2 === 0 ? "low/a" : "high/a", `${i}`.padEnd(i % 5 === 0 ? 200 : 1), 2);
  world.persist();
  world.uplink.start();
  const connection = world.server.accept();
  connection.take();
  connection.connack({ properties: properties((p) => p.four(table.MAXIMUM_PACKET_SIZE, 128)) });
  const remote = new Remote(() => false);
  await remote.serve(world, connection);
  remote.check(80);
  assert.deepEqual(world.uplink.status().dropped, { "too-large": 20 });
  assert.equal(world.uplink.status().spool.messages, 0);
});
