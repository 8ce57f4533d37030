import assert from "node:assert/strict";
import { test } from "node:test";
import * as codes from "../../../../src/wire/mqtt-sn/codes.ts";
import { decode, MessageView } from "../../../../src/wire/mqtt-sn/decode.ts";
import * as encode from "../../../../src/wire/mqtt-sn/encode.ts";

const out = Buffer.alloc(1024);
const text = (words: string): Buffer => Buffer.from(words);

interface Vector {
  readonly title: string;
  readonly hex: string;
  readonly write: () => number;
  readonly fields: Partial<MessageView>;
  readonly rest?: string;
}

/** Laid out by hand from the figures of section 5.4. */
const VECTORS: readonly Vector[] = [
  {
    title: "5.4.1 ADVERTISE",
    hex: "05 00 07 0384",
    write: () => encode.writeAdvertise(out, 0, 7, 900),
    fields: { type: codes.ADVERTISE, gatewayId: 7, duration: 900 },
  },
  {
    title: "5.4.2 SEARCHGW",
    hex: "03 01 02",
    write: () => encode.writeSearchgw(out, 0, 2),
    fields: { type: codes.SEARCHGW, radius: 2 },
  },
  {
    title: "5.4.3 GWINFO of a gateway",
    hex: "03 02 07",
    write: () => encode.writeGwinfo(out, 0, 7, Buffer.alloc(0)),
    fields: { type: codes.GWINFO, gatewayId: 7 },
    rest: "",
  },
  {
    title: "5.4.3 GWINFO of a client, with the gateway's address",
    hex: "05 02 07 abcd",
    write: () => encode.writeGwinfo(out, 0, 7, Buffer.from("abcd", "hex")),
    fields: { type: codes.GWINFO, gatewayId: 7 },
    rest: "\xab\xcd",
  },
  {
    title: "5.4.4 CONNECT with Will and CleanSession",
    hex: "0b 04 0c 01 003c 6d65746572",
    write: () => encode.writeConnect(out, 0, codes.FLAG_WILL | codes.FLAG_CLEAN_SESSION, 60, text("meter")),
    fields: { type: codes.CONNECT, flags: 0x0c, protocolId: 1, duration: 60 },
    rest: "meter",
  },
  {
    title: "5.4.5 CONNACK",
    hex: "03 05 01",
    write: () => encode.writeReturnCode(out, 0, codes.CONNACK, codes.REJECTED_CONGESTION),
    fields: { type: codes.CONNACK, returnCode: 1 },
  },
  {
    title: "5.4.6 WILLTOPICREQ",
    hex: "02 06",
    write: () => encode.writeEmpty(out, 0, codes.WILLTOPICREQ),
    fields: { type: codes.WILLTOPICREQ },
  },
  {
    title: "5.4.7 WILLTOPIC at QoS 1, retained",
    hex: "06 07 30 612f62",
    write: () => encode.writeWillTopic(out, 0, codes.WILLTOPIC, encode.flagsOf(1, codes.FLAG_RETAIN), text("a/b")),
    fields: { type: codes.WILLTOPIC, qos: 1, flags: 0x30 },
    rest: "a/b",
  },
  {
    title: "5.4.7 an empty WILLTOPIC",
    hex: "02 07",
    write: () => encode.writeEmpty(out, 0, codes.WILLTOPIC),
    fields: { type: codes.WILLTOPIC, flags: 0 },
    rest: "",
  },
  {
    title: "5.4.8 WILLMSGREQ",
    hex: "02 08",
    write: () => encode.writeEmpty(out, 0, codes.WILLMSGREQ),
    fields: { type: codes.WILLMSGREQ },
  },
  {
    title: "5.4.9 WILLMSG",
    hex: "06 09 676f6e65",
    write: () => encode.writeBytes(out, 0, codes.WILLMSG, text("gone")),
    fields: { type: codes.WILLMSG },
    rest: "gone",
  },
  {
    title: "5.4.10 REGISTER",
    hex: "09 0a 0102 0304 612f62",
    write: () => encode.writeRegister(out, 0, 0x0102, 0x0304, text("a/b")),
    fields: { type: codes.REGISTER, topicId: 0x0102, msgId: 0x0304 },
    rest: "a/b",
  },
  {
    title: "5.4.11 REGACK",
    hex: "07 0b 0102 0304 00",
    write: () => encode.writeTopicAck(out, 0, codes.REGACK, 0x0102, 0x0304, codes.ACCEPTED),
    fields: { type: codes.REGACK, topicId: 0x0102, msgId: 0x0304, returnCode: 0 },
  },
  {
    title: "5.4.12 PUBLISH at QoS 1, repeated, with a predefined topic id",
    hex: "0a 0c a1 0102 0304 323121",
    write: () =>
      encode.writePublish(
        out,
        0,
        encode.flagsOf(1, codes.FLAG_DUP | codes.TOPIC_PREDEFINED),
        258,
        772,
        text("21!"),
        0,
        3,
      ),
    fields: { type: codes.PUBLISH, qos: 1, topicType: codes.TOPIC_PREDEFINED, topicId: 0x0102, msgId: 0x0304 },
    rest: "21!",
  },
  {
    title: "5.4.12 PUBLISH at QoS -1 with a short topic name and nothing to say",
    hex: "07 0c 62 6162 0000",
    write: () => encode.writePublish(out, 0, encode.flagsOf(-1, codes.TOPIC_SHORT), 0x6162, 0, text(""), 0, 0),
    fields: { type: codes.PUBLISH, qos: -1, topicType: codes.TOPIC_SHORT, topicId: 0x6162, msgId: 0 },
    rest: "",
  },
  {
    title: "5.4.13 PUBACK",
    hex: "07 0d 0102 0304 02",
    write: () => encode.writeTopicAck(out, 0, codes.PUBACK, 258, 772, codes.REJECTED_INVALID_TOPIC_ID),
    fields: { type: codes.PUBACK, topicId: 258, msgId: 772, returnCode: 2 },
  },
  ...[
    { name: "PUBCOMP", type: codes.PUBCOMP },
    { name: "PUBREC", type: codes.PUBREC },
    { name: "PUBREL", type: codes.PUBREL },
  ].map(
    ({ name, type }): Vector => ({
      title: `5.4.14 ${name}`,
      hex: `04 ${type.toString(16).padStart(2, "0")} 0304`,
      write: () => encode.writeMsgId(out, 0, type, 0x0304),
      fields: { type, msgId: 0x0304 },
    }),
  ),
  {
    title: "5.4.15 SUBSCRIBE to a name at QoS 2",
    hex: "08 12 40 0304 612f23",
    write: () => encode.writeFilter(out, 0, codes.SUBSCRIBE, encode.flagsOf(2, 0), 772, text("a/#")),
    fields: { type: codes.SUBSCRIBE, qos: 2, topicType: codes.TOPIC_NORMAL, msgId: 772 },
    rest: "a/#",
  },
  {
    title: "5.4.15 SUBSCRIBE to a predefined topic id",
    hex: "07 12 01 0304 0009",
    write: () => encode.writeFilter(out, 0, codes.SUBSCRIBE, codes.TOPIC_PREDEFINED, 772, Buffer.from([0, 9])),
    fields: { type: codes.SUBSCRIBE, qos: 0, topicType: codes.TOPIC_PREDEFINED, topicId: 9, msgId: 772 },
  },
  {
    title: "5.4.16 SUBACK",
    hex: "08 13 20 0102 0304 00",
    write: () => encode.writeSuback(out, 0, encode.flagsOf(1, 0), 258, 772, codes.ACCEPTED),
    fields: { type: codes.SUBACK, qos: 1, topicId: 258, msgId: 772, returnCode: 0 },
  },
  {
    title: "5.4.17 UNSUBSCRIBE from a short topic name",
    hex: "07 14 02 0304 6162",
    write: () => encode.writeFilter(out, 0, codes.UNSUBSCRIBE, codes.TOPIC_SHORT, 772, text("ab")),
    fields: { type: codes.UNSUBSCRIBE, topicType: codes.TOPIC_SHORT, topicId: 0x6162, msgId: 772 },
  },
  {
    title: "5.4.18 UNSUBACK",
    hex: "04 15 0304",
    write: () => encode.writeMsgId(out, 0, codes.UNSUBACK, 772),
    fields: { type: codes.UNSUBACK, msgId: 772 },
  },
  {
    title: "5.4.19 PINGREQ of a client that is awake",
    hex: "02 16",
    write: () => encode.writeEmpty(out, 0, codes.PINGREQ),
    fields: { type: codes.PINGREQ },
    rest: "",
  },
  {
    title: "5.4.19 PINGREQ of a sleeping client",
    hex: "07 16 6d65746572",
    write: () => encode.writeBytes(out, 0, codes.PINGREQ, text("meter")),
    fields: { type: codes.PINGREQ },
    rest: "meter",
  },
  {
    title: "5.4.20 PINGRESP",
    hex: "02 17",
    write: () => encode.writeEmpty(out, 0, codes.PINGRESP),
    fields: { type: codes.PINGRESP },
  },
  {
    title: "5.4.21 DISCONNECT",
    hex: "02 18",
    write: () => encode.writeEmpty(out, 0, codes.DISCONNECT),
    fields: { type: codes.DISCONNECT, duration: -1 },
  },
  {
    title: "5.4.21 DISCONNECT to sleep",
    hex: "04 18 012c",
    write: () => encode.writeDisconnect(out, 0, 300),
    fields: { type: codes.DISCONNECT, duration: 300 },
  },
  {
    title: "5.4.22 WILLTOPICUPD",
    hex: "06 1a 00 612f62",
    write: () => encode.writeWillTopic(out, 0, codes.WILLTOPICUPD, 0, text("a/b")),
    fields: { type: codes.WILLTOPICUPD, qos: 0 },
    rest: "a/b",
  },
  {
    title: "5.4.23 WILLMSGUPD",
    hex: "04 1c 6f66",
    write: () => encode.writeBytes(out, 0, codes.WILLMSGUPD, text("of")),
    fields: { type: codes.WILLMSGUPD },
    rest: "of",
  },
  {
    title: "5.4.24 WILLTOPICRESP",
    hex: "03 1b 00",
    write: () => encode.writeReturnCode(out, 0, codes.WILLTOPICRESP, codes.ACCEPTED),
    fields: { type: codes.WILLTOPICRESP, returnCode: 0 },
  },
  {
    title: "5.4.25 WILLMSGRESP",
    hex: "03 1d 03",
    write: () => encode.writeReturnCode(out, 0, codes.WILLMSGRESP, codes.REJECTED_NOT_SUPPORTED),
    fields: { type: codes.WILLMSGRESP, returnCode: 3 },
  },
];

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");

