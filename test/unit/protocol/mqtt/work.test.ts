import assert from "node:assert/strict";
import { test } from "node:test";
import { WORK_PER_READ, workOf } from "../../../../src/protocol/mqtt/work.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import { PINGRESP, pingreq, publish, SUBACK, subscribe, unsubscribe } from "../../../support/mqtt-packets.ts";

/** Lets the peer's link put back, as a socket's does. @returns what waits there */
function withTurns(peer: HubPeer): { rest: Buffer | null; room: boolean } {
  const held: { rest: Buffer | null; room: boolean } = { rest: null, room: true };
  peer.putBack = (bytes, from, end) => {
    assert.equal(held.rest, null);
    if (held.room) held.rest = Buffer.from(bytes.subarray(from, end));
    return held.room;
  };
  return held;
}

/** Sends `count` times `packet` in one read. @returns work done in each of the turns that it takes */
function turnsOf(peer: HubPeer, packet: Buffer, count: number, workPerPacket: number, answers: () => number): number[] {
  const held = withTurns(peer);
  const turns: number[] = [];
  let next: Buffer | null = Buffer.concat(new Array<Buffer>(count).fill(packet));
  while (next !== null) {
    held.rest = null;
    peer.handler.onData(next);
    turns.push(answers() * workPerPacket);
    next = held.rest;
  }
  return turns;
}

function check(turns: readonly number[], workPerPacket: number, count: number): void {
  assert.ok(turns.length > 3, `${turns.length} turns`);
  for (const work of turns) assert.ok(work < WORK_PER_READ + workPerPacket, `${work} in a turn`);
  for (const work of turns.slice(0, -1)) assert.ok(work >= WORK_PER_READ, `only ${work} in a turn`);
  assert.equal(
    turns.reduce((sum, work) => sum + work, 0),
    count * workPerPacket,
  );
}

test("a storm of PINGREQ is worked off in turns of WORK_PER_READ, and every one is answered", () => {
  const peer = new Hub().connect({ version: 4, clientId: "p" });
  peer.take();
  const work = workOf(0xc0, 2);
  const answers = () => peer.take().filter(({ type }) => type === PINGRESP).length;
  check(turnsOf(peer, pingreq(), 32_768, work, answers), work, 32_768);
});

test("a storm of SUBSCRIBE gets shorter turns: its filters count by their bytes", () => {
  const hub = new Hub();
  const peer = hub.connect({ version: 4, clientId: "p" });
  peer.take();
  const packet = subscribe(4, 1, ["some/where", 0], ["some/+", 0]);
  const work = workOf(0x82, packet.length);
  const answers = () => peer.take().filter(({ type }) => type === SUBACK).length;
  check(turnsOf(peer, packet, 2000, work, answers), work, 2000);
  assert.ok(work > 20 * workOf(0xc0, 2));
  assert.ok(workOf(0xa2, unsubscribe(4, 1, "some/where").length) > 5 * workOf(0xc0, 2));
});

test("what a PUBLISH costs is known by how many get it: each delivery counts", () => {
  const hub = new Hub();
  const others = Array.from({ length: 50 }, (_, i) => hub.connect({ version: 4, clientId: `s${i}` }));
  for (const other of others) other.send(subscribe(4, 1, ["a", 0]));
  for (const other of others) other.take();
  const peer = hub.connect({ version: 4, clientId: "p" });
  const packet = publish(4, { topic: "a", payload: "x" });
  const got = () => Math.max(...others.map((other) => other.take().length));
  check(turnsOf(peer, packet, 1000, 51, got), 51, 1000);
});

test("QoS 1 and 2, RETAIN and CONNECT weigh more than what is only passed on", () => {
  const plain = workOf(0x30, 80);
  for (const first of [0x32, 0x34, 0x31, 0x10]) assert.ok(workOf(first, 80) >= 8 * plain, first.toString(16));
  assert.ok(workOf(0x33, 80) > workOf(0x31, 80));
});

test("without room for the rest everything is worked off at once", () => {
  const peer = new Hub().connect({ version: 4, clientId: "p" });
  const held = withTurns(peer);
  held.room = false;
  peer.take();
  peer.handler.onData(Buffer.concat(new Array<Buffer>(32_768).fill(pingreq())));
  assert.equal(peer.take().length, 32_768);
  assert.equal(held.rest, null);
});

test("a firehose of 80 bytes a packet to one receiver is stopped by its bytes, never by its work", () => {
  const hub = new Hub();
  const peer = hub.connect({ version: 4, clientId: "p" });
  peer.send(subscribe(4, 1, ["b/0", 0]));
  const held = withTurns(peer);
  const packet = publish(4, { topic: "b/0", payload: "x".repeat(64) });
  peer.handler.onData(Buffer.concat(new Array<Buffer>(Math.floor(65_536 / packet.length)).fill(packet)));
  assert.equal(held.rest, null);
});

test("what is left of a read that straddles packets is put back from a packet's begin, its last part waits", () => {
  const peer = new Hub().connect({ version: 4, clientId: "p" });
  const held = withTurns(peer);
  peer.take();
  const pings = Buffer.concat([...new Array<Buffer>(10_000).fill(pingreq()), Buffer.from([0xc0])]);
  peer.handler.onData(pings);
  assert.equal(held.rest?.[0], 0xc0);
  const rest = held.rest as Buffer;
  held.rest = null;
  peer.handler.onData(rest);
  assert.equal(held.rest, null);
  peer.handler.onData(Buffer.from([0]));
  assert.equal(peer.take().length, 10_001);
});

test("chunks of one packet each that go on in the same turn share its work: then the next one waits", () => {
  const peer = new Hub().connect({ version: 4, clientId: "p" });
  let cuts = 0;
  peer.putBack = (_bytes, from, end) => {
    cuts++;
    assert.equal(from, end);
    return true;
  };
  peer.take();
  let sent = 0;
  for (; cuts === 0; sent++) peer.handler.onData(pingreq(), sent > 0);
  assert.equal(sent, WORK_PER_READ);
  peer.handler.onData(pingreq(), false);
  assert.equal(cuts, 1);
});
