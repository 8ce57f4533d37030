import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client, ClientEvent, ConnectOptions } from "../../../src/client/api.ts";
import { connectWith } from "../../../src/client/connect-with.ts";
import { ClientError } from "../../../src/client/error.ts";
import { INBOX_MESSAGES_MAX } from "../../../src/client/inbox.ts";
import * as codes from "../../../src/wire/mqtt/codes.ts";
import * as table from "../../../src/wire/mqtt/property-table.ts";
import { type FakeConnection, FakeServer, properties } from "../uplink/fake-server.ts";

/** Delays are at the ceiling: 500 ms, then 1 s and so on. */
const random = (): number => 1;

function connect(server: FakeServer, options: Partial<ConnectOptions> = {}): Promise<Client> {
  const { wheel, dial, clock: time } = server;
  return connectWith({ url: "mqtt://broker", ...options }, { wheel, dial, time, random });
}

interface World {
  readonly server: FakeServer;
  readonly connection: FakeConnection;
  readonly client: Client;
  readonly events: ClientEvent[];
}

async function setUp(options: Partial<ConnectOptions> = {}, receiveMaximum = 65_535): Promise<World> {
  const server = new FakeServer();
  const events: ClientEvent[] = [];
  const connecting = connect(server, { onEvent: (event) => events.push(event), ...options });
  const connection = accept(server, false, receiveMaximum);
  return { server, connection, client: await connecting, events };
}

function accept(server: FakeServer, sessionPresent: boolean, receiveMaximum = 65_535): FakeConnection {
  const connection = server.accept();
  connection.take();
  connection.connack({
    present: sessionPresent,
    properties: properties((p) => p.two(table.RECEIVE_MAXIMUM, receiveMaximum)),
  });
  return connection;
}

