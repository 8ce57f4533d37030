import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  type Packet,
  PUBACK,
  PUBLISH,
  PUBREC,
  PUBREL,
  publish,
  readPublish,
  readPublishProperties,
  subscribe,
  u32,
  type Version,
} from "../../../support/mqtt-packets.ts";

const KEPT = { clean: false, expirySeconds: 6000 } as const;

/** Sends to t, to be taken off after so many seconds. */
function send(hub: Hub, seconds: number, qos = 1, retain = false): void {
  const peer = hub.connect({ version: 5, clientId: "p" });
  peer.send(publish(5, { topic: "t", qos, packetId: 1, retain, payload: `${seconds}` }, 0x02, u32(seconds)));
  hub.settle();
}

function subscriber(hub: Hub, version: Version, qos = 1): HubPeer {
  const peer = hub.connect({ ...KEPT, version, clientId: "s" });
  peer.send(subscribe(version, 1, ["t", qos]));
  hub.settle();
  peer.take();
  return peer;
}

/** Payload and Message Expiry Interval (null = none) of what came. */
function got(peer: HubPeer, version: Version): [payload: string, seconds: number | null][] {
  return peer
    .take()
    .filter(({ type }) => type === PUBLISH)
    .map((found) => [readPublish(version, found).payload, version === 5 ? secondsOf(found) : null]);
}

function secondsOf(found: Packet): number | null {
  const property = readPublishProperties(found).find(([id]) => id === 0x02);
  return property === undefined ? null : (property[1] as number);
}

function expired(hub: Hub): number {
  return hub.counters.counter("drops.expired").value;
}

