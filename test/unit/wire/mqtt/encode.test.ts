/** Writers: every vector gives its bytes, nothing outside them is touched, and what does not fit is said. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  PUBACK,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../../../src/wire/mqtt/codes.ts";
import { writeDisconnect } from "../../../../src/wire/mqtt/disconnect.ts";
import { PINGREQ_FRAME, PINGRESP_FRAME } from "../../../../src/wire/mqtt/ping.ts";
import { PropertiesWriter } from "../../../../src/wire/mqtt/properties.ts";
import { bytes } from "./bytes.ts";
import { decodePacket, encodePacket, type Packet } from "./packets.ts";
import { VECTORS } from "./vectors.ts";

describe("writers give the bytes of", () => {
  for (const vector of VECTORS.filter((each) => each.decodeOnly !== true)) {
    it(vector.title, () => {
      const frame = bytes(vector.bytes);
      const out = Buffer.alloc(frame.length + 20, 0xee);
      assert.equal(encodePacket(vector.packet, vector.version, out, 10), 10 + frame.length);
      assert.equal(out.toString("hex", 10, 10 + frame.length), frame.toString("hex"));
      assert.equal(out.toString("hex", 0, 10) + out.toString("hex", 10 + frame.length), "ee".repeat(20));
    });
  }
});

describe("encoders that check the room themselves", () => {
  for (const vector of VECTORS.filter((each) => isChecked(each.packet) && each.decodeOnly !== true)) {
    it(`answer -1 without a byte written when one is missing: ${vector.title}`, () => {
      const length = bytes(vector.bytes).length;
      const exact = Buffer.alloc(length + 3, 0xee);
      assert.equal(encodePacket(vector.packet, vector.version, exact, 3), length + 3);
      const short = Buffer.alloc(length + 2, 0xee);
      assert.equal(encodePacket(vector.packet, vector.version, short, 3), -1);
      assert.ok(short.every((byte) => byte === 0xee));
    });
  }

  it("answer -1 to a text of more than 65,535 bytes, and write one of exactly that", () => {
    const out = Buffer.alloc(140_000);
    for (const [length, fits] of [
      [65_535, true],
      [65_536, false],
    ] as const) {
      const long = "x".repeat(length);
      const packets: Packet[] = [
        connect({ clientId: long }),
        connect({ userName: long }),
        connect({ password: long }),
        connect({ will: { topic: long, payload: "", qos: 0, retain: false, properties: {} } }),
        connect({ will: { topic: "w", payload: long, qos: 0, retain: false, properties: {} } }),
        { type: SUBSCRIBE, packetId: 1, subscriptions: [{ filter: long, qos: 0, ...OPTIONS }], properties: {} },
        { type: UNSUBSCRIBE, packetId: 1, filters: [long], properties: {} },
      ];
      for (const packet of packets) {
        const next = encodePacket(packet, 5, out, 0);
        assert.equal(next > 0, fits);
        if (fits) assert.deepEqual(decodePacket(out, 0, next, 5).packet, packet);
      }
    }
  });
});

describe("before 5.0", () => {
  const out = Buffer.alloc(100);

  it("SUBACK says every refusal as 0x80", () => {
    const next = encodePacket(
      { type: SUBACK, packetId: 1, codes: [0, 2, 0x80, 0x87, 0xa2], properties: {} },
      4,
      out,
      0,
    );
    assert.equal(out.toString("hex", 0, next), "90070001000280" + "8080");
  });

  it("UNSUBACK has no codes", () => {
    const next = encodePacket({ type: UNSUBACK, packetId: 1, codes: [0x87], properties: {} }, 4, out, 0);
    assert.equal(out.toString("hex", 0, next), "b0020001");
  });

  it("acknowledgements have no reason", () => {
    const next = encodePacket({ type: PUBACK, packetId: 1, reasonCode: 0x97, properties: {} }, 4, out, 0);
    assert.equal(out.toString("hex", 0, next), "40020001");
  });

  it("DISCONNECT has no reason and no properties", () => {
    const packet: Packet = { type: DISCONNECT, reasonCode: 0x8e, properties: { reasonString: "r" } };
    assert.equal(out.toString("hex", 0, encodePacket(packet, 4, out, 0)), "e000");
  });

  it("CONNECT, SUBSCRIBE and UNSUBSCRIBE have no properties and no options", () => {
    const properties = { userProperties: [["k", "v"]] as [string, string][] };
    const will = { topic: "w", payload: "m", qos: 0, retain: false, properties };
    const subscription = { filter: "f", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 };
    const written = (packet: Packet) => out.toString("hex", 0, encodePacket(packet, 4, out, 0));
    assert.equal(
      written(connect({ version: 4, properties, will })),
      bytes("10 * s'MQTT' 04 06 000a s'p' s'w' s'm'").toString("hex"),
    );
    assert.equal(
      written({ type: SUBSCRIBE, packetId: 1, subscriptions: [subscription], properties }),
      bytes("82 * 0001 s'f' 01").toString("hex"),
    );
    assert.equal(
      written({ type: UNSUBSCRIBE, packetId: 1, filters: ["f"], properties }),
      bytes("a2 * 0001 s'f'").toString("hex"),
    );
  });
});

describe("CONNACK", () => {
  const out = Buffer.alloc(100);
  const connack = (version: number, sessionPresent: boolean, reasonCode: number) =>
    out.toString(
      "hex",
      0,
      encodePacket({ type: CONNACK, sessionPresent, reasonCode, olderVersion: false, properties: {} }, version, out, 0),
    );

  it("[MQTT311-3.2.2-4] has no Session Present when it refuses", () => {
    assert.equal(connack(4, true, 0x87), "20020005");
  });

  it("[MQTT5-3.2.2-6] has no Session Present when it refuses", () => {
    assert.equal(connack(5, true, 0x87), "2003008700");
  });

  it("has no Session Present in 3.1", () => {
    assert.equal(connack(3, true, 0), "20020000");
  });

  it("[MQTT311-3.2.2-6] is not written when no return code fits", () => {
    assert.equal(connack(4, false, 0x82), "");
    assert.equal(connack(5, false, 0x82), "2003008200");
  });

  it("says an unsupported version in the form of each version", () => {
    assert.equal(connack(3, false, 0x84), "20020001");
    assert.equal(connack(4, false, 0x84), "20020001");
    assert.equal(connack(5, false, 0x84), "2003008400");
  });
});

it("the bridge bit is set before 5.0 only", () => {
  const out = Buffer.alloc(100);
  for (const [version, level] of [
    [3, 0x83],
    [4, 0x84],
    [5, 0x05],
  ] as const) {
    encodePacket(connect({ version, bridge: true }), version, out, 0);
    assert.equal(out[version === 3 ? 10 : 8], level);
  }
});

it("AUTH is written in its short form only for success without properties", () => {
  const out = Buffer.alloc(100);
  const auth = (reasonCode: number) =>
    out.toString("hex", 0, encodePacket({ type: AUTH, reasonCode, properties: {} }, 5, out, 0));
  assert.equal(auth(0), "f000");
  assert.equal(auth(0x18), "f0021800");
});

it("the constant PING frames are what the writers write", () => {
  assert.equal(PINGREQ_FRAME.toString("hex"), "c000");
  assert.equal(PINGRESP_FRAME.toString("hex"), "d000");
});

const OPTIONS = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

function connect(changes: Partial<Extract<Packet, { type: typeof CONNECT }>>): Packet {
  return {
    type: CONNECT,
    version: 5,
    bridge: false,
    clientId: "p",
    cleanStart: true,
    keepAliveSeconds: 10,
    userName: null,
    password: null,
    will: null,
    properties: {},
    ...changes,
  };
}

function isChecked(packet: Packet): boolean {
  return packet.type === CONNECT || packet.type === SUBSCRIBE || packet.type === UNSUBSCRIBE;
}

it("DISCONNECT with an empty writer is as short as without one", () => {
  const out = Buffer.alloc(10);
  const empty = new PropertiesWriter(8);
  assert.equal(out.toString("hex", 0, writeDisconnect(out, 0, 5, 0, empty)), "e000");
  assert.equal(out.toString("hex", 0, writeDisconnect(out, 0, 5, 0x8e, empty)), "e0018e");
});
