// Each limit at its last step and one beyond: the answer by version, and the counter. The table is in README.md.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  bytes,
  CONNACK,
  type ConnectFields,
  DISCONNECT,
  field,
  type Packet,
  type Part,
  PUBACK,
  PUBLISH,
  packet,
  publish,
  readAck,
  readPublish,
  readSuback,
  SUBACK,
  subscribe,
  u16,
  u32,
  type Version,
} from "../../../support/mqtt-packets.ts";

const BOTH: readonly Version[] = [4, 5];
/** Bytes of the message's own that a queue counts besides its content. */
const OVERHEAD_BYTES = 128;

function connected(hub: Hub, fields: Partial<ConnectFields> = {}): HubPeer {
  const peer = hub.connect({ version: 5, clientId: "a", ...fields });
  peer.take();
  return peer;
}

function of(peer: HubPeer, type: number): Packet[] {
  return peer.take().filter((found) => found.type === type);
}

/** Closed, and in 5.0 told this. */
function assertClosed(peer: HubPeer, version: Version, reason: number): void {
  assert.equal(peer.closed, true);
  const told = of(peer, DISCONNECT).map(({ body }) => body[0]);
  assert.deepEqual(told, version === 5 ? [reason] : []);
}

function connackOf(peer: HubPeer): number | undefined {
  return of(peer, CONNACK)[0]?.body[1];
}

/** The reason of the PUBACK to a QoS 1 publish; undefined = none came. */
function pubackTo(hub: Hub, peer: HubPeer, message: { topic: string; payload: string; retain?: boolean }) {
  peer.send(publish(5, { ...message, qos: 1, packetId: 7 }));
  hub.settle();
  const [found] = of(peer, PUBACK);
  return found === undefined ? undefined : readAck(found).reason;
}

/** A session that keeps `topic` while its client is away. */
function away(hub: Hub, clientId: string, topic: string): void {
  const peer = connected(hub, { clientId, clean: false, expirySeconds: 1000 });
  peer.send(subscribe(5, 1, [topic, 1]));
  hub.settle();
  peer.drop();
}

function waiting(hub: Hub, clientId: string): string[] {
  const peer = hub.connect({ version: 5, clientId, clean: false, expirySeconds: 1000 });
  return of(peer, PUBLISH).map((found) => readPublish(5, found).payload);
}

describe("session_queue_messages, session_queue_bytes", () => {
  const limits: readonly [what: string, change: object][] = [
    ["session_queue_messages", { sessionQueueMessages: 3 }],
    ["session_queue_bytes", { sessionQueueBytes: 3 * (OVERHEAD_BYTES + 2) }],
  ];
  for (const [what, change] of limits) {
    test(`${what}: drop-newest drops the fourth, counted; its publisher is told 0x97 as nobody else keeps it`, () => {
      const hub = new Hub(undefined, change);
      away(hub, "s", "t");
      const publisher = connected(hub);
      const answers = ["1", "2", "3", "4"].map((payload) => pubackTo(hub, publisher, { topic: "t", payload }));
      assert.deepEqual(answers, [0, 0, 0, 0x97]);
      assert.equal(hub.counters.get("router.refused"), 1);
      assert.deepEqual(waiting(hub, "s"), ["1", "2", "3"]);
    });

    test(`${what}: with somebody who keeps it, the full session alone goes without, listed in the ledger`, () => {
      const hub = new Hub(undefined, change);
      away(hub, "s", "t");
      const publisher = connected(hub);
      for (const payload of ["1", "2", "3"]) pubackTo(hub, publisher, { topic: "t", payload });
      away(hub, "other", "t");
      assert.equal(pubackTo(hub, publisher, { topic: "t", payload: "4" }), 0);
      assert.equal(hub.counters.get("drops.queue-full"), 1);
      assert.deepEqual(
        hub.ledger.entries().map(({ receiver, cause }) => [receiver, cause]),
        [["session:s", "queue-full"]],
      );
    });

    test(`${what}: drop-oldest takes the fourth and drops the first`, () => {
      const hub = new Hub(undefined, { ...change, sessionWhenFull: "drop-oldest" });
      away(hub, "s", "t");
      const publisher = connected(hub);
      for (const payload of ["1", "2", "3", "4"]) assert.equal(pubackTo(hub, publisher, { topic: "t", payload }), 0);
      // And a 64th of the limit more, which is less than a message here, but may cost one.
      const left = waiting(hub, "s");
      assert.deepEqual(left, ["2", "3", "4"].slice(-left.length));
      assert.ok(left.length >= 2);
      assert.equal(hub.counters.get("drops.queue-full"), 4 - left.length);
    });

    test(`${what}: refuse refuses the fourth for all; MQTT 3 is held for limits.refusal_hold, then closed`, () => {
      const hub = new Hub(undefined, { ...change, sessionWhenFull: "refuse", refusalHoldMs: 4000 });
      away(hub, "s", "t");
      const publisher = connected(hub);
      for (const payload of ["1", "2", "3"]) pubackTo(hub, publisher, { topic: "t", payload });
      away(hub, "other", "t");
      assert.equal(pubackTo(hub, publisher, { topic: "t", payload: "4" }), 0x97);
      const older = connected(hub, { version: 4, clientId: "old", keepAliveSeconds: 0 });
      older.send(publish(4, { topic: "t", qos: 1, packetId: 1, payload: "5" }));
      hub.advance(3999);
      assert.deepEqual([older.take(), older.closed, older.paused], [[], false, true]);
      hub.advance(250);
      assertClosed(older, 4, 0x97);
      assert.equal(hub.counters.get("mqtt.publish.held"), 1);
      assert.deepEqual(waiting(hub, "other"), []);
    });
  }
});

