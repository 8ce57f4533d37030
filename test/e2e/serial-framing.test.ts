// Framings and checks of serial lines against the running gateway, both ways, over pairs of pseudo terminals.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { seededRandom } from "../../src/base/random.ts";
import { CabledGateway } from "../support/cabled-gateway.ts";
import { eventually } from "../support/eventually.ts";
import { sluice } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import { requirePeer } from "../support/peers.ts";

interface Case {
  readonly title: string;
  readonly framing: unknown;
  readonly check: unknown;
  /** What the device says, in chunks; one of the frames is bad. */
  readonly says: readonly string[];
  readonly published: readonly string[];
  /** The bad one, as it is told of on the topic of errors. */
  readonly verdict: string;
  readonly error: string;
  /** A message, and the frame that the device has to hear. */
  readonly message: Buffer;
  readonly heard: string;
}

/** Of "gut", by another implementation than the gateway's. */
const GUT_CRC = crc32("gut").toString(16).padStart(8, "0");

/** Its check is by another program than the gateway. */
const P1 = Buffer.from("/ABC5meter\r\n\r\n1-0:1.8.1(000004.426*kWh)\r\n1-0:1.7.0(00.244*kW)\r\n!E693").toString("hex");

const CASES: Case[] = [
  {
    title: "slip with crc16-ccitt (vectors of 123456789)",
    framing: { type: "slip", max_frame: 64 },
    check: "crc16-ccitt",
    says: ["c0313233343536", "37383929b1c0c031323334353637383929b2c0"],
    published: ["313233343536373839"],
    verdict: "check",
    error: "31323334353637383929b2",
    message: Buffer.from("123456789"),
    heard: "c031323334353637383929b1c0",
  },
  {
    title: "a length of two bytes with crc32, the frame behind a wrong length included",
    framing: { type: "length", bytes: 2, endian: "little" },
    check: "crc32",
    says: [`0700677574${GUT_CRC}`, `ffff0700677574${GUT_CRC}`],
    published: ["677574", "677574"],
    verdict: "too-long",
    error: "ffff",
    message: Buffer.from("gut"),
    heard: `0700677574${GUT_CRC}`,
  },
  {
    title: "start and end with an escape (HDLC's flags) and crc16-modbus (the vector of its specification)",
    framing: { type: "start-end", start: "hex:7e", end: "hex:7e", escape: "hex:7d", escape_xor: 0x20 },
    check: "crc16-modbus",
    says: ["7e02074112", "7e7e7d7e"],
    published: ["0207"],
    verdict: "escape",
    error: "",
    message: Buffer.from("0207", "hex"),
    heard: "7e020741127e",
  },
  {
    title: "text in code page 437 with blanks around, lines ended in any way",
    framing: { type: "line", encoding: "cp437", delimiter: ["\r\n", "\r", "\n"], trim: true, max_frame: 16 },
    check: "none",
    says: ["202032312e35", "f8430d20", "630d0a80622020200a", "61".repeat(17), "0d0a"],
    published: ["21.5°C", "c", "Çb"].map((text) => Buffer.from(text).toString("hex")),
    verdict: "too-long",
    error: "6161",
    message: Buffer.from("5°C"),
    heard: "35f8430d0a",
  },
  {
    title: "a telegram of a meter's P1 port, its check in digits behind the end",
    framing: { type: "start-end", start: "/", end: "!" },
    check: { type: "crc16-arc", encoding: "hex", position: "behind", covers: "both" },
    says: [P1, "0d0a", P1.replace("2e343236", "2e343237"), "0d0a"],
    published: [P1.slice(2, -10)],
    verdict: "check",
    error: P1.slice(2, 20),
    message: Buffer.from(P1.slice(2, -10), "hex"),
    heard: P1,
  },
];

const metered = (settings: object): Promise<CabledGateway> =>
  CabledGateway.start((port) => ({
    listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }],
    serial: [{ name: "meter", port, ...settings }],
  }));

