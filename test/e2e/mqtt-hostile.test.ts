// Peers that break the rules, on raw sockets: 5.0 gets the reason, 3.1.1 a closed socket, and nobody else notices.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import mqtt from "mqtt";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { eventually } from "../support/eventually.ts";
import { GatewayProcess, sluice, temporaryFolder } from "../support/gateway-process.ts";
import { MqttCollector } from "../support/mqtt-collector.ts";
import {
  ack,
  bytes,
  CONNACK,
  CONNECT,
  connect,
  DISCONNECT,
  field,
  type Part,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBLISH,
  PUBREL,
  packet,
  pingreq,
  properties,
  publish,
  SUBACK,
  SUBSCRIBE,
  subscribe,
  UNSUBSCRIBE,
  u16,
  u32,
  type Version,
} from "../support/mqtt-packets.ts";
import { RawMqtt } from "../support/raw-mqtt.ts";

const LONG_SEED = process.env["SLUICE_LONG"];
const SEED = LONG_SEED === undefined ? 1 : Number(LONG_SEED);
const FUZZED = LONG_SEED === undefined ? 1500 : 100_000;

/** Reason codes of 5.0. */
const MALFORMED = 0x81;
const PROTOCOL = 0x82;
const TOPIC_FILTER_INVALID = 0x8f;
const TOPIC_NAME_INVALID = 0x90;
const TOPIC_ALIAS_INVALID = 0x94;
const TOO_LARGE = 0x95;

const BOTH: readonly Version[] = [4, 5];
const NEW: readonly Version[] = [5];
/** Not UTF-8: an overlong slash. */
const OVERLONG = Buffer.from([0x61, 0xc0, 0xaf]);
/** A UTF-16 surrogate, which UTF-8 does not have. */
const SURROGATE = Buffer.from([0xed, 0xa0, 0x80]);

interface Vector {
  readonly what: string;
  readonly versions: readonly Version[];
  readonly bytes: (version: Version) => Buffer;
  /** Of the DISCONNECT in 5.0. */
  readonly reason: number;
}

function vector(
  what: string,
  versions: readonly Version[],
  reason: number,
  make: (version: Version) => Buffer,
): Vector {
  return { what, versions, bytes: make, reason };
}

/** A PUBLISH of 5.0 with these properties. */
function withProperties(...parts: Part[]): Buffer {
  return packet(PUBLISH, 0, field("a"), properties(5, ...parts), "x");
}

