import assert from "node:assert/strict";
import { test } from "node:test";
import { INBOX_MESSAGES_MAX } from "../../../src/uplink/inbox.ts";
import { type Client, ClientError, type ConnectOptions, connect } from "../../../src/uplink/plain-client.ts";
import { WAITING_MAX } from "../../../src/uplink/publish-window.ts";
import * as codes from "../../../src/wire/mqtt/codes.ts";
import * as table from "../../../src/wire/mqtt/property-table.ts";
import { type FakeConnection, FakeServer, properties } from "./fake-server.ts";

async function setUp(
  options: Partial<ConnectOptions> = {},
  receiveMaximum = 65_535,
): Promise<{ server: FakeServer; connection: FakeConnection; client: Client }> {
  const server = new FakeServer();
  const connecting = connect({ url: "mqtt://broker", ...options }, server.wheel, server.dial);
  const connection = server.accept();
  connection.take();
  connection.connack({ properties: properties((p) => p.two(table.RECEIVE_MAXIMUM, receiveMaximum)) });
  return { server, connection, client: await connecting };
}

test("connect: the URL says where, mqtts brings TLS", async () => {
  const server = new FakeServer();
  void connect({ url: "mqtts://[::1]", tls: { ca: "/ca.pem" } }, server.wheel, server.dial).catch(() => {});
  assert.deepEqual(server.dials[0], {
    host: "::1",
    port: 8883,
    tls: { ca: "/ca.pem", cert: null, key: null, alpn: [], servername: null },
    bindAddress: null,
    timeoutMs: 30_000,
  });
  await assert.rejects(connect({ url: "http://x" }, server.wheel, server.dial), ClientError);
});

test("connect rejects with the words of the refusal", async () => {
  const server = new FakeServer();
  const connecting = connect({ url: "mqtt://broker" }, server.wheel, server.dial);
  const connection = server.accept();
  connection.take();
  connection.connack({ code: codes.BAD_USER_NAME_OR_PASSWORD });
  connection.drop();
  await assert.rejects(connecting, { name: "ClientError", message: "refused: bad user name or password" });
});

test("publish resolves when written (QoS 0), at PUBACK (1), at PUBCOMP (2)", async () => {
  const { client, connection } = await setUp();
  await client.publish("t", "0");
  const settled: string[] = [];
  const one = client.publish("t", "1", { qos: 1, retain: true }).then(() => settled.push("one"));
  const two = client.publish("t", new Uint8Array([50]), { qos: 2 }).then(() => settled.push("two"));
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
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(settled, []);
  connection.send(connection.ack(codes.PUBCOMP, packets[2]!.packetId));
  await two;
  connection.puback(packets[1]!.packetId, codes.NO_MATCHING_SUBSCRIBERS);
  await one;
  assert.deepEqual(settled, ["two", "one"]);
});

test("publish rejects what the server refuses or does not take", async () => {
  const { client, connection } = await setUp();
  const refused = client.publish("t", "1", { qos: 1 });
  connection.puback(connection.takeOne(codes.PUBLISH).packetId, codes.NOT_AUTHORIZED);
  await assert.rejects(refused, { message: "refused by the server: not authorised" });
  const refusedTwo = client.publish("t", "1", { qos: 2 });
  connection.send(connection.ack(codes.PUBREC, connection.takeOne(codes.PUBLISH).packetId, codes.NOT_AUTHORIZED));
  await assert.rejects(refusedTwo, { message: "refused by the server: not authorised" });
});

test("the server's Receive Maximum is the window; the rest waits, and beyond WAITING_MAX is refused", async () => {
  const { client, connection } = await setUp({}, 3);
  const all = Array.from({ length: WAITING_MAX + 3 }, (_, i) => client.publish("t", `${i}`, { qos: 1 }));
  await assert.rejects(client.publish("t", "too many", { qos: 1 }), { message: "too many publishes wait" });
  let seen = 0;
  for (let packets = connection.take(); packets.length > 0; packets = connection.take()) {
    assert(packets.length <= 3);
    for (const { payload, packetId } of packets) {
      assert.equal(payload, `${seen++}`);
      connection.puback(packetId);
    }
  }
  await Promise.all(all);
  assert.equal(seen, WAITING_MAX + 3);
});

