import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Publication } from "../../../../src/core/publication.ts";
import { DELIVERY_QOS, type Receiver } from "../../../../src/core/receiver.ts";
import { SysTopics } from "../../../../src/core/sys-topics.ts";
import { clockOf } from "../../../support/clock-of.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  bytes,
  field,
  PUBACK,
  PUBLISH,
  PUBREC,
  PUBREL,
  type Publish,
  packet,
  pingreq,
  properties,
  publish,
  readAck,
  readPublish,
  readSuback,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  UNSUBSCRIBE,
  u16,
  type Version,
} from "../../../support/mqtt-packets.ts";

const INTERVAL_MS = 10_000;
const VERSIONS = [4, 5] as const;

/** A hub that says how many clients it has, and what version it is. */
class World {
  readonly hub = new Hub();
  readonly sys: SysTopics;
  clients = 1;

  constructor() {
    const { hub } = this;
    const time = clockOf(() => hub.nowMs);
    const { router, counters, wheel } = hub;
    this.sys = new SysTopics({ router, counters, time, wheel, intervalMs: INTERVAL_MS, toldMax: 300 });
    this.sys.add("broker/version", () => "v");
    this.sys.add("broker/clients/total", () => this.clients);
    hub.retained.computed = this.sys;
    this.sys.start();
  }

  connect(version: Version, clientId: string, more: { clean?: boolean; expirySeconds?: number } = {}): HubPeer {
    return this.hub.connect({ version, clientId, ...more });
  }

  interval(): void {
    this.hub.advance(INTERVAL_MS + 100);
  }
}

/** What has come under $SYS/broker, as "topic payload", with " r" behind if RETAIN was set. */
function broker(peer: HubPeer, version: Version): string[] {
  return publishes(peer, version)
    .filter(({ topic }) => topic.startsWith("$SYS/broker/"))
    .map(({ topic, payload, retain }) => `${topic.slice(12)} ${payload}${retain ? " r" : ""}`);
}

function publishes(peer: HubPeer, version: Version): Publish[] {
  const found = peer.take().filter(({ type }) => type === PUBLISH);
  return found.map((one) => readPublish(version, one));
}

