// Rules change while messages are in flight: one message has another number of topics then, and those behind it other
// packet ids.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import type { ForwardRule } from "../../../../src/config/uplink-rules.ts";
import type { UplinkConfig } from "../../../../src/config/uplinks.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import type { FakeConnection } from "../fake-server.ts";
import { forward, UplinkWorld } from "../uplink-world.ts";

const WINDOW = 6;
const ONE = [forward("a/#", { qos: 2 })];
const TWO = [forward("a/#", { qos: 2, to: "x/{topic}" }), forward("a/#", { qos: 2, to: "y/{topic}" })];

/** The receiving side of QoS 2 as a server has it: a packet id it knows brings nothing new, until it is released. */
class Ids {
  readonly known = new Set<number>();
  readonly got: string[] = [];

  /** Takes what the client sent. @param answers whether the client gets to know of it */
  async serve(
    world: UplinkWorld,
    connection: FakeConnection,
    answers: boolean,
    mayAnswer = () => answers,
    rounds = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    for (let quiet = 0, round = 0; quiet < 3 && round < rounds; round++) {
      const packets = connection.take();
      quiet = packets.length === 0 ? quiet + 1 : 0;
      for (const { type, packetId, topic, payload, dup, qos } of packets) {
        if (type === codes.PUBLISH && qos === 1) {
          this.got.push(`${topic} ${payload}`);
          if (mayAnswer()) connection.puback(packetId);
        }
        if (type === codes.PUBLISH && qos === 2) {
          if (!this.known.has(packetId)) this.got.push(`${topic} ${payload}`);
          else assert.ok(dup, `${packetId} is said to be new and is in use`);
          this.known.add(packetId);
          if (mayAnswer()) connection.send(connection.ack(codes.PUBREC, packetId));
        }
        if (type !== codes.PUBREL) continue;
        const known = this.known.delete(packetId);
        const code = known ? codes.SUCCESS : codes.PACKET_IDENTIFIER_NOT_FOUND;
        connection.send(connection.ack(codes.PUBCOMP, packetId, code));
      }
      world.persist();
      connection.turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

async function changed(before: ForwardRule[], after: ForwardRule[], expected: readonly string[]): Promise<Ids> {
  const ids = new Ids();
  const world = new UplinkWorld({ forward: before, window: WINDOW });
  const connection = world.connect();
  for (let i = 0; i < 20; i++) world.publish("a/b", `${i}`, 2);
  world.persist();
  await ids.serve(world, connection, false);
  assert.equal(ids.known.size, WINDOW);
  connection.drop("reset");
  world.persist();

  const next = world.crash({ forward: after });
  const again = next.connect(true);
  await ids.serve(next, again, true);
  for (const topic of expected) {
    for (let i = 0; i < 20; i++) assert.ok(ids.got.includes(`${topic} ${i}`), `${topic} ${i} is missing: ${ids.got}`);
  }
  assert.equal(next.uplink.status().spool.messages, 0);
  assert.deepEqual(next.uplink.status().dropped, {});
  return ids;
}

test("one topic becomes two: the server has everything under both, although packet ids mean other messages now", async () => {
  await changed(ONE, TWO, ["x/a/b", "y/a/b"]);
});

test("two topics become one", async () => {
  await changed(TWO, ONE, ["a/b"]);
});

test("QoS 2 becomes 1: no packet id stays behind at the server", async () => {
  const { known } = await changed(ONE, [forward("a/#", { qos: 1 })], ["a/b"]);
  assert.equal(known.size, 0);
});

test("the same rules: each message comes once", async () => {
  const { got } = await changed(ONE, ONE, ["a/b"]);
  assert.equal(got.length, 20);
});

const SEEDS = 150;
const DRAINS: readonly UplinkConfig["drain"][] = ["oldest-first", "newest-first", "interleave"];

test(`whatever rules and drain become, in whatever state a crash or a reload meets them: ${SEEDS} runs lose nothing`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const random = seededRandom(seed);
    const upTo = (n: number): number => Math.floor(random() * n);
    const rules = (): ForwardRule[] =>
      Array.from({ length: 1 + upTo(3) }, (_, i) =>
        forward("a/#", { qos: (1 + upTo(2)) as 1 | 2, to: `${i}${upTo(2)}/{topic}`, priority: upTo(2) * 7 }),
      );
    const ids = new Ids();
    const drain = (): UplinkConfig["drain"] => DRAINS[upTo(DRAINS.length)] as UplinkConfig["drain"];
    let world = new UplinkWorld({ forward: rules(), window: WINDOW, drain: drain() });
    let sent = 0;
    for (let life = 0; life < 5; life++) {
      const connection = world.connect(life > 0);
      for (let i = upTo(12); i > 0; i--) world.publish("a/b", `${sent++}`, 2);
      world.persist();
      await ids.serve(world, connection, false, () => random() < 0.5, 1 + upTo(4));
      connection.drop(connection.ended ? null : "reset");
      world.persist();
      world = world.crash({
        ...(random() < 0.6 ? { forward: rules() } : {}),
        ...(random() < 0.3 ? { drain: drain() } : {}),
      });
    }
    // A store that has no room to strike what is done makes it connect again.
    for (let connection = world.connect(true); ; connection = world.accept(true)) {
      await ids.serve(world, connection, true);
      if (!connection.ended) break;
      connection.drop();
      world.server.advance(60_000);
    }
    const arrived = new Set(ids.got.map((line) => line.split(" ")[1]));
    const missing = Array.from({ length: sent }, (_, i) => `${i}`).filter((payload) => !arrived.has(payload));
    assert.deepEqual(missing, [], `seed ${seed}`);
    const { spool, dropped } = world.uplink.status();
    assert.deepEqual([spool.messages, spool.bytes, dropped], [0, 0, {}], `seed ${seed}`);
  }
});
