// The exact code for each fault, with bytes by hand: 0x81 against 0x82, and what versions without the word do instead.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  AUTH,
  bytes,
  CONNACK,
  CONNECT,
  connect,
  DISCONNECT,
  field,
  PINGREQ,
  PINGRESP,
  packet,
  properties,
  SUBSCRIBE,
  u16,
  u32,
} from "../../../support/mqtt-packets.ts";

const MALFORMED = 0x81;
const PROTOCOL = 0x82;

/** Return codes of CONNACK before 5.0. */
const ACCEPTED = 0;
const BAD_VERSION = 1;
const BAD_CLIENT_ID = 2;
const UNAVAILABLE = 3;
const NOT_AUTHORIZED = 5;

/** A CONNECT of 3.1. */
function mqisdp(flags: number, clientId: string, fixedHeaderFlags = 0, level = 3, ...more: Buffer[]): Buffer {
  return packet(
    CONNECT,
    fixedHeaderFlags,
    bytes(field("MQIsdp"), level, flags, u16(60)),
    field(clientId),
    bytes(...more),
  );
}

function mqtt(level: number, flags: number, fixedHeaderFlags: number, ...payload: Buffer[]): Buffer {
  const block = level === 5 ? properties(5) : Buffer.alloc(0);
  return packet(CONNECT, fixedHeaderFlags, bytes(field("MQTT"), level, flags, u16(60)), block, bytes(...payload));
}

function withProperty(...parts: (number | Buffer)[]): Buffer {
  return packet(CONNECT, 0, bytes(field("MQTT"), 5, 2, u16(60)), properties(5, ...parts), field("a"));
}

function withWillProperty(...parts: (number | Buffer)[]): Buffer {
  const head = bytes(field("MQTT"), 5, 6, u16(60));
  return packet(CONNECT, 0, head, properties(5), field("a"), properties(5, ...parts), field("w"), field("p"));
}

/** What the peer got last: the reason of CONNACK or DISCONNECT; null = closed without a word. */
function answerTo(peer: HubPeer, ...packets: Buffer[]): number | null {
  peer.send(...packets);
  const last = peer.take().at(-1);
  if (last?.type === CONNACK) return last.body[1] as number;
  if (last?.type === DISCONNECT) return last.body[0] as number;
  assert.equal(last, undefined);
  return null;
}

