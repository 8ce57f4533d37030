import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONNACK_DEADLINE_MS,
  CONNECTED,
  IDLE,
  MqttClient,
  OUTPUT_BYTES_MAX,
} from "../../../../src/uplink/client/client.ts";
import type { ClientHandler } from "../../../../src/uplink/client/client-handler.ts";
import type { ClientOptions, ServerLimits } from "../../../../src/uplink/client/client-options.ts";
import { sendSubscribe, sendUnsubscribe } from "../../../../src/uplink/client/client-send.ts";
import { PING_DEADLINE_MS } from "../../../../src/uplink/client/keep-alive.ts";
import { OWED_MAX, type Owed } from "../../../../src/uplink/client/owed.ts";
import { sendPublish } from "../../../../src/uplink/out/publish-out.ts";
import * as codes from "../../../../src/wire/mqtt/codes.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import type { PublishView } from "../../../../src/wire/mqtt/publish.ts";
import { type FakeConnection, FakeServer, properties } from "../fake-server.ts";

const OPTIONS: ClientOptions = {
  version: 5,
  bridge: false,
  clientId: "gw-17",
  userName: null,
  password: null,
  cleanStart: false,
  sessionExpirySeconds: 600,
  keepAliveSeconds: 60,
  receiveMaximum: 4,
  packetBytesMax: 1000,
  will: null,
};

const TARGET = { host: "cloud", port: 8883, tls: null, timeoutMs: 1000 };

/** Writes down what it is told. */
class Recorder implements ClientHandler {
  readonly events: string[] = [];
  readonly owed: Owed[] = [];
  connected: ServerLimits | null = null;
  client: MqttClient | null = null;

  onConnected(): void {
    this.connected = this.client?.server ?? null;
    this.events.push("connected");
  }
  onPublish(bytes: Buffer, view: PublishView, owed: Owed | null): void {
    const topic = bytes.toString("utf8", view.topicAt, view.topicAt + view.topicLength);
    const payload = bytes.toString("utf8", view.payloadAt, view.payloadAt + view.payloadLength);
    this.events.push(`publish ${topic} ${payload} ${view.qos}`);
    if (owed !== null) this.owed.push(owed);
  }
  onOversize(): void {
    this.events.push("oversize");
  }
  onPubrel(packetId: number): void {
    this.events.push(`pubrel ${packetId}`);
  }
  onAck(type: number, packetId: number, reasonCode: number): void {
    this.events.push(`ack ${type} ${packetId} ${reasonCode}`);
  }
  onSubscribed(type: number, packetId: number, granted: Uint8Array): void {
    this.events.push(`subscribed ${type} ${packetId} ${[...granted]}`);
  }
  onWritable(): void {
    this.events.push("writable");
  }
  onClosed(why: string | null): void {
    this.events.push(`closed ${why}`);
  }

  take(): string[] {
    return this.events.splice(0);
  }
}

interface Setting {
  readonly server: FakeServer;
  readonly handler: Recorder;
  readonly client: MqttClient;
}

function setUp(): Setting {
  const server = new FakeServer();
  const handler = new Recorder();
  const client = new MqttClient(server.dial, server.wheel, handler);
  handler.client = client;
  return { server, handler, client };
}

/** A client that has been accepted. */
function connected(options: Partial<ClientOptions> = {}): Setting & { connection: FakeConnection } {
  const setting = setUp();
  setting.client.open({ ...OPTIONS, ...options }, TARGET);
  const connection = setting.server.accept();
  connection.takeOne(codes.CONNECT);
  connection.connack({ present: true });
  assert.deepEqual(setting.handler.take(), ["connected"]);
  return { ...setting, connection };
}

test("CONNECT of 5.0 carries session expiry, Receive Maximum and Maximum Packet Size", () => {
  const { server, client } = setUp();
  client.open({ ...OPTIONS, userName: "u", password: "p" }, TARGET);
  assert.deepEqual(server.dials, [TARGET]);
  assert.deepEqual(server.accept().takeOne(codes.CONNECT).connect, {
    version: 5,
    bridge: false,
    clientId: "gw-17",
    cleanStart: false,
    keepAliveSeconds: 60,
    userName: "u",
    password: "p",
    sessionExpirySeconds: 600,
    receiveMaximum: 4,
    maximumPacketSize: 1000,
  });
});

