import assert from "node:assert/strict";
import { test } from "node:test";
import { LEAVE_MS, STABLE_MS } from "../../../../src/uplink/link/reach.ts";
import { AGAIN_MS, RETRY_BASE_MS } from "../../../../src/uplink/link/retry.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import type { FakeConnection, Packet } from "../fake-server.ts";
import { forward, published, receive, UplinkWorld } from "../uplink-world.ts";

const URLS = ["mqtt://a:1883", "mqtt://b:1883"];
const RETURN_MS = 120_000;

/** Where the last dial went. */
function dialled(world: UplinkWorld): string {
  assert(world.server.dialling, "somebody dials");
  return world.server.dials.at(-1)?.host ?? "";
}

function two(options: ConstructorParameters<typeof UplinkWorld>[0] = {}): UplinkWorld {
  return new UplinkWorld({
    urls: URLS,
    returnToPrimaryMs: RETURN_MS,
    keepaliveMs: 60_000_000,
    forward: [forward("1/#"), forward("2/#", { qos: 2 })],
    ...options,
  });
}

/** The server at `host` is dialled and takes us. */
function arrive(world: UplinkWorld, host: string, present: boolean): FakeConnection {
  assert.equal(dialled(world), host);
  return world.accept(present);
}

/** The connection breaks, and this server does not answer any more. */
function lose(connection: FakeConnection): void {
  connection.drop("connection reset by peer (ECONNRESET)");
}

function ids(packets: readonly Packet[], type: number): number[] {
  return packets.filter((packet) => packet.type === type).map(({ packetId }) => packetId);
}

/** PUBREC for a message; PUBREL follows when that is stored. */
function receivedBy(connection: FakeConnection, packet: Packet): void {
  connection.send(connection.ack(codes.PUBREC, packet.packetId));
}

test("servers are tried in order and at once; after a round of them the wait doubles", () => {
  const world = new UplinkWorld({ urls: ["mqtt://a:1883", "mqtts://b:8883", "ws://c:80/mqtt"] });
  world.uplink.start();
  const waits: number[] = [];
  for (let round = 0; round < 3; round++) {
    for (const host of ["a", "b", "c"]) {
      assert.equal(dialled(world), host);
      assert.equal(world.server.dials.at(-1)?.timeoutMs, round === 0 ? 15_000 : 30_000);
      world.server.refuse(`${host}: connection refused (ECONNREFUSED)`);
    }
    waits.push(world.uplink.status().retryInMs ?? -1);
    assert.deepEqual([world.uplink.status().state, world.uplink.status().url], ["down", "mqtt://a:1883"]);
    world.server.advance((waits.at(-1) ?? 0) + 50);
  }
  assert.deepEqual(waits, [RETRY_BASE_MS, 2 * RETRY_BASE_MS, 4 * RETRY_BASE_MS]);
  assert.equal(world.log.filter((line) => line.includes("uplink-down")).length, 3);
});

test("a server that takes us and drops us, or refuses, is passed by; the words name it", () => {
  const world = two();
  world.uplink.start();
  const refusing = world.server.accept();
  refusing.take();
  refusing.connack({ code: codes.NOT_AUTHORIZED });
  refusing.drop();
  assert.equal(world.uplink.status().lastError, "a:1883: refused: not authorised");
  lose(arrive(world, "b", false));
  assert.equal(world.uplink.status().lastError, "b:1883: connection reset by peer (ECONNRESET)");
  assert.equal(world.uplink.status().state, "down");
});

test("after the end of a connection that lasted the same server is tried first, soon, then the others", () => {
  const world = two();
  world.uplink.start();
  const connection = arrive(world, "a", false);
  world.server.advance(STABLE_MS + 50);
  lose(connection);
  assert.equal(world.uplink.status().retryInMs, AGAIN_MS);
  world.server.advance(AGAIN_MS + 50);
  assert.equal(dialled(world), "a");
  world.server.refuse("a:1883: connection refused (ECONNREFUSED)");
  arrive(world, "b", false);
  assert.deepEqual(world.uplink.status().url, "mqtt://b:1883");
});

test("each server has a place on the ladder of versions of its own", () => {
  const world = two();
  world.uplink.start();
  const old = world.server.accept();
  old.take();
  old.send(Buffer.from([0x20, 2, 0, 1])); // 3.1.1: unacceptable protocol version
  world.server.refuse("a:1883: gone");
  assert.equal(dialled(world), "b");
  assert.equal(world.server.accept().takeOne(codes.CONNECT).connect?.version, 5);
});