const AFTER_CONNECT: readonly Vector[] = [
  vector("packet type 0", BOTH, MALFORMED, () => packet(0, 0)),
  vector("reserved flags of PINGREQ", BOTH, MALFORMED, () => packet(PINGREQ, 1)),
  vector("reserved flags of SUBSCRIBE", BOTH, MALFORMED, (v) =>
    packet(SUBSCRIBE, 0, u16(1), properties(v), field("a"), 0),
  ),
  vector("reserved flags of UNSUBSCRIBE", BOTH, MALFORMED, (v) =>
    packet(UNSUBSCRIBE, 0, u16(1), properties(v), field("a")),
  ),
  vector("reserved flags of PUBREL", BOTH, MALFORMED, () => packet(PUBREL, 0, u16(1))),
  vector("reserved flags of PUBACK", BOTH, MALFORMED, () => packet(PUBACK, 2, u16(1))),
  vector("reserved flags of DISCONNECT", BOTH, MALFORMED, () => packet(DISCONNECT, 4)),
  vector("a Remaining Length of five bytes", BOTH, MALFORMED, () => bytes([0x30, 0xff, 0xff, 0xff, 0xff, 0x01])),
  vector("PINGREQ with a body", BOTH, MALFORMED, () => packet(PINGREQ, 0, "x")),
  vector("QoS 3", BOTH, MALFORMED, (v) => packet(PUBLISH, 6, field("a"), u16(1), properties(v))),
  vector("DUP at QoS 0", BOTH, MALFORMED, (v) => packet(PUBLISH, 8, field("a"), properties(v))),
  vector("packet id 0 in PUBLISH", BOTH, PROTOCOL, (v) => publish(v, { topic: "a", qos: 1, packetId: 0 })),
  vector("packet id 0 in SUBSCRIBE", BOTH, PROTOCOL, (v) => subscribe(v, 0, ["a", 0])),
  vector("+ in a topic", BOTH, TOPIC_NAME_INVALID, (v) => publish(v, { topic: "a/+" })),
  vector("# in a topic", BOTH, TOPIC_NAME_INVALID, (v) => publish(v, { topic: "#" })),
  vector("an empty topic", BOTH, PROTOCOL, (v) => publish(v, { topic: "" })),
  vector("a topic that ends behind the packet", BOTH, MALFORMED, () => packet(PUBLISH, 0, u16(500), "a")),
  vector("overlong UTF-8 in a topic", BOTH, MALFORMED, (v) => packet(PUBLISH, 0, field(OVERLONG), properties(v))),
  vector("a surrogate in a topic", BOTH, MALFORMED, (v) => packet(PUBLISH, 0, field(SURROGATE), properties(v))),
  vector("U+0000 in a topic", BOTH, MALFORMED, (v) => publish(v, { topic: "a\0b" })),
  vector("a second CONNECT", BOTH, PROTOCOL, (version) => connect({ version, clientId: "again" })),
  vector("CONNACK from a client", BOTH, PROTOCOL, () => packet(CONNACK, 0, [0, 0])),
  vector("SUBACK from a client", BOTH, PROTOCOL, () => packet(SUBACK, 0, u16(1), [0, 0])),
  vector("PINGRESP from a client", BOTH, PROTOCOL, () => packet(PINGRESP, 0)),
  vector("SUBSCRIBE without a filter", BOTH, PROTOCOL, (v) => subscribe(v, 1)),
  vector("UNSUBSCRIBE without a filter", BOTH, PROTOCOL, (v) => packet(UNSUBSCRIBE, 2, u16(1), properties(v))),
  vector("# in the middle of a filter", BOTH, TOPIC_FILTER_INVALID, (v) => subscribe(v, 1, ["a/#/b", 0])),
  vector("+ beside other characters", BOTH, TOPIC_FILTER_INVALID, (v) => subscribe(v, 1, ["a+", 0])),
  vector("overlong UTF-8 in a filter", BOTH, MALFORMED, (v) =>
    packet(SUBSCRIBE, 2, u16(1), properties(v), field(OVERLONG), 0),
  ),
  vector("a filter without its options", BOTH, MALFORMED, (v) =>
    packet(SUBSCRIBE, 2, u16(1), properties(v), field("a")),
  ),
  vector("PUBACK of one byte", BOTH, MALFORMED, () => packet(PUBACK, 0, 1)),
  vector("AUTH without a method", NEW, PROTOCOL, () => packet(15, 0)),
  vector("a property twice", NEW, PROTOCOL, () => withProperties(0x02, u32(1), 0x02, u32(1))),
  vector("a property that does not exist", NEW, MALFORMED, () => withProperties(0x7e, 0)),
  vector("a property of another packet", NEW, MALFORMED, () => withProperties(0x11, u32(1))),
  vector("properties that end behind the packet", NEW, MALFORMED, () => packet(PUBLISH, 0, field("a"), 50, 0x02)),
  vector("[MQTT5-3.3.2-8] topic alias 0", NEW, TOPIC_ALIAS_INVALID, () => withProperties(0x23, u16(0))),
  vector("[MQTT5-3.2.2-18] topic alias beyond our maximum", NEW, TOPIC_ALIAS_INVALID, () =>
    withProperties(0x23, u16(60_000)),
  ),
  vector("[MQTT5-3.3.4-6] a Subscription Identifier", NEW, PROTOCOL, () => withProperties(0x0b, 1)),
  vector("[MQTT5-3.3.2-14] a wildcard in the Response Topic", NEW, PROTOCOL, () => withProperties(0x08, field("a/#"))),
  vector("Payload Format Indicator 2", NEW, PROTOCOL, () => withProperties(0x01, 2)),
  vector("[MQTT5-3.14.2-2] a session expiry at DISCONNECT after none at CONNECT", NEW, PROTOCOL, () =>
    packet(DISCONNECT, 0, 0, properties(5, 0x11, u32(10))),
  ),
  vector("a packet larger than announced, before its body came", BOTH, TOO_LARGE, () =>
    bytes([0x30, 0xff, 0xff, 0x7f], field("a")),
  ),
];