test("CONNACK tells what the server allows", () => {
  const { server, client, handler } = setUp();
  client.open({ ...OPTIONS, clientId: "" }, TARGET);
  const connection = server.accept();
  connection.take();
  connection.connack({
    properties: properties((p) => {
      p.two(table.RECEIVE_MAXIMUM, 7);
      p.four(table.MAXIMUM_PACKET_SIZE, 5000);
      p.byte(table.MAXIMUM_QOS, 1);
      p.byte(table.RETAIN_AVAILABLE, 0);
      p.two(table.SERVER_KEEP_ALIVE, 10);
      p.string(table.ASSIGNED_CLIENT_IDENTIFIER, "auto-1");
    }),
  });
  assert.deepEqual(handler.connected, {
    version: 5,
    sessionPresent: false,
    receiveMaximum: 7,
    packetBytesMax: 5000,
    qosMax: 1,
    retain: false,
    subscriptionIds: true,
    keepAliveSeconds: 10,
    assignedClientId: "auto-1",
  });
});

test("5.0 refused with 0x84: dials again at once for 3.1.1, and keeps to that", () => {
  const { server, client, handler } = setUp();
  client.open(OPTIONS, TARGET);
  const first = server.accept();
  first.take();
  first.connack({ code: codes.UNSUPPORTED_PROTOCOL_VERSION });
  assert(first.ended);
  assert.deepEqual(handler.take(), []);
  const second = server.accept();
  assert.equal(second.takeOne(codes.CONNECT).connect?.version, 4);
  first.drop();
  second.connack();
  assert.deepEqual(handler.take(), ["connected"]);
  assert.equal(client.server?.version, 4);
  second.drop("reset");
  client.open(OPTIONS, TARGET);
  assert.equal(server.accept().takeOne(codes.CONNECT).connect?.version, 4);
});

test("5.0 refused in the form of 3.1.1 (return code 1): the same", () => {
  const { server, client } = setUp();
  client.open(OPTIONS, TARGET);
  const first = server.accept();
  first.take();
  first.send(Buffer.from([0x20, 2, 0, 1]));
  assert.equal(server.accept().takeOne(codes.CONNECT).connect?.version, 4);
});

test("3.1.1 sets the bridge bit, and drops it when refused; the end of the ladder is a refusal", () => {
  const { server, client, handler } = setUp();
  client.open({ ...OPTIONS, version: 4, bridge: true }, TARGET);
  const seen = [];
  for (let i = 0; i < 2; i++) {
    const connection = server.accept();
    seen.push(connection.takeOne(codes.CONNECT).connect?.bridge);
    connection.connack({ code: codes.UNSUPPORTED_PROTOCOL_VERSION });
    connection.drop();
  }
  assert.deepEqual(seen, [true, false]);
  assert.deepEqual(handler.take(), ["closed refused: unsupported protocol version"]);
  client.open({ ...OPTIONS, version: 4, bridge: true }, TARGET);
  assert.equal(server.accept().takeOne(codes.CONNECT).connect?.bridge, true);
});

test("closed without CONNACK: the next try asks for an older version, unless this one was accepted before", () => {
  const { server, client, handler } = setUp();
  const versions = [];
  for (let i = 0; i < 3; i++) {
    client.open(OPTIONS, TARGET);
    const connection = server.accept();
    versions.push(connection.takeOne(codes.CONNECT).connect?.version);
    connection.drop();
  }
  assert.deepEqual(versions, [5, 4, 5]);
  assert.deepEqual(new Set(handler.take()), new Set(["closed closed by the server without an answer to CONNECT"]));
  client.open(OPTIONS, TARGET);
  const good = server.accept();
  assert.equal(good.takeOne(codes.CONNECT).connect?.version, 4);
  good.connack();
  good.drop();
  for (let i = 0; i < 2; i++) {
    client.open(OPTIONS, TARGET);
    const connection = server.accept();
    assert.equal(connection.takeOne(codes.CONNECT).connect?.version, 4);
    connection.drop();
  }
});

