import assert from "node:assert/strict";
import { test } from "node:test";
import { ACK, RST } from "../../../../src/wire/coap/codes.ts";
import {
  CoapHeader,
  FORMAT_ERROR,
  HEADER_BYTES,
  NOT_COAP,
  OK,
  readHeader,
  writeEmpty,
} from "../../../../src/wire/coap/header.ts";
import { FORMAT_ERRORS, hex, NOT_COAP_DATAGRAMS, REQUESTS } from "./vectors.ts";

const header = new CoapHeader();

for (const vector of REQUESTS) {
  test(`reads the header of ${vector.title}`, () => {
    assert.equal(readHeader(vector.bytes, header), OK);
    assert.equal(header.type, vector.type);
    assert.equal(header.code, vector.code);
    assert.equal(header.messageId, vector.messageId);
    assert.equal(vector.bytes.subarray(HEADER_BYTES, HEADER_BYTES + header.tokenLength).toString("hex"), vector.token);
  });
}

for (const vector of FORMAT_ERRORS) {
  test(`RFC 7252 section 3: ${vector.title} is a message format error whose header can be read`, () => {
    assert.equal(readHeader(vector.bytes, header), FORMAT_ERROR);
    assert.equal(header.messageId, 0x1234);
    assert.equal(header.type, 0);
  });
}

for (const vector of NOT_COAP_DATAGRAMS) {
  test(`RFC 7252 section 3: ${vector.title} is no CoAP message`, () => {
    assert.equal(readHeader(vector.bytes, header), NOT_COAP);
  });
}

test("options at the edge of the extended forms: lengths 12, 13, 268, 269 and deltas alike", () => {
  for (const length of [0, 12, 13, 14, 268, 269, 270, 1034]) {
    const extension =
      length < 13
        ? ""
        : length < 269
          ? (length - 13).toString(16).padStart(2, "0")
          : (length - 269).toString(16).padStart(4, "0");
    const nibble = length < 13 ? length : length < 269 ? 13 : 14;
    const option = hex(`b${nibble.toString(16)}${extension}`);
    const whole = Buffer.concat([hex("40 01 1234"), option, Buffer.alloc(length, 0x61)]);
    assert.equal(readHeader(whole, header), OK, `${length} bytes`);
    if (length > 0) assert.equal(readHeader(whole.subarray(0, whole.length - 1), header), FORMAT_ERROR);
    const delta = Buffer.concat([hex("40 01 1234"), hex(`${nibble.toString(16)}0${extension}`)]);
    assert.equal(readHeader(delta, header), OK, `delta ${length}`);
  }
  assert.equal(readHeader(hex("40 01 1234 e0 fef2"), header), OK, "option 65,535");
  assert.equal(readHeader(hex("40 01 1234 e0 fef3"), header), FORMAT_ERROR, "option 65,536");
});

test("every truncation of every request is read without a throw, and only whole options pass", () => {
  for (const vector of REQUESTS) {
    for (let end = 0; end < vector.bytes.length; end++) {
      const outcome = readHeader(vector.bytes.subarray(0, end), header);
      if (end < HEADER_BYTES) assert.equal(outcome, NOT_COAP);
      else assert.ok(outcome === OK || outcome === FORMAT_ERROR);
    }
  }
});

test("an Empty acknowledgement and an Empty reset have four bytes", () => {
  const out = Buffer.alloc(HEADER_BYTES);
  writeEmpty(out, ACK, 0x7d34);
  assert.deepEqual(out, hex("60 00 7d34"));
  writeEmpty(out, RST, 0xff01);
  assert.deepEqual(out, hex("70 00 ff01"));
  assert.equal(readHeader(out, header), OK);
  assert.equal(header.type, RST);
});