test("subscribe resolves with what was granted, unsubscribe with its codes", async () => {
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
  connection.send(connection.suback(packet.packetId, [1, 0x87]));
  assert.deepEqual(await subscribing, [1, 0x87]);
  const unsubscribing = client.unsubscribe("a");
  const { packetId } = connection.takeOne(codes.UNSUBSCRIBE);
  connection.send(Buffer.from([0xb0, 4, packetId >> 8, packetId & 0xff, 0, 0]));
  assert.deepEqual(await unsubscribing, [0]);
});

test("messages: each is acknowledged when the next is asked for; QoS 2 comes once", async () => {
  const { client, connection } = await setUp();
  connection.send(connection.publish("t", "1", 1, 1), connection.publish("t", "2", 2, 2));
  connection.send(connection.publish("t", "2", 2, 2, { dup: true }), connection.publish("t", "3", 0));
  const got: string[] = [];
  const first = await client.messages.next();
  got.push(`${first.value?.topic} ${first.value?.payload} ${first.value?.qos}`);
  assert.deepEqual(connection.take(), []);
  got.push(`${(await client.messages.next()).value?.payload}`);
  assert.equal(connection.takeOne(codes.PUBACK).packetId, 1);
  got.push(`${(await client.messages.next()).value?.payload}`);
  assert.deepEqual(
    connection.take().map(({ type }) => type),
    [codes.PUBREC, codes.PUBREC],
  );
  connection.send(connection.ack(codes.PUBREL, 2));
  assert.equal(connection.takeOne(codes.PUBCOMP).reasonCode, 0);
  connection.send(connection.ack(codes.PUBREL, 2));
  assert.equal(connection.takeOne(codes.PUBCOMP).reasonCode, codes.PACKET_IDENTIFIER_NOT_FOUND);
  assert.deepEqual(got, ["t 1 1", "2", "3"]);
});

test("many messages that nobody takes pause the socket until half of them are taken", async () => {
  const { server, client, connection } = await setUp();
  for (let i = 0; i <= INBOX_MESSAGES_MAX; i++) connection.send(connection.publish("t", `${i}`, 0));
  assert(connection.paused);
  server.advance(600_000);
  assert(!connection.ended, "a paused connection does not count as dead");
  for (let i = 0; i <= INBOX_MESSAGES_MAX; i++)
    assert.equal(`${(await client.messages.next()).value?.payload}`, `${i}`);
  assert(!connection.paused);
});

test("close ends the loop over messages and fails what waits", async () => {
  const { client, connection } = await setUp();
  const waiting = client.publish("t", "1", { qos: 1 });
  const asking = client.subscribe("a");
  const loop = (async () => {
    let count = 0;
    for await (const _message of client.messages) count++;
    return count;
  })();
  connection.send(connection.publish("t", "1", 0));
  const closing = client.close();
  assert.equal(connection.take().at(-1)?.type, codes.DISCONNECT);
  connection.drop();
  await closing;
  assert.equal(await loop, 1);
  assert.equal(await client.closed, null);
  await assert.rejects(waiting, { message: "closed" });
  await assert.rejects(asking, { message: "closed" });
  await assert.rejects(client.publish("t", "1"), { message: "not connected" });
  await client.close();
});

test("a lost connection ends the loop with its words, after what had come", async () => {
  const { client, connection } = await setUp();
  connection.send(connection.publish("t", "1", 0));
  connection.drop("connection reset by peer (ECONNRESET)");
  assert.equal(await client.closed, "connection reset by peer (ECONNRESET)");
  assert.equal(`${(await client.messages.next()).value?.payload}`, "1");
  await assert.rejects(client.messages.next(), { message: "connection reset by peer (ECONNRESET)" });
});
