import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../../src/base/random.ts";
import { ModbusFrames } from "../../../../src/cli/sniff/modbus-frames.ts";
import { modbusReading } from "../../../../src/cli/sniff/modbus-words.ts";
import { mqttSnReading } from "../../../../src/cli/sniff/mqtt-sn-words.ts";
import type { Reading } from "../../../../src/cli/sniff/reading.ts";
import { coapReading } from "../../../../src/cli/sniff/slipmux-words.ts";
import { FrameCheck } from "../../../../src/wire/serial/check.ts";
import { requestOf } from "../../../support/coap-messages.ts";
import { coapFrame, slip } from "../../../support/slipmux-peer.ts";

const MODBUS = new FrameCheck({ type: "crc16-modbus", position: "end", endian: "little", init: 0xffff });
const LINE = { baud: 9600, dataBits: 8, parity: "even", stopBits: 1 };

function rtu(hex: string): Buffer {
  return MODBUS.added(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

/** Verdicts and words of all frames in `bytes`, cut every `step` bytes. */
function read(reading: Reading, bytes: Buffer, step = bytes.length): string[] {
  const out: string[] = [];
  const { decoder } = reading;
  const sink = {
    onFrame: (frame: Buffer, from: number, end: number) => {
      const { verdict, words } = reading.judge(frame.subarray(from, end));
      return out.push(`${verdict}${words === null ? "" : ` ${words}`}`) > 0;
    },
    onBadFrame: (cause: string) => void out.push(cause),
  };
  for (let at = 0; at < bytes.length; at += step) decoder.feed(bytes.subarray(at, at + step), 0, sink);
  decoder.onGap(sink);
  return out;
}

test("slipmux: CoAP by type, code, Message ID, token, path, options and payload; text; packets; what is none", () => {
  const put = requestOf(
    {
      code: "PUT",
      confirmable: true,
      messageId: 0x1a2b,
      token: Buffer.from([0x0a]),
      payload: Buffer.from("21.5"),
      options: [
        { name: "Observe", value: Buffer.alloc(0) },
        { name: "Block1", value: Buffer.from([0x3a]) },
        { name: 2000, value: Buffer.alloc(300) },
      ],
    },
    "/ps/plant/a?qos=1&retain=true",
  );
  const hit = coapFrame(put);
  hit[9] = (hit[9] as number) ^ 1;
  const cases: readonly [Buffer, string][] = [
    [
      coapFrame(put),
      "ok CoAP CON PUT mid 1a2b token 0a /ps/plant/a?qos=1&retain=true observe 0 block1 3+ of 64, 4 bytes",
    ],
    [coapFrame(Buffer.from("40000001", "hex")), "ok CoAP CON ping mid 0001"],
    [coapFrame(Buffer.from("60000001", "hex")), "ok CoAP ACK empty mid 0001"],
    [coapFrame(Buffer.from("6145000107ff3231", "hex")), "ok CoAP ACK 2.05 mid 0001 token 07, 2 bytes"],
    [coapFrame(requestOf({ messageId: 1, confirmable: false }, "/a%1b%5b2J")), "ok CoAP NON GET mid 0001 /a?[2J"],
    [coapFrame(Buffer.from("4f010001", "hex")), "malformed no CoAP message"],
    [hit, "check CoAP whose FCS is wrong"],
    [slip(Buffer.from("\nhello")), "unchecked text for people"],
    [slip(Buffer.from([0x45, 0])), "unchecked an IPv4 packet"],
    [slip(Buffer.from([0x60, 0])), "unchecked an IPv6 packet"],
    [slip(Buffer.from([0x99])), "malformed slipmux has no frames that begin with 99"],
    [
      slip(Buffer.from("40010001", "hex")),
      "malformed slipmux has no frames that begin with 40, the first of CoAP without slipmux: try --framing coap",
    ],
  ];
  for (const [frame, said] of cases) {
    assert.deepEqual(read(coapReading("slipmux"), frame), [said]);
    assert.deepEqual(read(coapReading("slipmux"), frame, 1), [said], "byte by byte");
  }
});

test("bare CoAP in SLIP, and what looks like slipmux there", () => {
  const bytes = Buffer.concat([
    slip(Buffer.from("40010001b161", "hex")),
    coapFrame(Buffer.from("40010001", "hex")),
    slip(Buffer.from("\nhi")),
    slip(Buffer.from([0x99])),
  ]);
  assert.deepEqual(read(coapReading("coap"), bytes), [
    "ok CoAP CON GET mid 0001 /a",
    "malformed no bare CoAP, but slipmux: try --framing slipmux",
    "unchecked text for people",
    "malformed no CoAP",
  ]);
});

/** What goes over a bus, in order: a request, its answer. */
const BUS: readonly [string, string][] = [
  ["01 03 000a 0001", "ok unit 1: read holding registers 10, 1 of them"],
  ["01 03 02 00e6", "ok unit 1 answers read holding registers: 230"],
  ["02 01 0000 0008", "ok unit 2: read coils 0, 8 of them"],
  ["02 01 01 a5", "ok unit 2 answers read coils: a5"],
  ["01 04 0000 0002", "ok unit 1: read input registers 0, 2 of them"],
  ["01 04 04 0001 fffe", "ok unit 1 answers read input registers: 1, 65534"],
  ["01 05 0003 ff00", "ok unit 1: write coil 3 = on"],
  ["01 05 0003 ff00", "ok unit 1 answers write coil: 3 = on"],
  ["01 06 0001 0005", "ok unit 1: write register 1 = 5"],
  ["01 86 02", "ok unit 1 answers write register: illegal data address"],
  ["01 10 0000 0002 04 000a 000b", "ok unit 1: write registers 0, 2 of them = 10, 11"],
  ["01 10 0000 0002", "ok unit 1 answers write registers: 0, 2 of them"],
  ["00 06 0001 0005", "ok all units: write register 1 = 5"],
  ["05 11", "ok unit 5: report server id"],
  ["05 41 00 01 02", "ok unit 5: function 65"],
  // Three bytes of coils are as long as a request; behind the request they are its answer.
  ["02 01 0000 0018", "ok unit 2: read coils 0, 24 of them"],
  ["02 01 03 a50000", "ok unit 2 answers read coils: a50000"],
];

test("Modbus: requests and answers of a bus, one by one, all at once, and in pieces", () => {
  const said = BUS.map(([, words]) => words);
  const frames = BUS.map(([hex]) => rtu(hex));
  const reading = modbusReading(LINE);
  assert.deepEqual(
    frames.flatMap((frame) => read(reading, frame)),
    said,
  );
  for (const step of [1, 7, 1000]) assert.deepEqual(read(modbusReading(LINE), Buffer.concat(frames), step), said);
});

test("Modbus: noise and a frame that was hit are bad once each, and cost no frame beside them", () => {
  const hit = rtu("01 03 000a 0001");
  hit[3] = 0x0b;
  const bytes = [Buffer.from("00ffee", "hex"), rtu("01 03 000a 0001"), hit, rtu("01 03 02 00e6"), Buffer.from("01")];
  assert.deepEqual(read(modbusReading(LINE), Buffer.concat(bytes)), [
    "check",
    "ok unit 1: read holding registers 10, 1 of them",
    "check",
    "ok unit 1 answers read holding registers: 230",
    "check",
  ]);
});

test("Modbus: a wrong CRC is shown beside the right one; a bus that is never silent is read on", () => {
  const { judge } = modbusReading(LINE);
  const frame = rtu("01 03 000a 0001");
  frame[7] = 0;
  assert.equal(judge(frame).expected?.toString("hex"), "a408");
  const decoder = new ModbusFrames(4);
  assert.equal(decoder.gapMs, 20);
  let frames = 0;
  const sink = { onFrame: () => ++frames > 0, onBadFrame: () => assert.fail("none is bad") };
  const chunk = rtu("01 03 000a 0001");
  for (let i = 0; i < 1_000; i++) decoder.feed(chunk, 0, sink);
  assert.ok(decoder.pendingBytes <= 1_024);
  decoder.onGap(sink);
  assert.equal(frames, 1_000);
});

const MQTT_SN: readonly [string, string][] = [
  ["0704040100 3c61", "ok CONNECT client a keep alive 60 s clean"],
  ["030500", "ok CONNACK: accepted"],
  ["030501", "ok CONNACK: congestion"],
  ["090a 0005 0001 612f62", "ok REGISTER topic id 5 is a/b msg 1"],
  ["070b 0005 0001 00", "ok REGACK topic id 5 msg 1: accepted"],
  ["0b0c 30 0005 0007 32312e35", "ok PUBLISH topic id 5 qos 1 retain msg 7, 4 bytes"],
  ["080c 62 6162 0000 31", "ok PUBLISH short topic ab qos -1 msg 0, 1 byte"],
  ["070d 0005 0007 02", "ok PUBACK topic id 5 msg 7: invalid topic id"],
  ["0712 20 0008 612f", "ok SUBSCRIBE a/ msg 8"],
  ["0712 21 0008 0005", "ok SUBSCRIBE predefined topic id 5 msg 8"],
  ["0415 0008", "ok UNSUBACK msg 8"],
  ["0216", "ok PINGREQ"],
  ["0318 00", "malformed DISCONNECT, malformed"],
  ["0418 003c", "ok DISCONNECT sleeps 60 s"],
  ["0500 07 0384", "ok ADVERTISE gateway 7 every 900 s"],
  ["0203", "malformed no MQTT-SN message"],
];

test("MQTT-SN: messages by name and fields, in SLIP or one behind the other", () => {
  for (const [hex, said] of MQTT_SN) {
    const message = Buffer.from(hex.replaceAll(" ", ""), "hex");
    assert.deepEqual(read(mqttSnReading("mqtt-sn"), slip(message)), [said], hex);
  }
  const good = MQTT_SN.filter(([, said]) => said.startsWith("ok"));
  const stream = Buffer.concat(good.map(([hex]) => Buffer.from(hex.replaceAll(" ", ""), "hex")));
  for (const step of [1, 5, 1000]) {
    const said = read(mqttSnReading("mqtt-sn-length"), stream, step);
    assert.deepEqual(
      said,
      good.map(([, words]) => words),
    );
  }
});

test("whatever comes is judged: random bytes, with and without a right check, and messages that end anywhere", () => {
  const random = seededRandom(11);
  const bytes = (most: number): Buffer =>
    Buffer.from(Array.from({ length: Math.floor(random() * most) }, () => Math.floor(random() * 256)));
  const whole = requestOf({ code: "PUT", messageId: 1, payload: Buffer.from("x") }, "/ps/a?b=c");
  const readings = {
    slipmux: (content: Buffer) => coapFrame(content),
    coap: (content: Buffer) => slip(content),
    "mqtt-sn": (content: Buffer) => slip(content),
    "mqtt-sn-length": (content: Buffer) => content,
    modbus: (content: Buffer) => MODBUS.added(content),
  };
  for (const [name, frameOf] of Object.entries(readings)) {
    const reading =
      name === "modbus"
        ? modbusReading(LINE)
        : name.startsWith("mqtt")
          ? mqttSnReading(name as "mqtt-sn")
          : coapReading(name as "coap");
    for (let i = 0; i < 2_000; i++) {
      const content = i % 3 === 0 ? whole.subarray(0, i % (whole.length + 1)) : bytes(40);
      const shortCodes = Buffer.concat([Buffer.from([i % 4, i % 25]), bytes(12)]);
      for (const each of [content, shortCodes, Buffer.concat([Buffer.from([0x40 + (i % 9), 1, 0, 1]), content])]) {
        for (const words of [...read(reading, frameOf(each)), ...read(reading, each)]) {
          assert.match(words, /^(ok|unchecked|malformed|check|too-long|escape|cut|noise)\b/);
          assert.doesNotMatch(words, /\p{Cc}|undefined|NaN/u);
        }
        reading.decoder.reset();
      }
    }
  }
});
