// Reason Strings: on everything negative to a 5.0 peer, in words that name the limit, and never too long for it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  CONNACK,
  type ConnectFields,
  connect,
  DISCONNECT,
  field,
  type Packet,
  type Part,
  PUBACK,
  PUBCOMP,
  PUBREC,
  PUBREL,
  packet,
  pingreq,
  properties,
  publish,
  readProperties,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  UNSUBACK,
  UNSUBSCRIBE,
  u16,
  u32,
} from "../../../support/mqtt-packets.ts";

const REASON_STRING = 0x1f;
const NO_PROBLEM_INFORMATION = [0x17, 0] as const;
const MAXIMUM_PACKET_SIZE = 0x27;

/** Where the properties of a packet from the gateway begin. */
const PROPERTIES_AT = new Map([
  [CONNACK, 2],
  [PUBACK, 3],
  [PUBREC, 3],
  [PUBREL, 3],
  [PUBCOMP, 3],
  [SUBACK, 2],
  [UNSUBACK, 2],
  [DISCONNECT, 1],
]);

/** The Reason String of the packet; undefined when it has none. */
function wordsOf({ type, body }: Packet): unknown {
  const from = PROPERTIES_AT.get(type) as number;
  return from >= body.length ? undefined : new Map(readProperties(body, from)).get(REASON_STRING);
}

function lastOf(peer: HubPeer, type: number): Packet {
  return peer.take().findLast((found) => found.type === type) as Packet;
}

/** A 5.0 peer that has read its CONNACK. */
function connected(hub: Hub, fields: Partial<ConnectFields> = {}): HubPeer {
  const peer = hub.connect({ version: 5, clientId: "a", ...fields });
  peer.take();
  return peer;
}

function sized(bytesMax: number): readonly Part[] {
  return [MAXIMUM_PACKET_SIZE, u32(bytesMax)];
}

/** A session that refuses what is published to `topic` with QoS 1, as its queue is full. */
function fullQueue(hub: Hub, topic: string): void {
  const peer = connected(hub, { clientId: "full", clean: false, expirySeconds: 100 });
  peer.send(subscribe(5, 1, [topic, 1]));
  hub.settle();
  peer.drop();
  for (let packetId = 1; packetId <= 3; packetId++)
    connected(hub, { clientId: "filler" }).send(publish(5, { topic, qos: 1, packetId }));
  hub.settle();
}

const SMALL = { sessionQueueMessages: 3, topicLevels: 20, subscriptionsPerClient: 2, maxPacketBytes: 5000 };

interface Case {
  readonly what: string;
  readonly words: string | RegExp;
  readonly type: number;
  readonly reason: number;
  readonly provoke: (hub: Hub, fields: Partial<ConnectFields>) => HubPeer;
}

/** A 5.0 CONNECT after which this happens. */
function after(...packets: Buffer[]): (hub: Hub, fields: Partial<ConnectFields>) => HubPeer {
  return (hub, fields) => {
    const peer = connected(hub, fields);
    peer.send(...packets);
    return peer;
  };
}

function at(fields: Partial<ConnectFields>): (hub: Hub, more: Partial<ConnectFields>) => HubPeer {
  return (hub, more) => hub.connect({ version: 5, clientId: "a", ...fields, ...more });
}

const WILL = { topic: "w", payload: "x", qos: 0, retain: false };
const DEEP = "a/".repeat(20);

const ACKS: readonly Case[] = [
  {
    what: "[MQTT5-3.4.2-2] PUBACK, a session's queue is full",
    type: PUBACK,
    reason: 0x97,
    words: "a session's queue is full: limits.session_queue_messages is 3, limits.session_queue_bytes 1048576",
    provoke: (hub, fields) => {
      fullQueue(hub, "full");
      return after(publish(5, { topic: "full", qos: 1, packetId: 1 }))(hub, fields);
    },
  },
  {
    what: "[MQTT5-3.5.2-2] PUBREC, the retained values are full",
    type: PUBREC,
    reason: 0x97,
    words: "the retained values are full: limits.retained_messages is 10000, limits.retained_bytes 1048576",
    provoke: (hub, fields) => {
      const filler = connected(hub, { clientId: "filler" });
      for (let i = 0; i < 10_000; i++) filler.send(publish(5, { topic: `${i}`, retain: true, payload: "x" }));
      return after(publish(5, { topic: "one", qos: 2, packetId: 1, retain: true, payload: "x" }))(hub, fields);
    },
  },
  {
    what: "PUBACK, $SYS",
    type: PUBACK,
    reason: 0x87,
    words: "the access list does not allow it",
    provoke: after(publish(5, { topic: "$SYS/x", qos: 1, packetId: 1 })),
  },
  {
    what: "[MQTT5-3.7.2-2] PUBCOMP of an unknown id",
    type: PUBCOMP,
    reason: 0x92,
    words: "no message with this packet identifier is under way",
    provoke: after(ack(PUBREL, 9)),
  },
  {
    what: "[MQTT5-3.6.2-2] PUBREL for the PUBREC of an unknown id",
    type: PUBREL,
    reason: 0x92,
    words: "no message with this packet identifier is under way",
    provoke: after(ack(PUBREC, 9)),
  },
];

