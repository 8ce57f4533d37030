import assert from "node:assert/strict";
import { hostname } from "node:os";
import test from "node:test";
import { defaultConfig } from "../../../src/config/config.ts";
import { load } from "../../../src/config/load.ts";
import { linesOf } from "../../../src/config/serial.ts";
import { RS485_LINE } from "../../../src/config/serial-rs485.ts";

const KIB = 1024;
const MIB = 2 ** 20;
const DAY_MS = 86_400_000;

const options = { directory: "/etc/sluice", checkFiles: false };

function loaded(text: string) {
  const { config, complaints } = load(text, options);
  assert.deepEqual(complaints, []);
  assert.ok(config);
  return config;
}

test("every default is the one of the contract", () => {
  assert.deepEqual(defaultConfig(), {
    node: hostname(),
    dataDir: "/var/lib/sluice",
    memoryLimitBytes: 16 * MIB,
    listeners: [
      {
        type: "mqtt",
        host: "127.0.0.1",
        port: 1883,
        path: "/mqtt",
        unix: null,
        unixMode: 0o660,
        tls: null,
        maxQos: 2,
        retainAvailable: true,
        anonymous: null,
        origins: null,
        coap: null,
        mqttSn: null,
      },
    ],
    serial: [],
    uplinks: [],
    store: {
      sync: "full",
      commitDelayMs: "auto",
      commitBytes: 256 * KIB,
      maxBytes: 512 * MIB,
      writeBudgetPerDay: 2 * 1024 * MIB,
      endurance: null,
    },
    durability: [],
    auth: { anonymous: "loopback", passwordFile: null, aclFile: null },
    limits: {
      maxConnections: 1024,
      connectionsPerAddress: 1024,
      connectTimeoutMs: 10_000,
      maxSessions: 4096,
      sessionExpiryMaxMs: 14 * DAY_MS,
      sessionQueueMessages: 1000,
      sessionQueueBytes: 64 * KIB,
      sessionQueueAgeMs: 14 * DAY_MS,
      sessionWhenFull: "drop-newest",
      maxPacketBytes: 256 * KIB,
      outputBytes: MIB,
      pauseMaxMs: 2000,
      refusalHoldMs: 10_000,
      keepAliveMaxMs: 65_535_000,
      handshakesPerSecond: 50,
      retainedMessages: 10_000,
      retainedBytes: 8 * MIB,
      retainedPayloadBytes: 256 * KIB,
      subscriptionsPerClient: 100,
      coapObservers: 160,
      coapExchanges: 4096,
      topicLevels: 200,
      topicBytes: 1024,
      stringBytes: 1024,
      inflight: 64,
      inflightLive: 2048,
      receiveMaximum: 1024,
      topicAliases: 16,
      validateUtf8Payload: false,
    },
    responseInformation: null,
    sysIntervalMs: 10_000,
    log: { level: "info", format: "text" },
  });
});

for (const text of ["", "# nothing\n", "---\n", "null\n", "{}\n", "---\n...\n"]) {
  test(`a file of ${JSON.stringify(text)} gives the defaults`, () => {
    assert.deepEqual(loaded(text), defaultConfig());
  });
}

test("an uplink needs its url only", () => {
  assert.deepEqual(loaded("node: gw-17\nuplinks: [{url: mqtts://broker.example.com}]").uplinks, [
    {
      name: "cloud",
      urls: ["mqtts://broker.example.com:8883"],
      returnToPrimaryMs: 300_000,
      protocol: 5,
      clientId: "gw-17",
      username: null,
      passwordFile: null,
      renewBeforeMs: 300_000,
      tls: { ca: null, cert: null, key: null, alpn: [], servername: null },
      keepaliveMs: 60_000,
      sessionExpiryMs: 7 * DAY_MS,
      window: 64,
      proxy: null,
      bindAddress: null,
      interface: null,
      loopMark: true,
      forward: [],
      receive: [],
      spool: {
        maxBytes: 256 * MIB,
        maxMessages: 1_000_000,
        maxAgeMs: 7 * DAY_MS,
        whenFull: "drop-oldest",
        priorities: [],
      },
      drain: "oldest-first",
      pace: null,
      dataCap: null,
      connect: null,
    },
  ]);
  assert.deepEqual(loaded("uplinks: [{url: mqtt://127.0.0.1, forward: [{}], receive: [{}]}]").uplinks[0], {
    ...loaded("uplinks: [{url: mqtt://127.0.0.1:1883}]").uplinks[0],
    tls: null,
    forward: [
      {
        match: "#",
        qos: 1,
        to: "{topic}",
        offline: "store",
        retain: "keep",
        priority: 0,
        expiryMs: null,
        batch: null,
        reduce: null,
        onChange: null,
      },
    ],
    receive: [{ match: "#", qos: 1, to: "{topic}", retain: "keep" }],
  });
});