/** The connection is lost, and the next one made. */
function reconnect({ server, connection }: World, sessionPresent: boolean, receiveMaximum = 65_535): FakeConnection {
  connection.drop("connection reset by peer (ECONNRESET)");
  server.advance(600);
  return accept(server, sessionPresent, receiveMaximum);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function payloadOf(client: Client): Promise<string> {
  return `${(await client.messages.next()).value?.payload}`;
}

test("connect: the URL says where and how", () => {
  const common = { tls: null, bindAddress: null, timeoutMs: 30_000 };
  const tls = { ca: "/ca.pem", cert: null, key: null, alpn: [], servername: null };
  for (const [url, target] of [
    ["mqtt://broker", { ...common, host: "broker", port: 1883 }],
    ["mqtts://[::1]", { ...common, host: "::1", port: 8883, tls }],
    ["ws://broker", { ...common, host: "broker", port: 80, webSocketPath: "/mqtt" }],
    ["wss://broker:9001/a/b?c=d", { ...common, host: "broker", port: 9001, tls, webSocketPath: "/a/b?c=d" }],
    ["unix:/run/mqtt.sock", { host: "unix", port: 0, tls: null, timeoutMs: 30_000, unix: "/run/mqtt.sock" }],
  ] as const) {
    const server = new FakeServer();
    void connect(server, { url, tls: { ca: "/ca.pem" } }).catch(() => {});
    assert.deepEqual(server.dials[0], target);
  }
});

test("what is wrong with the options rejects before anything is begun", async () => {
  const server = new FakeServer();
  for (const options of [
    { url: "http://x" },
    { url: "x" },
    { url: "unix:" },
    { receiveMaximum: 0 },
    { keepAliveSeconds: 65_536 },
    { queueMessages: 0 },
    { will: { topic: "a/#", payload: "" } },
    { will: { topic: "a", payload: "", delaySeconds: -1 } },
  ]) {
    await assert.rejects(connect(server, options), { name: "ClientError", code: "invalid-argument" });
  }
  assert.deepEqual(server.dials, []);
});

test("connect rejects with the words and the code of the refusal; it does not try again unless asked to", async () => {
  const server = new FakeServer();
  const connecting = connect(server);
  const connection = server.accept();
  connection.take();
  connection.connack({ code: codes.BAD_USER_NAME_OR_PASSWORD });
  connection.drop();
  const refusal = { code: "refused", reasonCode: 0x86, message: "refused: bad user name or password" };
  await assert.rejects(connecting, refusal);
  server.advance(60_000);
  assert(!server.dialling);
});

test("retryFirst: the first connection is tried until it is there", async () => {
  const server = new FakeServer();
  const connecting = connect(server, { retryFirst: true });
  server.refuse("connection refused");
  server.advance(600);
  server.refuse("connection refused");
  server.advance(600);
  assert(!server.dialling, "the delay doubles");
  server.advance(500);
  accept(server, false);
  assert.equal((await connecting).state, "connected");
});

test("a signal ends the attempt to connect, whatever it is at", async () => {
  for (const stage of ["before", "dialling", "connecting", "waiting"]) {
    const server = new FakeServer();
    const abort = new AbortController();
    if (stage === "before") abort.abort();
    const connecting = connect(server, { signal: abort.signal, retryFirst: true });
    let connection: FakeConnection | null = null;
    if (stage === "connecting") connection = server.accept();
    if (stage === "waiting") server.refuse("connection refused");
    abort.abort();
    connection?.drop();
    await assert.rejects(connecting, { code: "aborted" });
    server.advance(60_000);
    assert(!server.dialling);
    assert.equal(server.wheel.armed, 0);
  }
});

test("a server that closes on 5.0 is asked in 3.1.1 at once; protocol 3 asks in 3.1", async () => {
  const server = new FakeServer();
  const connecting = connect(server);
  server.accept().drop();
  const connection = server.accept();
  assert.equal(connection.take()[0]?.connect?.version, 4);
  connection.connack({});
  assert.equal((await connecting).server?.protocol, 4);

  const old = new FakeServer();
  void connect(old, { protocol: 3, clientId: "c" });
  assert.equal(old.accept().take()[0]?.connect?.version, 3);
});

test("publish resolves when written (QoS 0), at PUBACK (1), at PUBCOMP (2)", async () => {
  const { client, connection } = await setUp();
  await client.publish("t", "0");
  const settled: string[] = [];
  const one = client.publish("t", "1", { qos: 1, retain: true }).then(({ matched }) => settled.push(`one ${matched}`));
  const two = client
    .publish("t", new Uint8Array([50]), { qos: 2 })
    .then(({ matched }) => settled.push(`two ${matched}`));
  const packets = connection.take();
  assert.deepEqual(
    packets.map(({ payload, qos, retain }) => [payload, qos, retain]),
    [
      ["0", 0, false],
      ["1", 1, true],
      ["2", 2, false],
    ],
  );
  connection.send(connection.ack(codes.PUBREC, packets[2]!.packetId));
  connection.takeOne(codes.PUBREL);
  await turn();
  assert.deepEqual(settled, []);
  connection.send(connection.ack(codes.PUBCOMP, packets[2]!.packetId));
  await two;
  connection.puback(packets[1]!.packetId, codes.NO_MATCHING_SUBSCRIBERS);
  await one;
  assert.deepEqual(settled, ["two true", "one false"]);
});

test("publish rejects what the server refuses or does not take, with its code", async () => {
  const { client, connection } = await setUp();
  const refusal = { code: "publish-refused", reasonCode: 0x87, message: "refused by the server: not authorised" };
  const refused = client.publish("t", "1", { qos: 1 });
  connection.puback(connection.takeOne(codes.PUBLISH).packetId, codes.NOT_AUTHORIZED);
  await assert.rejects(refused, refusal);
  const refusedTwo = client.publish("t", "1", { qos: 2 });
  connection.send(connection.ack(codes.PUBREC, connection.takeOne(codes.PUBLISH).packetId, codes.NOT_AUTHORIZED));
  await assert.rejects(refusedTwo, refusal);
  await assert.rejects(client.publish("t/#", ""), { code: "invalid-argument" });
  await assert.rejects(client.publish("t", "", { userProperties: [["\0", ""]] }), { code: "invalid-argument" });
  await assert.rejects(client.publish("t", "", { correlationData: Buffer.alloc(65_536) }), {
    code: "invalid-argument",
  });
});

test("[MQTT5-3.3.4-9] the server's Receive Maximum is the window; the rest waits, and beyond queueMessages is refused", async () => {
  const { client, connection } = await setUp({ queueMessages: 100 }, 3);
  const all = Array.from({ length: 100 }, (_, i) => client.publish("t", `${i}`, { qos: 1 }));
  await assert.rejects(client.publish("t", "too many", { qos: 1 }), { code: "queue-full" });
  let seen = 0;
  for (let packets = connection.take(); packets.length > 0; packets = connection.take()) {
    assert(packets.length <= 3);
    for (const { payload, packetId } of packets) {
      assert.equal(payload, `${seen++}`);
      connection.puback(packetId);
    }
  }
  await Promise.all(all);
  assert.equal(seen, 100);
});

test("before 5.0, where a server cannot say how many it takes, at most 20 are in flight", async () => {
  const { client, connection } = await setUp({ protocol: 4 });
  for (let i = 0; i < 30; i++) void client.publish("t", `${i}`, { qos: 2 });
  assert.equal(connection.take().length, 20);
});

test("while there is no connection publishes wait, up to queueBytes, and go out in order with the next", async () => {
  const world = await setUp({ queueBytes: 50 });
  const { client, connection, server } = world;
  connection.drop("gone");
  const waiting = [client.publish("t", "a".repeat(20)), client.publish("t", "b".repeat(20), { qos: 1 })];
  await assert.rejects(client.publish("t", "c".repeat(20)), { code: "queue-full" });
  assert.equal(client.state, "connecting");
  server.advance(600);
  const next = accept(server, false);
  const packets = next.take();
  assert.deepEqual(
    packets.map(({ payload, dup }) => [payload[0], dup]),
    [
      ["a", false],
      ["b", false],
    ],
  );
  next.puback(packets[1]!.packetId);
  await Promise.all(waiting);
});

test("what waited for the connection has less time to live", async () => {
  const { client, connection, server } = await setUp();
  connection.drop("gone");
  void client.publish("t", "1", { messageExpirySeconds: 10 });
  server.advance(500);
  server.refuse("no");
  server.advance(3000);
  const packet = accept(server, false).takeOne(codes.PUBLISH);
  assert.equal(packet.expirySeconds, 7);
});

test("a signal ends the waiting for a publish: one that waits is not sent, one in flight keeps its packet id", async () => {
  const { client, connection } = await setUp({}, 1);
  const abort = new AbortController();
  const inFlight = client.publish("t", "1", { qos: 1, signal: abort.signal });
  const waiting = client.publish("t", "2", { qos: 1, signal: abort.signal });
  const last = client.publish("t", "3", { qos: 1 });
  abort.abort();
  await assert.rejects(inFlight, { code: "aborted" });
  await assert.rejects(waiting, { code: "aborted" });
  await assert.rejects(client.publish("t", "4", { signal: abort.signal }), { code: "aborted" });
  connection.puback(connection.takeOne(codes.PUBLISH).packetId);
  const next = connection.takeOne(codes.PUBLISH);
  assert.equal(next.payload, "3");
  connection.puback(next.packetId);
  await last;
});

test("[MQTT5-4.4.0-1] on a resumed session what was not acknowledged is sent again with DUP and its packet id, PUBREL where PUBREC had come", async () => {
  const world = await setUp({ sessionExpirySeconds: 60 }, 3);
  const { client, connection, events } = world;
  const results = ["1", "2", "3", "4"].map((payload, i) => client.publish("t", payload, { qos: i % 2 === 0 ? 1 : 2 }));
  const sent = connection.take();
  assert.deepEqual(
    sent.map(({ payload }) => payload),
    ["1", "2", "3"],
  );
  connection.send(connection.ack(codes.PUBREC, sent[1]!.packetId));
  connection.take();
  const next = reconnect(world, true, 2);
  await turn();
  assert.equal(events.find((event) => event.type === "disconnected")?.retryInMs, 500);
  const again = next.take();
  assert.deepEqual(
    again.map(({ type, packetId, dup }) => [type, packetId, dup]),
    [
      [codes.PUBREL, sent[1]!.packetId, false],
      [codes.PUBLISH, sent[0]!.packetId, true],
    ],
  );
  next.send(next.ack(codes.PUBCOMP, sent[1]!.packetId));
  next.puback(sent[0]!.packetId);
  const rest = next.take();
  assert.deepEqual(
    rest.map(({ payload, dup }) => [payload, dup]),
    [
      ["3", true],
      ["4", false],
    ],
  );
  next.puback(rest[0]!.packetId);
  next.send(next.ack(codes.PUBREC, rest[1]!.packetId));
  next.send(next.ack(codes.PUBCOMP, rest[1]!.packetId));
  await Promise.all(results);
});

test("when the server has lost the session, what it had not taken is sent anew and filters are asked for again", async () => {
  const world = await setUp({ sessionExpirySeconds: 60 });
  const { client, connection, events } = world;
  const subscribing = client.subscribe(["a", "b"], { qos: 1, subscriptionIdentifier: 7 });
  connection.send(connection.suback(connection.takeOne(codes.SUBSCRIBE).packetId, [1, 1]));
  await subscribing;
  const one = client.publish("t", "1", { qos: 1 });
  const two = client.publish("t", "2", { qos: 2 });
  connection.send(connection.ack(codes.PUBREC, connection.take()[1]!.packetId));
  const next = reconnect(world, false);
  await two; // the server had it
  const [subscribe, publish, ...more] = next.take();
  assert.deepEqual(
    subscribe?.filters.map(({ filter, qos }) => [filter, qos]),
    [
      ["a", 1],
      ["b", 1],
    ],
  );
  assert.deepEqual([publish?.payload, publish?.dup, more.length], ["1", false, 0]);
  next.puback(publish!.packetId);
  await one;
  next.send(next.suback(subscribe!.packetId, [1, codes.NOT_AUTHORIZED]));
  await turn();
  const lost = events.find((event) => event.type === "subscription-lost");
  assert.deepEqual([lost?.filter, lost?.error.reasonCode], ["b", codes.NOT_AUTHORIZED]);
  const third = reconnect({ ...world, connection: next }, false);
  assert.deepEqual(
    third.takeOne(codes.SUBSCRIBE).filters.map(({ filter }) => filter),
    ["a"],
  );
});

test("a resumed session keeps its subscriptions; only what was not answered is asked again", async () => {
  const world = await setUp({ sessionExpirySeconds: 60 });
  const { client, connection } = world;
  const subscribing = client.subscribe("a");
  connection.send(connection.suback(connection.takeOne(codes.SUBSCRIBE).packetId, [0]));
  await subscribing;
  const unanswered = client.subscribe("b", { qos: 2 });
  connection.take();
  const next = reconnect(world, true);
  const packet = next.takeOne(codes.SUBSCRIBE);
  assert.deepEqual(
    packet.filters.map(({ filter }) => filter),
    ["b"],
  );
  next.send(next.suback(packet.packetId, [2]));
  assert.deepEqual(await unanswered, [{ filter: "b", qos: 2 }]);
});

test("subscribe resolves with what was granted and rejects what was refused; unsubscribe resolves when answered", async () => {
  const { client, connection } = await setUp();
  const subscribing = client.subscribe(["a", "b/#"], { qos: 1, noLocal: true });
  const packet = connection.takeOne(codes.SUBSCRIBE);
  assert.deepEqual(
    packet.filters.map(({ filter, qos, noLocal }) => [filter, qos, noLocal]),
    [
      ["a", 1, true],
      ["b/#", 1, true],
    ],
  );
  connection.send(connection.suback(packet.packetId, [1, 0]));
  assert.deepEqual(await subscribing, [
    { filter: "a", qos: 1 },
    { filter: "b/#", qos: 0 },
  ]);
  const refused = client.subscribe(["c", "d"]);
  connection.send(connection.suback(connection.takeOne(codes.SUBSCRIBE).packetId, [0x87, 0]));
  await assert.rejects(refused, { code: "subscription-refused", reasonCode: 0x87 });
  const unsubscribing = client.unsubscribe("a");
  const { packetId } = connection.takeOne(codes.UNSUBSCRIBE);
  connection.send(Buffer.from([0xb0, 4, packetId >> 8, packetId & 0xff, 0, 0]));
  await unsubscribing;
  await assert.rejects(client.subscribe("a/#/b"), { code: "invalid-argument" });
  await assert.rejects(client.subscribe([]), { code: "invalid-argument" });
});

test("messages: each is acknowledged when the next is asked for; QoS 2 comes once", async () => {
  const { client, connection } = await setUp();
  connection.send(connection.publish("t", "1", 1, 1), connection.publish("t", "2", 2, 2));
  connection.send(connection.publish("t", "2", 2, 2, { dup: true }), connection.publish("t", "3", 0));
  const first = await client.messages.next();
  assert.deepEqual([first.value?.topic, `${first.value?.payload}`, first.value?.qos], ["t", "1", 1]);
  assert.deepEqual(connection.take(), []);
  assert.equal(await payloadOf(client), "2");
  assert.equal(connection.takeOne(codes.PUBACK).packetId, 1);
  assert.equal(await payloadOf(client), "3");
  assert.deepEqual(
    connection.take().map(({ type }) => type),
    [codes.PUBREC, codes.PUBREC],
  );
  connection.send(connection.ack(codes.PUBREL, 2));
  assert.equal(connection.takeOne(codes.PUBCOMP).reasonCode, 0);
  connection.send(connection.ack(codes.PUBREL, 2));
  assert.equal(connection.takeOne(codes.PUBCOMP).reasonCode, codes.PACKET_IDENTIFIER_NOT_FOUND);
});

test("[MQTT5-4.6.0-2] manualAcknowledge: acknowledgements leave in order of arrival, when they were asked for", async () => {
  const { client, connection } = await setUp({ manualAcknowledge: true });
  connection.send(connection.publish("t", "1", 1, 1), connection.publish("t", "2", 1, 2));
  const first = (await client.messages.next()).value;
  const second = (await client.messages.next()).value;
  second?.acknowledge();
  assert.deepEqual(connection.take(), []);
  first?.acknowledge();
  first?.acknowledge();
  assert.deepEqual(
    connection.take().map(({ packetId }) => packetId),
    [1, 2],
  );
});

test("[MQTT5-4.3.3-10] a QoS 2 message that waits over a reconnect is given out once, and acknowledged where it comes again", async () => {
  const world = await setUp({ sessionExpirySeconds: 60 });
  const { client, connection } = world;
  connection.send(connection.publish("t", "two", 2, 2), connection.publish("t", "one", 1, 1));
  const next = reconnect(world, true);
  next.send(next.publish("t", "two", 2, 2, { dup: true }), next.publish("t", "one", 1, 1, { dup: true }));
  assert.equal(await payloadOf(client), "two");
  assert.equal(await payloadOf(client), "one");
  assert.deepEqual(
    next.take().map(({ type, packetId }) => [type, packetId]),
    [[codes.PUBREC, 2]],
  );
  // Acknowledged while the connection was away: said when it comes again.
  next.drop("gone");
  void client.messages.next();
  world.server.advance(600);
  const third = accept(world.server, true);
  third.send(third.publish("t", "two", 2, 2, { dup: true }));
  assert.deepEqual(
    third.take().map(({ type, packetId }) => [type, packetId]),
    [[codes.PUBREC, 2]],
  );
});

test("properties go both ways, User Properties in order", async () => {
  const { client, connection } = await setUp();
  const sent = {
    payloadFormat: "utf8",
    messageExpirySeconds: 30,
    contentType: "text/plain",
    responseTopic: "answers",
    correlationData: Buffer.from([0, 255]),
    userProperties: [
      ["b", "1"],
      ["a", "2"],
      ["b", "3"],
    ],
  } as const;
  await client.publish("t", "1", sent);
  const packet = connection.takeOne(codes.PUBLISH);
  const block = Buffer.concat([packet.properties, Buffer.from([table.SUBSCRIPTION_IDENTIFIER, 0xac, 2])]);
  connection.send(connection.publish("t", "1", 0, 0, { properties: block }));
  const { value } = await client.messages.next();
  assert.deepEqual(value?.properties, sent);
  assert.deepEqual(value?.subscriptionIdentifiers, [300]);
});

test("many messages that nobody takes pause the socket until half of them are taken", async () => {
  const { server, client, connection } = await setUp();
  for (let i = 0; i <= INBOX_MESSAGES_MAX; i++) connection.send(connection.publish("t", `${i}`, 0));
  assert(connection.paused);
  server.advance(600_000);
  assert(!connection.ended, "a paused connection does not count as dead");
  for (let i = 0; i <= INBOX_MESSAGES_MAX; i++) assert.equal(await payloadOf(client), `${i}`);
  assert(!connection.paused);
});

test("close waits for the publishes under way, then ends the loop over messages", async () => {
  const { client, connection } = await setUp();
  const waiting = client.publish("t", "1", { qos: 1 });
  const asking = client.subscribe("a");
  const refused = assert.rejects(asking, { code: "closed" });
  const loop = (async () => {
    let count = 0;
    for await (const _message of client.messages) count++;
    return count;
  })();
  connection.send(connection.publish("t", "1", 0));
  const closing = client.close();
  assert.equal(client.state, "closing");
  await assert.rejects(client.publish("t", "2"), { code: "closed" });
  const packets = connection.take();
  assert(!packets.some(({ type }) => type === codes.DISCONNECT));
  connection.puback(packets[0]!.packetId);
  await waiting;
  assert.equal(connection.take().at(-1)?.type, codes.DISCONNECT);
  connection.drop();
  await closing;
  await refused;
  assert.equal(await loop, 1);
  assert.equal(await client.closed, null);
  assert.equal(client.state, "closed");
  await client.close();
});

test("close does not wait longer than it was told, nor without a connection", async () => {
  const { server, client, connection } = await setUp();
  const rejected = assert.rejects(client.publish("t", "1", { qos: 1 }), { code: "closed" });
  const closing = client.close({ timeoutMs: 1000 });
  server.advance(1100);
  connection.drop();
  await closing;
  await rejected;

  const away = await setUp();
  away.connection.drop("gone");
  const waiting = assert.rejects(away.client.publish("t", "1"), { code: "closed" });
  await away.client[Symbol.asyncDispose]();
  await waiting;
  assert.equal(away.server.wheel.armed, 0);
});

test("reconnect: false: a lost connection ends it all with its words, after what had come", async () => {
  const { client, connection } = await setUp({ reconnect: false });
  connection.send(connection.publish("t", "1", 0));
  const waiting = assert.rejects(client.publish("t", "1", { qos: 1 }), { code: "connection-lost" });
  connection.drop("connection reset by peer (ECONNRESET)");
  assert.equal((await client.closed)?.message, "connection reset by peer (ECONNRESET)");
  await waiting;
  assert.equal(await payloadOf(client), "1");
  await assert.rejects(client.messages.next(), { code: "connection-lost" });
  await assert.rejects(client.publish("t", "1"), ClientError);
});

test("a session taken over is the end: two clients of one id would take turns for ever", async () => {
  const { server, client, connection, events } = await setUp();
  connection.disconnect(codes.SESSION_TAKEN_OVER);
  connection.drop();
  assert.equal((await client.closed)?.reasonCode, codes.SESSION_TAKEN_OVER);
  server.advance(60_000);
  assert(!server.dialling);
  await turn();
  assert.deepEqual(
    events.map(({ type }) => type),
    ["connected", "closed"],
  );
});