for (const { title, hex, write, fields, rest } of VECTORS) {
  test(`${title} is written and read as the text has it`, () => {
    const bytes = bytesOf(hex);
    assert.equal(out.toString("hex", 0, write()), bytes.toString("hex"));
    const view = new MessageView();
    const framed = Buffer.concat([Buffer.from([0xee, 0xee]), bytes, Buffer.from([0xee])]);
    assert.equal(decode(framed, 2, 2 + bytes.length, view), codes.OK);
    for (const [name, value] of Object.entries(fields)) assert.equal(view[name as keyof MessageView], value, name);
    if (rest !== undefined) assert.equal(framed.toString("latin1", view.restAt, view.restEnd), rest);
  });

  test(`${title} cut short or with bytes behind it is malformed`, () => {
    const bytes = bytesOf(hex);
    const view = new MessageView();
    for (let end = 0; end < bytes.length; end++) assert.equal(decode(bytes, 0, end, view), codes.MALFORMED, `${end}`);
    assert.equal(decode(Buffer.concat([bytes, Buffer.from([0])]), 0, bytes.length + 1, view), codes.MALFORMED);
  });
}

test("5.2.1 a message of more than 255 bytes has a Length of three", () => {
  const data = Buffer.alloc(300, 0x61);
  const end = encode.writePublish(out, 0, 0, 5, 0, data, 0, data.length);
  assert.equal(end, 309);
  assert.equal(out.toString("hex", 0, 5), "0101350c00");
  const view = new MessageView();
  assert.equal(decode(out, 0, end, view), codes.OK);
  assert.deepEqual([view.topicId, view.restEnd - view.restAt], [5, 300]);
  assert.equal(decode(out, 0, end - 1, view), codes.MALFORMED);
});

