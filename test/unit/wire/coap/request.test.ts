import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { BAD_OPTION, BAD_REQUEST, PROXYING_NOT_SUPPORTED } from "../../../../src/wire/coap/codes.ts";
import { CoapHeader, OK, readHeader } from "../../../../src/wire/coap/header.ts";
import {
  decodeRequest,
  NO_SIZE,
  NOT_OBSERVING,
  OPTIONS_MAX,
  REQUEST_OK,
  RequestView,
} from "../../../../src/wire/coap/request.ts";
import { hex, REQUESTS } from "./vectors.ts";

const view = new RequestView();
const header = new CoapHeader();

for (const vector of REQUESTS) {
  test(`decodes ${vector.title}`, () => {
    assert.equal(decodeRequest(vector.bytes, view), REQUEST_OK);
    assert.equal(view.code, vector.code);
    assert.deepEqual(view.path, vector.path);
    assert.deepEqual(view.query, vector.query);
    assert.equal(view.payload.toString(), vector.payload);
  });
}

test("a view that is reused keeps nothing of the request before", () => {
  decodeRequest(hex("40 01 0001 41 ff b2 7073 10 41 61 21 00 60 ff 61"), view);
  assert.equal(decodeRequest(hex("40 01 0001"), view), REQUEST_OK);
  assert.deepEqual([view.path, view.query, view.etags], [[], [], []]);
  assert.deepEqual([view.contentFormat, view.accept, view.hasBlock2, view.payload.length], [-1, -1, false, 0]);
});

const OPTION_RULES: [title: string, options: string, outcome: number][] = [
  ["an empty If-Match", "10", REQUEST_OK],
  ["If-Match twice", "11 61 01 62", REQUEST_OK],
  ["If-Match of nine bytes", "19 010203040506070809", BAD_OPTION],
  ["If-None-Match", "50", REQUEST_OK],
  ["If-None-Match with a value", "51 61", BAD_OPTION],
  ["If-None-Match twice", "50 00", BAD_OPTION],
  ["Block1", "d1 0e 08", REQUEST_OK],
  ["Block1 with the reserved size 7", "d1 0e 0f", BAD_REQUEST],
  ["Block1 of four bytes", "d4 0e 00000008", BAD_OPTION],
  ["Block1 twice", "d1 0e 08 01 08", BAD_OPTION],
  ["an unknown critical option", "d0 ec", BAD_OPTION],
  ["a critical option above the ones the codec has names for", "e0 07d0 ", BAD_OPTION],
  ["an unknown elective option is ignored", "d0 ed", REQUEST_OK],
  ["Observe", "60", REQUEST_OK],
  ["Observe of four bytes is ignored", "64 00000001", REQUEST_OK],
  ["Size1 of five bytes is ignored", "d5 2f 0000000001", REQUEST_OK],
  ["an empty Echo is ignored", "d0 ef", REQUEST_OK],
  ["No-Response of two bytes is ignored", "d2 f5 0002", REQUEST_OK],
  ["a Request-Tag of nine bytes is ignored", "e9 0017 010203040506070809", REQUEST_OK],
  ["Uri-Host", "31 61", REQUEST_OK],
  ["an empty Uri-Host", "30", BAD_OPTION],
  ["Uri-Host twice", "31 61 01 61", BAD_OPTION],
  ["Uri-Port", "72 1633", REQUEST_OK],
  ["Uri-Port of three bytes", "73 001633", BAD_OPTION],
  ["Uri-Port twice", "72 1633 02 1633", BAD_OPTION],
  ["Accept", "d1 04 32", REQUEST_OK],
  ["Accept of three bytes", "d3 04 000032", BAD_OPTION],
  ["Accept twice", "d1 04 32 01 32", BAD_OPTION],
  ["an empty ETag is ignored", "40", REQUEST_OK],
  ["an ETag of nine bytes is ignored", "49 010203040506070809", REQUEST_OK],
  ["Content-Format of three bytes is ignored", "c3 010203", REQUEST_OK],
  ["Block2 with the reserved size 7", "d1 0a 07", BAD_REQUEST],
  ["Block2 of four bytes", "d4 0a 00000006", BAD_OPTION],
  ["Block2 twice", "d1 0a 06 01 06", BAD_OPTION],
  ["Proxy-Uri", "d1 16 61", PROXYING_NOT_SUPPORTED],
  ["Proxy-Scheme", "d1 1a 61", PROXYING_NOT_SUPPORTED],
  ["Proxy-Uri of nothing", "d0 16", BAD_OPTION],
  ["Proxy-Uri twice, behind a path that is no UTF-8", "b1 ff d1 0b 61 01 61", BAD_OPTION],
  ["Uri-Path is no UTF-8, and an unknown critical option", "b1 ff d0 01", BAD_OPTION],
  ["Block2 of SZX 7, and an unknown critical option", "d1 0a 07 20", BAD_OPTION],
  ["Uri-Path that is not UTF-8", "b1 ff", BAD_REQUEST],
  ["Uri-Query that is not UTF-8", "d1 02 c0", BAD_REQUEST],
];

