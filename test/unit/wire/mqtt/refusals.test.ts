/** Negative answers with a Reason String: the bytes of `mqtt-packet`, and our decoders read them back. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { generate, type Packet } from "mqtt-packet";
import { AckView, ackBytes, decodeAck, writeAckWithProperties } from "../../../../src/wire/mqtt/ack.ts";
import { MQTT_3_1_1, MQTT_5, PUBACK, PUBCOMP, PUBREC, PUBREL } from "../../../../src/wire/mqtt/codes.ts";
import { frameBytes } from "../../../../src/wire/mqtt/frame.ts";
import { PropertiesWriter } from "../../../../src/wire/mqtt/properties.ts";
import { longestStringBytes } from "../../../../src/wire/mqtt/property-strings.ts";
import { REASON_STRING } from "../../../../src/wire/mqtt/property-table.ts";
import { decodeSuback, SubackView, subackLength, writeSuback } from "../../../../src/wire/mqtt/suback.ts";
import { decodeUnsuback, UnsubackView, unsubackLength, writeUnsuback } from "../../../../src/wire/mqtt/unsuback.ts";

const V5 = { protocolVersion: 5 } as Parameters<typeof generate>[1];

/** Short, and so long that Property Length or Remaining Length take two bytes. */
const WORDS = ["", "no", "a queue is full: é", "x".repeat(118), "x".repeat(119), "x".repeat(125), "x".repeat(200)];

function withWords(words: string): PropertiesWriter {
  const properties = new PropertiesWriter();
  properties.string(REASON_STRING, words);
  return properties;
}

function text(frame: Buffer, at: number, length: number): string {
  return frame.toString("utf8", at, at + length);
}

/** Where the body begins. */
function bodyAt(frame: Buffer): number {
  return (frame[1] as number) < 0x80 ? 2 : 3;
}

describe("with words of each length", () => {
  for (const words of WORDS) {
    const properties = withWords(words);
    const reasonString = words;

    for (const [type, cmd, flags] of [
      [PUBACK, "puback", 0],
      [PUBREC, "pubrec", 0],
      [PUBREL, "pubrel", 2],
      [PUBCOMP, "pubcomp", 0],
    ] as const) {
      test(`${cmd}, ${words.length} characters`, () => {
        const reasonCode = type === PUBACK || type === PUBREC ? 0x97 : 0x92;
        const theirs = generate({ cmd, messageId: 258, reasonCode, properties: { reasonString } } as Packet, V5);
        const frame = Buffer.alloc(ackBytes(properties));
        assert.equal(writeAckWithProperties(frame, 0, type, 258, reasonCode, properties), frame.length);
        if (words !== "") assert.deepEqual(frame, theirs); // an empty string they leave out
        const view = new AckView();
        assert.equal(decodeAck(frame, type, flags, bodyAt(frame), frame.length, MQTT_5, view), 0);
        assert.deepEqual([view.packetId, view.reasonCode], [258, reasonCode]);
        assert.equal(text(frame, view.reasonStringAt, view.reasonStringLength), words);
      });
    }

    test(`SUBACK, ${words.length} characters`, () => {
      const granted = [0, 0x97, 2];
      const theirs = generate({ cmd: "suback", messageId: 258, granted, properties: { reasonString } } as Packet, V5);
      const codes = Uint8Array.from(granted);
      const frame = Buffer.alloc(frameBytes(subackLength(MQTT_5, 3, properties)));
      assert.equal(writeSuback(frame, 0, MQTT_5, 258, codes, 3, properties), frame.length);
      if (words !== "") assert.deepEqual(frame, theirs);
      const view = new SubackView();
      assert.equal(decodeSuback(frame, bodyAt(frame), frame.length, MQTT_5, view), 0);
      assert.equal(text(frame, view.reasonStringAt, view.reasonStringLength), words);
    });

    test(`UNSUBACK, ${words.length} characters`, () => {
      const granted = [0x87, 0x11];
      const theirs = generate({ cmd: "unsuback", messageId: 258, granted, properties: { reasonString } } as Packet, V5);
      const codes = Uint8Array.from(granted);
      const frame = Buffer.alloc(frameBytes(unsubackLength(MQTT_5, 2, properties)));
      assert.equal(writeUnsuback(frame, 0, MQTT_5, 258, codes, 2, properties), frame.length);
      if (words !== "") assert.deepEqual(frame, theirs);
      const view = new UnsubackView();
      assert.equal(decodeUnsuback(frame, bodyAt(frame), frame.length, MQTT_5, view), 0);
      assert.equal(text(frame, view.reasonStringAt, view.reasonStringLength), words);
    });
  }
});

test("before 5.0 SUBACK and UNSUBACK leave the words out", () => {
  const properties = withWords("why");
  const suback = Buffer.alloc(frameBytes(subackLength(MQTT_3_1_1, 1, properties)));
  assert.equal(writeSuback(suback, 0, MQTT_3_1_1, 1, Uint8Array.of(0x97), 1, properties), suback.length);
  assert.deepEqual([...suback], [0x90, 3, 0, 1, 0x80]);
  const unsuback = Buffer.alloc(frameBytes(unsubackLength(MQTT_3_1_1, 1, properties)));
  assert.equal(writeUnsuback(unsuback, 0, MQTT_3_1_1, 1, Uint8Array.of(0), 1, properties), unsuback.length);
  assert.deepEqual([...unsuback], [0xb0, 2, 0, 1]);
});

test("the longest string of a block: texts and both halves of pairs count, binary data and numbers do not", () => {
  const block = new PropertiesWriter();
  const longest = () => longestStringBytes(block.buffer, 0, block.length);
  assert.equal(longest(), 0);
  block.four(0x02, 60);
  block.varint(0x0b, 200);
  block.binary(0x09, Buffer.alloc(100));
  assert.equal(longest(), 0);
  block.string(0x03, "x".repeat(3));
  assert.equal(longest(), 3);
  block.pair("x".repeat(4), "");
  assert.equal(longest(), 4);
  block.pair("", "é".repeat(3));
  assert.equal(longest(), 6);
  block.string(0x08, "x");
  assert.equal(longest(), 6);
});