/** A framing of bytes as they are. */
const PLAIN = { encoding: null, trim: false };

test("a serial port needs its port only; writing to the device is asked for", () => {
  const { serial } = loaded("serial: [{port: /dev/ttyUSB0}, {port: /dev/ttyS1, write: {}, publish: off}]");
  const line = {
    baud: 115_200,
    dataBits: 8,
    parity: "none",
    stopBits: 1,
    flow: "none",
    rs485: "none",
    rs485Line: RS485_LINE,
    lowLatency: false,
    keepAliveMs: 15_000,
  };
  const framing = { type: "line", delimiter: [0x0a], delimitersToo: [], frameBytesMax: 8192, ...PLAIN };
  const kind = { protocol: "frames", framing, check: null, errors: null };
  const at = (path: string) => ({ place: { kind: "device", path }, port: path, ...line, ...kind });
  const write = { topic: "serial/ttyS1/set", qos: 1, format: "raw", template: null, gapMs: 0, request: null };
  assert.deepEqual(serial, [
    { name: "ttyUSB0", ...at("/dev/ttyUSB0"), publish: { topic: "serial/ttyUSB0", qos: 1 }, mapping: null, write: [] },
    { name: "ttyS1", ...at("/dev/ttyS1"), publish: null, mapping: null, write: [write] },
  ]);
});

test("each type of listener has its port, on loopback", () => {
  const text = "listeners: [{}, {tls: {cert: c, key: k}}, {type: ws}, {type: coap}, {type: http}]";
  const { listeners } = loaded(text);
  assert.deepEqual(
    listeners.map(({ type, host, port }) => [type, host, port]),
    [
      ["mqtt", "127.0.0.1", 1883],
      ["mqtt", "127.0.0.1", 8883],
      ["ws", "127.0.0.1", 8083],
      ["coap", "127.0.0.1", 5683],
      ["http", "127.0.0.1", 8080],
    ],
  );
});

test("sys_interval is a duration, or off", () => {
  const of = (value: string) => loaded(`sys_interval: ${value}`).sysIntervalMs;
  assert.deepEqual([of("1s"), of("90s"), of("1h"), of("off")], [1000, 90_000, 3_600_000, "off"]);
});

test("an empty list of listeners means none", () => {
  assert.deepEqual(loaded("listeners: []").listeners, []);
});

test("the configuration survives JSON", () => {
  const config = loaded(
    "uplinks: [{url: mqtts://a, forward: [{}]}]\nserial: [{port: /dev/ttyS0}]\ndurability: [{commit_delay: 0ms}]",
  );
  assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
});

test("a CoAP listener's own keys and their defaults; DTLS has a port of its own", () => {
  const text = "listeners: [{type: coap}, {type: coap, dtls: {psk_file: psk.txt}}]";
  const { config, complaints } = load(text, { directory: "/etc/sluice", checkFiles: false });
  assert.deepEqual(complaints, []);
  const common = { multicast: false, heartbeatMs: 30_000, rate: 200, notify: "qos" };
  const dtls = {
    pskFile: "/etc/sluice/psk.txt",
    cert: null,
    key: null,
    clientCa: null,
    maxSessions: 256,
    idleTimeoutMs: 600_000,
    handshakeTimeoutMs: 15_000,
    mtu: 1200,
  };
  assert.deepEqual(
    config?.listeners.map(({ port, coap }) => ({ port, coap })),
    [
      { port: 5683, coap: { ...common, dtls: null } },
      { port: 5684, coap: { ...common, dtls } },
    ],
  );
});