describe("retained values", () => {
  test("those that have expired make room, also below a level that begins with $", () => {
    const hub = new Hub(undefined, { retainedMessages: 2 });
    const peer = hub.connect({ version: 5, clientId: "a" });
    const expiry = [0x02, 0, 0, 0, 1];
    for (const topic of ["$/1", "t/2"]) peer.send(publish(5, { topic, payload: "1.000", retain: true }, ...expiry));
    hub.advance(2_000);
    for (const topic of ["t/3", "t/4"]) peer.send(publish(5, { topic, payload: "1.000", retain: true }));
    assert.deepEqual([hub.counters.get("retained.refused"), hub.retained.count], [0, 2]);
    assert.deepEqual([...hub.retained.match("t/+")].filter((topic) => topic !== null).sort(), ["t/3", "t/4"]);
  });

  const limits: readonly [what: string, change: object][] = [
    ["retained_messages", { retainedMessages: 2 }],
    ["retained_bytes", { retainedBytes: 2 * ("t/1".length + 5) }],
  ];
  for (const [what, change] of limits) {
    test(`${what}: the third is refused with 0x97; one that replaces or deletes is not`, () => {
      const hub = new Hub(undefined, change);
      const peer = connected(hub);
      const retained = (topic: string, payload: string) => pubackTo(hub, peer, { topic, payload, retain: true });
      assert.deepEqual([retained("t/1", "1.000"), retained("t/2", "2.000")], [0, 0]);
      assert.equal(retained("t/3", "3.000"), 0x97);
      assert.equal(hub.counters.get("retained.refused"), 1);
      assert.equal(retained("t/2", "2.001"), 0);
      assert.equal(retained("t/1", ""), 0);
      assert.equal(retained("t/3", "3.000"), 0);
      assert.deepEqual([hub.retained.count, hub.retained.bytes], [2, 16]);
    });

    test(`${what}: a QoS 0 value is sent on and not kept, counted; MQTT 3 at QoS 1 is held, then closed`, () => {
      const hub = new Hub(undefined, change);
      const reader = connected(hub, { clientId: "r" });
      reader.send(subscribe(5, 1, ["#", 0]));
      const peer = connected(hub);
      for (let i = 1; i <= 3; i++) peer.send(publish(5, { topic: `t/${i}`, payload: `${i}.000`, retain: true }));
      assert.equal(of(reader, PUBLISH).length, 3);
      assert.deepEqual([hub.retained.count, hub.counters.get("retained.refused")], [2, 1]);
      const older = connected(hub, { version: 4, clientId: "old", keepAliveSeconds: 0 });
      older.send(publish(4, { topic: "t/3", qos: 1, packetId: 1, payload: "3.000", retain: true }));
      assert.equal(older.closed, false);
      hub.advance(10_250);
      assertClosed(older, 4, 0x97);
    });
  }

  test("retained_payload_bytes: one byte more is refused with 0x97; MQTT 3 is closed at once", () => {
    for (const version of BOTH) {
      const hub = new Hub(undefined, { retainedPayloadBytes: 10 });
      const peer = connected(hub, { version });
      peer.send(publish(version, { topic: "t", qos: 1, packetId: 1, payload: "x".repeat(10), retain: true }));
      hub.settle();
      assert.equal(of(peer, PUBACK).length, 1);
      peer.send(publish(version, { topic: "u", qos: 1, packetId: 2, payload: "x".repeat(11), retain: true }));
      if (version === 5) assert.equal(readAck(of(peer, PUBACK)[0] as Packet).reason, 0x97);
      else assertClosed(peer, 4, 0x97);
      assert.deepEqual([hub.retained.count, hub.counters.get("retained.refused")], [1, 1]);
      // Without RETAIN it may be as large as any.
      const other = connected(hub, { version, clientId: "b" });
      other.send(publish(version, { topic: "u", qos: 1, packetId: 2, payload: "x".repeat(11) }));
      hub.settle();
      assert.equal(of(other, PUBACK).length, 1);
    }
  });

  test("retained_payload_bytes: at QoS 0 a larger one is sent on and not kept, and the value before stays", () => {
    const hub = new Hub(undefined, { retainedPayloadBytes: 10 });
    const reader = connected(hub, { clientId: "r" });
    reader.send(subscribe(5, 1, ["#", 0]));
    const peer = connected(hub);
    for (const length of [10, 11]) peer.send(publish(5, { topic: "t", payload: "x".repeat(length), retain: true }));
    assert.equal(of(reader, PUBLISH).length, 2);
    assert.deepEqual([hub.retained.bytes, hub.counters.get("retained.refused")], [11, 1]);
  });

  test("retained_payload_bytes: a retained will beyond it is refused with 0x97, before 5.0 with return code 3", () => {
    for (const version of BOTH) {
      const hub = new Hub(undefined, { retainedPayloadBytes: 10 });
      const will = { topic: "w", qos: 0, retain: true, payload: "x".repeat(10) };
      assert.equal(connackOf(hub.connect({ version, clientId: "a", will })), 0);
      const longer = hub.connect({ version, clientId: "b", will: { ...will, payload: "x".repeat(11) } });
      assert.equal(connackOf(longer), version === 5 ? 0x97 : 3);
      assert.equal(hub.counters.get("mqtt.refused.retained_payload_bytes"), 1);
    }
  });
});

