// What CONNACK says the gateway offers, and what becomes of those who ask for more.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  DISCONNECT,
  type Packet,
  type Part,
  PUBLISH,
  publish,
  readConnack,
  readPublish,
  readSuback,
  SUBACK,
  subscribe,
  u32,
} from "../../../support/mqtt-packets.ts";

const SESSION_EXPIRY_INTERVAL = 0x11;
const ASSIGNED_CLIENT_IDENTIFIER = 0x12;
const MAXIMUM_QOS = 0x24;
const RETAIN_AVAILABLE = 0x25;
const MAXIMUM_PACKET_SIZE = 0x27;
const WILDCARD_SUBSCRIPTION_AVAILABLE = 0x28;
const SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29;

function connackOf(peer: HubPeer) {
  const { reason, properties } = readConnack(peer.take()[0] as Packet);
  return { reason, told: new Map(properties) };
}

/** Closed, and in 5.0 told why. */
function closedWith(peer: HubPeer, version: 4 | 5, reason: number): void {
  assert.equal(peer.closed, true);
  const last = peer.take().filter(({ type }) => type === DISCONNECT);
  assert.deepEqual(
    last.map(({ body }) => body[0]),
    version === 5 ? [reason] : [],
  );
}

describe("announced", () => {
  test("what is not limited is not mentioned: absent is available", () => {
    const { told } = connackOf(new Hub().connect({ version: 5, clientId: "a" }));
    const mentioned = [
      MAXIMUM_QOS,
      RETAIN_AVAILABLE,
      WILDCARD_SUBSCRIPTION_AVAILABLE,
      SUBSCRIPTION_IDENTIFIER_AVAILABLE,
      SESSION_EXPIRY_INTERVAL,
      ASSIGNED_CLIENT_IDENTIFIER,
    ];
    assert.deepEqual(
      mentioned.filter((id) => told.has(id)),
      [],
    );
  });

  test("Maximum Packet Size is limits.max_packet_bytes", () => {
    const hub = new Hub(undefined, { maxPacketBytes: 5000 });
    assert.equal(connackOf(hub.connect({ version: 5, clientId: "a" })).told.get(MAXIMUM_PACKET_SIZE), 5000);
  });

  test("[MQTT5-3.1.3-6] [MQTT5-3.1.3-7] [MQTT5-3.2.2-16] an empty client id gets one of its own, and is told it", () => {
    const hub = new Hub();
    const assigned = [1, 2].map(
      () => connackOf(hub.connect({ version: 5, clientId: "" })).told.get(ASSIGNED_CLIENT_IDENTIFIER) as string,
    );
    assert.match(assigned[0] as string, /^sluice-[\w-]{12}$/);
    assert.notEqual(assigned[0], assigned[1]);
    assert.deepEqual(
      [...hub.registry.sessions()].map(({ clientId }) => clientId),
      assigned,
    );
    // Before 5.0 it gets one, too, and cannot be told.
    assert.deepEqual([...(hub.connect({ version: 4, clientId: "" }).take()[0] as Packet).body], [0, 0]);
  });

  test("a Session Expiry Interval above limits.session_expiry_max is shortened to it, and the client told", () => {
    const hub = new Hub(undefined, { sessionExpiryMaxMs: 100_000 });
    for (const [asked, told] of [
      [0, undefined],
      [100, undefined],
      [101, 100],
      [0xffffffff, 100],
    ] as const) {
      const peer = hub.connect({ version: 5, clientId: "a", properties: [SESSION_EXPIRY_INTERVAL, u32(asked)] });
      hub.settle(); // the end of the session before
      assert.equal(connackOf(peer).told.get(SESSION_EXPIRY_INTERVAL), told, `${asked}`);
    }
  });
});

describe("Response Information", () => {
  const REQUEST = 0x19;
  const RESPONSE_INFORMATION = 0x1a;

  function toldTo(hub: Hub, clientId: string, ...properties: Part[]) {
    return connackOf(hub.connect({ version: 5, clientId, properties })).told.get(RESPONSE_INFORMATION);
  }

  test("[MQTT5-3.1.2-28] goes to who asks for it, made from response_information", () => {
    const hub = new Hub();
    assert.equal(toldTo(hub, "pump-7", REQUEST, 1), "reply/pump-7");
    assert.equal(toldTo(hub, "$&", REQUEST, 1), "reply/$&");
    assert.equal(toldTo(hub, "pump-7", REQUEST, 0), undefined);
    assert.equal(toldTo(hub, "pump-7"), undefined);
    assert.match(toldTo(hub, "", REQUEST, 1) as string, /^reply\/sluice-[\w-]{12}$/);
  });

  test("is not made from a client id that would name another's tree, or nobody's", () => {
    for (const clientId of ["a/b", "+", "#"]) assert.equal(toldTo(new Hub(), clientId, REQUEST, 1), undefined);
  });

  test("[MQTT5-3.1.2-24] is left out when the client would not take the packet; one too small for CONNACK is closed", () => {
    const hub = new Hub();
    const clientId = "a".repeat(100);
    const sizeOf = (bytesMax: number, ...properties: Part[]) => {
      const peer = hub.connect({ version: 5, clientId, properties: [0x27, u32(bytesMax), ...properties] });
      const packets = peer.take();
      return packets.map(({ body }) => 2 + body.length);
    };
    const [whole] = sizeOf(1000, REQUEST, 1);
    const [without] = sizeOf(1000);
    assert.equal(whole, without! + 3 + "reply/".length + clientId.length);
    assert.deepEqual(sizeOf(whole!, REQUEST, 1), [whole]);
    assert.deepEqual(sizeOf(whole! - 1, REQUEST, 1), [without]);
    assert.deepEqual(sizeOf(without!), [without]);
    assert.deepEqual(sizeOf(without! - 1), []);
    assert.equal(hub.registry.connectedCount, 1, "the session it would have taken over is untouched");
    assert.equal(hub.counters.get("mqtt.closed.CONNACK-larger-than-the-peer-takes"), 1);
  });
});

