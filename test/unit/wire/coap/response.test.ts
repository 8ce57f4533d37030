import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ACK,
  BLOCK2,
  CHANGED,
  CON,
  CONTENT,
  CONTENT_FORMAT,
  codeText,
  ETAG,
  isRequest,
  isResponse,
  MAX_AGE,
  NON,
  SERVICE_UNAVAILABLE,
} from "../../../../src/wire/coap/codes.ts";
import { blockBytes, blockOption, readUint, uintOption } from "../../../../src/wire/coap/options.ts";
import { encodeResponse } from "../../../../src/wire/coap/response.ts";
import { hex } from "./vectors.ts";

const NOTHING = Buffer.alloc(0);

test("RFC 7252 figure 16: a piggybacked 2.05 with payload", () => {
  const bytes = encodeResponse(ACK, CONTENT, 0x7d34, NOTHING, [], Buffer.from("22.3 C"));
  assert.deepEqual(bytes, hex("60 45 7d34 ff 32322e332043"));
});

test("RFC 7252 figure 17: the token is echoed", () => {
  const bytes = encodeResponse(ACK, CONTENT, 0x7d35, hex("20"), [], Buffer.from("22.3 C"));
  assert.deepEqual(bytes, hex("61 45 7d35 20 ff 32322e332043"));
});

test("the type follows the argument", () => {
  assert.deepEqual(encodeResponse(CON, CHANGED, 1, NOTHING, [], NOTHING), hex("40 44 0001"));
  assert.deepEqual(encodeResponse(NON, CHANGED, 1, NOTHING, [], NOTHING), hex("50 44 0001"));
});

test("options are sorted and delta-encoded, an integer 0 has no bytes", () => {
  const options = [
    uintOption(MAX_AGE, 10),
    blockOption(BLOCK2, 3, true, 6),
    { name: ETAG, value: hex("0a0b") },
    uintOption(CONTENT_FORMAT, 0),
  ];
  assert.deepEqual(
    encodeResponse(ACK, SERVICE_UNAVAILABLE, 2, NOTHING, options, NOTHING),
    hex("60 a3 0002 42 0a0b 80 21 0a 91 3e"),
  );
});

test("a payload that is not text, and one of a byte, survive", () => {
  for (const payload of [hex("00"), hex("ff"), hex("efbbbf"), Buffer.alloc(1024, 0xff)]) {
    const bytes = encodeResponse(ACK, CONTENT, 1, NOTHING, [], payload);
    assert.deepEqual(bytes.subarray(5), payload);
  }
});

test("integers at the edges of their lengths", () => {
  for (const number of [0, 1, 255, 256, 65_535, 65_536, 0xff_ffff, 0x100_0000, 0xffff_ffff]) {
    const option = uintOption(1, number);
    assert.equal(readUint(option.value), number);
    assert.notEqual(option.value[0], 0);
  }
  assert.equal(readUint(hex("0000000a")), 10);
  assert.equal(blockBytes(0), 16);
  assert.equal(blockBytes(6), 1024);
  assert.equal(readUint(blockOption(BLOCK2, 0xf_ffff, true, 6).value), 0xff_fffe);
});

test("codes have a class", () => {
  assert.equal(codeText(0x45), "2.05");
  assert.equal(codeText(0), "0.00");
  assert.equal(codeText(0xff), "7.31");
  const requests = Array.from({ length: 256 }, (_, code) => code).filter(isRequest);
  assert.deepEqual([requests[0], requests.at(-1), requests.length], [1, 31, 31]);
  assert.deepEqual([0x1f, 0x20, 0x3f, 0x40, 0x5f, 0x60, 0x7f, 0x80, 0xbf, 0xc0].map(isResponse), [
    false,
    false,
    false,
    true,
    true,
    false,
    false,
    true,
    true,
    false,
  ]);
});
