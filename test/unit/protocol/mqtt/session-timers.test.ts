// Sessions, wills and messages end on time: never early, and late by at most the resolution of the timer wheel.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  bytes,
  type ConnectFields,
  DISCONNECT,
  disconnect,
  field,
  type Packet,
  type Part,
  PUBLISH,
  packet,
  properties,
  publish,
  readConnack,
  readPublish,
  readPublishProperties,
  subscribe,
  u16,
  u32,
  varint,
} from "../../../support/mqtt-packets.ts";

/** Of the timer wheel. */
const RESOLUTION_MS = 50;
const WITH_WILL = 0x04;
const SESSION_EXPIRY = 0x11;

function connected(hub: Hub, fields: Partial<ConnectFields> = {}): HubPeer {
  const peer = hub.connect({ version: 5, clientId: "a", clean: false, ...fields });
  peer.take();
  return peer;
}

/** A DISCONNECT that changes the Session Expiry Interval. */
function leaving(reason: number, seconds: number): Buffer {
  return packet(DISCONNECT, 0, reason, properties(5, SESSION_EXPIRY, u32(seconds)));
}

function withDelay(seconds: number, ...more: Part[]): NonNullable<ConnectFields["will"]> {
  return { topic: "will", payload: "gone", qos: 0, retain: false, properties: [0x18, u32(seconds), ...more] };
}

/** Somebody who sees wills. */
function watcher(hub: Hub): HubPeer {
  const peer = connected(hub, { clientId: "watcher", clean: true, keepAliveSeconds: 0 });
  peer.send(subscribe(5, 1, ["will", 0]));
  peer.take();
  return peer;
}

function published(peer: HubPeer): string[] {
  return peer
    .take()
    .filter(({ type }) => type === PUBLISH)
    .map((found) => readPublish(5, found).payload);
}

/** Not before `ms`, and not later than that and a resolution. */
function comesAfter(hub: Hub, ms: number, came: () => boolean): void {
  hub.advance(ms - 1);
  assert.equal(came(), false, `not after ${ms - 1} ms`);
  hub.advance(1 + RESOLUTION_MS);
  assert.equal(came(), true, `after ${ms + RESOLUTION_MS} ms`);
}

describe("session expiry", () => {
  const gone = (hub: Hub) => () => hub.registry.count === 0;

  test("off-time that is counted late ends sessions that were away before it, sooner or at once, and no other", () => {
    const hub = new Hub();
    for (const [clientId, expirySeconds] of [
      ["over", 60],
      ["sooner", 600],
    ] as const) {
      connected(hub, { clientId, expirySeconds }).drop();
    }
    connected(hub, { clientId: "there", expirySeconds: 60 });
    const untilMs = hub.nowMs;
    hub.advance(1000);
    connected(hub, { clientId: "later", expirySeconds: 600 }).drop();
    hub.offTime = { untilMs, ms: 120_000 };
    hub.registry.onAged();
    hub.advance(RESOLUTION_MS);
    const names = (): string[] => [...hub.registry.sessions()].map(({ clientId }) => clientId).sort();
    assert.deepEqual(names(), ["later", "sooner", "there"]);
    comesAfter(hub, 600_000 - 120_000 - 1000 - RESOLUTION_MS, () => !names().includes("sooner"));
    assert.deepEqual(names(), ["later", "there"]);
  });

  test("[MQTT5-4.1.0-2] a session stays for its interval from when its connection ended, to the second", () => {
    for (const seconds of [1, 2, 59, 3600]) {
      const hub = new Hub();
      const peer = connected(hub, { expirySeconds: seconds });
      hub.advance(12_345);
      peer.drop();
      comesAfter(hub, seconds * 1000, gone(hub));
      assert.equal(hub.counters.get("session.expired"), 1);
    }
  });

  test("DISCONNECT may shorten and lengthen it, to limits.session_expiry_max at most", () => {
    const maxSeconds = 3600;
    for (const [asked, seconds] of [
      [5, 5],
      [200, 200],
      [0xffffffff, maxSeconds],
    ] as const) {
      const hub = new Hub(undefined, { sessionExpiryMaxMs: maxSeconds * 1000 });
      connected(hub, { expirySeconds: 100 }).send(leaving(0, asked));
      comesAfter(hub, seconds * 1000, gone(hub));
    }
  });

  test("DISCONNECT with 0 ends the session at once, in the store too", () => {
    const hub = new Hub();
    connected(hub, { expirySeconds: 100 }).send(leaving(0, 0));
    hub.settle();
    assert.equal(hub.registry.count, 0);
    const again = hub.connect({ version: 5, clientId: "a", clean: false });
    assert.equal(readConnack(again.take()[0] as Packet).sessionPresent, false);
  });

  test("[MQTT5-3.14.2-2] DISCONNECT with more than 0 after 0 at CONNECT is answered 0x82; with 0 it is not", () => {
    const hub = new Hub();
    const peer = connected(hub);
    peer.send(leaving(0, 1));
    assert.deepEqual(
      peer.take().map(({ type, body }) => [type, body[0]]),
      [[DISCONNECT, 0x82]],
    );
    const other = connected(hub);
    other.send(leaving(0, 0));
    assert.deepEqual([other.take(), other.closed], [[], true]);
    // A gateway without lasting sessions made 0 of it: the client did nothing wrong.
    const without = new Hub(undefined, { sessionExpiryMaxMs: 0 });
    const third = connected(without, { expirySeconds: 100 });
    third.send(leaving(0, 100));
    assert.deepEqual([third.take(), without.registry.count], [[], 0]);
  });

  test("before 5.0 a session that is not clean stays for limits.session_expiry_max", () => {
    const hub = new Hub(undefined, { sessionExpiryMaxMs: 90_000 });
    connected(hub, { version: 4 }).drop();
    comesAfter(hub, 90_000, gone(hub));
  });
});