for (const { title, framing, check, says, published, verdict, error, message, heard } of CASES) {
  test(`${title}: content is published, a bad frame is shown, messages are framed`, {
    skip: requirePeer("socat"),
  }, async () => {
    await using meter = await metered({ framing, check, publish: {}, write: {}, errors: {} });
    const { cable, gateway } = meter;
    await using frames = await MqttCollector.open(gateway.port(), "serial/meter");
    await using errors = await MqttCollector.open(gateway.port(), "serial/meter/errors");
    for (const chunk of says) cable.say(Buffer.from(chunk, "hex"));
    assert.deepEqual(
      (await frames.take(published.length)).map(({ payload }) => payload),
      published.map((content) => Buffer.from(content, "hex").toString("latin1")),
    );
    const [bad] = await errors.take(1);
    const told = JSON.parse(bad?.payload ?? "");
    assert.equal(told.verdict, verdict);
    assert.ok(told.hex.startsWith(error), told.hex);
    assert.ok(Math.abs(Date.parse(told.time) - Date.now()) < 60_000);
    await frames.client.publishAsync("serial/meter/set", message, { qos: 1 });
    await eventually("the frame", () => Buffer.from(cable.heard, "latin1").toString("hex") === heard);
    assert.equal(await gateway.end(), 0);
  });
}

test("a line full of noise does not flood the topic of errors; all of it is counted", {
  skip: requirePeer("socat"),
}, async () => {
  await using meter = await metered({ framing: { type: "slip" }, check: "crc32", errors: {} });
  const { cable, gateway } = meter;
  await using errors = await MqttCollector.open(gateway.port(), "serial/meter/errors");
  await using frames = await MqttCollector.open(gateway.port(), "serial/meter");
  const bad = Buffer.from("c06261642121c0", "hex");
  cable.say(Buffer.concat(Array.from({ length: 300 }, () => bad)));
  cable.say(Buffer.from(`c0677574${GUT_CRC}c0`, "hex"));
  assert.equal((await frames.take(1))[0]?.payload, "gut");
  const told = await errors.take(10);
  assert.equal(JSON.parse(told[9]?.payload ?? "").text, "bad!!");
  const { stdout } = await sluice(["status", "--json", "--data-dir", join(gateway.folder, "data")]);
  const { counters } = JSON.parse(stdout) as { counters: Record<string, number> };
  assert.equal(counters["serial.lines_bad_check"], 300);
  assert.ok((counters["serial.errors_skipped"] ?? 0) > 200, "ten a second");
  assert.equal(await gateway.end(), 0);
});

test("noise of one byte in a thousand on the wire loses the frames that it hits and no other", {
  skip: requirePeer("socat"),
}, async () => {
  await using meter = await metered({ framing: { type: "length", bytes: 1, gap_ms: 200 }, check: "crc32" });
  const { cable, gateway } = meter;
  await using frames = await MqttCollector.open(gateway.port(), "serial/meter");
  const random = seededRandom(1000);
  let hits = 0;
  for (let round = 0; round < 20; round++) {
    const unhit: string[] = [];
    const burst: Buffer[] = [];
    for (let i = 0; i < 30; i++) {
      const text = `frame ${round * 30 + i}: ${"x".repeat(Math.floor(random() * 40))}`;
      const frame = Buffer.alloc(1 + text.length + 4);
      frame[0] = text.length + 4;
      frame.write(text, 1);
      frame.writeUInt32BE(crc32(text), 1 + text.length);
      const before = hits;
      for (let at = 0; at < frame.length; at++) {
        if (random() >= 1e-3) continue;
        frame[at] = (frame[at] as number) ^ (1 + Math.floor(random() * 255));
        hits++;
      }
      if (hits === before) unhit.push(text);
      burst.push(frame);
    }
    cable.say(Buffer.concat(burst));
    const heard = await frames.take(unhit.length);
    assert.deepEqual(
      heard.map(({ payload }) => payload),
      unhit,
    );
  }
  assert.ok(hits > 10, `${hits} hits`);
  assert.equal(await gateway.end(), 0);
});

test("idle: frames are told apart by silence", { skip: requirePeer("socat") }, async () => {
  await using meter = await metered({ framing: { type: "idle", gap_ms: 100 }, check: "xor8" });
  const { cable, gateway } = meter;
  await using frames = await MqttCollector.open(gateway.port(), "serial/meter");
  for (const frame of ["ab\x03", "ac\x02"]) {
    cable.say(frame);
    assert.equal((await frames.take(1))[0]?.payload, frame.slice(0, 2)); // nothing but silence has ended it
  }
  assert.equal(await gateway.end(), 0);
});
