/** Content-Formats as media types, and back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatOf, mediaTypeOf, NO_FORMAT } from "../../../../src/wire/coap/content-format.ts";

test("every Content-Format there can be comes back from its media type", () => {
  for (let format = 0; format <= 0xffff; format++) assert.equal(formatOf(mediaTypeOf(format)), format);
});

test("a number without a media type, and one with a content coding, is carried as RFC 8075 section 6.3 has it", () => {
  assert.equal(mediaTypeOf(60_000), "application/coap-payload;cf=60000");
  assert.equal(mediaTypeOf(11_050), "application/coap-payload;cf=11050"); // JSON, deflated
  assert.equal(formatOf("application/coap-payload; cf=60000"), 60_000);
});

for (const [mediaType, format] of [
  ["text/plain", 0],
  ["Text/Plain;charset=UTF-8", 0],
  ['text/plain; charset="utf-8"', 0],
  ["text/plain; charset=iso-8859-1", NO_FORMAT],
  ["application/json; charset=utf-8", 50],
  ["application/json; profile=x", NO_FORMAT],
  ["application/cose; cose-type=cose-sign1", NO_FORMAT],
  ['application/cose; cose-type="cose-sign1"', 18],
  ["application/senml+json", 110],
  ["image/x-unknown", NO_FORMAT],
  ["", NO_FORMAT],
  ["; charset=utf-8", NO_FORMAT],
  ["application/coap-payload;cf=", NO_FORMAT],
  ["application/coap-payload;cf=65536", NO_FORMAT],
  ["application/coap-payload;cf=-1", NO_FORMAT],
  ["application/coap-payload;cf=1e3", NO_FORMAT],
] as const) {
  test(`the media type ${JSON.stringify(mediaType)} is ${format === NO_FORMAT ? "no Content-Format" : `Content-Format ${format}`}`, () => {
    assert.equal(formatOf(mediaType), format);
  });
}