const AT_CONNECT: readonly [what: string, packet: Buffer, answer: number | null][] = [
  // Protocol name and level.
  ["[MQTT311-3.1.2-2] MQTT at level 3", mqtt(3, 2, 0, field("a")), BAD_VERSION],
  ["[MQTT311-3.1.2-2] MQTT at level 0", mqtt(0, 2, 0, field("a")), BAD_VERSION],
  ["[MQTT5-3.1.2-2] MQTT at level 6, answered in the form of 5.0", mqtt(6, 2, 0, field("a")), 0x84],
  ["MQTT at level 127", mqtt(127, 2, 0, field("a")), 0x84],
  ["MQIsdp at level 4", mqisdp(2, "a", 0, 4), BAD_VERSION],
  ["MQIsdp at level 5", mqisdp(2, "a", 0, 5), BAD_VERSION],
  ["[MQTT311-3.1.2-1] MQTT in small letters", packet(CONNECT, 0, field("mqtt"), 4, 2, u16(60), field("a")), null],
  ["a bridge's bit in the level of 3.1.1 is accepted", mqtt(0x84, 2, 0, field("a")), ACCEPTED],
  // Fixed header.
  ["[MQTT5-2.1.3-1] flags in the fixed header of 5.0", mqtt(5, 2, 1, field("a")), MALFORMED],
  ["[MQTT311-2.2.2-2] flags in the fixed header of 3.1.1", mqtt(4, 2, 8, field("a")), null],
  ["flags in the fixed header of 3.1 are accepted: they have no meaning there", mqisdp(2, "a", 8), ACCEPTED],
  // Client id.
  ["3.1 with a client id of 23 bytes", mqisdp(2, "a".repeat(23)), ACCEPTED],
  ["3.1 with a client id of 24 bytes is accepted, as peers do", mqisdp(2, "a".repeat(24)), ACCEPTED],
  ["3.1 with an empty client id, clean", mqisdp(2, ""), BAD_CLIENT_ID],
  ["3.1 with an empty client id, not clean", mqisdp(0, ""), BAD_CLIENT_ID],
  ["[MQTT311-3.1.3-6] 3.1.1 with an empty client id, clean", mqtt(4, 2, 0, field("")), ACCEPTED],
  ["[MQTT311-3.1.3-8] 3.1.1 with an empty client id, not clean", mqtt(4, 0, 0, field("")), BAD_CLIENT_ID],
  ["[MQTT5-3.1.3-6] 5.0 with an empty client id, not clean", mqtt(5, 0, 0, field("")), ACCEPTED],
  ["a client id of 1,024 bytes", mqtt(5, 2, 0, field("a".repeat(1024))), ACCEPTED],
  ["[MQTT5-3.1.3-8] a client id of 1,025 bytes, 5.0", mqtt(5, 2, 0, field("a".repeat(1025))), 0x85],
  ["a client id of 1,025 bytes, 3.1.1", mqtt(4, 2, 0, field("a".repeat(1025))), BAD_CLIENT_ID],
  // Connect flags.
  ["3.1 with the reserved connect flag", mqisdp(3, "a"), ACCEPTED],
  ["[MQTT5-3.1.2-11] a will's QoS without a will", mqtt(5, 0x0a, 0, field("a")), MALFORMED],
  ["[MQTT5-3.1.2-13] a will's RETAIN without a will", mqtt(5, 0x22, 0, field("a")), MALFORMED],
  ["[MQTT5-3.1.2-12] a will of QoS 3", mqtt(5, 0x1e, 0, field("a"), properties(5), field("w"), field("p")), MALFORMED],
  ["a password without a user name, 5.0", mqtt(5, 0x42, 0, field("a"), field("p")), ACCEPTED],
  ["[MQTT311-3.1.2-22] a password without a user name, 3.1.1", mqtt(4, 0x42, 0, field("a"), field("p")), null],
  ["3.1 with the flag of a user name that is missing", mqisdp(0x82, "a"), ACCEPTED],
  ["3.1.1 with the flag of a user name that is missing", mqtt(4, 0x82, 0, field("a")), null],
  ["5.0 with the flag of a user name that is missing", mqtt(5, 0x82, 0, field("a")), MALFORMED],
  // Properties: what cannot be read is malformed, what can be read and may not be is against the protocol.
  ["[MQTT5-2.2.2-1] no property length", packet(CONNECT, 0, field("MQTT"), 5, 2, u16(60)), MALFORMED],
  ["an unknown property", withProperty(0x7f, 0), MALFORMED],
  ["a property of PUBLISH", withProperty(0x23, u16(1)), MALFORMED],
  ["Server Keep Alive, which is the server's", withProperty(0x13, u16(1)), MALFORMED],
  ["a property cut off", withProperty(0x11, u16(1)), MALFORMED],
  ["Maximum Packet Size 0", withProperty(0x27, u32(0)), PROTOCOL],
  ["Receive Maximum 0", withProperty(0x21, u16(0)), PROTOCOL],
  ["Request Problem Information 2", withProperty(0x17, 2), PROTOCOL],
  ["Request Response Information 2", withProperty(0x19, 2), PROTOCOL],
  ["Topic Alias Maximum twice", withProperty(0x22, u16(1), 0x22, u16(1)), PROTOCOL],
  ["Authentication Data without a method", withProperty(0x16, field("x")), PROTOCOL],
  [
    "a User Property twice is none's fault",
    withProperty(0x26, field("a"), field("b"), 0x26, field("a"), field("b")),
    0,
  ],
  ["a User Property that is not UTF-8", withProperty(0x26, field(Buffer.from([0xff])), field("b")), MALFORMED],
  ["Payload Format Indicator 2 of a will", withWillProperty(0x01, 2), PROTOCOL],
  ["Will Delay Interval twice", withWillProperty(0x18, u32(1), 0x18, u32(1)), PROTOCOL],
  ["a Subscription Identifier of a will", withWillProperty(0x0b, 1), MALFORMED],
  ["a wildcard in the Response Topic of a will", withWillProperty(0x08, field("a/#")), PROTOCOL],
];

describe("CONNECT", () => {
  for (const [what, hello, answer] of AT_CONNECT) {
    const words = answer === null ? "closed without a word" : `CONNACK 0x${answer.toString(16).padStart(2, "0")}`;
    test(`${what}: ${words}`, () => {
      const peer = new Hub().open();
      assert.equal(answerTo(peer, hello), answer);
      assert.equal(peer.closed, answer !== ACCEPTED);
    });
  }

  test("[MQTT311-3.1.0-1] [MQTT5-3.1.0-1] anything else first closes without a word, whole or not", () => {
    for (let type = 0; type <= 15; type++) {
      if (type === CONNECT) continue;
      for (const first of [packet(type, 0, u16(1)), Buffer.from([type << 4])]) {
        const peer = new Hub().open();
        assert.equal(answerTo(peer, first), null, `${type}`);
        assert.equal(peer.closed, true);
      }
    }
  });

  test("[MQTT311-3.1.0-2] [MQTT5-3.1.0-2] a second CONNECT closes, in 5.0 with 0x82, whatever it names", () => {
    for (const second of [connect({ version: 5, clientId: "a" }), mqisdp(2, "a"), packet(CONNECT, 0)]) {
      assert.equal(answerTo(new Hub().open(), connect({ version: 5, clientId: "a" }), second), PROTOCOL);
      const older = new Hub().open();
      older.send(connect({ version: 4, clientId: "a" }));
      older.take();
      assert.equal(answerTo(older, second), null);
      assert.equal(older.closed, true);
    }
  });

  test("while the gateway stops: 0x8B, before 5.0 return code 3", () => {
    const hub = new Hub();
    hub.server.stopping = true;
    assert.equal(answerTo(hub.open(), connect({ version: 5, clientId: "a" })), 0x8b);
    assert.equal(answerTo(hub.open(), connect({ version: 4, clientId: "a" })), UNAVAILABLE);
  });

  test("no room for one more session: 0x97, before 5.0 return code 3", () => {
    const hub = new Hub(undefined, { maxSessions: 1 });
    hub.connect({ version: 5, clientId: "a" });
    assert.equal(answerTo(hub.open(), connect({ version: 5, clientId: "b" })), 0x97);
    assert.equal(answerTo(hub.open(), connect({ version: 4, clientId: "b" })), UNAVAILABLE);
    assert.equal(hub.counters.get("session.refused"), 2);
    assert.equal(answerTo(hub.open(), connect({ version: 4, clientId: "a" })), ACCEPTED);
  });
});

