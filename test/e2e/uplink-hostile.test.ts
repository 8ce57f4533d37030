// Servers that do what no server should: garbage, answers to nothing, answers twice, absurd limits, redirections,
// take-overs in a loop, a byte a second. Nothing throws, nothing grows, nobody else is slowed, and once a server behaves,
// all that was acknowledged arrives there in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../src/base/random.ts";
import { eventually } from "../support/eventually.ts";
import { Fleet, type FleetCase } from "../support/fleet.ts";
import { GatewayProcess, temporaryFolder } from "../support/gateway-process.ts";
import type { Connection, Manners } from "../support/hand-server.ts";
import { MovedClock } from "../support/moved-clock.ts";
import {
  ack,
  bytes,
  DISCONNECT,
  field,
  type Part,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  properties,
  publish,
  SUBACK,
  u16,
  type Version,
} from "../support/mqtt-packets.ts";
import { requirePeer } from "../support/peers.ts";

const SEED = Number(process.env["SLUICE_LONG"] ?? 1);
const MESSAGES = 60;
const SPEED = 30;
const RECEIVE = { receive: [{ match: "cmd/#", qos: 1 }] };
/**
 * In some minutes of its time: at first after a second and then after twice as long each time. Who closes without a byte
 * may not be the server at all: there it is a question of two packets, asked at most twice a second (uplink/link/retry.ts).
 */
const CONNECTIONS_MAX = 20;
const CLOSED = /^closed by the server without an answer/;
/** What the gateway may have more at the end, with some thirty servers like these. */
const GROWTH_MIB_MAX = 24;

/** Server Reference. */
const REFERENCE = 0x1c;
const random = seededRandom(SEED);

function noise(length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

/** Behind the CONNACK, these bytes. */
function behind(make: (connection: Connection) => Buffer): () => Manners {
  return () => ({ onConnected: (connection) => connection.send(make(connection)) });
}

function disconnected(reason: number, ...parts: Part[]): () => Manners {
  return behind(({ version }) => packet(DISCONNECT, 0, reason, properties(version, ...parts)));
}

/** Each PUBLISH has this packet as its answer. */
function answering(type: number): () => Manners {
  return () => ({
    onPublish: (connection, message) => {
      if (type === PUBACK) connection.take(message);
      connection.send(ack(type, message.packetId));
    },
  });
}

/** A PUBLISH of 256 MB that begins, and goes on for as long as the connection lasts. */
function endless({ socket }: Connection): void {
  socket.write(bytes(0x30, [0xff, 0xff, 0xff, 0x7f, 0, 1, 0x61]));
  const zeros = Buffer.alloc(65_536);
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer);
    else if (socket.writableLength < 1e6) socket.write(zeros);
  }, 5);
}

/** One byte each interval. */
function trickle(ms: number): (connection: Connection, sent: Buffer) => void {
  const waiting: number[] = [];
  let timer: NodeJS.Timeout | null = null;
  return (connection, sent) => {
    waiting.push(...sent);
    timer ??= setInterval(() => {
      const next = waiting.shift();
      if (next !== undefined && !connection.socket.destroyed) connection.send(Buffer.from([next]));
      else {
        clearInterval(timer as NodeJS.Timeout);
        timer = null;
      }
    }, ms);
  };
}

const BROKE = /^the server broke the protocol: /;
const UNANSWERED = /no acknowledgement within/;