test("a refused login closes with the words, the server's text behind them", () => {
  const { server, client, handler } = setUp();
  client.open(OPTIONS, TARGET);
  const connection = server.accept();
  connection.take();
  connection.connack({
    code: codes.NOT_AUTHORIZED,
    properties: properties((p) => p.string(table.REASON_STRING, "ask the admin")),
  });
  connection.drop();
  assert.deepEqual(handler.take(), ["closed refused: not authorised (the server says: ask the admin)"]);
});

test("[MQTT5-3.1.2-21] [MQTT5-3.2.2-21] a shorter Server Keep Alive replaces ours; with a longer, or none, we ping as we would", () => {
  for (const [told, pingsAtMs] of [
    [10, 10_000],
    [200, 60_000],
    [65_535, 60_000],
    [0, 60_000],
  ] as const) {
    const { server, client } = setUp();
    client.open(OPTIONS, TARGET);
    const connection = server.accept();
    connection.take();
    connection.connack({ properties: properties((p) => p.two(table.SERVER_KEEP_ALIVE, told)) });
    let pinged = -1;
    for (let ms = 0; ms < 2 * pingsAtMs && pinged < 0; ms += 50) {
      server.advance(50);
      if (connection.take().some(({ type }) => type === codes.PINGREQ)) pinged = ms;
    }
    assert(pinged > pingsAtMs / 3 && pinged < pingsAtMs, `${told} s: a PINGREQ after ${pinged} ms`);
  }
});

test("a server that sends us elsewhere is quoted with the place; who takes our session over is named", () => {
  const moved = setUp();
  moved.client.open(OPTIONS, TARGET);
  const connection = moved.server.accept();
  connection.take();
  connection.connack({
    code: codes.SERVER_MOVED,
    properties: properties((p) => p.string(table.SERVER_REFERENCE, "b.example:8883")),
  });
  connection.drop();
  assert.deepEqual(moved.handler.take(), ["closed refused: server moved: b.example:8883"]);

  const taken = setUp();
  taken.client.open(OPTIONS, TARGET);
  const first = taken.server.accept();
  first.connack();
  taken.handler.take();
  first.disconnect(codes.SESSION_TAKEN_OVER);
  first.drop();
  assert.deepEqual(taken.handler.take(), [
    "closed closed by the server: session taken over, by another client with our client id",
  ]);
});

test("3.1.1 return code 4 is a bad user name or password", () => {
  const { server, client, handler } = setUp();
  client.open({ ...OPTIONS, version: 4 }, TARGET);
  const connection = server.accept();
  connection.take();
  connection.send(Buffer.from([0x20, 2, 0, 4]));
  connection.drop();
  assert.deepEqual(handler.take(), ["closed refused: bad user name or password"]);
});

test("[MQTT5-3.2.2-2] session present after a clean start is a protocol error", () => {
  const { server, client, handler } = setUp();
  client.open({ ...OPTIONS, cleanStart: true }, TARGET);
  const connection = server.accept();
  connection.take();
  connection.connack({ present: true });
  connection.drop();
  assert.deepEqual(handler.take(), ["closed the server broke the protocol: protocol error"]);
});

test("a dial that fails ends with its words; a cancelled one with none", () => {
  const { server, client, handler } = setUp();
  client.open(OPTIONS, TARGET);
  server.refuse("cloud:8883: connection refused (ECONNREFUSED)");
  assert.deepEqual(handler.take(), ["closed cloud:8883: connection refused (ECONNREFUSED)"]);
  client.open(OPTIONS, TARGET);
  client.close();
  assert.deepEqual(handler.take(), ["closed null"]);
  assert.equal(server.dialling, false);
  assert.equal(client.state, IDLE);
});

