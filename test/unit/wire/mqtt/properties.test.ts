import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MALFORMED_PACKET, OK, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID } from "../../../../src/wire/mqtt/codes.ts";
import {
  decodeProperties,
  PROPERTIES_BYTES_MAX,
  PropertiesView,
  PropertiesWriter,
  propertiesBlockBytes,
  readPropertiesLength,
  writePropertiesBlock,
} from "../../../../src/wire/mqtt/properties.ts";
import { nextUserProperty, propertyEnd, UserPropertyView, WILL } from "../../../../src/wire/mqtt/property-table.ts";
import { bytes, guarded } from "./bytes.ts";
import { PROPERTIES, propertiesOf, propertiesWriter } from "./packets.ts";

/**
 * Table 2-4 of the specification: where each property may stand. W the will, then by packet type: C CONNECT, c CONNACK,
 * P PUBLISH, 4 5 6 7 the acknowledgements, S SUBSCRIBE, s SUBACK, U UNSUBSCRIBE, u UNSUBACK, D DISCONNECT, A AUTH.
 */
const PLACES: { [name: string]: string } = {
  payloadFormat: "PW",
  messageExpirySeconds: "PW",
  contentType: "PW",
  responseTopic: "PW",
  correlationData: "PW",
  subscriptionIdentifier: "PS",
  sessionExpirySeconds: "CcD",
  assignedClientId: "c",
  serverKeepAlive: "c",
  authMethod: "CcA",
  authData: "CcA",
  requestProblem: "C",
  willDelaySeconds: "W",
  requestResponse: "C",
  responseInformation: "c",
  serverReference: "cD",
  reasonString: "c4567suDA",
  receiveMaximum: "Cc",
  topicAliasMaximum: "Cc",
  topicAlias: "P",
  maximumQos: "c",
  retainAvailable: "c",
  maximumPacketSize: "Cc",
  wildcardAvailable: "c",
  subscriptionIdsAvailable: "c",
  sharedAvailable: "c",
};
const TYPES = "WCcP4567SsUu__DA";

const view = new PropertiesView();

/** A value of each type, and one that differs from what absence means. */
const VALUE = { flag: 1, two: 0x1234, four: 0x12345678, varint: 0x1234, text: "text", binary: "\x00\xff" } as const;
const NOT_DEFAULT: { [name: string]: number } = {
  requestProblem: 0,
  retainAvailable: 0,
  wildcardAvailable: 0,
  subscriptionIdsAvailable: 0,
  sharedAvailable: 0,
};

function blockOf(name: string, value: number | string): Buffer {
  const writer = propertiesWriter(name === "authData" ? { authMethod: "m", [name]: value } : { [name]: value });
  assert.ok(writer !== null);
  return Buffer.from(writer.buffer.subarray(0, writer.length));
}

for (const [name, id, kind] of PROPERTIES) {
  const value = NOT_DEFAULT[name] ?? VALUE[kind];
  const block = blockOf(name, value);
  const places = PLACES[name] as string;

  describe(`property 0x${id.toString(16).padStart(2, "0")} ${name}`, () => {
    it(`[section 2.2.2.2] belongs to ${places} and is malformed elsewhere`, () => {
      for (let type = 0; type < 16; type++) {
        const allowed = places.includes(TYPES[type] as string);
        const code = decodeProperties(block, 0, block.length, type, view);
        assert.equal(code, allowed ? OK : MALFORMED_PACKET, `type ${type}`);
        if (allowed) assert.equal(propertiesOf(view, block, 0, block.length)[name], value);
      }
    });

    it("is malformed when it is cut off anywhere", () => {
      const type = TYPES.indexOf(places[0] as string);
      const lastAt = name === "authData" ? block.length - 5 : 0;
      for (let end = lastAt + 1; end < block.length; end++) {
        assert.equal(decodeProperties(guarded(block, 0, end), 0, end, type, view), MALFORMED_PACKET);
        assert.equal(propertyEnd(guarded(block, 0, end), lastAt, end), -1);
      }
      assert.equal(propertyEnd(block, lastAt, block.length), block.length);
    });

    it("is a protocol error when it comes twice", () => {
      const twice = Buffer.concat([block, block]);
      for (const place of places) {
        const code = decodeProperties(twice, 0, twice.length, TYPES.indexOf(place), view);
        const mayRepeat = name === "subscriptionIdentifier" && place === "P";
        assert.equal(code, mayRepeat ? OK : PROTOCOL_ERROR);
      }
    });
  });
}