test("on another server it looks for the primary without CONNECT, and moves over in order when it stands", () => {
  const world = two();
  world.uplink.start();
  world.server.refuse("a:1883: connection refused (ECONNREFUSED)");
  const b = arrive(world, "b", false);
  world.server.advance(RETURN_MS + 50);
  assert.equal(dialled(world), "a");
  world.server.refuse("a:1883: connection refused (ECONNREFUSED)");
  assert.deepEqual([world.uplink.status().state, world.uplink.status().lastError], ["live", null]);
  world.server.advance(RETURN_MS + 50);
  world.publish("1/x", "in flight");
  const { packetId } = b.takeOne(codes.PUBLISH);
  const look = world.server.accept();
  assert(look.ended);
  assert.deepEqual(look.take(), []);
  world.publish("1/x", "later");
  assert.deepEqual(b.take(), []);
  assert.equal(world.uplink.status().url, "mqtt://b:1883");
  b.puback(packetId);
  world.persist();
  b.takeOne(codes.DISCONNECT);
  b.drop();
  const a = arrive(world, "a", false);
  assert.deepEqual(published(a.take()), ["1/x later 1"]);
  assert.equal(world.uplink.status().url, "mqtt://a:1883");
  world.server.advance(10 * RETURN_MS);
  assert(!world.server.dialling);
  assert.equal(world.counters.get("uplink.cloud.failures"), 1);
});

test("looks at the primary count to the data cap, apart from the connection", () => {
  const dataCap = {
    bytesPerMonth: 1_000_000,
    resetsOnDay: 1,
    warnAtPercent: 80,
    whenReached: "warn" as const,
  };
  const world = two({ dataCap });
  world.uplink.start();
  const first = world.server.dials.at(-1)?.traffic;
  world.server.refuse("a:1883: gone");
  arrive(world, "b", false);
  assert.equal(world.server.dials.at(-1)?.traffic, first);
  world.server.advance(RETURN_MS + 50);
  assert(world.server.dialling);
  const look = world.server.dials.at(-1)?.traffic;
  assert(look && first && look !== first);
});

test("a primary that stands but does not keep us is looked for less and less often", () => {
  const world = two();
  world.uplink.start();
  world.server.refuse("a:1883: gone");
  let b = arrive(world, "b", false);
  for (const factor of [1, 2, 4]) {
    world.server.advance(factor * RETURN_MS - 100);
    b.send(Buffer.from([0xd0, 0]));
    assert(!world.server.dialling);
    world.server.advance(200);
    world.server.accept();
    world.persist();
    b.drop();
    const a = world.server.accept();
    a.take();
    a.connack({ code: codes.SERVER_UNAVAILABLE });
    a.drop();
    b = arrive(world, "b", true);
  }
});

test("the look at the primary ends with the connection, with hold and with stop", async () => {
  const world = two();
  world.uplink.start();
  world.server.refuse("a:1883: gone");
  const b = arrive(world, "b", false);
  world.server.advance(RETURN_MS + 50);
  assert(world.server.dialling);
  world.uplink.hold("schedule");
  assert(!world.server.dialling);
  world.persist();
  b.drop();
  world.server.advance(3 * RETURN_MS);
  assert(!world.server.dialling);
  world.uplink.release("schedule");
  world.server.refuse("a:1883: gone");
  const again = arrive(world, "b", true);
  world.server.advance(RETURN_MS + 50);
  const stopped = world.uplink.stop();
  assert(!world.server.dialling);
  world.server.advance(LEAVE_MS);
  again.drop();
  await stopped;
});

test("another server: what has no PUBREC is sent anew without DUP, what has one counts as delivered and is not released there", async () => {
  const world = two();
  world.uplink.start();
  const a = arrive(world, "a", false);
  world.publish("1/x", "puback lost");
  world.publish("2/x", "received");
  world.publish("2/y", "publish lost");
  world.persist();
  const packets = a.take();
  receivedBy(a, packets[1] as Packet);
  lose(a);
  const b = arrive(world, "b", true);
  const first = b.take();
  assert.deepEqual(published(first), ["1/x puback lost 1", "2/y publish lost 2"]);
  assert(first.every(({ dup }) => !dup));
  for (const { qos, packetId } of first) {
    b.send(b.ack(qos === 1 ? codes.PUBACK : codes.PUBREC, packetId));
  }
  world.persist();
  for (const packetId of ids(b.take(), codes.PUBREL)) b.send(b.ack(codes.PUBCOMP, packetId));
  assert.equal(world.uplink.status().spool.messages, 0);
  assert.deepEqual(world.uplink.status().dropped, {});
});