test("the server's verdict on our certificate is said in plain words", () => {
  const { server, client, handler } = setUp();
  client.open(OPTIONS, TARGET);
  server.accept().drop("tlsv13 alert certificate required (ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED)");
  assert.match(handler.take()[0] ?? "", /^closed the server wants a client certificate: /);
});

test("no CONNACK in time closes", () => {
  const { server, client, handler } = setUp();
  client.open(OPTIONS, TARGET);
  const connection = server.accept();
  server.advance(CONNACK_DEADLINE_MS - 100);
  assert(!connection.ended);
  server.advance(200);
  assert(connection.ended);
  connection.drop();
  assert.deepEqual(handler.take(), [`closed no answer to CONNECT within ${CONNACK_DEADLINE_MS / 1000} s`]);
});

test("[MQTT5-4.6.0-2] acknowledgements leave in order of arrival", () => {
  const { client, handler, connection } = connected();
  connection.send(
    connection.publish("a", "1", 1, 11),
    connection.publish("a", "2", 2, 12),
    connection.publish("a", "3", 1, 13),
  );
  assert.deepEqual(handler.take(), ["publish a 1 1", "publish a 2 2", "publish a 3 1"]);
  const [first, second, third] = handler.owed as [Owed, Owed, Owed];
  client.acknowledge(third);
  client.acknowledge(second);
  assert.deepEqual(connection.take(), []);
  client.acknowledge(first);
  assert.deepEqual(
    connection.take().map(({ type, packetId }) => [type, packetId]),
    [
      [codes.PUBACK, 11],
      [codes.PUBREC, 12],
      [codes.PUBACK, 13],
    ],
  );
});

test("an acknowledgement of an earlier connection does nothing on the next", () => {
  const { client, handler, connection, server } = connected();
  connection.send(connection.publish("a", "1", 1, 1));
  const old = handler.owed[0] as Owed;
  connection.drop("reset");
  client.acknowledge(old);
  client.open(OPTIONS, TARGET);
  const next = server.accept();
  next.take();
  next.connack({ present: true });
  next.send(next.publish("a", "1", 1, 1, { dup: true }));
  client.acknowledge(old);
  assert.deepEqual(next.take(), []);
  client.acknowledge(handler.owed[1] as Owed);
  assert.equal(next.takeOne(codes.PUBACK).packetId, 1);
});

test("[MQTT5-3.3.4-9] a server that sends more than our Receive Maximum is put up with, until nothing more can be owed", () => {
  const { client, handler, connection } = connected({ receiveMaximum: 2 });
  for (let id = 1; id <= OWED_MAX; id++) connection.send(connection.publish("a", "x", 1, id));
  assert.equal(handler.owed.length, OWED_MAX);
  connection.send(connection.publish("a", "one more", 1, OWED_MAX + 1), connection.publish("a", "live", 0));
  assert.equal(handler.owed.length, OWED_MAX);
  assert.match(handler.take().at(-1) ?? "", /live/);
  const owed = [...handler.owed];
  client.acknowledge(owed[0] as Owed);
  connection.send(connection.publish("a", "and another", 1, OWED_MAX + 2));
  assert.equal(handler.owed.length, OWED_MAX, "or it would overtake the one that was not taken");
  for (const each of owed) client.acknowledge(each);
  const sent = connection.take();
  assert.equal(sent.filter(({ type }) => type === codes.PUBACK).length, OWED_MAX);
  assert.equal(sent.at(-1)?.reasonCode, codes.QUOTA_EXCEEDED);
  connection.drop();
  assert.equal(handler.take().at(-1), "closed more came at once than could be taken");
});

test("whatever the chunks are: a conversation cut at each byte gives the same events", () => {
  const talk = (cut: number) => {
    const { handler, connection } = connected();
    const bytes = Buffer.concat([
      connection.publish("some/topic", "payload", 1, 300),
      connection.ack(codes.PUBACK, 5),
      connection.suback(9, [1, 0x80]),
      Buffer.from([0xd0, 0]),
      connection.publish("t", "x".repeat(200), 0),
      connection.ack(codes.PUBREL, 7),
    ]);
    if (cut === 0) for (const byte of bytes) connection.send(Buffer.from([byte]));
    else {
      connection.send(bytes.subarray(0, cut));
      connection.send(bytes.subarray(cut));
    }
    return { length: bytes.length, events: handler.take() };
  };
  const whole = talk(0);
  assert.deepEqual(whole.events, [
    "publish some/topic payload 1",
    "ack 4 5 0",
    "subscribed 9 9 1,128",
    `publish t ${"x".repeat(200)} 0`,
    "pubrel 7",
  ]);
  for (let cut = 1; cut < whole.length; cut++) assert.deepEqual(talk(cut).events, whole.events);
});

