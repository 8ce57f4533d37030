// 3.1.2 Clean Session, Clean Start and session expiry; 3.2.2 Session Present; 4.1 storing state.
import assert from "node:assert/strict";
import {
  ack,
  type ConnectFields,
  connect,
  disconnect,
  PUBACK,
  PUBLISH,
  packet,
  publish,
  readConnack,
  readPublish,
  readSuback,
  SUBACK,
  subscribe,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { forVersions, product, settled, unique, untilNow } from "./harness.ts";

const sluice = product();

/** A CONNECT that asks for a session that stays. */
function lasting(version: Version, clientId: string, clean = false): ConnectFields {
  return { version, clientId, clean, expirySeconds: 600 };
}

/** Publishes at QoS 1 on a connection of its own and waits for the PUBACK. */
async function publishFrom(
  raw: RawMqtt,
  version: Version,
  topic: string,
  payload: string,
  retain = false,
): Promise<void> {
  raw.send(publish(version, { topic, payload, qos: 1, packetId: 1, retain }));
  for (let type = 0; type !== PUBACK; ) type = (await raw.next()).type;
}

async function leave(raw: RawMqtt): Promise<void> {
  raw.send(disconnect());
  await raw.end();
}

forVersions(
  {
    4: ["3.1.2-4", "3.1.2-5", "3.1.3-2", "3.1.4-3", "3.2.2-2", "3.2.2-3", "4.1.0-1", "4.5.0-1"],
    5: ["3.1.2-5", "3.1.2-6", "3.1.2-23", "3.1.3-2", "3.1.4-4", "3.2.2-3", "4.5.0-1"],
  },
  "a session that stays is found again by its client id: its subscriptions, and QoS 1 and 2 messages that came meanwhile",
  async (version, t) => {
    const clientId = unique("stays");
    const topic = unique("stays");
    const publisher = await sluice.connected(t, version);
    const first = await sluice.open(t);
    first.send(connect(lasting(version, clientId)));
    assert.deepEqual(readConnack(await first.next()).sessionPresent, false);
    await first.subscribe(version, topic, 2);
    await leave(first);
    await publishFrom(publisher, version, topic, "while away");
    publisher.send(publish(version, { topic, payload: "at QoS 2", qos: 2, packetId: 2 }));
    await publisher.next();

    const back = await sluice.open(t);
    back.send(connect(lasting(version, clientId)));
    assert.equal(readConnack(await back.next()).sessionPresent, true);
    for (const [payload, qos] of [
      ["while away", 1],
      ["at QoS 2", 2],
    ] as const) {
      const message = readPublish(version, await back.next());
      assert.deepEqual([message.payload, message.qos, message.dup], [payload, qos, false]);
      back.send(ack(qos === 1 ? PUBACK : 5, message.packetId));
    }
    back.send(ack(7, readPubrelId(await back.next())));
    // Another client id is another session.
    const other = await sluice.open(t);
    other.send(connect(lasting(version, unique("stays"))));
    assert.equal(readConnack(await other.next()).sessionPresent, false);
    await publishFrom(publisher, version, topic, "live");
    assert.equal(readPublish(version, await back.next()).payload, "live");
    assert.deepEqual(await untilNow(other), []);
  },
);

function readPubrelId({ type, body }: { type: number; body: Buffer }): number {
  assert.equal(type, 6);
  return body.readUInt16BE(0);
}

forVersions(
  { 4: ["3.1.2-6", "3.1.4-3", "3.2.2-1"], 5: ["3.1.2-4", "3.1.4-4", "3.2.2-2"] },
  "a clean start throws the old session away: not present, no subscription, no message",
  async (version, t) => {
    const clientId = unique("clean");
    const topic = unique("clean");
    const publisher = await sluice.connected(t, version);
    const first = await sluice.connected(t, version, lasting(version, clientId));
    await first.subscribe(version, topic, 1);
    await leave(first);
    await publishFrom(publisher, version, topic, "lost on purpose");

    const clean = await sluice.open(t);
    clean.send(connect({ version, clientId, clean: true }));
    const answer = readConnack(await clean.next());
    assert.deepEqual([answer.sessionPresent, answer.reason], [false, 0]);
    await publishFrom(publisher, version, topic, "to nobody");
    assert.deepEqual(await untilNow(clean), []);
    await clean.subscribe(version, topic, 1);
    await leave(clean);
    // What the clean one left behind is not used again.
    const after = await sluice.open(t);
    after.send(connect(lasting(version, clientId)));
    assert.equal(readConnack(await after.next()).sessionPresent, false);
    await publishFrom(publisher, version, topic, "to nobody");
    assert.deepEqual(await untilNow(after), []);
  },
);

forVersions({ 5: ["3.1.2-4", "3.2.2-2"] }, "a clean start may make a session that stays", async (version, t) => {
  const clientId = unique("clean-stays");
  const first = await sluice.connected(t, version, lasting(version, clientId));
  await first.subscribe(version, unique("t"), 1);
  await leave(first);
  const clean = await sluice.open(t);
  clean.send(connect(lasting(version, clientId, true)));
  assert.equal(readConnack(await clean.next()).sessionPresent, false);
  await leave(clean);
  const back = await sluice.open(t);
  back.send(connect(lasting(version, clientId)));
  assert.equal(readConnack(await back.next()).sessionPresent, true);
});

forVersions({ 5: ["3.1.2-23", "4.1.0-2"] }, "without a Session Expiry Interval it ends at once", async (version, t) => {
  const clientId = unique("zero");
  const first = await sluice.connected(t, version, { clientId, clean: false });
  await first.subscribe(version, unique("t"), 1);
  await leave(first);
  const back = await sluice.open(t);
  back.send(connect(lasting(version, clientId)));
  assert.equal(readConnack(await back.next()).sessionPresent, false);
});

forVersions(
  { 4: ["3.1.2-7"], 5: ["4.1.0-2"] },
  "what a session left retained stays when the session ends",
  async (version, t) => {
    const clientId = unique("ends");
    const topic = unique("retained");
    const first = await sluice.connected(t, version, { clientId, clean: true });
    await publishFrom(first, version, topic, "stays", true);
    await leave(first);
    const again = await sluice.connected(t, version, { clientId, clean: true });
    await leave(again);
    const reader = await sluice.connected(t, version);
    await reader.subscribe(version, topic, 0);
    const message = readPublish(version, await reader.next());
    assert.deepEqual([message.payload, message.retain], ["stays", true]);
    reader.send(publish(version, { topic, retain: true }));
    await settled(reader);
  },
);

forVersions(
  { 4: ["3.1.2-4", "4.1.0-1"], 5: ["3.1.2-5", "3.1.2-23"] },
  "the session survives a broken connection, and a restart of the server",
  async (version, t) => {
    const clientId = unique("restart");
    const topic = unique("restart");
    const first = await sluice.connected(t, version, lasting(version, clientId));
    await first.subscribe(version, topic, 1);
    first.socket.destroy();
    await sluice.gateway.end("SIGTERM");
    await sluice.gateway.start();
    const publisher = await sluice.connected(t, version);
    await publishFrom(publisher, version, topic, "after the restart");
    const back = await sluice.open(t);
    back.send(connect(lasting(version, clientId)));
    assert.equal(readConnack(await back.next()).sessionPresent, true);
    assert.equal(readPublish(version, await back.next()).payload, "after the restart");
  },
);

forVersions(
  { 4: ["4.1.0-1", "4.1.0-2"], 5: ["4.1.0-1"] },
  "while the connection lasts so does its session, whatever its expiry is",
  async (version, t) => {
    const topic = unique("lasts");
    const client = await sluice.connected(t, version, { clean: true });
    client.send(subscribe(version, 1, [topic, 2]));
    const suback = await client.next();
    assert.deepEqual([suback.type, readSuback(version, suback)], [SUBACK, [2]]);
    // A QoS 2 handshake half done, and a QoS 1 message not acknowledged, are part of it.
    client.send(publish(version, { topic, qos: 2, packetId: 3 }));
    const types = [(await client.next()).type, (await client.next()).type].sort();
    assert.deepEqual(types, [PUBLISH, 5]);
    for (let i = 0; i < 20; i++) client.send(publish(version, { topic: unique("other") }));
    await settled(client);
    client.send(publish(version, { topic, qos: 2, packetId: 3, dup: true }));
    assert.deepEqual(
      (await untilNow(client)).map(({ type }) => type),
      [5],
    );
    client.send(packet(6, 2, [0, 3]));
    assert.equal((await client.next()).type, 7);
  },
);