const ENDINGS: readonly Case[] = [
  {
    what: "a topic too deep",
    type: DISCONNECT,
    reason: 0x90,
    words: "topic has 21 levels: limits.topic_levels is 20",
    provoke: after(publish(5, { topic: DEEP })),
  },
  {
    what: "a topic too long",
    type: DISCONNECT,
    reason: 0x90,
    words: "topic of 1025 bytes: limits.topic_bytes is 1024",
    provoke: after(publish(5, { topic: "a".repeat(1025) })),
  },
  {
    what: "a packet too large",
    type: DISCONNECT,
    reason: 0x95,
    words: "packet of 5005 bytes: limits.max_packet_bytes is 5000",
    provoke: after(publish(5, { topic: "t", payload: "x".repeat(4998) })),
  },
  {
    what: "a second CONNECT",
    type: DISCONNECT,
    reason: 0x82,
    words: "CONNECT against the rules of the protocol",
    provoke: after(connect({ version: 5, clientId: "a" })),
  },
  {
    what: "a malformed SUBSCRIBE",
    type: DISCONNECT,
    reason: 0x81,
    words: "malformed SUBSCRIBE",
    provoke: after(packet(SUBSCRIBE, 0, u16(1), properties(5), field("a"), 0)),
  },
  {
    what: "nothing heard",
    type: DISCONNECT,
    reason: 0x8d,
    words: "nothing came for 15 seconds",
    provoke: (hub, fields) => {
      const peer = connected(hub, { keepAliveSeconds: 10, ...fields });
      hub.advance(15_050);
      return peer;
    },
  },
  {
    what: "taken over",
    type: DISCONNECT,
    reason: 0x8e,
    words: "another connection came with this client id",
    provoke: (hub, fields) => {
      const peer = connected(hub, fields);
      connected(hub);
      return peer;
    },
  },
  {
    what: "the gateway stops",
    type: DISCONNECT,
    reason: 0x8b,
    words: "the gateway stops",
    provoke: (hub, fields) => {
      const peer = connected(hub, fields);
      hub.server.stop();
      return peer;
    },
  },
  {
    what: "a will too deep",
    type: CONNACK,
    reason: 0x90,
    words: "topic has 21 levels: limits.topic_levels is 20",
    provoke: at({ will: { ...WILL, topic: DEEP } }),
  },
  {
    what: "a will of the gateway's own",
    type: CONNACK,
    reason: 0x90,
    words: "$SYS is the gateway's own",
    provoke: at({ will: { ...WILL, topic: "$SYS/x" } }),
  },
  {
    what: "a property twice in CONNECT",
    type: CONNACK,
    reason: 0x82,
    words: "CONNECT against the rules of the protocol",
    provoke: (hub, { properties: more = [] }) => at({})(hub, { properties: [...more, 0x11, u32(1), 0x11, u32(1)] }),
  },
  {
    what: "another user's session",
    type: CONNACK,
    reason: 0x87,
    words: "the session of this client id belongs to another user",
    provoke: (hub, fields) => {
      connected(hub, { user: "one" });
      return at({ user: "two" })(hub, fields);
    },
  },
];

describe("[MQTT5-4.13.1-1] the end of a conversation says why", () => {
  for (const { what, words, type, reason, provoke } of ENDINGS) {
    test(`[MQTT5-3.14.2-3] [MQTT5-3.2.2-19] ${what}: words as long as the peer takes the packet`, () => {
      const found = lastOf(provoke(new Hub(undefined, SMALL), {}), type);
      assert.equal(found.body[type === CONNACK ? 1 : 0], reason);
      assert.equal(wordsOf(found), words);
      const bytes = 2 + found.body.length;
      // Connected peers have to take CONNACK, so the limit cannot be smaller than that.
      const bytesMin = 40;
      for (const bytesMax of [bytes, bytes - 1]) {
        if (bytesMax < bytesMin) continue;
        const short = lastOf(provoke(new Hub(undefined, SMALL), { properties: sized(bytesMax) }), type);
        assert.equal(wordsOf(short), bytesMax === bytes ? words : undefined);
        assert.equal(short.body[type === CONNACK ? 1 : 0], reason);
      }
      // [MQTT5-3.1.2-29] speaks of other packets than these two.
      const plain = lastOf(provoke(new Hub(undefined, SMALL), { properties: NO_PROBLEM_INFORMATION }), type);
      assert.equal(wordsOf(plain), words);
    });
  }

  test("before 5.0 there are no words", () => {
    const hub = new Hub(undefined, SMALL);
    const peer = hub.connect({ version: 4, clientId: "a" });
    peer.take();
    peer.send(publish(4, { topic: DEEP }));
    assert.deepEqual([peer.take(), peer.closed], [[], true]);
    const refused = hub.connect({ version: 4, clientId: "", clean: false });
    assert.deepEqual(
      refused.take().map(({ body }) => [...body]),
      [[0, 2]],
    );
  });

  test("the words of one fault do not reach the next conversation", () => {
    const hub = new Hub(undefined, SMALL);
    const silent = hub.open();
    // Malformed and without a CONNACK: words were made that nobody gets.
    silent.send(connect({ version: 4, clientId: "a", will: { ...WILL, topic: "a/#" } }));
    assert.equal(silent.closed, true);
    const peer = connected(hub);
    hub.server.stop();
    assert.equal(wordsOf(lastOf(peer, DISCONNECT)), "the gateway stops");
  });
});