function cases(version: Version): FleetCase[] {
  const both: FleetCase[] = [
    { name: "noise-behind-connack", manners: behind(() => bytes(0, noise(65_536))), words: BROKE },
    {
      name: "noise-for-connack",
      manners: () => ({ onConnect: (connection) => connection.send(bytes(0x10, noise(65_536))) }),
      words: BROKE,
    },
    {
      name: "answers-to-nothing",
      manners: behind(() =>
        Buffer.concat(
          [PUBACK, PUBREC, PUBREL, PUBCOMP].flatMap((type) => [7, 8000, 65_535].map((id) => ack(type, id))),
        ),
      ),
      words: null,
    },
    { name: "packet-id-0", manners: behind(() => ack(PUBACK, 0)), words: BROKE },
    {
      name: "pubrec-twice",
      qos: 2,
      manners: () => ({
        onPublish: (connection, message) => {
          connection.take(message);
          connection.send(ack(PUBREC, message.packetId), ack(PUBREC, message.packetId));
        },
        onPubrel: (connection, id) => connection.send(ack(PUBCOMP, id), ack(PUBCOMP, id)),
      }),
      words: null,
    },
    // It says that it has the message, if in the wrong words.
    { name: "puback-for-qos-2", qos: 2, manners: answering(PUBACK), words: null },
    { name: "pubrec-for-qos-1", manners: answering(PUBREC), words: UNANSWERED },
    { name: "pubcomp-for-publish", qos: 2, manners: answering(PUBCOMP), words: UNANSWERED },
    {
      name: "connack-twice",
      manners: () => ({ onConnected: (connection) => connection.connack(0, connection.nth > 1) }),
      words: BROKE,
    },
    {
      name: "connack-flags",
      manners: () => ({ onConnect: (it) => it.send(packet(2, 0, 0xfe, 0, properties(it.version))) }),
      words: BROKE,
    },
    {
      name: "remaining-length-of-five-bytes",
      manners: behind(() => bytes(0x30, [0xff, 0xff, 0xff, 0xff, 1])),
      words: BROKE,
    },
    {
      name: "publish-to-wildcard",
      manners: behind((it) => publish(it.version, { topic: "#", qos: 1, packetId: 1 })),
      words: BROKE,
    },
    {
      name: "publish-qos-3",
      manners: behind(({ version }) => packet(PUBLISH, 6, field("a"), u16(1), properties(version))),
      words: BROKE,
    },
    {
      name: "publishes-unasked",
      manners: behind((it) =>
        Buffer.concat(
          Array.from({ length: 5000 }, (_, i) => publish(it.version, { topic: "x", qos: 1, packetId: i + 1 })),
        ),
      ),
      words: null,
    },
    {
      name: "subacks-unasked",
      uplink: RECEIVE,
      manners: behind(({ version }) => packet(SUBACK, 0, u16(3), properties(version), 0, 1, 2)),
      words: null,
    },
    { name: "flood-of-pingresp", manners: behind(() => Buffer.alloc(2 * 65_536, packet(PINGRESP, 0))), words: null },
    {
      name: "closes-at-once",
      manners: () => ({ onConnect: ({ socket }) => socket.destroy() }),
      words: CLOSED,
    },
    {
      name: "ends-at-once",
      manners: () => ({ onConnect: ({ socket }) => socket.end() }),
      words: CLOSED,
    },
    {
      name: "reads-a-byte-a-second",
      path: (link) => {
        link.bytesPerSecond = SPEED;
      },
      manners: () => ({}),
      words: /no answer to CONNECT within/,
    },
    {
      name: "reads-thirty-bytes-a-second",
      path: (link) => {
        link.bytesPerSecond = 30 * SPEED;
      },
      manners: () => ({}),
      words: null,
    },
    {
      name: "answers-a-byte-at-a-time",
      manners: () => {
        const send = trickle(5);
        return {
          onPublish: (connection, message) => {
            connection.take(message);
            send(connection, ack(PUBACK, message.packetId));
          },
        };
      },
      words: null,
    },
  ];
  if (version === 4) {
    return [
      ...both,
      { name: "disconnect", manners: behind(() => packet(DISCONNECT, 0)), words: BROKE },
      {
        name: "endless-publish",
        manners: () => ({
          onConnected: endless,
        }),
        words: UNANSWERED,
      },
    ];
  }
  return [
    ...both,
    {
      name: "remaining-length-huge",
      manners: () => ({
        onConnected: endless,
      }),
      words: BROKE,
    },
    {
      name: "topic-alias",
      manners: behind(() => packet(PUBLISH, 0, field("cmd/a"), properties(5, 0x23, u16(1)), "x")),
      words: /topic alias invalid/,
    },
    {
      name: "topic-alias-0",
      manners: behind(() => packet(PUBLISH, 0, field("cmd/a"), properties(5, 0x23, u16(0)), "x")),
      words: BROKE,
    },
    { name: "topic-alias-maximum", manners: () => ({ connackProperties: [0x22, u16(65_535)] }), words: null },
    { name: "receive-maximum-0", manners: () => ({ connackProperties: [0x21, u16(0)] }), words: BROKE },
    { name: "maximum-packet-size-0", manners: () => ({ connackProperties: [0x27, 0, 0, 0, 0] }), words: BROKE },
    {
      name: "receive-maximum-1",
      qos: 2,
      receiveMaximum: 1,
      manners: () => ({}),
      words: null,
    },
    { name: "keep-alive-0", manners: () => ({ connackProperties: [0x13, u16(0)] }), words: null },
    { name: "keep-alive-65535", manners: () => ({ connackProperties: [0x13, u16(65_535)] }), words: null },
    { name: "keep-alive-1", manners: () => ({ connackProperties: [0x13, u16(1)] }), words: null },
    { name: "assigned-client-id", manners: () => ({ connackProperties: [0x12, field("somebody")] }), words: null },
    { name: "property-twice", manners: () => ({ connackProperties: [0x21, u16(9), 0x21, u16(9)] }), words: BROKE },
    { name: "auth", manners: behind(() => packet(15, 0, 0x18, properties(5, 0x15, field("x")))), words: BROKE },
    {
      name: "use-another-server",
      manners: disconnected(0x9c, REFERENCE, field("b.example:8883")),
      words: /use another server.*b\.example:8883/,
    },
    {
      name: "server-moved",
      manners: () => ({ onConnect: (it) => it.connack(0x9d, false, REFERENCE, field("c.example")) }),
      words: /server moved.*c\.example/,
    },
    {
      name: "taken-over",
      manners: disconnected(0x8e),
      words: /session taken over, by another client with our client id/,
    },
  ];
}

