// 4.4 Delivery again after a reconnect, 4.5 receipt, 4.6 order: the gateway as sender.
import assert from "node:assert/strict";
import {
  ack,
  type ConnectFields,
  connect,
  disconnect,
  type Packet,
  PUBACK,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  publish,
  readAck,
  readConnack,
  readPublish,
  u16,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { forVersions, type Product, product, unique, untilNow } from "./harness.ts";

const sluice = product();

type Test = Parameters<Product["connected"]>[0];

function lasting(version: Version): ConnectFields {
  return { version, clientId: unique("lasting"), clean: false, expirySeconds: 600 };
}

/** Publishes the payloads at QoS 1 or 2 and waits until the gateway has them. */
async function publishAll(t: Test, version: Version, topic: string, qos: number, payloads: string[]): Promise<void> {
  const raw = await sluice.connected(t, version);
  for (const [i, payload] of payloads.entries()) raw.send(publish(version, { topic, payload, qos, packetId: i + 1 }));
  for (const _ of payloads) assert.equal((await raw.next()).type, qos === 1 ? PUBACK : PUBREC);
  raw.send(disconnect());
}

/** What was published to it by now: [payload, packet id, DUP]. */
async function messages(raw: RawMqtt, version: Version, count: number): Promise<[string, number, boolean][]> {
  const out: [string, number, boolean][] = [];
  while (out.length < count) {
    const next = await raw.next();
    if (next.type !== PUBLISH) continue;
    const { payload, packetId, dup } = readPublish(version, next);
    out.push([payload, packetId, dup]);
  }
  return out;
}

for (const qos of [1, 2]) {
  forVersions(
    { 4: ["4.4.0-1", "4.6.0-6", "2.3.1-4"], 5: ["4.4.0-1"] },
    `QoS ${qos}: what is unacknowledged comes again with DUP, in its order and under its packet identifiers, and nothing else does`,
    async (version, t) => {
      const fields = lasting(version);
      const topic = unique("again");
      const first = await sluice.connected(t, version, fields);
      await first.subscribe(version, topic, qos);
      await publishAll(t, version, topic, qos, ["a", "b", "c", "d"]);
      const sent = await messages(first, version, 4);
      assert.deepEqual(
        sent.map(([payload, , dup]) => [payload, dup]),
        [
          ["a", false],
          ["b", false],
          ["c", false],
          ["d", false],
        ],
      );
      const [, b] = sent.map(([, packetId]) => packetId);
      first.send(ack(qos === 1 ? PUBACK : PUBREC, b ?? 0));
      if (qos === 2) assert.deepEqual(readAck(await first.next()).packetId, b);
      // Waiting does not make it send anything again on the same connection.
      assert.deepEqual(await untilNow(first), []);
      first.socket.destroy();
      const back = await sluice.open(t);
      back.send(connect(fields));
      assert.equal(readConnack(await back.next()).sessionPresent, true);
      const came: Packet[] = [];
      while (came.length < (qos === 1 ? 3 : 4)) came.push(await back.next());
      came.push(...(await untilNow(back)));
      const again = came.filter(({ type }) => type === PUBLISH).map((packet) => readPublish(version, packet));
      assert.deepEqual(
        again.map(({ payload, packetId, dup }) => [payload, packetId, dup]),
        sent.filter(([payload]) => payload !== "b").map(([payload, packetId]) => [payload, packetId, true]),
      );
      const releases = came.filter(({ type }) => type === PUBREL).map((packet) => readAck(packet).packetId);
      assert.deepEqual(releases, qos === 1 ? [] : [b]);
    },
  );
}

forVersions(
  { 5: ["4.4.0-2"] },
  "what the client refused with PUBACK or PUBREC from 0x80 does not come again",
  async (version, t) => {
    for (const qos of [1, 2]) {
      const fields = lasting(version);
      const topic = unique("refused");
      const first = await sluice.connected(t, version, fields);
      await first.subscribe(version, topic, qos);
      await publishAll(t, version, topic, qos, ["refused", "kept"]);
      const [[, refused] = ["", 0]] = await messages(first, version, 2);
      first.send(packet(qos === 1 ? PUBACK : PUBREC, 0, u16(refused), 0x83));
      assert.deepEqual(await untilNow(first), []);
      first.socket.destroy();
      const back = await sluice.connected(t, version, fields);
      assert.deepEqual(
        (await untilNow(back)).map((packet) => readPublish(version, packet).payload),
        ["kept"],
      );
    }
  },
);

forVersions({ 4: ["4.4.0-1"], 5: ["4.4.0-1"] }, "a clean start gets nothing of before", async (version, t) => {
  const fields = lasting(version);
  const topic = unique("clean");
  const first = await sluice.connected(t, version, fields);
  await first.subscribe(version, topic, 1);
  await publishAll(t, version, topic, 1, ["a"]);
  await messages(first, version, 1);
  first.socket.destroy();
  const clean = await sluice.connected(t, version, { ...fields, clean: true });
  assert.deepEqual(await untilNow(clean), []);
});

forVersions(
  { 4: ["4.5.0-1"], 5: ["4.5.0-1"] },
  "every session with a matching subscription gets the message: connected, away, and the publisher's own",
  async (version, t) => {
    const topic = unique("all");
    const away = lasting(version);
    const sleeper = await sluice.connected(t, version, away);
    await sleeper.subscribe(version, `${topic}/+`, 2);
    sleeper.send(disconnect());
    await sleeper.end();
    const online = await sluice.connected(t, version);
    await online.subscribe(version, `${topic}/#`, 1);
    const deaf = await sluice.connected(t, version);
    await deaf.subscribe(version, `${topic}/other`, 1);
    const publisher = await sluice.connected(t, version);
    await publisher.subscribe(version, `${topic}/a`, 0);
    publisher.send(publish(version, { topic: `${topic}/a`, payload: "to all", qos: 1, packetId: 1 }));
    const own = [await publisher.next(), await publisher.next()].find(({ type }) => type === PUBLISH);
    assert.equal(own !== undefined && readPublish(version, own).payload, "to all");
    assert.deepEqual((await messages(online, version, 1))[0]?.[0], "to all");
    const back = await sluice.connected(t, version, away);
    assert.deepEqual((await messages(back, version, 1))[0]?.[0], "to all");
    assert.deepEqual(await untilNow(deaf), []);
  },
);

for (const qos of [0, 1, 2]) {
  forVersions(
    { 4: ["4.6.0-5", "4.6.0-6"], 5: ["4.6.0-5", "4.6.0-6"] },
    `QoS ${qos}: each client's messages on a topic arrive in its order, online and after a time away`,
    async (version, t) => {
      const topic = unique("order");
      const away = lasting(version);
      const online = await sluice.connected(t, version);
      const sleeper = await sluice.connected(t, version, away);
      for (const raw of [online, sleeper]) await raw.subscribe(version, topic, qos);
      sleeper.send(disconnect());
      await sleeper.end();
      const count = 60;
      const publishers = [await sluice.connected(t, version), await sluice.connected(t, version)];
      for (let i = 0; i < count; i++)
        for (const [who, raw] of publishers.entries())
          raw.send(publish(version, { topic, payload: `${who} ${i}`, qos, packetId: i + 1 }));
      const receivers: RawMqtt[] = [online];
      if (qos > 0) {
        for (const raw of publishers) for (let i = 0; i < count; i++) await raw.next();
        receivers.push(await sluice.connected(t, version, away));
      }
      for (const raw of receivers) {
        const lists: string[][] = [[], []];
        while ((lists[0]?.length ?? 0) + (lists[1]?.length ?? 0) < 2 * count) {
          const next = await raw.next();
          if (next.type !== PUBLISH) continue;
          const { payload, packetId } = readPublish(version, next);
          if (qos === 1) raw.send(ack(PUBACK, packetId));
          if (qos === 2) raw.send(ack(PUBREC, packetId), ack(7, packetId));
          lists[Number(payload[0])]?.push(payload);
        }
        for (const [who, list] of lists.entries())
          assert.deepEqual(
            list,
            Array.from({ length: count }, (_, i) => `${who} ${i}`),
          );
      }
    },
  );
}