describe("[MQTT5-3.3.2-6] Message Expiry Interval", () => {
  for (const qos of [0, 1, 2])
    test(`a live message at QoS ${qos} has it as it came, 0 as well; before 5.0 there is none`, () => {
      for (const version of [4, 5] as const)
        for (const seconds of [0, 1, 100, 0xffff_ffff]) {
          const hub = new Hub();
          const peer = subscriber(hub, version, qos);
          send(hub, seconds, qos);
          assert.deepEqual(got(peer, version), [[`${seconds}`, version === 5 ? seconds : null]]);
        }
    });

  test("an interval of 0 is over for who is away as soon as any time has passed", () => {
    const hub = new Hub();
    subscriber(hub, 5).drop();
    send(hub, 0);
    hub.advance(1);
    assert.deepEqual(got(hub.connect({ ...KEPT, version: 5, clientId: "s" }), 5), []);
    assert.equal(expired(hub), 1);
  });

  test("a queued message has what is left, to the second, and is dropped and listed when nothing is", () => {
    for (const version of [4, 5] as const)
      for (const [waitedMs, left] of [
        [0, 100],
        [1, 100],
        [1000, 99],
        [1001, 99],
        [40_400, 60],
        [99_000, 1],
        [99_999, 1],
        [100_000, null],
        [100_001, null],
      ] as const) {
        const hub = new Hub();
        subscriber(hub, version).drop();
        send(hub, 100);
        hub.advance(waitedMs);
        const peer = hub.connect({ ...KEPT, version, clientId: "s" });
        assert.deepEqual(got(peer, version), left === null ? [] : [["100", version === 5 ? left : null]]);
        assert.equal(expired(hub), left === null ? 1 : 0);
        if (left !== null) continue;
        const [drop] = hub.ledger.entries();
        assert.deepEqual([drop?.receiver, drop?.topic, drop?.cause], ["session:s", "t", "expired"]);
      }
  });

  test("a retained value has what is left, and is not there when nothing is", () => {
    for (const version of [4, 5] as const)
      for (const qos of [0, 1])
        for (const [waitedMs, left] of [
          [0, 100],
          [99_001, 1],
          [99_999, 1],
          [100_000, null],
        ] as const) {
          const hub = new Hub();
          send(hub, 100, qos, true);
          hub.advance(waitedMs);
          const peer = hub.connect({ version, clientId: "s" });
          peer.send(subscribe(version, 1, ["t", 1]));
          hub.settle();
          assert.deepEqual(got(peer, version), left === null ? [] : [["100", version === 5 ? left : null]]);
        }
  });

  test("a message that waits for a connected client's window ages too", () => {
    const hub = new Hub();
    for (const kept of [{}, KEPT]) {
      const peer = hub.connect({ ...kept, version: 5, clientId: "s", properties: [0x21, 0, 1] });
      peer.send(subscribe(5, 1, ["t", 1]));
      hub.settle();
      for (const seconds of [500, 100, 40, 39, 50]) send(hub, seconds);
      const first = peer.take().filter(({ type }) => type === PUBLISH);
      assert.equal(first.length, 1);
      hub.advance(40_000);
      const rest: unknown[] = [];
      for (let next = first[0]; next !== undefined; ) {
        peer.send(ack(PUBACK, readPublish(5, next).packetId));
        hub.settle();
        next = peer.take().find(({ type }) => type === PUBLISH);
        if (next !== undefined) rest.push([readPublish(5, next).payload, secondsOf(next)]);
      }
      assert.deepEqual(rest, [
        ["100", 60],
        ["50", 10],
      ]);
      peer.drop();
    }
    assert.equal(expired(hub), 4);
  });

  test("[MQTT5-4.3.3-7] [MQTT5-4.4.0-1] what was sent does not expire: it is sent again with what is left then, 0 in the end", () => {
    for (const qos of [1, 2]) {
      const hub = new Hub();
      let peer = subscriber(hub, 5, qos);
      send(hub, 100, qos);
      const sent = peer.take().find(({ type }) => type === PUBLISH) as Packet;
      peer.drop();
      hub.advance(30_000);
      peer = hub.connect({ ...KEPT, version: 5, clientId: "s" });
      const again = peer.take().find(({ type }) => type === PUBLISH) as Packet;
      assert.deepEqual(
        [readPublish(5, again).packetId, readPublish(5, again).dup, secondsOf(again)],
        [readPublish(5, sent).packetId, true, 70],
      );
      peer.drop();
      hub.advance(70_000);
      peer = hub.connect({ ...KEPT, version: 5, clientId: "s" });
      const last = peer.take().filter(({ type }) => type === PUBLISH);
      assert.deepEqual(
        last.map((packet) => [readPublish(5, packet).packetId, readPublish(5, packet).dup, secondsOf(packet)]),
        [[readPublish(5, sent).packetId, true, 0]],
      );
      assert.equal(expired(hub), 0);
    }
  });

  test("[MQTT5-3.3.2-5] what waited over a restart and expires is dropped at QoS 1, if its client had gone before it came", () => {
    for (const qos of [1, 2]) {
      const hub = new Hub();
      const peer = subscriber(hub, 5, qos);
      send(hub, 99, qos); // sent, and not answered
      hub.settle();
      assert.equal(peer.take().filter(({ type }) => type === PUBLISH).length, 1);
      hub.advance(1);
      peer.drop();
      hub.advance(1);
      for (const seconds of [100, 200]) send(hub, seconds, qos);
      hub.settle();
      const next = new Hub(undefined, {}, hub.store.crash());
      next.nowMs = hub.nowMs + 100_000;
      const back = next.connect({ ...KEPT, version: 5, clientId: "s" });
      next.settle();
      const came = got(back, 5);
      // Of QoS 2 nobody can be sure: the packet id might be one that the client waits for.
      const all = [
        ["99", 0],
        ["100", 0],
        ["200", 100],
      ];
      assert.deepEqual(came, qos === 2 ? all : [all[0], all[2]]);
      assert.equal(expired(next), qos === 2 ? 0 : 1);
    }
  });

  test("a clock that was set back does not lengthen it", () => {
    const hub = new Hub();
    subscriber(hub, 5).drop();
    send(hub, 100);
    hub.nowMs -= 50_000;
    assert.deepEqual(got(hub.connect({ ...KEPT, version: 5, clientId: "s" }), 5), [["100", 100]]);
  });

  test("a message that waits for a member of a shared subscription ages, and is dropped and listed when nothing is left", () => {
    for (const [waitedMs, left] of [
      [40_000, 60],
      [99_999, 1],
      [100_000, null],
    ] as const) {
      const hub = new Hub();
      const member = hub.connect({ ...KEPT, version: 5, clientId: "s" });
      member.send(subscribe(5, 1, ["$share/g/t", 1]));
      hub.settle();
      member.drop();
      send(hub, 100);
      hub.advance(waitedMs);
      const peer = hub.connect({ ...KEPT, version: 5, clientId: "s" });
      hub.settle();
      assert.deepEqual(got(peer, 5), left === null ? [] : [["100", left]]);
      assert.equal(expired(hub), left === null ? 1 : 0);
    }
  });

  test("a will's interval begins when the will is published", () => {
    const hub = new Hub();
    const peer = subscriber(hub, 5);
    const will = { topic: "t", payload: "100", qos: 1, retain: false, properties: [0x18, u32(50), 0x02, u32(100)] };
    hub.connect({ ...KEPT, version: 5, clientId: "w", will }).drop();
    hub.advance(50_000);
    assert.deepEqual(got(peer, 5), [["100", 100]]);
  });

  test("a publisher's QoS 2 message counts from its first copy, whenever PUBREL comes", () => {
    const hub = new Hub();
    subscriber(hub, 5, 2).drop();
    const peer = hub.connect({ ...KEPT, version: 5, clientId: "p" });
    peer.send(publish(5, { topic: "t", qos: 2, packetId: 3, payload: "100" }, 0x02, u32(100)));
    hub.settle();
    assert.equal(peer.take().filter(({ type }) => type === PUBREC).length, 1);
    hub.advance(60_000);
    peer.send(ack(PUBREL, 3));
    hub.settle();
    assert.deepEqual(got(hub.connect({ ...KEPT, version: 5, clientId: "s" }), 5), [["100", 40]]);
  });
});