test("5.2.1 both sides of the longest message with a short Length", () => {
  const data = Buffer.alloc(300);
  assert.equal(encode.writePublish(out, 0, 0, 5, 0, data, 0, 248), 255);
  assert.equal(out[0], 255);
  assert.equal(encode.writePublish(out, 0, 0, 5, 0, data, 0, 249), 258);
  assert.equal(out[0], 1);
});

for (const [title, hex] of [
  ["nothing", ""],
  ["a Length of 0", "00 16"],
  ["a Length of 1 without the other two", "01 16"],
  ["a long Length that ends before the type", "01 0003 16"],
  ["a client id with U+0000", "08 04 04 01 003c 6100"],
  ["a client id that is no UTF-8", "08 04 04 01 003c c328"],
  ["no client id", "06 04 04 01 003c"],
  ["a REGISTER without a name", "06 0a 0000 0001"],
  ["a PUBLISH at QoS 1 without a MsgId", "07 0c 20 0001 0000"],
  ["a PUBLISH with the reserved TopicIdType", "07 0c 03 0001 0000"],
  ["a SUBSCRIBE without a MsgId", "06 12 00 0000 61"],
  ["a SUBSCRIBE at QoS -1", "06 12 60 0001 61"],
  ["a SUBSCRIBE to an id of three bytes", "08 12 01 0001 000102"],
  ["a WILLTOPIC with flags alone", "03 07 00"],
  ["a DISCONNECT with half a duration", "03 18 01"],
  ["an envelope with nothing in it", "04 fe 01 aa"],
] as const) {
  test(`${title} is malformed`, () => {
    const bytes = bytesOf(hex);
    assert.equal(decode(bytes, 0, bytes.length, new MessageView()), codes.MALFORMED);
  });
}