describe("$SYS", () => {
  for (const version of VERSIONS) {
    const id = version === 4 ? "[MQTT311-4.7.2-1]" : "[MQTT5-4.7.2-1]";
    test(`${id} wildcards at the first level match nothing of it, retained or live; below it they do`, () => {
      const world = new World();
      const all = world.connect(version, "all");
      all.send(subscribe(version, 1, ["#", 2], ["+/#", 2], ["+/broker/version", 0], ["+/+/+", 1]));
      const sys = world.connect(version, "sys");
      sys.send(subscribe(version, 1, ["$SYS/#", 0]));
      const plus = world.connect(version, "plus");
      plus.send(subscribe(version, 1, ["$SYS/+/clients/+", 0]));
      assert.deepEqual(publishes(all, version), []);
      assert.deepEqual(broker(sys, version), ["version v r", "clients/total 1 r"]);
      assert.deepEqual(broker(plus, version), ["clients/total 1 r"]);
      world.clients = 2;
      world.interval();
      assert.deepEqual(publishes(all, version), []);
      assert.ok(broker(sys, version).includes("clients/total 2"));
      assert.deepEqual(broker(plus, version), ["clients/total 2"]);
    });

    test(`in version ${version}: the present values come with RETAIN, then without it what changed in an interval`, () => {
      const world = new World();
      const peer = world.connect(version, "a");
      peer.send(subscribe(version, 1, ["$SYS/broker/#", 1]));
      assert.deepEqual(broker(peer, version), ["version v r", "clients/total 1 r"]);
      world.interval(); // the first one: nobody knows what all have been told
      broker(peer, version);
      world.interval();
      assert.deepEqual(broker(peer, version), []);
      world.clients = 7;
      assert.deepEqual(broker(peer, version), []);
      world.interval();
      assert.deepEqual(broker(peer, version), ["clients/total 7"]);
    });

    test(`in version ${version}: goes out at QoS 0 whatever was granted; nothing is queued or stored for who is away`, () => {
      const world = new World();
      const session = { clean: false, expirySeconds: 3600 };
      const peer = world.connect(version, "a", session);
      peer.send(subscribe(version, 1, ["$SYS/#", 2]));
      world.hub.settle();
      const first = peer.take();
      assert.deepEqual(
        first.filter(({ type }) => type === SUBACK).map((one) => readSuback(version, one)),
        [[2]],
      );
      world.interval();
      const qos = [...first, ...peer.take()]
        .filter(({ type }) => type === PUBLISH)
        .map(({ flags }) => (flags >> 1) & 3);
      assert.deepEqual(new Set(qos), new Set([0]));
      peer.drop();
      world.hub.settle();
      for (let i = 0; i < 100; i++) {
        world.clients++;
        world.interval();
      }
      world.hub.settle();
      assert.deepEqual(world.hub.store.rows, []);
      assert.equal([...world.hub.registry.sessions()][0]?.queue.count, 0);
      assert.deepEqual(world.hub.ledger.entries(), []);
      const again = world.connect(version, "a", session);
      assert.deepEqual(broker(again, version), []);
      world.interval();
      assert.deepEqual(broker(again, version), ["clients/total 101"]); // as it is now
      world.interval();
      assert.deepEqual(broker(again, version), []);
    });

    test(`in version ${version}: nobody publishes there, at any QoS, nor leaves a will`, () => {
      const world = new World();
      const reader = world.connect(version, "reader");
      reader.send(subscribe(version, 1, ["$SYS/broker/#", 2]));
      reader.take();
      const writer = world.connect(version, "writer");
      writer.take();
      const topic = "$SYS/broker/version";
      writer.send(publish(version, { topic, payload: "x", retain: true }));
      writer.send(publish(version, { topic, payload: "x", qos: 1, packetId: 1, retain: true }));
      writer.send(publish(version, { topic, payload: "x", qos: 2, packetId: 2 }));
      writer.send(ack(PUBREL, 2));
      const answers = writer.take().filter(({ type }) => type === PUBACK || type === PUBREC);
      const reason = version === 5 ? 0x87 : 0; // before 5.0 there is no word for it
      assert.deepEqual(
        answers.map((one) => readAck(one)),
        [
          { packetId: 1, reason },
          { packetId: 2, reason },
        ],
      );
      assert.deepEqual(publishes(reader, version), []);
      assert.equal(world.hub.retained.count, 0);
      assert.equal(world.hub.retained.get(topic)?.payload.toString(), "v");
      const will = { topic, payload: "x", qos: 0, retain: true };
      const refused = world.hub.connect({ version, clientId: "will", will });
      assert.equal(refused.closed, true);
      assert.notEqual(refused.take()[0]?.body[1], 0);
    });
  }

  test("Retain Handling: 1 sends the present values to a new subscription only, 2 to none", () => {
    const world = new World();
    const peer = world.connect(5, "a");
    const ask = (handling: number): string[] => {
      peer.send(packet(SUBSCRIBE, 2, u16(1), properties(5), bytes(field("$SYS/broker/version"), handling << 4)));
      return broker(peer, 5);
    };
    assert.deepEqual(ask(2), []);
    assert.deepEqual(ask(1), []); // it is not new
    assert.deepEqual(ask(0), ["version v r"]);
    peer.send(packet(UNSUBSCRIBE, 2, u16(2), properties(5), field("$SYS/broker/version")));
    assert.deepEqual(ask(1), ["version v r"]);
  });

  test("has no say in topics of another $: they go to those who subscribe below it, not to wildcards", () => {
    const world = new World();
    const all = world.connect(5, "all");
    all.send(subscribe(5, 1, ["#", 0], ["+/x", 0]));
    const named = world.connect(5, "named");
    named.send(subscribe(5, 1, ["$other/+", 0]));
    const writer = world.connect(5, "writer");
    writer.send(publish(5, { topic: "$other/x", payload: "y", retain: true }));
    assert.deepEqual(publishes(all, 5), []);
    assert.deepEqual(
      publishes(named, 5).map(({ topic, payload }) => `${topic} ${payload}`),
      ["$other/x y"],
    );
    all.send(subscribe(5, 2, ["#", 0]), subscribe(5, 3, ["$other/#", 0]));
    assert.equal(publishes(all, 5).length, 1);
  });

  test("is not there with sys_interval: off", () => {
    const world = new World();
    world.hub.retained.computed = null;
    const peer = world.connect(5, "a");
    peer.send(subscribe(5, 1, ["$SYS/#", 0]));
    assert.deepEqual(publishes(peer, 5), []);
    assert.equal(world.hub.retained.get("$SYS/broker/version"), undefined);
  });

  test("goes to one member of a shared subscription, who gets no present values; nothing waits for the group", () => {
    const world = new World();
    const session = { clean: false, expirySeconds: 3600 };
    const members = ["a", "b"].map((clientId) => world.connect(5, clientId, session));
    for (const peer of members) peer.send(subscribe(5, 1, ["$share/g/$SYS/broker/clients/#", 2]));
    world.hub.settle();
    const all = (): string[] => members.flatMap((peer) => broker(peer, 5));
    assert.deepEqual(all(), []);
    world.interval();
    assert.deepEqual(all(), ["clients/total 1"]);
    for (const peer of members) peer.drop();
    world.clients = 2;
    world.interval();
    world.hub.settle();
    assert.deepEqual([world.hub.store.rows, world.hub.counters.get("share.waiting")], [[], 0]);
    members.splice(0, 2, world.connect(5, "b", session));
    world.interval();
    assert.deepEqual(all(), ["clients/total 2"]);
  });

  test("reaches an uplink that is connected, at QoS 0; one that is away misses it, and nothing counts as lost", () => {
    const world = new World();
    const { router, store } = world.hub;
    const got: string[] = [];
    let online = false;
    const uplink: Receiver = {
      slot: -1,
      principal: null,
      queue: {
        get online() {
          return online;
        },
      } as unknown as Receiver["queue"],
      durable: true,
      effectiveQos: () => 1, // a rule that raises
      deliver: (p: Publication, options) => void got.push(`${p.topic} ${options & DELIVERY_QOS}`),
      congested: () => false,
    };
    router.join(uplink);
    router.subscribe(uplink, "$SYS/broker/clients/#", 1, 0);
    world.interval();
    assert.deepEqual(got, []);
    online = true;
    world.clients++;
    world.interval();
    assert.deepEqual(got, ["$SYS/broker/clients/total 0"]);
    assert.deepEqual(store.rows, []);
  });
});