test("every framing and check of a serial port, with its defaults", () => {
  const framingWith = (framing: string) =>
    linesOf(loaded(`serial: [{port: /dev/a, framing: ${framing}}]`).serial, "frames")[0]?.framing;
  const framingOf = (framing: string) => {
    const { encoding, trim, ...rest } = framingWith(framing) ?? {};
    assert.deepEqual({ encoding, trim }, PLAIN);
    return rest;
  };
  const frameBytesMax = 8192;
  assert.deepEqual(framingOf("slip"), { type: "slip", frameBytesMax });
  assert.deepEqual(framingOf("{type: cobs, max_frame: 300}"), { type: "cobs", frameBytesMax: 300 });
  assert.deepEqual(framingOf('{delimiter: "hex:0d 0A"}'), {
    type: "line",
    delimiter: [13, 10],
    delimitersToo: [],
    frameBytesMax,
  });
  const wide = { type: "line", delimiter: [0, 10], delimitersToo: [[0, 13, 0, 10]], frameBytesMax };
  assert.deepEqual(framingWith("{encoding: utf16be, trim: true}"), { ...wide, encoding: "utf16be", trim: true });
  assert.deepEqual(framingOf('{delimiter: "hex:0a00"}'), {
    type: "line",
    delimiter: [10, 0],
    delimitersToo: [],
    frameBytesMax,
  });
  assert.deepEqual(framingWith('{encoding: utf16le, delimiter: ["hex:0d00", "§"]}'), {
    type: "line",
    delimiter: [13, 0],
    delimitersToo: [[0xa7, 0]],
    frameBytesMax,
    encoding: "utf16le",
    trim: false,
  });
  assert.deepEqual(framingOf('{delimiter: ["\\r\\n", "\\r"]}'), {
    type: "line",
    delimiter: [13, 10],
    delimitersToo: [[13]],
    frameBytesMax,
  });
  const length = {
    type: "length",
    bytes: 2,
    endian: "big",
    offset: 0,
    start: [],
    adjust: 0,
    keepHeader: false,
    gapMs: 1000,
  };
  assert.deepEqual(framingOf("length"), { ...length, frameBytesMax });
  assert.deepEqual(
    framingOf("{type: length, bytes: 1, endian: little, offset: 2, adjust: -3, keep_header: true, gap_ms: 20}"),
    { ...length, bytes: 1, endian: "little", offset: 2, adjust: -3, keepHeader: true, gapMs: 20, frameBytesMax },
  );
  const fixed = { type: "fixed", bytes: 9, start: [], gapMs: 1000, frameBytesMax: 9 };
  assert.deepEqual(framingOf("{type: fixed, bytes: 9}"), fixed);
  assert.deepEqual(framingOf('{type: fixed, bytes: 9, start: "hex:aac0"}'), { ...fixed, start: [0xaa, 0xc0] });
  assert.deepEqual(framingOf('{type: length, offset: 1, start: "hex:68"}'), {
    ...length,
    offset: 1,
    start: [0x68],
    frameBytesMax,
  });
  const startEnd = { type: "start-end", start: [0x3c], end: [0x3e], escape: -1, escapeXor: 0, frameBytesMax };
  assert.deepEqual(framingOf('{type: start-end, start: "<", end: ">"}'), startEnd);
  assert.deepEqual(framingOf('{type: start-end, start: "hex:7e", end: "hex:7e", escape: "hex:7d", escape_xor: 0x20}'), {
    ...startEnd,
    start: [0x7e],
    end: [0x7e],
    escape: 0x7d,
    escapeXor: 0x20,
  });
  assert.deepEqual(framingOf("idle"), { type: "idle", gapMs: 5, frameBytesMax });
  const checkOf = (check: string) =>
    linesOf(loaded(`serial: [{port: /dev/a, check: ${check}}]`).serial, "frames")[0]?.check;
  assert.equal(checkOf("none"), null);
  const end = {
    position: "end",
    endian: "big",
    init: 0xffff,
    digits: false,
    skip: 0,
    mark: [],
    tail: [],
    covers: "content",
  };
  const common = { ...end, keep: false };
  assert.deepEqual(checkOf("crc16-modbus"), { ...common, type: "crc16-modbus", endian: "little" });
  assert.deepEqual(checkOf("{type: crc16-ccitt, position: start, endian: little, init: 0}"), {
    ...common,
    type: "crc16-ccitt",
    position: "start",
    endian: "little",
    init: 0,
  });
  assert.deepEqual(checkOf('{type: xor8, encoding: hex, skip: 1, mark: "*", tail: "#", keep: true}'), {
    ...common,
    type: "xor8",
    digits: true,
    skip: 1,
    mark: [0x2a],
    tail: [0x23],
    keep: true,
  });
  const p1 = linesOf(
    loaded(
      `serial: [{port: /dev/a, framing: {type: start-end, start: "/", end: "!"},
      check: {type: crc16-arc, encoding: hex, position: behind, covers: both}}]`,
    ).serial,
    "frames",
  );
  assert.deepEqual(p1[0]?.check, {
    ...common,
    type: "crc16-arc",
    position: "behind",
    digits: true,
    covers: "both",
  });
  const { serial } = loaded(
    "serial: [{port: /dev/a, errors: {}}, {port: /dev/b, errors: {topic: bad, qos: 0, format: raw}}]",
  );
  assert.deepEqual(
    linesOf(serial, "frames").map(({ errors }) => errors),
    [
      { topic: "serial/a/errors", qos: 1, format: "json" },
      { topic: "bad", qos: 0, format: "raw" },
    ],
  );
});