describe("wills", () => {
  /** A client that is gone without a goodbye. */
  function lost(hub: Hub, fields: Partial<ConnectFields>): void {
    connected(hub, fields).drop();
  }

  test("[MQTT5-3.1.2-8] the will comes when its delay is over or the session ends, whichever is first", () => {
    for (const [delay, expirySeconds] of [
      [10, 100],
      [100, 10],
      [10, 10],
      [1, 2],
    ] as const) {
      const hub = new Hub();
      const seen = watcher(hub);
      lost(hub, { expirySeconds, will: withDelay(delay) });
      const wills: string[] = [];
      comesAfter(hub, Math.min(delay, expirySeconds) * 1000, () => wills.push(...published(seen)) > 0);
      hub.advance(200_000);
      assert.deepEqual([...wills, ...published(seen)], ["gone"], "once");
    }
  });

  test("without a delay, or with a session that ends with its connection, it comes at once", () => {
    for (const fields of [{ expirySeconds: 100, will: withDelay(0) }, { will: withDelay(100) }]) {
      const hub = new Hub();
      const seen = watcher(hub);
      lost(hub, fields);
      assert.deepEqual(published(seen), ["gone"]);
    }
  });

  test("DISCONNECT 0x04 publishes it, after the delay; with a session expiry of 0 at once; 0x00 never", () => {
    const hub = new Hub();
    const seen = watcher(hub);
    const fields = { expirySeconds: 100, will: withDelay(10) };
    connected(hub, fields).send(packet(DISCONNECT, 0, WITH_WILL));
    comesAfter(hub, 10_000, () => published(seen).length > 0);
    connected(hub, fields).send(leaving(WITH_WILL, 0));
    assert.deepEqual(published(seen), ["gone"]);
    connected(hub, fields).send(disconnect());
    hub.advance(200_000);
    assert.deepEqual(published(seen), []);
  });

  test("[MQTT5-3.1.3-9] a client that is back before the delay is over takes it back, at the last moment too", () => {
    const hub = new Hub();
    const seen = watcher(hub);
    lost(hub, { expirySeconds: 100, will: withDelay(10) });
    hub.advance(9999);
    connected(hub, { expirySeconds: 100 }).send(disconnect());
    hub.advance(200_000);
    assert.deepEqual(published(seen), []);
  });

  test("a takeover publishes a will without delay, and takes back one with", () => {
    for (const [delay, expected] of [
      [0, ["gone"]],
      [10, []],
    ] as const) {
      const hub = new Hub();
      const seen = watcher(hub);
      const first = connected(hub, { expirySeconds: 100, will: withDelay(delay) });
      connected(hub, { expirySeconds: 100, keepAliveSeconds: 0 });
      assert.equal(first.closed, true);
      assert.deepEqual(published(seen), expected);
      hub.advance(200_000);
      assert.deepEqual(published(seen), []);
    }
  });

  test("a clean start ends the session, and so publishes its will whatever the delay", () => {
    const hub = new Hub();
    const seen = watcher(hub);
    lost(hub, { expirySeconds: 100, will: withDelay(50) });
    connected(hub, { clean: true });
    assert.deepEqual(published(seen), ["gone"]);
    // The same when the connection is there still.
    connected(hub, { clientId: "b", expirySeconds: 100, will: withDelay(50) });
    connected(hub, { clientId: "b", clean: true });
    assert.deepEqual(published(seen), ["gone"]);
  });

  test("[MQTT5-3.1.2-8] when the gateway stops, wills go out, but for those whose delay and session go on", () => {
    const hub = new Hub();
    const away = connected(hub, { clientId: "away", expirySeconds: 1000 });
    away.send(subscribe(5, 1, ["will", 1]));
    hub.settle();
    away.drop();
    const will = (payload: string, delay: number) => ({ ...withDelay(delay), qos: 1 as const, payload });
    lost(hub, { clientId: "waits", expirySeconds: 100, will: will("waits", 50) });
    connected(hub, { clientId: "there", expirySeconds: 100, will: will("there", 50) });
    connected(hub, { clientId: "at-once", expirySeconds: 100, will: will("at once", 0) });
    connected(hub, { clientId: "ends", will: will("session ends", 50) });
    hub.server.stop();
    hub.settle();
    assert.deepEqual(
      hub.store.rows.map(({ message }) => message.payload.toString()),
      ["at once", "session ends"],
    );
    assert.deepEqual([...hub.store.wills.keys()], ["waits", "there"]);
  });

  test("a will that nobody can keep goes out at QoS 0 to who is there, counted: nobody is left to be refused", () => {
    const hub = new Hub(undefined, { sessionQueueMessages: 1, sessionWhenFull: "refuse" });
    const away = connected(hub, { clientId: "away", expirySeconds: 1000 });
    away.send(subscribe(5, 1, ["will", 1]));
    hub.settle();
    away.drop();
    const will = { ...withDelay(0), qos: 1 };
    lost(hub, { will });
    hub.settle();
    const seen = watcher(hub);
    lost(hub, { will });
    assert.deepEqual(published(seen), ["gone"]);
    assert.equal(hub.counters.get("session.wills_at_qos_0"), 1);
  });

  test("all properties but the delay are published as they were, User Properties in their order", () => {
    const before = bytes(0x26, field("k"), field("1"), 0x01, 1, 0x03, field("text/plain"));
    const later = bytes(0x08, field("answer/here"), 0x09, field("id-1"), 0x26, field("a"), field("2"));
    const last = bytes(0x26, field("k"), field("3"));
    const will = { ...withDelay(1), properties: [before, 0x18, u32(1), later, last] };
    const hub = new Hub();
    const seen = watcher(hub);
    lost(hub, { expirySeconds: 100, will });
    hub.advance(1050);
    const [found] = seen.take() as [Packet];
    assert.deepEqual(readPublishProperties(found), [
      [0x26, ["k", "1"]],
      [0x01, 1],
      [0x03, "text/plain"],
      [0x08, "answer/here"],
      [0x09, "id-1"],
      [0x26, ["a", "2"]],
      [0x26, ["k", "3"]],
    ]);
    assert.deepEqual(
      found.body.subarray(2 + 4),
      bytes(varint(before.length + later.length + last.length), before, later, last, "gone"),
    );
  });

  test("a will's Message Expiry Interval counts from when it is published", () => {
    const hub = new Hub();
    const away = connected(hub, { clientId: "away", expirySeconds: 1000 });
    away.send(subscribe(5, 1, ["will", 1]));
    hub.settle();
    away.drop();
    lost(hub, { expirySeconds: 500, will: { ...withDelay(100, 0x02, u32(60)), qos: 1 } });
    hub.advance(100_050);
    hub.settle();
    hub.advance(20_000);
    const back = hub.connect({ version: 5, clientId: "away", clean: false, expirySeconds: 1000 });
    const found = back.take().find(({ type }) => type === PUBLISH) as Packet;
    assert.deepEqual(readPublishProperties(found), [[0x02, 40]]);
  });
});

