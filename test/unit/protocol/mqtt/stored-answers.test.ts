// What a client with a lasting session is told of its subscriptions is stored before it is told; kill -9 takes nothing of
// it back. (PUBACK, PUBREC and PUBCOMP: conformance/acknowledgement; what leaves for subscribers: core/delivery-queue.test.ts.)
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SUBACK_BYTES_MAX } from "../../../../src/protocol/mqtt/states.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  type ConnectFields,
  DISCONNECT,
  disconnect,
  field,
  type Packet,
  packet,
  properties,
  readConnack,
  SUBACK,
  subscribe,
  u16,
  type Version,
} from "../../../support/mqtt-packets.ts";

const UNSUBSCRIBE = 10;
const UNSUBACK = 11;
const DISK_FAILURE = 0x83;

function connected(hub: Hub, version: Version, fields: Partial<ConnectFields> = {}): HubPeer {
  const peer = hub.connect({ version, clientId: "c", clean: false, expirySeconds: 600, ...fields });
  assert.equal(readConnack(peer.take()[0] as Packet).reason, 0);
  return peer;
}

function unsubscribe(version: Version, packetId: number, ...filters: string[]): Buffer {
  return packet(UNSUBSCRIBE, 2, u16(packetId), properties(version), ...filters.map((filter) => field(filter)));
}

function answers(peer: HubPeer): [type: number, packetId: number][] {
  return peer.take().map(({ type, body }) => [type, body.readUInt16BE(0)]);
}

function filtersAfterKill(hub: Hub): string[] {
  const next = new Hub(undefined, {}, hub.store.crash());
  return [...next.registry.sessions()].flatMap(({ subscriptions }) => [...subscriptions.keys()]);
}

for (const version of [4, 5] as const) {
  describe(`version ${version}`, () => {
    test("SUBACK and UNSUBACK leave when what they say is stored, in their order", () => {
      const hub = new Hub();
      const peer = connected(hub, version);
      peer.send(
        subscribe(version, 1, ["a", 1], ["b", 0]),
        unsubscribe(version, 2, "a"),
        subscribe(version, 3, ["c", 2]),
      );
      assert.deepEqual(answers(peer), []);
      hub.store.commit();
      assert.deepEqual(answers(peer), [], "committed, not on the medium");
      hub.store.sync();
      assert.deepEqual(answers(peer), [
        [SUBACK, 1],
        [UNSUBACK, 2],
        [SUBACK, 3],
      ]);
      assert.deepEqual(filtersAfterKill(hub), ["b", "c"]);
    });

    test("an UNSUBSCRIBE sent again after the connection broke waits too, though there is nothing left to delete", () => {
      const hub = new Hub();
      const first = connected(hub, version);
      first.send(subscribe(version, 1, ["a", 1]));
      hub.settle();
      first.send(unsubscribe(version, 2, "a"));
      first.drop();
      const second = connected(hub, version);
      second.send(unsubscribe(version, 3, "a"));
      assert.deepEqual(answers(second), []);
      hub.settle();
      assert.deepEqual(answers(second), [[UNSUBACK, 3]]);
    });

    test("a session that ends with its connection has nothing to wait for", () => {
      const hub = new Hub();
      const peer = connected(hub, version, { clean: true, expirySeconds: 0 });
      peer.send(subscribe(version, 1, ["a", 1]), unsubscribe(version, 2, "a", "b"));
      assert.deepEqual(answers(peer), [
        [SUBACK, 1],
        [UNSUBACK, 2],
      ]);
    });

    test("more of them than may wait: the next is read when they have left", () => {
      const hub = new Hub();
      const peer = connected(hub, version);
      const filters = Array.from({ length: 1500 }, (_, n) => `f${n}`);
      const ids = Array.from({ length: Math.ceil(SUBACK_BYTES_MAX / 1500) + 2 }, (_, n) => n + 1);
      for (const id of ids) peer.send(unsubscribe(version, id, ...filters));
      assert.equal(peer.paused, true);
      assert.deepEqual(answers(peer), []);
      hub.settle();
      hub.settle();
      assert.deepEqual(
        answers(peer).map(([, id]) => id),
        ids,
      );
      assert.equal(peer.paused, false);
    });
  });
}

describe("a clean start", () => {
  const CLEAN = { clientId: "c", clean: true, expirySeconds: 600 } as const;

  function subscribed(): Hub {
    const hub = new Hub();
    const peer = connected(hub, 5);
    peer.send(subscribe(5, 1, ["a", 1]));
    hub.settle();
    peer.send(disconnect());
    hub.settle();
    return hub;
  }

  for (const version of [4, 5] as const) {
    const id = version === 4 ? "MQTT311-3.1.2-6" : "MQTT5-3.1.2-4";
    test(`[${id}] is answered when the end of the old session is stored (${version})`, () => {
      const hub = subscribed();
      const peer = hub.connect({ ...CLEAN, version });
      assert.deepEqual(peer.take(), []);
      assert.equal(peer.paused, true);
      hub.store.commit();
      assert.deepEqual(peer.take(), []);
      hub.store.sync();
      const { reason, sessionPresent } = readConnack(peer.take()[0] as Packet);
      assert.deepEqual([reason, sessionPresent, peer.paused], [0, false, false]);
      assert.deepEqual(filtersAfterKill(hub), []);
      peer.send(subscribe(version, 1, ["b", 1]));
      hub.settle();
      assert.deepEqual(answers(peer), [[SUBACK, 1]]);
    });
  }

  test("waits for nothing when there is no such session, or the disk could not say when", () => {
    const hub = subscribed();
    connected(hub, 5, { ...CLEAN, clientId: "new" });
    for (const health of ["full", "failed"] as const) {
      const full = subscribed();
      full.store.health = health;
      connected(full, 5, CLEAN);
    }
  });

  test("who is connected is told of the takeover; who comes in between has a session of his own, and is taken over", () => {
    const hub = new Hub();
    const first = connected(hub, 5);
    const second = hub.connect({ ...CLEAN, version: 5 });
    assert.deepEqual(
      [first.take().map(({ type, body }) => [type, body[0]]), first.closed],
      [[[DISCONNECT, 0x8e]], true],
    );
    const third = connected(hub, 5);
    hub.settle();
    assert.equal(third.closed, true);
    hub.settle();
    assert.equal(readConnack(second.take()[0] as Packet).sessionPresent, false);
    assert.equal(hub.registry.count, 1);
    assert.equal(hub.registry.connectedCount, 1);
  });

  test("one that is gone before the answer leaves nothing behind", () => {
    const hub = subscribed();
    const will = { topic: "w", payload: "p", qos: 1, retain: false };
    const peer = hub.connect({ ...CLEAN, version: 5, will });
    peer.drop();
    hub.settle();
    assert.deepEqual([hub.registry.count, hub.counters.get("session.will_bytes")], [0, 0]);
  });
});

test("a disk that fails: 5.0 is told 0x83 for each filter, 3.1.1 is closed", () => {
  for (const version of [4, 5] as const) {
    const hub = new Hub();
    const peer = connected(hub, version);
    peer.send(unsubscribe(version, 7, "a", "b"));
    hub.store.fail();
    const [answer] = peer.take();
    if (version === 4) assert.deepEqual([answer, peer.closed], [undefined, true]);
    else assert.deepEqual([...(answer as Packet).body], [0, 7, 0, DISK_FAILURE, DISK_FAILURE]);
    assert.notEqual(answer?.type, DISCONNECT);
  }
});
