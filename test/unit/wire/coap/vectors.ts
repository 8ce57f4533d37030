/** Messages as bytes, shared by the codec's and the endpoint's tests. Hex with blanks between fields. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(" ", ""), "hex");
}

export interface RequestVector {
  title: string;
  bytes: Buffer;
  type: number;
  code: number;
  messageId: number;
  token: string;
  path: string[];
  query: string[];
  payload: string;
}

export const REQUESTS: RequestVector[] = [
  {
    title: "RFC 7252 figure 16: CON GET /temperature without token",
    bytes: hex("40 01 7d34 bb 74656d7065726174757265"),
    type: 0,
    code: 1,
    messageId: 0x7d34,
    token: "",
    path: ["temperature"],
    query: [],
    payload: "",
  },
  {
    title: "RFC 7252 figure 17: the same with token 0x20",
    bytes: hex("41 01 7d35 20 bb 74656d7065726174757265"),
    type: 0,
    code: 1,
    messageId: 0x7d35,
    token: "20",
    path: ["temperature"],
    query: [],
    payload: "",
  },
  {
    title: "NON PUT /ps/a/b?qos=1&retain=true with an 8-byte token and a payload",
    bytes: hex("58 03 0001 0102030405060708 b2 7073 01 61 01 62 45 716f733d31 0b 72657461696e3d74727565 ff 3231"),
    type: 1,
    code: 3,
    messageId: 1,
    token: "0102030405060708",
    path: ["ps", "a", "b"],
    query: ["qos=1", "retain=true"],
    payload: "21",
  },
  {
    title: "CON POST with Uri-Host, an extended option length, a Content-Format and an unknown elective option",
    bytes: hex(
      `40 02 ffff 39 6c6f63616c686f7374 8d 02 ${Buffer.from("fifteen-bytes!!").toString("hex")} 11 00 e0 fee5 ff 00`,
    ),
    type: 0,
    code: 2,
    messageId: 0xffff,
    token: "",
    path: ["fifteen-bytes!!"],
    query: [],
    payload: "\0",
  },
];

/** A datagram, and which answer a CON of it deserves. */
export interface MalformedVector {
  title: string;
  bytes: Buffer;
}

/** Valid header, broken rest: message format errors of RFC 7252 section 3. All are CON with Message ID 0x1234. */
export const FORMAT_ERRORS: MalformedVector[] = [
  { title: "token length 9", bytes: hex("49 01 1234 010203040506070809") },
  { title: "token length 13, which RFC 8974 would extend", bytes: hex("4d 01 1234 00 01020304050607080910111213") },
  { title: "token length 15", bytes: hex("4f 01 1234") },
  { title: "token cut off", bytes: hex("44 01 1234 010203") },
  { title: "payload marker without payload", bytes: hex("40 01 1234 ff") },
  { title: "payload marker without payload behind an option", bytes: hex("40 01 1234 b1 61 ff") },
  { title: "option delta 15", bytes: hex("40 01 1234 f1 61") },
  { title: "option length 15", bytes: hex("40 01 1234 bf 61") },
  { title: "option value cut off", bytes: hex("40 01 1234 b4 616263") },
  { title: "option delta extension cut off", bytes: hex("40 01 1234 d0") },
  { title: "two-byte option delta extension cut off", bytes: hex("40 01 1234 e0 00") },
  { title: "option length extension cut off", bytes: hex("40 01 1234 bd") },
  { title: "two-byte option length extension cut off", bytes: hex("40 01 1234 be 00") },
  { title: "option length 65,804", bytes: hex("40 01 1234 be ffff 61") },
  { title: "option number above 65,535", bytes: hex("40 01 1234 e0 fff0 e0 0000") },
  { title: "an Empty message with a token", bytes: hex("41 00 1234 01") },
  { title: "an Empty message with a payload", bytes: hex("40 00 1234 ff 61") },
  { title: "an Empty message that announces a token", bytes: hex("41 00 1234") },
];

/** Nobody can be answered. */
export const NOT_COAP_DATAGRAMS: MalformedVector[] = [
  { title: "nothing", bytes: hex("") },
  { title: "three bytes", bytes: hex("40 01 12") },
  { title: "version 0", bytes: hex("00 01 1234") },
  { title: "version 2", bytes: hex("80 01 1234") },
  { title: "version 3", bytes: hex("c0 01 1234") },
  { title: "a DTLS record", bytes: hex("16 fefd 0000000000000000 0001 00") },
];