describe("max_qos", () => {
  for (const maxQos of [0, 1] as const) {
    function limited(): Hub {
      const hub = new Hub();
      hub.listener = { ...hub.listener, maxQos };
      return hub;
    }

    test(`[MQTT5-3.2.2-9] max_qos ${maxQos} is announced`, () => {
      assert.equal(connackOf(limited().connect({ version: 5, clientId: "a" })).told.get(MAXIMUM_QOS), maxQos);
    });

    test(`[MQTT5-3.2.2-10] max_qos ${maxQos}: a SUBSCRIBE with QoS 0, 1 and 2 is granted at most that`, () => {
      for (const version of [4, 5] as const) {
        const peer = limited().connect({ version, clientId: "a" });
        peer.send(subscribe(version, 1, ["a", 0], ["b", 1], ["c", 2]));
        const suback = peer.take().find(({ type }) => type === SUBACK) as Packet;
        assert.deepEqual(readSuback(version, suback), [0, maxQos, maxQos]);
      }
    });

    test(`[MQTT5-3.2.2-11] max_qos ${maxQos}: a PUBLISH above it reaches nobody and closes, in 5.0 with 0x9B`, () => {
      for (const version of [4, 5] as const) {
        const hub = limited();
        const subscriber = hub.connect({ version: 5, clientId: "s" });
        subscriber.send(subscribe(5, 1, ["t", 0]));
        subscriber.take();
        const peer = hub.connect({ version, clientId: "a" });
        peer.take();
        peer.send(publish(version, { topic: "t", qos: maxQos, packetId: maxQos, payload: "taken" }));
        assert.equal(peer.closed, false);
        peer.send(publish(version, { topic: "t", qos: maxQos + 1, packetId: 2, payload: "not" }));
        closedWith(peer, version, 0x9b);
        assert.equal(hub.counters.get("mqtt.closed.qos-not-supported"), 1);
        assert.deepEqual(
          subscriber.take().map((packet) => readPublish(5, packet).payload),
          ["taken"],
        );
      }
    });

    test(`[MQTT5-3.2.2-12] max_qos ${maxQos}: a will above it is refused with 0x9B, before 5.0 without CONNACK`, () => {
      const hub = limited();
      const will = { topic: "w", payload: "x", qos: maxQos + 1, retain: false };
      const peer = hub.connect({ version: 5, clientId: "a", will });
      assert.equal(connackOf(peer).reason, 0x9b);
      assert.equal(peer.closed, true);
      const older = hub.connect({ version: 4, clientId: "a", will });
      assert.deepEqual([older.take(), older.closed], [[], true]);
    });
  }
});

describe("retain_available: false", () => {
  function without(): Hub {
    const hub = new Hub();
    hub.listener = { ...hub.listener, retainAvailable: false };
    return hub;
  }

  test("is announced", () => {
    assert.equal(connackOf(without().connect({ version: 5, clientId: "a" })).told.get(RETAIN_AVAILABLE), 0);
  });

  test("[MQTT5-3.2.2-14] a retained PUBLISH is not kept and closes, in 5.0 with 0x9A", () => {
    for (const version of [4, 5] as const) {
      for (const qos of [0, 1, 2]) {
        const hub = without();
        const peer = hub.connect({ version, clientId: "a" });
        peer.take();
        peer.send(publish(version, { topic: "t", qos, packetId: qos, payload: "v", retain: true }));
        closedWith(peer, version, 0x9a);
        assert.equal(hub.retained.count, 0);
        assert.equal(hub.counters.get("mqtt.closed.retain-not-supported"), 1);
      }
    }
  });

  test("[MQTT5-3.2.2-13] a retained will is refused with 0x9A, before 5.0 without CONNACK; another will is not", () => {
    const hub = without();
    const will = { topic: "w", payload: "x", qos: 0, retain: true };
    const peer = hub.connect({ version: 5, clientId: "a", will });
    assert.equal(connackOf(peer).reason, 0x9a);
    assert.equal(peer.closed, true);
    const older = hub.connect({ version: 4, clientId: "a", will });
    assert.deepEqual([older.take(), older.closed], [[], true]);
    assert.equal(connackOf(hub.connect({ version: 5, clientId: "a", will: { ...will, retain: false } })).reason, 0);
  });

  test("values that peers of other listeners retained reach its subscribers", () => {
    const hub = new Hub();
    hub.connect({ version: 5, clientId: "a" }).send(publish(5, { topic: "t", payload: "v", retain: true }));
    hub.listener = { ...hub.listener, retainAvailable: false };
    const peer = hub.connect({ version: 5, clientId: "s" });
    peer.send(subscribe(5, 1, ["t", 0]));
    const values = peer.take().filter(({ type }) => type === PUBLISH);
    assert.deepEqual(
      values.map((packet) => readPublish(5, packet).payload),
      ["v"],
    );
  });
});