describe("max_packet_bytes", () => {
  for (const version of BOTH) {
    test(`one byte more closes, ${version === 5 ? "with 0x95" : "before 5.0 without a word"}`, () => {
      const hub = new Hub(undefined, { maxPacketBytes: 1024 });
      const sized = (length: number) => {
        const empty = publish(version, { topic: "t", payload: "x".repeat(200) }).length - 200;
        const made = publish(version, { topic: "t", payload: "x".repeat(length - empty) });
        assert.equal(made.length, length);
        return made;
      };
      const peer = connected(hub, { version });
      peer.send(sized(1024));
      assert.equal(peer.closed, false);
      // Its first bytes are enough.
      peer.send(sized(1025).subarray(0, 3));
      assertClosed(peer, version, 0x95);
      assert.equal(hub.counters.get("mqtt.refused.max_packet_bytes"), 1);
    });
  }
});

describe("topic_levels, topic_bytes", () => {
  const limits = { topicLevels: 4, topicBytes: 20 };
  const cases: readonly [key: string, fits: string, beyond: string][] = [
    ["topic_levels", "a/b/c/d", "a/b/c/d/e"],
    ["topic_bytes", "x".repeat(20), "x".repeat(21)],
  ];
  for (const [key, fits, beyond] of cases) {
    for (const version of BOTH) {
      const five = version === 5;
      test(`${key}: PUBLISH beyond it closes, ${five ? "with 0x90" : "before 5.0 without a word"}`, () => {
        const hub = new Hub(undefined, limits);
        const peer = connected(hub, { version });
        peer.send(publish(version, { topic: fits }));
        assert.equal(peer.closed, false);
        peer.send(publish(version, { topic: beyond }));
        assertClosed(peer, version, 0x90);
        assert.equal(hub.counters.get(`mqtt.refused.${key}`), 1);
      });

      test(`${key}: a filter beyond it is refused with ${five ? "0x8F" : "0x80"}, the others are not`, () => {
        const hub = new Hub(undefined, limits);
        const peer = connected(hub, { version });
        peer.send(subscribe(version, 1, [fits, 0], [beyond, 0], ["ok", 1]));
        assert.deepEqual(readSuback(version, of(peer, SUBACK)[0] as Packet), [0, five ? 0x8f : 0x80, 1]);
        assert.equal(hub.counters.get(`mqtt.refused.${key}`), 1);
      });

      test(`${key}: a will beyond it is refused, ${five ? "with 0x90" : "before 5.0 without CONNACK"}`, () => {
        const hub = new Hub(undefined, limits);
        const will = { payload: "x", qos: 0, retain: false };
        assert.equal(connackOf(hub.connect({ version, clientId: "a", will: { ...will, topic: fits } })), 0);
        const refused = hub.connect({ version, clientId: "b", will: { ...will, topic: beyond } });
        assert.deepEqual([connackOf(refused), refused.closed], [five ? 0x90 : undefined, true]);
        assert.equal(hub.counters.get(`mqtt.refused.${key}`), 1);
      });
    }
  }
});