/** What breaks a CONNECT, and the reason in the CONNACK by version; null = closed without one. */
const AT_CONNECT: readonly [what: string, bytes: Buffer, connack: number | null][] = [
  ["the first packet is no CONNECT", publish(4, { topic: "a" }), null],
  ["the first packet is PINGREQ", pingreq(), null],
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: gateway\r\n\r\n"), null],
  ["TLS", Buffer.from("16030100f8010000f40303", "hex"), null],
  ["another protocol's name", packet(CONNECT, 0, field("MQTX"), 4, 2, u16(60), field("c")), null],
  ["level 6", packet(CONNECT, 0, field("MQTT"), 6, 2, u16(60), 0, field("c")), 0x84],
  ["level 2", packet(CONNECT, 0, field("MQTT"), 2, 2, u16(60), field("c")), 1],
  ["[MQTT311-3.1.2-3] the reserved flag, 3.1.1", packet(CONNECT, 0, field("MQTT"), 4, 3, u16(60), field("c")), null],
  [
    "[MQTT5-3.1.2-3] the reserved flag, 5.0",
    packet(CONNECT, 0, field("MQTT"), 5, 3, u16(60), 0, field("c")),
    MALFORMED,
  ],
  ["flags of the Fixed Header", packet(CONNECT, 1, field("MQTT"), 4, 2, u16(60), field("c")), null],
  ["[MQTT311-3.1.2-22] password without user, 3.1.1", connect({ version: 4, clientId: "c", password: "p" }), null],
  ["[MQTT311-3.1.3-8] no client id and no clean session", connect({ version: 4, clientId: "", clean: false }), 2],
  ["a client id that is not UTF-8, 3.1.1", packet(CONNECT, 0, field("MQTT"), 4, 2, u16(60), field(OVERLONG)), null],
  [
    "a client id that is not UTF-8, 5.0",
    packet(CONNECT, 0, field("MQTT"), 5, 2, u16(60), 0, field(OVERLONG)),
    MALFORMED,
  ],
  ["bytes after the last field, 3.1.1", packet(CONNECT, 0, field("MQTT"), 4, 2, u16(60), field("c"), "x"), null],
  ["a packet that ends early, 5.0", packet(CONNECT, 0, field("MQTT"), 5, 2, u16(60), 0, u16(9), "c"), MALFORMED],
  [
    "a property twice",
    packet(CONNECT, 0, field("MQTT"), 5, 2, u16(60), properties(5, 0x11, u32(1), 0x11, u32(1)), field("c")),
    PROTOCOL,
  ],
  [
    "Receive Maximum 0",
    packet(CONNECT, 0, field("MQTT"), 5, 2, u16(60), properties(5, 0x21, u16(0)), field("c")),
    PROTOCOL,
  ],
  [
    "an authentication method",
    packet(CONNECT, 0, field("MQTT"), 5, 2, u16(60), properties(5, 0x15, field("SCRAM")), field("c")),
    0x8c,
  ],
  [
    "a wildcard in the will's topic, 5.0",
    connect({ version: 5, clientId: "c", will: { topic: "a/#", payload: "", qos: 0, retain: false } }),
    TOPIC_NAME_INVALID,
  ],
  [
    "a wildcard in the will's topic, 3.1.1",
    connect({ version: 4, clientId: "c", will: { topic: "a/#", payload: "", qos: 0, retain: false } }),
    null,
  ],
  ["a will with QoS 3", packet(CONNECT, 0, field("MQTT"), 4, 0x1e, u16(60), field("c"), field("t"), field("p")), null],
  ["a CONNECT of 2 MB", bytes([0x10, 0x80, 0x80, 0x7f], field("MQTT"), 4), null],
];