describe("values that the specification excludes", () => {
  const cases: [title: string, type: string, block: string, code: number][] = [
    ["[MQTT5-3.3.2-8] topic alias 0", "P", "23 0000", TOPIC_ALIAS_INVALID],
    ["topic alias 65535", "P", "23 ffff", OK],
    ["section 3.1.2.11.3: Receive Maximum 0", "C", "21 0000", PROTOCOL_ERROR],
    ["Receive Maximum 1", "c", "21 0001", OK],
    ["section 3.1.2.11.4: Maximum Packet Size 0", "C", "27 00000000", PROTOCOL_ERROR],
    ["Maximum Packet Size 1", "c", "27 00000001", OK],
    ["section 3.8.2.1.2: subscription identifier 0", "S", "0b 00", PROTOCOL_ERROR],
    ["the largest subscription identifier", "S", "0b ffffff7f", OK],
    ["a subscription identifier of five bytes", "S", "0b ffffffff01", MALFORMED_PACKET],
    ["[MQTT5-1.5.5-1] subscription identifier 1 in two bytes", "S", "0b 8100", MALFORMED_PACKET],
    ["[MQTT5-3.3.2-14] a wildcard in the response topic", "W", "08 s'a/+'", PROTOCOL_ERROR],
    ["section 3.1.2.11.10: authentication data alone", "C", "16 s'd'", PROTOCOL_ERROR],
    ["[MQTT5-1.5.4-2] U+0000 in a reason string", "4", "1f 0001 00", MALFORMED_PACKET],
    ["[MQTT5-1.5.7-1] a user property whose name is not text", "S", "26 0001 ff s'v'", MALFORMED_PACKET],
    ["[MQTT5-1.5.7-1] a user property whose value is not text", "S", "26 s'k' 0001 ff", MALFORMED_PACKET],
    ["binary data of any bytes", "W", "09 0003 00ff80", OK],
    ["identifier 0", "C", "00 01", MALFORMED_PACKET],
    ["identifier 0x2b, one after the last", "C", "2b 01", MALFORMED_PACKET],
    ["identifier 0x7f", "C", "7f 01", MALFORMED_PACKET],
    ["an identifier of two bytes", "C", "9101 00000001", MALFORMED_PACKET],
  ];
  for (const [title, place, text, code] of cases) {
    it(title, () => {
      const block = bytes(text);
      assert.equal(decodeProperties(block, 0, block.length, TYPES.indexOf(place), view), code);
    });
  }

  for (const [name, id, kind] of PROPERTIES) {
    if (kind !== "flag") continue;
    it(`${name} 2`, () => {
      const type = TYPES.indexOf((PLACES[name] as string)[0] as string);
      for (const value of [0, 1]) assert.equal(decodeProperties(Buffer.from([id, value]), 0, 2, type, view), OK);
      for (const value of [2, 255]) {
        assert.equal(decodeProperties(Buffer.from([id, value]), 0, 2, type, view), PROTOCOL_ERROR);
      }
    });
  }
});

describe("the view", () => {
  it("has again what absence means, whatever stood in it", () => {
    const every = bytes("11 00000001 21 0001 27 00000001 22 0001 19 01 17 00 15 s'm' 16 s'd' 26 s'k' s'v'");
    assert.equal(decodeProperties(every, 0, every.length, 1, view), OK);
    assert.notDeepEqual(view, new PropertiesView());
    assert.equal(decodeProperties(every, 0, 0, 1, view), OK);
    assert.deepEqual(view, new PropertiesView());
    const names = Object.keys(view);
    for (const name of names) (view as unknown as Record<string, number>)[name] = 77;
    view.reset();
    assert.deepEqual(view, new PropertiesView());
  });

  it("says where the intervals are that are patched in place", () => {
    const block = bytes("26 s'k' s'v' 02 00000e10 18 0000000a");
    assert.equal(decodeProperties(block, 0, block.length, WILL, view), OK);
    assert.equal(block.readUInt32BE(view.messageExpiryAt), 3600);
    assert.equal(block.readUInt32BE(view.willDelayAt), 10);
  });

  it("counts subscription identifiers and keeps the last", () => {
    const block = bytes("0b 01 0b 8001 0b 02");
    assert.equal(decodeProperties(block, 0, block.length, 3, view), OK);
    assert.equal(view.subscriptionIdentifierCount, 3);
    assert.equal(view.subscriptionIdentifier, 2);
  });
});