describe("string_bytes", () => {
  const FITS = "x".repeat(100);
  const BEYOND = "x".repeat(101);
  const limited = () => new Hub(undefined, { stringBytes: 100 });

  /** CONNACK's code to a CONNECT with the string, at the limit and beyond. */
  function atAndBeyond(fieldsWith: (text: string) => ConnectFields): (number | undefined)[] {
    const hub = limited();
    const codes = [FITS, BEYOND].map((text) => connackOf(hub.connect(fieldsWith(text))));
    assert.equal(hub.counters.get("mqtt.refused.string_bytes"), 1);
    return codes;
  }

  for (const version of BOTH) {
    const five = version === 5;
    test(`a client id beyond it is refused with ${five ? "0x85" : "return code 2"}`, () => {
      assert.deepEqual(
        atAndBeyond((clientId) => ({ version, clientId })),
        [0, five ? 0x85 : 2],
      );
    });

    test(`a user name beyond it is refused with ${five ? "0x86" : "return code 4"}`, () => {
      assert.deepEqual(
        atAndBeyond((user) => ({ version, clientId: user.slice(0, 5), user })),
        [0, five ? 0x86 : 4],
      );
    });
  }

  const userProperty = (name: string, value: string): Part[] => [0x26, field(name), field(value)];
  const strings: readonly [what: string, properties: (text: string) => Part[]][] = [
    ["the name of a User Property", (text) => userProperty(text, "v")],
    ["the value of a User Property, behind others", (text) => [...userProperty("a", "b"), ...userProperty("n", text)]],
  ];
  const messageStrings: typeof strings = [
    ...strings,
    ["Content Type", (text) => [0x02, u32(60), 0x03, field(text)]],
    ["Response Topic", (text) => [0x08, field(text)]],
  ];

  for (const [what, make] of strings) {
    test(`${what} in CONNECT beyond it is refused with 0x97`, () => {
      assert.deepEqual(
        atAndBeyond((text) => ({ version: 5, clientId: "a", properties: make(text) })),
        [0, 0x97],
      );
    });
  }

  for (const [what, make] of messageStrings) {
    test(`${what} of a will beyond it is refused with 0x97`, () => {
      const will = { topic: "w", payload: "x", qos: 0, retain: false };
      assert.deepEqual(
        atAndBeyond((text) => ({ version: 5, clientId: "a", will: { ...will, properties: make(text) } })),
        [0, 0x97],
      );
    });

    test(`${what} of a PUBLISH beyond it closes with 0x97`, () => {
      const hub = limited();
      const peer = connected(hub);
      peer.send(publish(5, { topic: "t" }, bytes(...make(FITS)), ...userProperty("more", FITS)));
      assert.equal(peer.closed, false);
      peer.send(publish(5, { topic: "t" }, bytes(...make(BEYOND))));
      assertClosed(peer, 5, 0x97);
      assert.equal(hub.counters.get("mqtt.refused.string_bytes"), 1);
    });
  }

  test("binary data is no string: Correlation Data may be longer", () => {
    const peer = connected(limited());
    peer.send(publish(5, { topic: "t" }, 0x09, field(BEYOND)));
    assert.equal(peer.closed, false);
  });
});

test("subscriptions_per_client: one more is refused with 0x97, before 5.0 with 0x80; one again is not", () => {
  for (const version of BOTH) {
    const hub = new Hub(undefined, { subscriptionsPerClient: 2 });
    const peer = connected(hub, { version });
    peer.send(subscribe(version, 1, ["a", 0], ["b", 0], ["c", 0], ["a", 1]));
    assert.deepEqual(readSuback(version, of(peer, SUBACK)[0] as Packet), [0, 0, version === 5 ? 0x97 : 0x80, 1]);
    assert.equal(hub.counters.get("session.subscriptions_refused"), 1);
  }
});

