import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoginRequest, LoginWaiter } from "../../../../src/core/ports.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import { connect, DISCONNECT, type Packet, pingreq, publish, readConnack } from "../../../support/mqtt-packets.ts";

/** What the timer wheel may be late by. */
const RESOLUTION_MS = 50;
const SERVER_KEEP_ALIVE = 0x13;

function serverKeepAlive(peer: HubPeer): number | string | readonly string[] | undefined {
  return readConnack(peer.take()[0] as Packet).properties.find(([id]) => id === SERVER_KEEP_ALIVE)?.[1];
}

/** The peer falls silent now: it is still there just before `ms`, and gone at most one resolution after. */
function closesAfter(hub: Hub, peer: HubPeer, ms: number): void {
  hub.advance(ms - 1);
  assert.equal(peer.closed, false, `still there after ${ms - 1} ms`);
  hub.advance(1 + RESOLUTION_MS);
  assert.equal(peer.closed, true, `gone after ${ms + RESOLUTION_MS} ms`);
}

test("[MQTT5-3.2.2-22] without Server Keep Alive the client's own holds, and by default none is set", () => {
  const hub = new Hub();
  for (const keepAliveSeconds of [0, 1, 65_535]) {
    const peer = hub.connect({ version: 5, clientId: "a", keepAliveSeconds });
    assert.equal(serverKeepAlive(peer), undefined);
  }
  const peer = hub.connect({ version: 5, clientId: "a", keepAliveSeconds: 10 });
  closesAfter(hub, peer, 15_000);
});

test("[MQTT5-3.2.2-21] who asks for more than limits.keep_alive_max, or for none, gets it as Server Keep Alive", () => {
  const hub = new Hub(undefined, { keepAliveMaxMs: 60_000 });
  for (const [keepAliveSeconds, told] of [
    [0, 60],
    [61, 60],
    [65_535, 60],
    [60, undefined],
    [1, undefined],
  ] as const) {
    const peer = hub.connect({ version: 5, clientId: "a", keepAliveSeconds });
    assert.equal(serverKeepAlive(peer), told, `${keepAliveSeconds}`);
    closesAfter(hub, peer, (told ?? keepAliveSeconds) * 1500);
  }
});

test("[MQTT5-3.1.2-22] a half-open connection is found after one and a half times its keep alive, and told 0x8D", () => {
  const hub = new Hub();
  const peer = hub.connect({ version: 5, clientId: "a", keepAliveSeconds: 7 });
  peer.take();
  // Bytes that come at odd moments: the time counts from the last of them.
  for (const ms of [10_400, 333, 10_499, 1]) {
    hub.advance(ms);
    peer.send(pingreq());
    assert.equal(peer.closed, false);
  }
  peer.take();
  closesAfter(hub, peer, 10_500);
  assert.deepEqual(
    peer.take().map(({ type, body }) => [type, body[0]]),
    [[DISCONNECT, 0x8d]],
  );
});

test("[MQTT311-3.1.2-24] also before 5.0, where limits.keep_alive_max does not shorten what the client asked for", () => {
  const hub = new Hub(undefined, { keepAliveMaxMs: 10_000 });
  const peer = hub.connect({ version: 4, clientId: "a", keepAliveSeconds: 20 });
  assert.equal((peer.take()[0] as Packet).body.length, 2);
  closesAfter(hub, peer, 30_000);
  assert.deepEqual(peer.take(), []);
  const silent = hub.connect({ version: 4, clientId: "a", keepAliveSeconds: 0 });
  hub.advance(100_000_000);
  assert.equal(silent.closed, false);
});

test("a connection that the gateway paused is not late: its time counts from when it is read again", () => {
  const hub = new Hub();
  const peer = hub.connect({ version: 5, clientId: "a", keepAliveSeconds: 2 });
  const { connections } = hub.server;
  const [connection] = connections;
  connection?.pauseReading();
  hub.advance(20_000);
  assert.equal(peer.closed, false);
  connection?.resumeReading();
  closesAfter(hub, peer, 3000);
});

test("connect_timeout: a CONNECT that comes byte by byte is closed when it is over, counted, without a word", () => {
  for (const version of [4, 5] as const) {
    const hub = new Hub(undefined, { connectTimeoutMs: 5000 });
    const peer = hub.open();
    const hello = connect({ version, clientId: "x".repeat(200) });
    for (let at = 0; at < 49; at++) {
      peer.send(hello.subarray(at, at + 1));
      hub.advance(100);
    }
    peer.send(hello.subarray(49, 50));
    closesAfter(hub, peer, 100);
    assert.deepEqual(peer.take(), []);
    assert.equal(hub.counters.get("mqtt.closed.no-CONNECT-in-time"), 1);
    assert.equal(hub.counters.get("mqtt.input_bytes"), 0);
  }
});

test("a login that takes longer than connect_timeout is not the peer's fault", () => {
  const hub = new Hub(undefined, { connectTimeoutMs: 5000 });
  const waiters: LoginWaiter[] = [];
  const authenticate = (_request: LoginRequest, waiter: LoginWaiter) => waiters.push(waiter);
  Object.defineProperty(hub.server, "authority", { value: { ...hub.server.authority, authenticate } });
  const peer = hub.connect({ version: 5, clientId: "a", user: "slow", password: "hash", keepAliveSeconds: 10 });
  hub.advance(60_000);
  assert.equal(peer.closed, false);
  waiters[0]?.onLogin({ name: "slow", clientId: "a" }, 0);
  assert.equal(readConnack(peer.take()[0] as Packet).reason, 0);
  closesAfter(hub, peer, 15_000);
});

test("[MQTT5-3.1.2-22] [MQTT311-3.1.2-24] a packet that comes byte by byte does not keep its connection alive", () => {
  for (const version of [4, 5] as const) {
    const hub = new Hub();
    const peer = hub.connect({ version, clientId: "a", keepAliveSeconds: 2 });
    peer.take();
    const slow = publish(version, { topic: "t", payload: "x".repeat(100) });
    for (let at = 0; at < 29; at++) {
      peer.send(slow.subarray(at, at + 1));
      hub.advance(100);
      assert.equal(peer.closed, false);
    }
    hub.advance(100 + RESOLUTION_MS);
    assert.equal(peer.closed, true);
    assert.equal(hub.counters.get("mqtt.closed.keep-alive-timeout"), 1);
  }
});

test("a large packet on a slow link does, segment by segment, and so does each packet that is whole", () => {
  const hub = new Hub();
  const peer = hub.connect({ version: 5, clientId: "a", keepAliveSeconds: 2 });
  const large = publish(5, { topic: "t", payload: "x".repeat(10_000) });
  for (let at = 0; at < large.length; at += 200) {
    peer.send(large.subarray(at, at + 200));
    hub.advance(2900);
  }
  // The end of one packet and the begin of the next in one chunk of two bytes.
  const [first, second] = [pingreq(), pingreq()];
  peer.send(first.subarray(0, 1));
  for (let i = 0; i < 5; i++) {
    hub.advance(i === 0 ? 50 : 2900);
    peer.send(Buffer.concat([first.subarray(1), second.subarray(0, 1)]));
  }
  assert.equal(peer.closed, false);
  closesAfter(hub, peer, 3000);
});