test("3.1.1: a PUBLISH that is too large is thrown away and acknowledged, wherever it is cut", () => {
  for (const qos of [0, 1, 2]) {
    for (const cut of [1, 2, 3, 4, 5, 8, 12, 900, 1003]) {
      const { handler, connection } = connected({ version: 4, bridge: true });
      assert.equal(connection.version, 4);
      const big = connection.publish("big", "x".repeat(1000), qos, qos === 0 ? 0 : 77);
      const bytes = Buffer.concat([big, connection.publish("small", "y", 0)]);
      connection.send(bytes.subarray(0, cut));
      connection.send(bytes.subarray(cut));
      assert.deepEqual(handler.take(), ["oversize", "publish small y 0"]);
      const acks = connection.take().map(({ type, packetId }) => [type, packetId]);
      assert.deepEqual(acks, [[], [[codes.PUBACK, 77]], [[codes.PUBREC, 77]]][qos]);
    }
  }
});

test("the largest packet passes; [MQTT5-3.1.2-24] in 5.0 a larger one ends the connection", () => {
  const { handler, connection } = connected();
  const overhead = connection.publish("t", "x".repeat(500), 0).length - 500;
  connection.send(connection.publish("t", "x".repeat(1000 - overhead), 0));
  assert.equal(handler.take().length, 1);
  connection.send(connection.publish("t", "x".repeat(1001 - overhead), 0));
  assert.equal(connection.takeOne(codes.DISCONNECT).reasonCode, codes.PROTOCOL_ERROR);
});

const VIOLATIONS: readonly [name: string, bytes: number[], reason: number][] = [
  ["a type of 0", [0x00, 0], codes.MALFORMED_PACKET],
  ["PINGRESP with a body", [0xd0, 1, 0], codes.MALFORMED_PACKET],
  ["PUBLISH of QoS 3", [0x36, 5, 0, 1, 0x61, 0, 1], codes.MALFORMED_PACKET],
  ["PUBLISH with packet id 0", [0x32, 6, 0, 1, 0x61, 0, 0, 0], codes.PROTOCOL_ERROR],
  ["PUBLISH to a wildcard", [0x30, 4, 0, 1, 0x23, 0], codes.TOPIC_NAME_INVALID],
  ["PUBLISH with a topic alias", [0x30, 7, 0, 1, 0x61, 3, 0x23, 0, 1], codes.TOPIC_ALIAS_INVALID],
  ["PUBACK of one byte", [0x40, 1, 0], codes.MALFORMED_PACKET],
  ["PUBREL with wrong flags", [0x60, 2, 0, 1], codes.MALFORMED_PACKET],
  ["SUBSCRIBE from a server", [0x82, 6, 0, 1, 0, 0, 0, 0], codes.PROTOCOL_ERROR],
  ["a second CONNACK", [0x20, 3, 0, 0, 0], codes.PROTOCOL_ERROR],
  ["AUTH", [0xf0, 0], codes.PROTOCOL_ERROR],
  ["a Remaining Length of five bytes", [0x30, 0x80, 0x80, 0x80, 0x80, 1], codes.MALFORMED_PACKET],
  ["a SUBACK that is too large", [0x90, 0xff, 0x7f], codes.PACKET_TOO_LARGE],
];

for (const [name, bytes, reason] of VIOLATIONS) {
  test(`${name} closes with ${codes.reasonName(reason)}`, () => {
    const { handler, connection } = connected();
    connection.send(Buffer.from(bytes));
    assert.equal(connection.takeOne(codes.DISCONNECT).reasonCode, reason);
    assert(connection.ended);
    connection.drop();
    assert.match(handler.take().at(-1) ?? "", /^closed the server broke the protocol/);
  });
}