describe("a gateway among hostile peers", () => {
  const folder = temporaryFolder();
  const gateway = new GatewayProcess(folder.path, {
    listeners: [
      { type: "mqtt", bind: "127.0.0.1:0" },
      { type: "ws", bind: "127.0.0.1:0" },
    ],
    limits: { max_connections: 3000, connect_timeout: "4s" },
    memory_limit: "64MiB",
  });
  let witness: MqttCollector;
  let heartbeats = 0;

  before(async () => {
    await gateway.start();
    witness = await MqttCollector.open(gateway.port(), "witness/#", { clientId: "witness" });
  });

  after(async () => {
    await witness.client.endAsync(true);
    assert.equal(await gateway.end(), 0);
    folder[Symbol.dispose]();
  });

  /** The witness publishes and gets what it published, and nothing else. */
  async function othersNoticeNothing(): Promise<void> {
    const payload = `beat ${++heartbeats}`;
    await witness.client.publishAsync("witness/beat", payload, { qos: 1 });
    assert.deepEqual(
      (await witness.take(1)).map((message) => message.payload),
      [payload],
    );
  }

  async function status() {
    const { stdout } = await sluice(["status", "--json", "--data-dir", `${folder.path}/data`]);
    const { memory, counters } = JSON.parse(stdout) as {
      memory: { rssBytes: number };
      counters: Record<string, number>;
    };
    return {
      rssBytes: memory.rssBytes,
      connections: counters["transport.connections"] ?? 0,
      refused: counters["transport.refused.max_connections"] ?? 0,
      late: counters["mqtt.closed.no-CONNECT-in-time"] ?? 0,
    };
  }

  for (const { what, versions, bytes: make, reason } of AFTER_CONNECT) {
    for (const version of versions) {
      const answer = version === 5 ? `DISCONNECT 0x${reason.toString(16)}` : "the connection closes";
      test(`${what}, ${version === 5 ? "5.0" : "3.1.1"}: ${answer}`, async () => {
        const expected = version === 5 ? reason : null;
        const wrong = make(version);
        using whole = await RawMqtt.connected(gateway.port(), { version, clientId: "hostile" });
        whole.send(wrong, pingreq());
        assert.equal(await whole.end(), expected);
        assert.equal(whole.packets.length, version === 5 ? 1 : 0, "nothing behind it is answered");

        using slow = await RawMqtt.connected(gateway.port(), { version, clientId: "hostile" });
        for (const byte of wrong) {
          if (slow.closed) break;
          slow.send(Buffer.from([byte]));
          await nextTurn();
        }
        assert.equal(await slow.end(), expected, "byte by byte");
        await othersNoticeNothing();
      });
    }
  }

  for (const [what, wrong, connack] of AT_CONNECT) {
    test(`${what}: ${connack === null ? "closed without a word" : `CONNACK 0x${connack.toString(16)}`}`, async () => {
      using raw = await RawMqtt.open(gateway.port());
      raw.send(wrong);
      await raw.end();
      assert.deepEqual(
        raw.packets.map(({ type, body }) => [type, body[0], body[1]]),
        connack === null ? [] : [[CONNACK, 0, connack]],
      );
      await othersNoticeNothing();
    });
  }

  test("a refused publish is no reason to close: PUBREL of an unknown id, $SYS, acknowledgements of nothing", async () => {
    for (const version of BOTH) {
      using raw = await RawMqtt.connected(gateway.port(), { version, clientId: "clumsy" });
      raw.send(ack(PUBACK, 77), ack(PUBREL, 78), publish(version, { topic: "$SYS/x", qos: 1, packetId: 5 }), pingreq());
      const answers = [];
      while (answers.at(-1)?.[0] !== PINGRESP) {
        const { type, body } = await raw.next();
        answers.push([type, ...body.subarray(0, 3)]); // without the words
      }
      const refusal = version === 5;
      assert.deepEqual(
        answers.sort((a, b) => a[0]! - b[0]!),
        [[PUBACK, 0, 5, ...(refusal ? [0x87] : [])], [PUBREL + 1, 0, 78, ...(refusal ? [0x92] : [])], [PINGRESP]],
      );
    }
  });

  test(`${FUZZED} conversations of mutated packets: the gateway goes on, others notice nothing (seed ${SEED})`, async () => {
    const random = seededRandom(SEED);
    const sources = [...AFTER_CONNECT.flatMap(({ versions, bytes: make }) => versions.map(make)), ...validPackets()];
    const connects = BOTH.map((version) => connect({ version, clientId: "fuzz", expirySeconds: 0 }));
    let left = FUZZED;
    const worker = async (): Promise<void> => {
      while (left-- > 0) {
        using raw = await RawMqtt.open(gateway.port());
        const hello = pick(random, connects);
        raw.send(random() < 0.2 ? mutate(random, hello) : hello);
        for (let i = 0; i < 6; i++) raw.send(mutate(random, pick(random, sources)));
        // Either it was closed for what it sent, or it goes by itself once everything was read.
        raw.socket.end();
        await raw.end();
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
    witness.messages.length = 0; // some mutants publish on the witness's topics
    await othersNoticeNothing();
  });

  test("10,000 connections without CONNECT: memory stays bounded, others are served, and a new one is let in", async () => {
    const before = await status();
    const silent: RawMqtt[] = [];
    try {
      for (let i = 0; i < 50; i++) {
        // Beyond max_connections they are closed at the door; those that are in stay until connect_timeout.
        silent.push(...(await Promise.all(Array.from({ length: 200 }, () => RawMqtt.open(gateway.port())))));
        if (i % 10 === 9) await othersNoticeNothing();
      }
      const full = await status();
      assert.ok(full.connections <= 3000, `${full.connections} connections`);
      const refused = full.refused - before.refused;
      assert.ok(refused > 0, "they were more than max_connections at once");
      const perConnection = (full.rssBytes - before.rssBytes) / 3000;
      assert.ok(perConnection < 16 * 1024, `${perConnection} bytes each`);
      await eventually("the silent are closed", () => silent.every(({ closed }) => closed), 20_000);
      assert.ok(silent.every(({ packets }) => packets.length === 0));
      const after = await status();
      assert.equal(after.late - before.late + (after.refused - before.refused), silent.length);
      using late = await RawMqtt.connected(gateway.port(), { version: 5, clientId: "late" });
      late.send(pingreq());
      assert.equal((await late.next()).type, PINGRESP);
    } finally {
      for (const raw of silent) raw.socket.destroy();
    }
  });

  test("a CONNECT that comes byte by byte for ever is closed by the deadline", async () => {
    using raw = await RawMqtt.open(gateway.port());
    const hello = connect({ version: 4, clientId: "x".repeat(200) });
    let sent = 0;
    const drip = setInterval(() => raw.send(hello.subarray(sent, ++sent)), 250);
    try {
      await raw.end(20_000);
    } finally {
      clearInterval(drip);
    }
    assert.deepEqual(raw.packets, []);
    assert.ok(sent < hello.length);
    await othersNoticeNothing();
  });

  test("packets that trickle in on 900 connections: others' large packets are taken, the oldest of these make room", async () => {
    const large = publish(5, { topic: "trickle", payload: "x".repeat(200_000), qos: 1, packetId: 1 });
    const trickling = await Promise.all(
      Array.from({ length: 900 }, (_, i) =>
        RawMqtt.connected(gateway.port(), { version: 5, clientId: `trickle-${i}`, keepAliveSeconds: 0 }),
      ),
    );
    try {
      for (const raw of trickling) raw.send(large.subarray(0, 400));
      await eventually("the room is used up", () => trickling.some(({ closed }) => closed));
      const payload = "y".repeat(150_000);
      let taken = 0;
      let sent = 400;
      await eventually("large packets are taken", async () => {
        for (const raw of trickling) if (!raw.closed) raw.send(large.subarray(sent, sent + 1));
        sent++;
        using peer = await RawMqtt.connected(gateway.port(), { version: 5, clientId: `goes-on-${sent}` });
        for (let packetId = 1; packetId <= 3; packetId++) {
          peer.send(publish(5, { topic: "goes-on", payload, qos: 1, packetId }));
          if ((await peer.next()).type !== PUBACK) return false; // the trickling are not a second old yet
        }
        taken += 3;
        return true;
      });
      assert.equal(taken, 3);
      await othersNoticeNothing();
    } finally {
      for (const raw of trickling) raw.socket.destroy();
    }
  });

  test("WebSocket messages that never become whole, on 3,200 connections: memory stays bounded, others' are taken", async () => {
    const before = rssKiB(gateway.pid);
    const part = Buffer.alloc(200_000, 0x61);
    const unfinished: Socket[] = [];
    try {
      for (let wave = 0; wave < 8; wave++) {
        const sockets = await Promise.all(Array.from({ length: 400 }, () => upgraded(gateway.port("ws"))));
        unfinished.push(...sockets);
        for (const socket of sockets) socket.write(Buffer.concat([frameHeader(250_000), part]));
        await eventually("most are closed", () => sockets.filter(({ destroyed }) => destroyed).length > 390, 5000);
      }
      assert.ok(rssKiB(gateway.pid) - before < 192 * 1024, `${rssKiB(gateway.pid) - before} KiB more`);
      await othersNoticeNothing();
      for (const socket of unfinished) socket.destroy();
      await eventually("every byte of the room is back", async () => {
        const { stdout } = await sluice(["status", "--json", "--data-dir", `${folder.path}/data`]);
        return (JSON.parse(stdout) as { counters: Record<string, number> }).counters["mqtt.input_bytes"] === 0;
      });
      const client = await mqtt.connectAsync(`ws://127.0.0.1:${gateway.port("ws")}/mqtt`, { reconnectPeriod: 0 });
      await client.publishAsync("large", "y".repeat(150_000), { qos: 1 });
      await client.endAsync();
    } finally {
      for (const socket of unfinished) socket.destroy();
    }
  });

  test("nobody but the hostile was closed", async () => {
    await eventually("only the witness is left", async () => {
      const { code, stdout } = await sluice(["status", "--json", "--data-dir", `${folder.path}/data`]);
      return code === 0 && (JSON.parse(stdout) as { sessions: { connected: number } }).sessions.connected === 1;
    });
    assert.equal(gateway.running, true);
    await othersNoticeNothing();
  });
});

/** A socket on which the upgrade to a WebSocket has been answered. */
async function upgraded(port: number): Promise<Socket> {
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => {}); // "close" follows
  const fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
  const key = Buffer.alloc(16).toString("base64");
  socket.write(
    `GET /mqtt HTTP/1.1\r\nHost: x\r\n${fields}\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`,
  );
  await once(socket, "data");
  socket.resume();
  return socket;
}

/** RFC 6455 section 5.2: one binary frame of so many bytes, masked with zeros. */
function frameHeader(bytes: number): Buffer {
  const header = Buffer.alloc(14);
  header[0] = 0x82;
  header[1] = 0xff;
  header.writeUInt32BE(bytes, 6);
  return header;
}

function rssKiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function validPackets(): Buffer[] {
  return BOTH.flatMap((version) => [
    publish(version, { topic: "fuzz/a", payload: "payload", qos: 2, packetId: 9 }),
    publish(version, { topic: "fuzz/b", payload: "payload", qos: 1, packetId: 10, retain: true }),
    subscribe(version, 4, ["fuzz/#", 2], ["+/a", 1]),
    ack(PUBREL, 9),
    packet(DISCONNECT, 0),
  ]);
}

function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)] as T;
}

/** Changes, removes or repeats some bytes; sometimes none. */
function mutate(random: Random, original: Buffer): Buffer {
  let mutant = Buffer.from(original);
  for (let n = Math.floor(random() * 4); n > 0; n--) {
    const at = Math.floor(random() * mutant.length);
    const kind = random();
    if (kind < 0.6) mutant[at] = Math.floor(random() * 256);
    else if (kind < 0.8) mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(at + 1)]);
    else mutant = Buffer.concat([mutant.subarray(0, at + 1), mutant.subarray(at)]);
  }
  return mutant;
}