test("back at a server that kept its session: its QoS 2 packet ids are released first, then what is in flight is sent anew", () => {
  const world = two();
  world.uplink.start();
  const a = arrive(world, "a", false);
  world.publish("1/x", "one");
  world.publish("2/x", "received");
  world.publish("2/y", "publish lost");
  world.persist();
  const [, received, lost] = a.take() as [Packet, Packet, Packet];
  receivedBy(a, received);
  world.persist();
  lose(a);
  lose(arrive(world, "b", false));
  world.server.advance(RETRY_BASE_MS + 50);
  const again = arrive(world, "a", true);
  const packets = again.take();
  assert.deepEqual(
    packets.map(({ type }) => type),
    [codes.PUBREL, codes.PUBREL, codes.PUBLISH, codes.PUBLISH],
  );
  const linger = [received.packetId, lost.packetId].sort();
  assert.deepEqual(ids(packets, codes.PUBREL).sort(), linger);
  assert.deepEqual(published(packets.slice(2)), ["1/x one 1", "2/y publish lost 2"]);
  assert(packets.every(({ dup }) => !dup));
  again.send(again.ack(codes.PUBCOMP, linger[0] as number));
  // What was not confirmed is released again, as long as it takes.
  lose(again);
  lose(arrive(world, "b", true));
  world.server.advance(3 * RETRY_BASE_MS);
  const third = arrive(world, "a", true);
  const released = ids(third.take(), codes.PUBREL);
  assert(released.includes(linger[1] as number));
  for (const packetId of released) third.send(third.ack(codes.PUBCOMP, packetId));
});

test("a server that has lost its session has nothing to be released", () => {
  const world = two();
  world.uplink.start();
  const a = arrive(world, "a", false);
  world.publish("2/x", "x");
  world.persist();
  a.take();
  lose(a);
  lose(arrive(world, "b", false));
  world.server.advance(RETRY_BASE_MS + 50);
  assert.deepEqual(published(arrive(world, "a", false).take()), ["2/x x 2"]);
});

test("kill -9 between two servers: what lingers at the first is released, what is in flight is not taken for its own", () => {
  const world = two();
  world.uplink.start();
  const a = arrive(world, "a", false);
  world.publish("2/x", "x");
  world.persist();
  const [packet] = a.take() as [Packet];
  const after = world.crash();
  after.uplink.start();
  after.server.refuse("a:1883: gone");
  const b = arrive(after, "b", true);
  after.persist();
  assert.deepEqual(published(b.take()), ["2/x x 2"]);
  after.persist();
  const third = after.crash();
  third.uplink.start();
  const again = arrive(third, "a", true);
  third.persist();
  const packets = again.take();
  assert(ids(packets, codes.PUBREL).includes(packet.packetId), "released");
  const [sent] = packets.filter(({ type }) => type === codes.PUBLISH);
  assert.deepEqual([sent?.payload, sent?.dup], ["x", false]);
});

test("kill -9 and the same server again: it goes on as with one server", () => {
  const world = two();
  world.uplink.start();
  const a = arrive(world, "a", false);
  world.publish("2/x", "x");
  world.persist();
  const [packet] = a.take() as [Packet];
  const after = world.crash();
  after.uplink.start();
  const again = arrive(after, "a", true);
  after.persist();
  const [sent] = again.take();
  assert.deepEqual([sent?.type, sent?.packetId, sent?.dup], [codes.PUBLISH, packet.packetId, true]);
});

test("packet ids from one server do not make a message of another a copy; a copy is known when its server is back", () => {
  const world = two({ forward: [], receive: [receive("cmd/#", { qos: 2 })] });
  const got = world.subscriber("cmd/#");
  world.uplink.start();
  const a = arrive(world, "a", false);
  a.send(a.publish("cmd/x", "from a", 2, 7));
  world.persist();
  lose(a);
  const b = arrive(world, "b", true);
  b.send(b.publish("cmd/x", "from b", 2, 7));
  world.persist();
  lose(b);
  world.server.advance(RETRY_BASE_MS + 50);
  const again = arrive(world, "a", true);
  again.send(again.publish("cmd/x", "from a", 2, 7, { dup: true }));
  world.persist();
  assert.deepEqual(got, ["cmd/x from a 2 0", "cmd/x from b 2 0"]);
  const after = world.crash();
  const gotAfter = after.subscriber("cmd/#");
  after.uplink.start();
  after.server.refuse("a:1883: gone");
  const later = arrive(after, "b", true);
  later.send(later.publish("cmd/x", "from b", 2, 7, { dup: true }));
  after.persist();
  assert.deepEqual(gotAfter, []);
});

test("each server is subscribed to once; what it has is not asked for again", () => {
  const world = two({ forward: [], receive: [receive("cmd/#")] });
  world.uplink.start();
  let a = arrive(world, "a", false);
  const { packetId } = a.takeOne(codes.SUBSCRIBE);
  a.send(a.suback(packetId, [1]));
  lose(a);
  let b = arrive(world, "b", true);
  b.send(b.suback(b.takeOne(codes.SUBSCRIBE).packetId, [1]));
  lose(b);
  world.server.advance(RETRY_BASE_MS + 50);
  a = arrive(world, "a", true);
  assert.deepEqual(a.take(), []);
  lose(a);
  b = arrive(world, "b", true);
  assert.deepEqual(b.take(), []);
});