it("user properties are stepped through in their order, among others, and may repeat", () => {
  const block = bytes("26 s'k' s'1' 02 00000001 26 s'k' s'2' 03 s'text' 26 0000 0000");
  const guard = guarded(block, 0, block.length);
  const pair = new UserPropertyView();
  const found: string[] = [];
  let at = 0;
  while ((at = nextUserProperty(guard, at, block.length, pair)) >= 0) {
    const { keyAt, keyLength, valueAt, valueLength } = pair;
    found.push(
      `${block.toString("utf8", keyAt, keyAt + keyLength)}=${block.toString("utf8", valueAt, valueAt + valueLength)}`,
    );
  }
  assert.deepEqual(found, ["k=1", "k=2", "="]);
  assert.equal(nextUserProperty(guarded(block, 0, 0), 0, 0, pair), -1);
  const broken = bytes("26 s'k' 00");
  assert.equal(nextUserProperty(broken, 0, broken.length, pair), -1);
});

it("a Property Length that reaches beyond the packet, or is none, is said with -1", () => {
  const frame = bytes("02 0000 8000 ffffffff7f");
  assert.equal(readPropertiesLength(frame, 0, 3), 2);
  assert.equal(readPropertiesLength(frame, 0, 2), -1);
  assert.equal(readPropertiesLength(frame, 0, 0), -1);
  assert.equal(readPropertiesLength(frame, 3, frame.length), -1);
  assert.equal(readPropertiesLength(frame, 5, frame.length), -1);
});

describe("PropertiesWriter", () => {
  it("takes a property that fits to the byte, leaves out the next and says so, and begins anew", () => {
    const writer = new PropertiesWriter(16);
    writer.byte(0x24, 1);
    writer.two(0x21, 1);
    writer.four(0x11, 1);
    writer.string(0x1f, "abc");
    assert.equal(writer.length, 16);
    assert.equal(writer.overflow, false);
    assert.equal(writer.buffer.toString("hex"), "2401" + "210001" + "1100000001" + "1f0003616263");
    writer.byte(0x25, 0);
    assert.equal(writer.overflow, true);
    assert.equal(writer.length, 16);
    writer.reset();
    assert.deepEqual([writer.length, writer.overflow], [0, false]);
  });

  const oneByteShort: [name: string, bytes: number, write: (writer: PropertiesWriter) => void][] = [
    ["byte", 2, (writer) => writer.byte(0x24, 1)],
    ["two", 3, (writer) => writer.two(0x21, 1)],
    ["four", 5, (writer) => writer.four(0x11, 1)],
    ["varint", 3, (writer) => writer.varint(0x0b, 128)],
    ["string", 6, (writer) => writer.string(0x1f, "€")],
    ["binary", 5, (writer) => writer.binary(0x16, Buffer.from("ab"))],
    ["pair", 9, (writer) => writer.pair("k", Buffer.from("val"))],
  ];
  for (const [name, length, write] of oneByteShort) {
    it(`${name} needs its ${length} bytes`, () => {
      const exact = new PropertiesWriter(length);
      write(exact);
      assert.deepEqual([exact.length, exact.overflow], [length, false]);
      const short = new PropertiesWriter(length - 1);
      short.buffer.fill(0xee);
      write(short);
      assert.deepEqual([short.length, short.overflow], [0, true]);
      assert.ok(short.buffer.every((byte) => byte === 0xee));
    });
  }

  it("takes text of 65,535 bytes and not of one more", () => {
    const writer = new PropertiesWriter(200_000);
    writer.string(0x1f, "x".repeat(65_535));
    writer.pair("x".repeat(65_535), "");
    writer.reset();
    writer.pair("", "x".repeat(65_535));
    assert.equal(writer.overflow, false);
    writer.string(0x1f, "x".repeat(65_536));
    assert.equal(writer.overflow, true);
    writer.reset();
    writer.pair("", "x".repeat(65_536));
    assert.deepEqual([writer.length, writer.overflow], [0, true]);
  });

  it(`holds ${PROPERTIES_BYTES_MAX} bytes unless told otherwise`, () => {
    assert.equal(new PropertiesWriter().buffer.length, PROPERTIES_BYTES_MAX);
  });

  it("is written behind its length, which has two bytes from 128 on", () => {
    const out = Buffer.alloc(200, 0xee);
    assert.equal(propertiesBlockBytes(null), 1);
    assert.equal(writePropertiesBlock(out, 1, null), 2);
    assert.equal(out.toString("hex", 0, 3), "ee00ee");
    for (const [length, prefix] of [
      [127, "7f"],
      [128, "8001"],
    ] as const) {
      const writer = new PropertiesWriter();
      writer.string(0x1f, "x".repeat(length - 3));
      const next = writePropertiesBlock(out, 0, writer);
      assert.equal(next, propertiesBlockBytes(writer));
      assert.equal(out.toString("hex", 0, next), prefix + writer.buffer.toString("hex", 0, length));
    }
  });
});