test("anything but CONNACK first closes without a DISCONNECT", () => {
  const { server, client, handler } = setUp();
  client.open(OPTIONS, TARGET);
  const connection = server.accept();
  connection.take();
  connection.send(Buffer.from([0xd0, 0]));
  assert.deepEqual(connection.take(), []);
  connection.drop();
  assert.deepEqual(handler.take(), ["closed the server broke the protocol: protocol error"]);
});

test("a DISCONNECT of the server's is told in words", () => {
  const { handler, connection } = connected();
  connection.disconnect(codes.SESSION_TAKEN_OVER);
  assert(connection.ended);
  connection.drop();
  assert.deepEqual(handler.take(), [
    "closed closed by the server: session taken over, by another client with our client id",
  ]);
});

test("[MQTT5-3.1.2-20] an idle connection sends PINGREQ within the keep alive, a busy one none", () => {
  const { server, connection } = connected();
  for (let i = 0; i < 3; i++) {
    server.advance(60_000);
    connection.takeOne(codes.PINGREQ);
    connection.send(Buffer.from([0xd0, 0]));
  }
  const busy = connected();
  for (let second = 0; second < 180; second++) {
    busy.server.advance(1000);
    busy.client.sendPubrel(1);
    busy.connection.send(busy.connection.ack(codes.PUBCOMP, 1));
  }
  assert(busy.connection.take().every(({ type }) => type === codes.PUBREL));
});

test("a connection that only sends is pinged all the same, and dies when nothing comes back", () => {
  const { server, client, connection, handler } = connected();
  let pings = 0;
  for (let second = 0; second < 90 && pings === 0; second++) {
    server.advance(1000);
    client.sendPubrel(1);
    pings += connection.take().filter(({ type }) => type === codes.PINGREQ).length;
  }
  assert.equal(pings, 1);
  server.advance(PING_DEADLINE_MS - 1100);
  assert.equal(client.state, CONNECTED);
  server.advance(1200);
  assert.equal(connection.takeOne(codes.DISCONNECT).reasonCode, codes.KEEP_ALIVE_TIMEOUT);
  connection.drop();
  assert.deepEqual(handler.take(), ["closed no sign of life from the server"]);
});

test("a slow path is not dead: while our own bytes get fewer the deadline moves", () => {
  const { server, client, connection } = connected();
  connection.writableLength = 5000;
  client.output.append(Buffer.alloc(5000), 0, 5000);
  connection.turn();
  server.advance(60_000);
  assert.equal(client.state, CONNECTED);
  assert(client.unsentBytes > 0);
  connection.writableLength = 0;
  connection.output.onTaken();
  server.advance(PING_DEADLINE_MS + 100);
  assert.equal(client.state, CONNECTED);
  server.advance(PING_DEADLINE_MS + 100);
  assert(connection.ended);
});

for (const keepAliveSeconds of [4, 5, 10, 19, 20, 21, 60, 600]) {
  for (const busy of [false, true]) {
    const how = busy ? "sends and hears nothing" : "is silent";
    test(`a keep alive of ${keepAliveSeconds} s: a path that dies is left after 1.5 of them, on one that ${how}`, () => {
      const { server, client, connection } = connected({ keepAliveSeconds });
      let seconds = 0;
      for (; !connection.ended && seconds < 1000; seconds++) {
        if (busy && client.state === CONNECTED) client.sendPubrel(1);
        server.advance(1000);
      }
      assert(seconds <= 1.5 * keepAliveSeconds + 1, `${seconds} s`);
    });
  }
}

