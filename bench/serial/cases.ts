/** What is said on the lines, and what the gateway makes of it. */
import { generate } from "coap-packet";
import { crc16 } from "../../src/wire/modbus/crc.ts";
import { encoderOf, type FramingOptions } from "../../src/wire/serial/framings.ts";
import { slipBytesMax } from "../../src/wire/serial/slip.ts";
import { COAP_FRAME_OVERHEAD, writeCoap } from "../../src/wire/serial/slipmux.ts";
import type { Order } from "./feeder.ts";

export interface SerialCase {
  readonly name: string;
  readonly group: "saturated" | "duplex" | "lines" | "framings" | "messages" | "protocols";
  /** Bytes that a driver hands over at a time. */
  readonly bursts: readonly number[];
  /** Keys of a line's configuration, beside its name and port. */
  readonly line: (port: number) => string;
  /** Further lines of the configuration. */
  readonly config?: readonly string[];
  /** What device `port` says, over and over. */
  readonly framesOf: (port: number) => readonly Buffer[];
  /** For the feeder. */
  readonly order: Order;
  /** A session that is away keeps what comes: each message is stored. */
  readonly stored?: boolean;
}

/** A UART without FIFO; one whose FIFO has 16 bytes; USB adapters, by packet and by what some gather. */
const BURSTS = [1, 14, 62, 512];
const FIFO = [14];
const PACKET = [62];
const FRAMES = 256;
const SLIP: FramingOptions = { type: "slip", frameBytesMax: 8192 };
const MODBUS_CRC = { type: "crc16-modbus", position: "end", endian: "little", init: 0xffff } as const;
/** Of SLIP: an answer has two. */
const END = 0xc0;

/** `length` bytes with \n, like NMEA 0183's. */
function lineOf(length: number, n: number): Buffer {
  return Buffer.from(`$GPGSV,${String(n).padStart(length - 8, "0")}\n`);
}

const lines = (length: number) => (): Buffer[] => Array.from({ length: FRAMES }, (_, n) => lineOf(length, n));

function framed(framing: FramingOptions, check: typeof MODBUS_CRC | null, length: number): () => Buffer[] {
  const encoder = encoderOf(framing, check);
  const content = (n: number): Buffer => Buffer.from(Array.from({ length }, (_, i) => (n * 31 + i * 7) & 0xff));
  return () => Array.from({ length: FRAMES }, (_, n) => encoder.encode(content(n)));
}

const published = (port: number): string => `publish: {topic: in/${port}, qos: 0}`;
const MESSAGES: Order = { messages: 1 };

/** Both directions at once. */
function duplex(group: "saturated" | "duplex", bytes: number, qos: 0 | 1, bursts: readonly number[]): SerialCase {
  return {
    name: `lines of ${bytes} B in and out${qos === 1 ? ", QoS 1 out" : ""}`,
    group,
    bursts,
    line: (port) => `${published(port)}, write: {topic: out/${port}, qos: ${qos}}`,
    framesOf: lines(bytes),
    order: { ...MESSAGES, out: bytes - 1, "out-line": bytes, "out-qos": qos },
  };
}

function linesIn(bytes: number, bursts: readonly number[]): SerialCase {
  return {
    name: `lines of ${bytes} B in`,
    group: "lines",
    bursts,
    line: published,
    framesOf: lines(bytes),
    order: MESSAGES,
  };
}

function framing(
  name: string,
  line: string,
  framesOf: () => Buffer[],
  bursts: readonly number[] = PACKET,
  order: Order = {},
): SerialCase {
  return {
    name,
    group: "framings",
    bursts,
    line: (port) => `${line}, ${published(port)}`,
    framesOf,
    order: { ...MESSAGES, ...order },
  };
}

/** Of frames of 64 bytes, which take 5.6 ms. */
const SILENCE_US = 12000;

function coapFrames(confirmable: boolean): (port: number) => Buffer[] {
  return (port) =>
    Array.from({ length: 4096 }, (_, n) => {
      const message = generate({
        code: "PUT",
        confirmable,
        messageId: n,
        token: Buffer.from([n & 0x3f]),
        options: ["ps", "in", String(port)].map((value) => ({ name: "Uri-Path", value: Buffer.from(value) })),
        payload: Buffer.from(String(n).padStart(40, "0")),
      });
      const out = Buffer.alloc(slipBytesMax(message.length + COAP_FRAME_OVERHEAD));
      return out.subarray(0, writeCoap(message, 0, message.length, out, 0));
    });
}

const TOPIC_ID = 5;

/** PUBLISH to a predefined topic. @param flags  with the QoS */
function snPublish(flags: number, n: number): Buffer {
  const payload = Buffer.from(String(n).padStart(48, "0"));
  const head = Buffer.from([
    7 + payload.length,
    0x0c,
    flags,
    0,
    TOPIC_ID,
    flags === 0x61 ? 0 : 1,
    flags === 0x61 ? 0 : n & 0x7f,
  ]);
  return encoderOf(SLIP, null).encode(Buffer.concat([head, payload]));
}

const SN_CONNECT = encoderOf(SLIP, null).encode(Buffer.from("0804040100006273", "hex"));

/** Ten holding registers of slave 1. */
function modbusAnswer(): Buffer {
  const frame = Buffer.alloc(25, 1);
  frame.set([1, 3, 20]);
  frame.writeUInt16LE(crc16(frame, 0, 23), 23);
  return frame;
}