describe("negative acknowledgements", () => {
  for (const { what, words, type, reason, provoke } of ACKS) {
    test(`${what}: words for who wants them and takes the packet`, () => {
      const found = lastOf(provoke(new Hub(undefined, SMALL), {}), type);
      assert.equal(found.body[2], reason);
      assert.equal(wordsOf(found), words);
      const bytes = 2 + found.body.length;
      for (const bytesMax of [bytes, bytes - 1]) {
        const short = lastOf(provoke(new Hub(undefined, SMALL), { properties: sized(bytesMax) }), type);
        assert.equal(wordsOf(short), bytesMax === bytes ? words : undefined);
        assert.equal(short.body[2], reason);
      }
    });

    test(`[MQTT5-3.1.2-29] ${what}: no words after Request Problem Information 0`, () => {
      const plain = lastOf(provoke(new Hub(undefined, SMALL), { properties: NO_PROBLEM_INFORMATION }), type);
      assert.deepEqual([plain.body.length, plain.body[2]], [3, reason]);
    });
  }

  const filters: [string, number][] = [
    ["a", 0],
    [DEEP, 0],
  ];

  test("[MQTT5-3.9.2-1] SUBACK names the first filter that was refused", () => {
    const hub = new Hub(undefined, SMALL);
    const peer = connected(hub);
    peer.send(subscribe(5, 1, ...filters));
    const suback = lastOf(peer, SUBACK);
    const words = "filter 2: limits.topic_bytes is 1024, limits.topic_levels 20";
    assert.equal(wordsOf(suback), words);
    assert.deepEqual([...suback.body.subarray(-2)], [0, 0x8f]);
    const bytes = 2 + suback.body.length;
    for (const bytesMax of [bytes, bytes - 1]) {
      const short = connected(hub, { clientId: `${bytesMax}`, properties: sized(bytesMax) });
      short.send(subscribe(5, 1, ...filters));
      assert.equal(wordsOf(lastOf(short, SUBACK)), bytesMax === bytes ? words : undefined);
    }
    peer.send(subscribe(5, 2, ["b", 0], ["c", 0]));
    assert.equal(
      wordsOf(lastOf(peer, SUBACK)),
      "filter 2: limits.subscriptions_per_client is 2, or no room for subscriptions is left",
    );
    // Nothing refused, nothing said.
    peer.send(subscribe(5, 3, ["a", 0]));
    assert.deepEqual([...lastOf(peer, SUBACK).body], [0, 3, 0, 0]);
  });

  test("[MQTT5-3.1.2-29] SUBACK and UNSUBACK have no words after Request Problem Information 0", () => {
    const peer = connected(new Hub(undefined, SMALL), { properties: NO_PROBLEM_INFORMATION });
    peer.send(subscribe(5, 1, ...filters), packet(UNSUBSCRIBE, 2, u16(2), properties(5), field("none")), pingreq());
    const packets = peer.take();
    assert.deepEqual([...(packets.find(({ type }) => type === SUBACK) as Packet).body], [0, 1, 0, 0, 0x8f]);
    assert.deepEqual([...(packets.find(({ type }) => type === UNSUBACK) as Packet).body], [0, 2, 0, 0x11]);
  });

  test("a refusal that waits behind others gets general words: nothing is kept for it", () => {
    const hub = new Hub(undefined, SMALL);
    fullQueue(hub, "full");
    const subscriber = connected(hub, { clientId: "s", clean: false, expirySeconds: 100 });
    subscriber.send(subscribe(5, 1, ["slow", 1]));
    hub.settle();
    const peer = connected(hub);
    peer.send(publish(5, { topic: "slow", qos: 1, packetId: 1 }), publish(5, { topic: "full", qos: 1, packetId: 2 }));
    assert.deepEqual(peer.take(), []);
    hub.settle();
    const [first, second] = peer.take() as [Packet, Packet];
    assert.deepEqual([...first.body], [0, 1]);
    assert.equal(second.body[2], 0x97);
    assert.equal(wordsOf(second), "a queue, the retained values or the disk is full");
  });
});