for (const version of [5, 4] as const) {
  const name = version === 5 ? "5.0" : "3.1.1";
  test(`${cases(version).length} servers that break MQTT ${name}: nothing throws, nothing grows, others are not slowed`, {
    skip: requirePeer("cc"),
  }, async (t) => {
    t.diagnostic(`seed ${SEED}`);
    using folder = temporaryFolder();
    await using fleet = await Fleet.open(
      folder.path,
      cases(version).map((spec) => ({ ...spec, version })),
    );
    await fleet.source.publishTo(MESSAGES);
    const good = fleet.member("good").judge;
    await good.untilComplete();
    const before = fleet.residentMib;
    const from = performance.now();
    fleet.clock.set({ speed: SPEED });
    await fleet.untilTold();
    await fleet.source.publishTo(2 * MESSAGES);
    await good.untilComplete();
    const after = fleet.residentMib;
    const seconds = ((performance.now() - from) / 1000) * SPEED;
    const spun = fleet.members.filter(
      ({ spec, server }) => server.connections > (spec.words === CLOSED ? 2 * seconds : CONNECTIONS_MAX),
    );
    assert.deepEqual(
      spun.map(({ spec, server }) => `${spec.name} ${server.connections}`),
      [],
      `tried again and again in ${seconds} s`,
    );
    await fleet.heal();
    await fleet.untilComplete();
    assert.ok(after - before < GROWTH_MIB_MAX, `${before.toFixed(1)} MiB before, ${after.toFixed(1)} after`);
  });
}

test("two gateways with one client id: they take turns ever more slowly, and each says why", {
  skip: requirePeer("cc"),
}, async () => {
  using cloudFolder = temporaryFolder();
  // Mosquitto 2.0.11 does not say why it closes.
  await using cloud = new GatewayProcess(cloudFolder.path, { listeners: [{ type: "mqtt", bind: "127.0.0.1:0" }] });
  await cloud.start();
  await using scope = new AsyncDisposableStack();
  const gateways: GatewayProcess[] = [];
  for (let i = 0; i < 2; i++) {
    const folder = temporaryFolder();
    scope.defer(() => folder[Symbol.dispose]());
    const clock = new MovedClock(folder.path);
    clock.set({ speed: SPEED });
    const uplinks = [{ name: "cloud", url: `mqtt://127.0.0.1:${cloud.port()}`, client_id: "same" }];
    const gateway = scope.use(new GatewayProcess(folder.path, { listeners: [], uplinks }, clock.env));
    await gateway.start();
    gateways.push(gateway);
  }
  const from = performance.now();
  const connects = (): number =>
    gateways.reduce((sum, { stderr }) => sum + stderr.split("uplink-connected").length - 1, 0);
  await eventually("they took turns", () => connects() >= 8);
  const seconds = ((performance.now() - from) / 1000) * SPEED;
  assert.ok(seconds > 5, `${connects()} connections within ${seconds} s`);
  for (const { stderr } of gateways) assert.match(stderr, /session taken over, by another client with our client id/);
});