/** Three groups that are due each 10 ms, of ten registers: more than a line has time for. */
const MODBUS_GROUPS = [0, 100, 200].map((from) => {
  const points = Array.from({ length: 10 }, (_, i) => `{name: r${from + i}, address: ${from + i}}`);
  return `{interval: 10ms, points: [${points.join(", ")}]}`;
});
const JSON_LINE = (n: number): string =>
  `{"id":"s${n % 8}","t":${(n % 400) / 10},"h":${n % 100},"state":"running","n":${String(n).padStart(6, "1")}}\n`;
const CSV_LINE = (n: number): string => `A,${(n % 400) / 10},${n % 100},running,${String(n).padStart(6, "1")}\n`;
const texts = (text: (n: number) => string) => (): Buffer[] =>
  Array.from({ length: FRAMES }, (_, n) => Buffer.from(text(n)));

export const CASES: readonly SerialCase[] = [
  duplex("saturated", 64, 0, BURSTS),
  duplex("duplex", 64, 1, PACKET),
  duplex("duplex", 16, 0, PACKET),
  duplex("duplex", 250, 0, PACKET),
  linesIn(16, BURSTS),
  linesIn(64, BURSTS),
  linesIn(250, BURSTS),
  framing("slip, crc16-modbus", "framing: slip, check: crc16-modbus", framed(SLIP, MODBUS_CRC, 60)),
  framing("cobs", "framing: cobs", framed({ type: "cobs", frameBytesMax: 8192 }, null, 62)),
  framing(
    "length, crc16-modbus",
    "framing: length, check: crc16-modbus",
    framed(
      {
        type: "length",
        bytes: 2,
        endian: "big",
        offset: 0,
        adjust: 0,
        keepHeader: false,
        gapMs: 1000,
        frameBytesMax: 8192,
      },
      MODBUS_CRC,
      60,
    ),
  ),
  framing(
    "idle, crc16-modbus",
    "framing: {type: idle, gap_ms: 5}, check: crc16-modbus",
    framed({ type: "idle", gapMs: 5, frameBytesMax: 8192 }, MODBUS_CRC, 62),
    FIFO,
    { "gap-us": SILENCE_US },
  ),
  {
    name: "lines of 64 B, each stored",
    group: "messages",
    bursts: PACKET,
    line: (port) => `publish: {topic: in/${port}, qos: 1}`,
    config: ["limits: {session_queue_messages: 1000000, session_queue_bytes: 256MiB}", "store: {max_bytes: 1GiB}"],
    framesOf: lines(64),
    order: MESSAGES,
    stored: true,
  },
  {
    name: "JSON of 62 B, two fields",
    group: "messages",
    bursts: PACKET,
    line: (port) =>
      `publish: {topic: in/${port}, qos: 0, format: json, payload: '{"of": {id}, "value": {t}}', fields: {id: {json: id}, t: {json: t, scale: 0.1}}}`,
    framesOf: texts(JSON_LINE),
    order: MESSAGES,
  },
  {
    name: "CSV of 26 B, two columns",
    group: "messages",
    bursts: PACKET,
    line: (port) =>
      `publish: {topic: in/${port}, qos: 0, match: "^A,", payload: "{v} {s}", fields: {v: {column: 2, type: number}, s: {column: 4}}}`,
    framesOf: texts(CSV_LINE),
    order: MESSAGES,
  },
  {
    name: "Modbus, 10 registers at full pace",
    group: "protocols",
    bursts: FIFO,
    line: () => `protocol: modbus, modbus: {slaves: [{unit: 1, groups: [${MODBUS_GROUPS.join(", ")}]}]}`,
    framesOf: () => [modbusAnswer()],
    order: { turn: 8 },
  },
  {
    name: "CoAP, NON PUT of 40 B",
    group: "protocols",
    bursts: PACKET,
    line: () => "protocol: coap, coap: {rate: 100000}",
    framesOf: coapFrames(false),
    order: MESSAGES,
  },
  {
    name: "CoAP, CON PUT of 40 B, one by one",
    group: "protocols",
    bursts: PACKET,
    line: () => "protocol: coap, coap: {rate: 100000}",
    framesOf: coapFrames(true),
    order: { ...MESSAGES, turn: 2, "turn-byte": END, ask: 1 },
  },
  {
    name: "MQTT-SN, QoS -1 of 48 B",
    group: "protocols",
    bursts: PACKET,
    line: (port) => `protocol: mqtt-sn, mqtt_sn: {framing: slip, predefined: {${TOPIC_ID}: in/${port}}}`,
    framesOf: () => Array.from({ length: FRAMES }, (_, n) => snPublish(0x61, n)),
    order: MESSAGES,
  },
  {
    name: "MQTT-SN, QoS 1 of 48 B, one by one",
    group: "protocols",
    bursts: PACKET,
    line: (port) => `protocol: mqtt-sn, mqtt_sn: {framing: slip, predefined: {${TOPIC_ID}: in/${port}}}`,
    framesOf: () => [SN_CONNECT, ...Array.from({ length: 8192 }, (_, n) => snPublish(0x21, n))],
    order: { turn: 2, "turn-byte": END, ask: 1 },
  },
];