test("subscriptions_per_client: all clients together have a 48th of memory_limit", () => {
  const hub = new Hub(1 << 20, { subscriptionsPerClient: 10_000 });
  const granted = (peer: HubPeer): number => {
    for (let i = 0; ; i++) {
      peer.send(subscribe(5, 1, [`filter/${i}`, 0]));
      if (readSuback(5, of(peer, SUBACK)[0] as Packet)[0] === 0x97) return i;
    }
  };
  const first = connected(hub, { clientId: "a" });
  const most = granted(first);
  assert.ok(most > 50 && most * 160 <= (1 << 20) / 48, `${most}`);
  assert.equal(granted(connected(hub, { clientId: "b" })), 0);
  assert.equal(hub.counters.get("session.subscriptions_refused"), 2);
  first.drop();
  assert.equal(granted(connected(hub, { clientId: "c" })), most);
});

test("inflight: as many QoS 1 messages are under way, the next follows an acknowledgement", () => {
  const hub = new Hub(undefined, { inflight: 3 });
  const subscriber = connected(hub, { clientId: "s" });
  subscriber.send(subscribe(5, 1, ["t", 1]));
  subscriber.take();
  const publisher = connected(hub);
  for (let packetId = 1; packetId <= 5; packetId++)
    publisher.send(publish(5, { topic: "t", qos: 1, packetId, payload: `${packetId}` }));
  const sent = of(subscriber, PUBLISH).map((found) => readPublish(5, found));
  assert.deepEqual(
    sent.map(({ payload }) => payload),
    ["1", "2", "3"],
  );
  subscriber.send(packet(PUBACK, 0, u16(sent[0]!.packetId)));
  assert.deepEqual(
    of(subscriber, PUBLISH).map((found) => readPublish(5, found).payload),
    ["4"],
  );
});

test("output_bytes: what a peer does not read at QoS 0 is dropped for it, counted and listed", () => {
  const hub = new Hub();
  const subscriber = connected(hub, { clientId: "s" });
  subscriber.send(subscribe(5, 1, ["t", 0]));
  subscriber.take();
  subscriber.blocked = true;
  connected(hub).send(publish(5, { topic: "t", payload: "lost" }));
  subscriber.blocked = false;
  connected(hub).send(publish(5, { topic: "t", payload: "seen" }));
  assert.deepEqual(
    of(subscriber, PUBLISH).map((found) => readPublish(5, found).payload),
    ["seen"],
  );
  assert.deepEqual([hub.counters.get("session.output_full"), hub.counters.get("drops.output-full")], [1, 1]);
});

test("long client ids take room from other sessions", () => {
  const memoryLimitBytes = 1 << 20;
  const count = (idBytes: number): number => {
    const hub = new Hub(memoryLimitBytes, { maxSessions: 10_000 });
    for (let i = 0; ; i++) {
      const peer = hub.connect({ version: 5, clientId: `${i}`.padEnd(idBytes, "x") });
      if (connackOf(peer) !== 0) return hub.registry.count;
    }
  };
  assert.equal(count(64), 73);
  assert.ok(count(1024) < 40);
});

test("wills and QoS 2 ids take at most half of the sessions' memory: newcomers without them are let in", () => {
  const hub = new Hub(1 << 20, { maxSessions: 10_000 });
  let refused = 0;
  for (let i = 0; i < 40; i++) {
    const will = { topic: "t", payload: "x".repeat(4000), qos: 1, retain: false };
    if (connackOf(hub.connect({ version: 5, clientId: `w${i}`, will })) !== 0) refused++;
  }
  const hoarder = connected(hub, { clientId: "hoards" });
  for (let packetId = 1; packetId <= 1000; packetId++)
    hoarder.send(publish(5, { topic: "t", payload: "", qos: 2, packetId }));
  assert.ok(refused > 0);
  assert.equal(hub.counters.get("session.wills_refused"), refused);
  assert.ok(hub.registry.inboundMemory.used <= (1 << 20) / 7 / 2);
  for (let i = 0; i < 10; i++) assert.equal(connackOf(hub.connect({ version: 4, clientId: `n${i}` })), 0);
});