for (const [title, options, outcome] of OPTION_RULES) {
  test(`RFC 7252 section 5.4: ${title}`, () => {
    const datagram = hex(`40 01 0001 ${options}`);
    assert.equal(readHeader(datagram, header), OK);
    assert.equal(decodeRequest(datagram, view), outcome);
  });
}

test("option values: Content-Format, Accept, Block2 and ETags", () => {
  const datagram = hex("40 01 0001 44 01020304 01 ff 82 2d16 52 0032 62 0416");
  assert.equal(decodeRequest(datagram, view), REQUEST_OK);
  assert.equal(view.contentFormat, 11_542);
  assert.equal(view.accept, 50);
  assert.deepEqual([view.hasBlock2, view.block2Num, view.block2Szx], [true, 65, 6]);
  assert.deepEqual(
    view.etags.map((etag) => Buffer.from(etag).toString("hex")),
    ["01020304", "ff"],
  );
});

test("Uri-Path of 255 bytes and of 256", () => {
  const path = (length: number) =>
    Buffer.concat([hex("40 01 0001 bd"), Buffer.from([length - 13]), Buffer.alloc(length, 0x61)]);
  assert.equal(decodeRequest(path(255), view), REQUEST_OK);
  assert.equal(decodeRequest(path(256), view), BAD_OPTION);
});

test("the number of options is limited", () => {
  const options = (count: number) => Buffer.concat([hex("40 01 0001 60"), Buffer.alloc(count - 1)]);
  assert.equal(decodeRequest(options(OPTIONS_MAX), view), REQUEST_OK);
  assert.equal(decodeRequest(options(OPTIONS_MAX + 1), view), BAD_REQUEST);
});

test("20,000 random datagrams and mutated requests never throw", () => {
  const random = seededRandom(7252);
  const byte = () => Math.floor(random() * 256);
  for (let i = 0; i < 20_000; i++) {
    const vector = REQUESTS[i % REQUESTS.length]!.bytes;
    const datagram = i % 2 === 0 ? Buffer.from(vector) : Buffer.from(Array.from({ length: byte() % 40 }, byte));
    if (datagram.length > 0) datagram[0] = 0x40 | (datagram[0]! & 0x3f);
    for (let flips = byte() % 4; flips > 0 && datagram.length > 0; flips--) datagram[byte() % datagram.length] = byte();
    if (readHeader(datagram, header) === OK && header.code !== 0) decodeRequest(datagram, view);
  }
});

test("the options of observing, of blocks, of conditions and of freshness become fields", () => {
  // Observe 1, Block2 2/-/64, Block1 3/M/32, Size2 300, Size1 400, Echo, No-Response 26, two Request-Tags
  const options = "61 01 d1 04 22 41 39 12 012c d2 13 0190 d2 b3 aabb 61 1a d1 15 07 00";
  assert.equal(decodeRequest(hex(`40 03 0001 ${options}`), view), REQUEST_OK);
  assert.equal(view.observe, 1);
  assert.deepEqual([view.hasBlock2, view.block2Num, view.block2Szx], [true, 2, 2]);
  assert.deepEqual([view.hasBlock1, view.block1Num, view.block1More, view.block1Szx], [true, 3, true, 1]);
  assert.deepEqual([view.size2, view.size1], [300, 400]);
  assert.deepEqual([Buffer.from(view.echo ?? []).toString("hex"), view.noResponse], ["aabb", 26]);
  assert.deepEqual(
    view.requestTags.map((tag) => Buffer.from(tag).toString("hex")),
    ["07", ""],
  );
  assert.equal(decodeRequest(hex("40 01 0001 11 61 40"), view), REQUEST_OK);
  assert.deepEqual([view.observe, view.hasBlock1, view.size1, view.size2], [NOT_OBSERVING, false, NO_SIZE, NO_SIZE]);
  assert.deepEqual([view.echo, view.noResponse, view.requestTags.length], [null, 0, 0]);
  assert.deepEqual([view.ifMatch.length, view.ifNoneMatch], [1, true]);
});