for (const keepAliveSeconds of [1, 2, 5, 10, 19, 20, 21, 60]) {
  test(`a keep alive of ${keepAliveSeconds} s: a server that answers each PINGREQ, and sends nothing else, is alive`, () => {
    const { server, client } = setUp();
    client.open({ ...OPTIONS, keepAliveSeconds }, TARGET);
    const connection = server.accept();
    connection.take();
    connection.connack();
    let lastMs = 0;
    for (let ms = 0; ms < 5 * keepAliveSeconds * 1000; ms += 50) {
      server.advance(50);
      for (const { type } of connection.take()) {
        assert.equal(type, codes.PINGREQ);
        assert(ms - lastMs <= keepAliveSeconds * 1000, `${ms - lastMs} ms between two packets`);
        lastMs = ms;
        connection.send(Buffer.from([0xd0, 0]));
      }
    }
    assert(lastMs > 3 * keepAliveSeconds * 1000);
    assert.equal(client.state, CONNECTED);
  });
}

test("close says DISCONNECT, ignores what still comes, and reports once", () => {
  const { client, connection, handler } = connected();
  client.close();
  client.close();
  assert.equal(connection.takeOne(codes.DISCONNECT).reasonCode, 0);
  connection.send(connection.publish("a", "1", 0));
  connection.drop("reset");
  assert.deepEqual(handler.take(), ["closed null"]);
});

test("subscribe and unsubscribe", () => {
  const { client, connection, handler } = connected();
  const request = { filter: "a/#", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 1 };
  assert(sendSubscribe(client, 40_000, [request]));
  const packet = connection.takeOne(codes.SUBSCRIBE);
  assert.equal(packet.packetId, 40_000);
  assert.deepEqual(packet.filters, [request]);
  assert(sendUnsubscribe(client, 40_001, ["a/#", "b"]));
  assert.deepEqual(
    connection.takeOne(codes.UNSUBSCRIBE).filters.map(({ filter }) => filter),
    ["a/#", "b"],
  );
  assert(!sendSubscribe(client, 1, [{ ...request, filter: "x".repeat(65_536) }]));
  assert.deepEqual(connection.take(), []);
  connection.send(connection.suback(40_000, [1]));
  assert.deepEqual(handler.take(), ["subscribed 9 40000 1"]);
});

test("sendPublish: another topic, properties with what is left of the expiry, retain as the server takes it", () => {
  const block = properties((p) => {
    p.string(table.CONTENT_TYPE, "text/plain");
    p.four(table.MESSAGE_EXPIRY_INTERVAL, 3600);
    p.pair("k", "v");
  });
  const bytes = Buffer.concat([block.buffer.subarray(0, block.length), Buffer.from("payload")]);
  const send = (client: MqttClient) =>
    sendPublish(
      client,
      Buffer.from("r/t"),
      bytes,
      0,
      block.length,
      block.length,
      bytes.length,
      1,
      true,
      9,
      true,
      null,
      42,
    );
  const five = connected();
  send(five.client);
  const packet = five.connection.takeOne(codes.PUBLISH);
  assert.equal(packet.topic, "r/t");
  assert.equal(packet.payload, "payload");
  assert.equal(packet.expirySeconds, 42);
  assert.equal(packet.properties.length, block.length);
  assert.deepEqual([packet.qos, packet.retain, packet.packetId, packet.dup], [1, true, 9, true]);
  const four = connected({ version: 4 });
  send(four.client);
  const old = four.connection.takeOne(codes.PUBLISH);
  assert.equal(old.payload, "payload");
  assert.equal(old.properties.length, 0);
});

/** A packet of its own size would use up the memory for large packets. */
const PART = 16 * 1024;

test("writable says no at OUTPUT_BYTES_MAX, and onWritable follows", () => {
  const { client, connection, handler } = connected();
  connection.writableLength = 1;
  for (let left = OUTPUT_BYTES_MAX - 1; left > 0; left -= PART) {
    assert(client.writable);
    client.output.append(Buffer.alloc(PART), 0, Math.min(PART, left));
  }
  assert(client.writable);
  client.output.append(Buffer.alloc(1), 0, 1);
  assert(!client.writable);
  connection.turn();
  assert.deepEqual(handler.take(), []);
  connection.writableLength = 0;
  connection.output.onTaken();
  assert.deepEqual(handler.take(), ["writable"]);
  assert(client.writable);
});