describe("packets and payload bytes", () => {
  test("are counted once each, by type, in both directions; of a held packet once it is dealt with", () => {
    const { hub } = new World();
    const of = (name: string): number => hub.counters.get(`mqtt.${name}`);
    const peer = hub.connect({ version: 4, clientId: "a" });
    const sub = hub.connect({ version: 5, clientId: "b" });
    sub.send(subscribe(5, 1, ["t", 0]));
    peer.send(publish(4, { topic: "t", payload: "four" }));
    peer.send(publish(4, { topic: "t", payload: "fives", qos: 1, packetId: 1 }));
    peer.send(publish(4, { topic: "t", payload: "sevens!", qos: 2, packetId: 2 }), ack(PUBREL, 2), pingreq());
    assert.deepEqual(
      [of("connect.received"), of("subscribe.received"), of("publish.received"), of("pubrel.received")],
      [2, 1, 3, 1],
    );
    assert.deepEqual([of("connack.sent"), of("suback.sent"), of("puback.sent"), of("pubrec.sent")], [2, 1, 1, 1]);
    assert.deepEqual([of("pubcomp.sent"), of("pingreq.received"), of("pingresp.sent")], [1, 1, 1]);
    assert.deepEqual([of("publish.bytes_received"), of("publish.bytes_sent"), of("publish.sent")], [16, 16, 3]);
    peer.send(packet(UNSUBSCRIBE, 2, u16(9), field("t")));
    assert.deepEqual([of("unsubscribe.received"), of("unsuback.sent")], [1, 1]);
    assert.equal(of("packets_received"), 9);
    const sent = [peer, sub].flatMap((one) => one.take()).length;
    assert.equal(of("packets_sent"), sent);

    const kept = hub.connect({ version: 4, clientId: "kept", clean: false });
    kept.send(subscribe(4, 1, ["full", 1]));
    hub.settle();
    kept.drop();
    const held = hub.connect({ version: 4, clientId: "held" });
    hub.store.refusal = 0x97;
    const before = [of("publish.received"), of("publish.bytes_received")] as [number, number];
    held.send(publish(4, { topic: "full", payload: "12345", qos: 1, packetId: 1 }));
    hub.advance(1000);
    assert.deepEqual([of("publish.received"), of("publish.bytes_received")], before);
    hub.store.refusal = 0;
    hub.advance(1000);
    assert.deepEqual([of("publish.received"), of("publish.bytes_received")], [before[0] + 1, before[1] + 5]);
  });

  test("clients: those connected now, and the most that ever were", () => {
    const { hub } = new World();
    const peers = [1, 2, 3].map((n) => hub.connect({ version: 4, clientId: `c${n}` }));
    peers[0]?.drop();
    hub.connect({ version: 4, clientId: "c2" }); // takes over
    assert.deepEqual(
      [hub.registry.connectedCount, hub.registry.connectedMax, hub.counters.get("session.connected_max")],
      [2, 3, 3],
    );
    for (const peer of peers) peer.drop();
  });
});