test("types that 1.2 reserves are unknown", () => {
  const view = new MessageView();
  for (const type of [0x03, 0x11, 0x19, 0x1e, 0x80, 0xfd, 0xff])
    assert.equal(decode(Buffer.from([2, type]), 0, 2, view), codes.UNKNOWN_TYPE, `${type}`);
});

test("5.5 an encapsulated message says who sent it and where it begins", () => {
  const ping = bytesOf("02 16");
  const at = encode.writeEncapsulation(out, 0, 1, Buffer.from([0xaa, 0xbb]));
  ping.copy(out, at);
  assert.equal(out.toString("hex", 0, at + 2), "05fe01aabb0216");
  const view = new MessageView();
  assert.equal(decode(out, 0, at + 2, view), codes.OK);
  assert.deepEqual([view.type, view.radius], [codes.ENCAPSULATED, 1]);
  assert.equal(out.toString("hex", view.restAt, view.restEnd), "aabb");
  assert.equal(decode(out, view.restEnd, at + 2, view), codes.OK);
  assert.equal(view.type, codes.PINGREQ);
});

test("no bytes make it throw", () => {
  const view = new MessageView();
  let seed = 1;
  const next = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 16;
  };
  for (let run = 0; run < 20_000; run++) {
    const bytes = Buffer.alloc(next() % 24);
    for (let i = 0; i < bytes.length; i++) bytes[i] = next();
    if (bytes.length > 1 && run % 2 === 0) {
      bytes[0] = bytes.length;
      bytes[1] = next() % 0x1e;
    }
    const code = decode(bytes, 0, bytes.length, view);
    assert.ok(code === codes.OK || code === codes.MALFORMED || code === codes.UNKNOWN_TYPE);
    if (code === codes.OK) assert.ok(view.restAt <= view.restEnd && view.restEnd <= bytes.length);
  }
});
