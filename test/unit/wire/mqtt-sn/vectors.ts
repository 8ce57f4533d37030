// Every message of MQTT-SN 1.2: its bytes, how we write it, what we read in it.
import * as codes from "../../../../src/wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../../../src/wire/mqtt-sn/decode.ts";
import * as encode from "../../../../src/wire/mqtt-sn/encode.ts";

/** Where the vectors write. */
export const out = Buffer.alloc(1024);
const text = (words: string): Buffer => Buffer.from(words);

export interface Vector {
  readonly title: string;
  readonly hex: string;
  readonly write: () => number;
  readonly fields: Partial<MessageView>;
  readonly rest?: string;
}

/** Laid out by hand from the figures of section 5.4; other-readers.test.ts has others read them. */
export const VECTORS: readonly Vector[] = [
  {
    title: "[SN12-5.4.1-1] ADVERTISE",
    hex: "05 00 07 0384",
    write: () => encode.writeAdvertise(out, 0, 7, 900),
    fields: { type: codes.ADVERTISE, gatewayId: 7, duration: 900 },
  },
  {
    title: "[SN12-5.4.2-1] SEARCHGW",
    hex: "03 01 02",
    write: () => encode.writeSearchgw(out, 0, 2),
    fields: { type: codes.SEARCHGW, radius: 2 },
  },
  {
    title: "[SN12-5.4.3-1] GWINFO of a gateway",
    hex: "03 02 07",
    write: () => encode.writeGwinfo(out, 0, 7, Buffer.alloc(0)),
    fields: { type: codes.GWINFO, gatewayId: 7 },
    rest: "",
  },
  {
    title: "[SN12-5.4.3-1] GWINFO of a client, with the gateway's address",
    hex: "05 02 07 abcd",
    write: () => encode.writeGwinfo(out, 0, 7, Buffer.from("abcd", "hex")),
    fields: { type: codes.GWINFO, gatewayId: 7 },
    rest: "\xab\xcd",
  },
  {
    title: "[SN12-5.4.4-1] CONNECT with Will and CleanSession",
    hex: "0b 04 0c 01 003c 6d65746572",
    write: () => encode.writeConnect(out, 0, codes.FLAG_WILL | codes.FLAG_CLEAN_SESSION, 60, text("meter")),
    fields: { type: codes.CONNECT, flags: 0x0c, protocolId: 1, duration: 60 },
    rest: "meter",
  },
  {
    title: "[SN12-5.4.5-1] CONNACK",
    hex: "03 05 01",
    write: () => encode.writeReturnCode(out, 0, codes.CONNACK, codes.REJECTED_CONGESTION),
    fields: { type: codes.CONNACK, returnCode: 1 },
  },
  {
    title: "[SN12-5.4.6-1] WILLTOPICREQ",
    hex: "02 06",
    write: () => encode.writeEmpty(out, 0, codes.WILLTOPICREQ),
    fields: { type: codes.WILLTOPICREQ },
  },
  {
    title: "[SN12-5.4.7-1] WILLTOPIC at QoS 1, retained",
    hex: "06 07 30 612f62",
    write: () => encode.writeWillTopic(out, 0, codes.WILLTOPIC, encode.flagsOf(1, codes.FLAG_RETAIN), text("a/b")),
    fields: { type: codes.WILLTOPIC, qos: 1, flags: 0x30 },
    rest: "a/b",
  },
  {
    title: "[SN12-5.4.7-1] an empty WILLTOPIC",
    hex: "02 07",
    write: () => encode.writeEmpty(out, 0, codes.WILLTOPIC),
    fields: { type: codes.WILLTOPIC, flags: 0 },
    rest: "",
  },
  {
    title: "[SN12-5.4.8-1] WILLMSGREQ",
    hex: "02 08",
    write: () => encode.writeEmpty(out, 0, codes.WILLMSGREQ),
    fields: { type: codes.WILLMSGREQ },
  },
  {
    title: "[SN12-5.4.9-1] WILLMSG",
    hex: "06 09 676f6e65",
    write: () => encode.writeBytes(out, 0, codes.WILLMSG, text("gone")),
    fields: { type: codes.WILLMSG },
    rest: "gone",
  },
  {
    title: "[SN12-5.4.10-1] REGISTER",
    hex: "09 0a 0102 0304 612f62",
    write: () => encode.writeRegister(out, 0, 0x0102, 0x0304, text("a/b")),
    fields: { type: codes.REGISTER, topicId: 0x0102, msgId: 0x0304 },
    rest: "a/b",
  },
  {
    title: "[SN12-5.4.11-1] REGACK",
    hex: "07 0b 0102 0304 00",
    write: () => encode.writeTopicAck(out, 0, codes.REGACK, 0x0102, 0x0304, codes.ACCEPTED),
    fields: { type: codes.REGACK, topicId: 0x0102, msgId: 0x0304, returnCode: 0 },
  },
  {
    title: "[SN12-5.4.12-1] PUBLISH at QoS 1, repeated, with a predefined topic id",
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
    title: "[SN12-5.4.12-1] PUBLISH at QoS -1 with a short topic name and nothing to say",
    hex: "07 0c 62 6162 0000",
    write: () => encode.writePublish(out, 0, encode.flagsOf(-1, codes.TOPIC_SHORT), 0x6162, 0, text(""), 0, 0),
    fields: { type: codes.PUBLISH, qos: -1, topicType: codes.TOPIC_SHORT, topicId: 0x6162, msgId: 0 },
    rest: "",
  },
  {
    title: "[SN12-5.4.13-1] PUBACK",
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
      title: `[SN12-5.4.14-1] ${name}`,
      hex: `04 ${type.toString(16).padStart(2, "0")} 0304`,
      write: () => encode.writeMsgId(out, 0, type, 0x0304),
      fields: { type, msgId: 0x0304 },
    }),
  ),
  {
    title: "[SN12-5.4.15-1] SUBSCRIBE to a name at QoS 2",
    hex: "08 12 40 0304 612f23",
    write: () => encode.writeFilter(out, 0, codes.SUBSCRIBE, encode.flagsOf(2, 0), 772, text("a/#")),
    fields: { type: codes.SUBSCRIBE, qos: 2, topicType: codes.TOPIC_NORMAL, msgId: 772 },
    rest: "a/#",
  },
  {
    title: "[SN12-5.4.15-1] SUBSCRIBE to a predefined topic id",
    hex: "07 12 01 0304 0009",
    write: () => encode.writeFilter(out, 0, codes.SUBSCRIBE, codes.TOPIC_PREDEFINED, 772, Buffer.from([0, 9])),
    fields: { type: codes.SUBSCRIBE, qos: 0, topicType: codes.TOPIC_PREDEFINED, topicId: 9, msgId: 772 },
  },
  {
    title: "[SN12-5.4.16-1] SUBACK",
    hex: "08 13 20 0102 0304 00",
    write: () => encode.writeSuback(out, 0, encode.flagsOf(1, 0), 258, 772, codes.ACCEPTED),
    fields: { type: codes.SUBACK, qos: 1, topicId: 258, msgId: 772, returnCode: 0 },
  },
  {
    title: "[SN12-5.4.17-1] UNSUBSCRIBE from a short topic name",
    hex: "07 14 02 0304 6162",
    write: () => encode.writeFilter(out, 0, codes.UNSUBSCRIBE, codes.TOPIC_SHORT, 772, text("ab")),
    fields: { type: codes.UNSUBSCRIBE, topicType: codes.TOPIC_SHORT, topicId: 0x6162, msgId: 772 },
  },
  {
    title: "[SN12-5.4.18-1] UNSUBACK",
    hex: "04 15 0304",
    write: () => encode.writeMsgId(out, 0, codes.UNSUBACK, 772),
    fields: { type: codes.UNSUBACK, msgId: 772 },
  },
  {
    title: "[SN12-5.4.19-1] PINGREQ of a client that is awake",
    hex: "02 16",
    write: () => encode.writeEmpty(out, 0, codes.PINGREQ),
    fields: { type: codes.PINGREQ },
    rest: "",
  },
  {
    title: "[SN12-5.4.19-1] PINGREQ of a sleeping client",
    hex: "07 16 6d65746572",
    write: () => encode.writeBytes(out, 0, codes.PINGREQ, text("meter")),
    fields: { type: codes.PINGREQ },
    rest: "meter",
  },
  {
    title: "[SN12-5.4.20-1] PINGRESP",
    hex: "02 17",
    write: () => encode.writeEmpty(out, 0, codes.PINGRESP),
    fields: { type: codes.PINGRESP },
  },
  {
    title: "[SN12-5.4.21-1] DISCONNECT",
    hex: "02 18",
    write: () => encode.writeEmpty(out, 0, codes.DISCONNECT),
    fields: { type: codes.DISCONNECT, duration: -1 },
  },
  {
    title: "[SN12-5.4.21-1] DISCONNECT to sleep",
    hex: "04 18 012c",
    write: () => encode.writeDisconnect(out, 0, 300),
    fields: { type: codes.DISCONNECT, duration: 300 },
  },
  {
    title: "[SN12-5.4.22-1] WILLTOPICUPD",
    hex: "06 1a 00 612f62",
    write: () => encode.writeWillTopic(out, 0, codes.WILLTOPICUPD, 0, text("a/b")),
    fields: { type: codes.WILLTOPICUPD, qos: 0 },
    rest: "a/b",
  },
  {
    title: "[SN12-5.4.23-1] WILLMSGUPD",
    hex: "04 1c 6f66",
    write: () => encode.writeBytes(out, 0, codes.WILLMSGUPD, text("of")),
    fields: { type: codes.WILLMSGUPD },
    rest: "of",
  },
  {
    title: "[SN12-5.4.24-1] WILLTOPICRESP",
    hex: "03 1b 00",
    write: () => encode.writeReturnCode(out, 0, codes.WILLTOPICRESP, codes.ACCEPTED),
    fields: { type: codes.WILLTOPICRESP, returnCode: 0 },
  },
  {
    title: "[SN12-5.4.25-1] WILLMSGRESP",
    hex: "03 1d 03",
    write: () => encode.writeReturnCode(out, 0, codes.WILLMSGRESP, codes.REJECTED_NOT_SUPPORTED),
    fields: { type: codes.WILLMSGRESP, returnCode: 3 },
  },
];

export const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");
