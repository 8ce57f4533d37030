// The room for incomplete packets when it is used up: who stalls makes room, who goes on notices nothing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  bytes,
  CONNACK,
  connect,
  DISCONNECT,
  type Packet,
  PUBACK,
  pingreq,
  publish,
  type Version,
} from "../../../support/mqtt-packets.ts";

const ROOM_BYTES = 336 * 1024;
const PART_BYTES = 4096;
const LARGE = publish(5, { topic: "large", payload: "x".repeat(100_000), qos: 1, packetId: 1 });

function enter(hub: Hub, clientId: string, version: Version = 5): HubPeer {
  const peer = hub.connect({ version, clientId });
  peer.take();
  return peer;
}

/** So many begin a packet that the room is used up, and send no more of it. */
function stallingPeers(hub: Hub): HubPeer[] {
  const peers: HubPeer[] = [];
  for (let taken = 0; taken + PART_BYTES <= ROOM_BYTES; taken += PART_BYTES) {
    const peer = enter(hub, `stalls-${peers.length}`);
    peer.send(LARGE.subarray(0, PART_BYTES));
    peers.push(peer);
  }
  return peers;
}

function sendLarge(peer: HubPeer): void {
  for (let at = 0; at < LARGE.length; at += 20_000) peer.send(LARGE.subarray(at, at + 20_000));
}

function of(peer: HubPeer, type: number): Packet[] {
  return peer.take().filter((found) => found.type === type);
}

describe("when incomplete packets have used up their room", () => {
  test("those that stall longest are closed with 0x97, as many as another packet needs, and that one is taken", () => {
    const hub = new Hub();
    const stalling = stallingPeers(hub);
    hub.advance(1000);
    const peer = enter(hub, "goes-on");
    sendLarge(peer);
    hub.settle();
    assert.equal(of(peer, PUBACK).length, 1);
    const closed = stalling.filter((one) => one.closed);
    assert.deepEqual(closed, stalling.slice(0, closed.length), "the oldest first");
    assert.ok(closed.length * PART_BYTES >= LARGE.length - PART_BYTES, `${closed.length} closed`);
    assert.ok(closed.length * PART_BYTES <= 2 * LARGE.length, `${closed.length} closed`);
    assert.deepEqual(
      closed.map((one) => of(one, DISCONNECT)[0]?.body[0]),
      closed.map(() => 0x97),
    );
    assert.equal(hub.counters.get("mqtt.input_evicted"), closed.length);
    assert.equal(hub.counters.get("mqtt.input_full"), 0);
    assert.ok(hub.server.input.used <= ROOM_BYTES);
  });

  test("nobody is closed for another before a second has gone: the one that comes too late is", () => {
    const hub = new Hub();
    const stalling = stallingPeers(hub);
    hub.advance(999);
    const peer = enter(hub, "late");
    sendLarge(peer);
    assert.equal(of(peer, DISCONNECT)[0]?.body[0], 0x97);
    assert.equal(peer.closed, true);
    assert.ok(stalling.every((one) => !one.closed));
    assert.equal(hub.counters.get("mqtt.input_full"), 1);
  });

  test("bytes that trickle in do not make a stalling packet younger", () => {
    const hub = new Hub();
    const [oldest, ...others] = stallingPeers(hub);
    for (let i = 0; i < 4; i++) {
      hub.advance(250);
      oldest?.send(LARGE.subarray(PART_BYTES + i, PART_BYTES + i + 1));
    }
    // The last of these needed more room, and it was the oldest itself that had to go.
    const peer = enter(hub, "goes-on");
    peer.send(LARGE.subarray(0, PART_BYTES));
    assert.equal(oldest?.closed, true);
    assert.equal(peer.closed, false);
    assert.ok(others.filter((one) => one.closed).length <= 1);
    assert.ok(hub.server.input.used <= ROOM_BYTES);
  });

  test("what waits behind a CONNECT whose login takes long makes room as well", () => {
    const hub = new Hub();
    hub.loginWaitMs = 60_000;
    const waiting: HubPeer[] = [];
    const behind = bytes(...Array.from({ length: 4 }, () => LARGE));
    for (let i = 0; i < 12; i++) {
      const peer = hub.open();
      peer.send(
        bytes(connect({ version: 5, clientId: `w${i}`, user: "u", password: "p" }), behind.subarray(0, 30_000)),
      );
      waiting.push(peer);
    }
    hub.advance(1000);
    hub.loginWaitMs = 0;
    const before = waiting.filter((one) => one.closed).length;
    const peer = enter(hub, "goes-on");
    sendLarge(peer);
    hub.settle();
    assert.equal(of(peer, PUBACK).length, 1);
    assert.ok(waiting.filter((one) => one.closed).length > before);
  });

  test("a packet that the gateway itself holds is not given up", () => {
    const hub = new Hub();
    const holder = enter(hub, "held", 4);
    const keeper = hub.connect({ version: 5, clientId: "k", expirySeconds: 100 });
    keeper.send(bytes(0x82, 7, 0, 1, 0, 0, 1, "#", 1));
    hub.settle();
    hub.store.refusal = 0x97;
    holder.send(publish(4, { topic: "t", payload: "x".repeat(3000), qos: 1, packetId: 1 }));
    assert.equal(holder.paused, true);
    const stalling = stallingPeers(hub);
    hub.advance(1000);
    for (const one of stalling) one.send(LARGE.subarray(PART_BYTES, 3 * PART_BYTES));
    assert.equal(holder.closed, false);
    assert.ok(hub.server.input.used <= ROOM_BYTES);
  });

  test("every byte comes back", () => {
    const hub = new Hub();
    const peer = enter(hub, "p");
    peer.send(LARGE.subarray(0, 5000));
    assert.ok(hub.server.input.used >= 5000);
    peer.send(LARGE.subarray(5000), pingreq());
    assert.equal(hub.server.input.used, 0);
    for (const one of stallingPeers(hub)) one.drop();
    assert.equal(hub.server.input.used, 0);
    assert.equal(hub.connect({ version: 5, clientId: "n" }).take()[0]?.type, CONNACK);
  });
});