describe("[MQTT5-3.1.4-3] [MQTT311-3.1.4-2] takeover", () => {
  for (const version of [4, 5] as const) {
    test(`the old connection is closed, ${version === 5 ? "told 0x8E" : "without a word"}; the new one is let in`, () => {
      const hub = new Hub();
      const old = hub.connect({ version, clientId: "a", user: "one" });
      old.take();
      const next = hub.open();
      assert.equal(answerTo(next, connect({ version: 5, clientId: "a", user: "one" })), ACCEPTED);
      assert.equal(old.closed, true);
      const goodbye = old.take().map(({ type, body }) => [type, body[0]]);
      assert.deepEqual(goodbye, version === 5 ? [[DISCONNECT, 0x8e]] : []);
      assert.equal(hub.counters.get("session.taken_over"), 1);
    });

    test(`another user name is refused with ${version === 5 ? "0x87" : "return code 5"}, and the old one stays`, () => {
      for (const old of [
        { version: 5, clientId: "a", user: "one" },
        { version: 5, clientId: "a", user: "one", clean: false, expirySeconds: 60 },
      ] as const) {
        const hub = new Hub();
        const first = hub.connect(old);
        first.take();
        const refused = answerTo(hub.open(), connect({ version, clientId: "a", user: "two" }));
        assert.equal(refused, version === 5 ? 0x87 : NOT_AUTHORIZED);
        assert.equal(first.closed, false);
        assert.deepEqual(first.take(), []);
        // A session that is away is owned, too.
        first.drop();
        const expected = "clean" in old ? refused : ACCEPTED;
        assert.equal(answerTo(hub.open(), connect({ version, clientId: "a", user: "two" })), expected);
      }
    });
  }
});

describe("SUBSCRIBE options", () => {
  const options: readonly [what: string, filter: string, byte: number, reason: number][] = [
    ["[MQTT5-3.8.3-5] reserved bits", "a", 0x40, MALFORMED],
    ["QoS 3", "a", 0x03, PROTOCOL],
    ["Retain Handling 3", "a", 0x30, PROTOCOL],
    ["[MQTT5-3.8.3-4] No Local on a shared subscription", "$share/g/a", 0x04, PROTOCOL],
  ];
  for (const [what, filter, byte, reason] of options) {
    test(`${what}: 0x${reason.toString(16)}`, () => {
      const peer = new Hub().connect({ version: 5, clientId: "a" });
      peer.take();
      assert.equal(answerTo(peer, packet(SUBSCRIBE, 2, u16(1), properties(5), field(filter), byte)), reason);
    });
  }

  test("a Subscription Identifier of 0 or twice: 0x82", () => {
    for (const block of [
      [0x0b, 0],
      [0x0b, 1, 0x0b, 2],
    ]) {
      const peer = new Hub().connect({ version: 5, clientId: "a" });
      peer.take();
      const wrong = packet(SUBSCRIBE, 2, u16(1), properties(5, ...block), field("a"), 0);
      assert.equal(answerTo(peer, wrong), PROTOCOL);
    }
  });
});

test("3.1 gives the flags of PINGREQ and DISCONNECT no meaning; later versions close", () => {
  for (const [hello, alive] of [
    [mqisdp(2, "a"), true],
    [mqtt(4, 2, 0, field("a")), false],
    [mqtt(5, 2, 0, field("a")), false],
  ] as const) {
    const peer = new Hub().open();
    peer.send(hello);
    peer.take();
    peer.send(packet(PINGREQ, 8));
    assert.equal(peer.closed, !alive);
    if (!alive) continue;
    assert.deepEqual(
      peer.take().map(({ type }) => type),
      [PINGRESP],
    );
    peer.send(packet(DISCONNECT, 8));
    assert.equal(peer.closed, true);
  }
});

test("AUTH of a client that named no method: 0x82, before 5.0 closed", () => {
  for (const version of [4, 5] as const) {
    const peer = new Hub().connect({ version, clientId: "a" });
    peer.take();
    assert.equal(answerTo(peer, packet(AUTH, 0)), version === 5 ? PROTOCOL : null);
    assert.equal(peer.closed, true);
  }
});
