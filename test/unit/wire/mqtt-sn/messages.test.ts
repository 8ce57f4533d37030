import assert from "node:assert/strict";
import { test } from "node:test";
import * as codes from "../../../../src/wire/mqtt-sn/codes.ts";
import { decode, MessageView } from "../../../../src/wire/mqtt-sn/decode.ts";
import * as encode from "../../../../src/wire/mqtt-sn/encode.ts";
import { bytesOf, out, VECTORS } from "./vectors.ts";

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

test("[SN12-5.2.1-1] a message of more than 255 bytes has a Length of three", () => {
  const data = Buffer.alloc(300, 0x61);
  const end = encode.writePublish(out, 0, 0, 5, 0, data, 0, data.length);
  assert.equal(end, 309);
  assert.equal(out.toString("hex", 0, 5), "0101350c00");
  const view = new MessageView();
  assert.equal(decode(out, 0, end, view), codes.OK);
  assert.deepEqual([view.topicId, view.restEnd - view.restAt], [5, 300]);
  assert.equal(decode(out, 0, end - 1, view), codes.MALFORMED);
});

test("[SN12-5.2.1-1] both sides of the longest message with a short Length", () => {
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

test("[SN12-5.2.2-1] types that 1.2 reserves are unknown", () => {
  const view = new MessageView();
  for (const type of [0x03, 0x11, 0x19, 0x1e, 0x80, 0xfd, 0xff])
    assert.equal(decode(Buffer.from([2, type]), 0, 2, view), codes.UNKNOWN_TYPE, `${type}`);
});

test("[SN12-5.5-1] an encapsulated message says who sent it and where it begins", () => {
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