describe("message expiry", () => {
  test("[MQTT5-3.3.2-5] a message that waits is sent until its last millisecond, and not after", () => {
    for (const [ms, expected] of [
      [9999, 1],
      [10_000, 0],
    ] as const) {
      const hub = new Hub();
      const away = connected(hub, { clientId: "away", expirySeconds: 1000 });
      away.send(subscribe(5, 1, ["t", 1]));
      hub.settle();
      away.drop();
      const flags = 2;
      connected(hub, { clientId: "p" }).send(
        packet(PUBLISH, flags, field("t"), u16(1), properties(5, 0x02, u32(10)), "v"),
      );
      hub.settle();
      hub.advance(ms);
      const back = hub.connect({ version: 5, clientId: "away", clean: false, expirySeconds: 1000 });
      const found = back.take().filter(({ type }) => type === PUBLISH);
      assert.equal(found.length, expected);
      if (expected === 1) assert.deepEqual(readPublishProperties(found[0] as Packet), [[0x02, 1]]);
    }
  });

  test("so is a retained value", () => {
    const hub = new Hub();
    connected(hub, { clientId: "p" }).send(publish(5, { topic: "t", retain: true, payload: "v" }, 0x02, u32(10)));
    const reader = connected(hub, { clientId: "r", keepAliveSeconds: 0 });
    hub.advance(9999);
    reader.send(subscribe(5, 1, ["t", 0]));
    assert.deepEqual(published(reader), ["v"]);
    hub.advance(1);
    reader.send(subscribe(5, 2, ["t", 0]));
    assert.deepEqual(published(reader), []);
  });
});
