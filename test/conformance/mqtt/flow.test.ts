// 4.9 Flow control: the gateway sends within the client's Receive Maximum.
import assert from "node:assert/strict";
import {
  ack,
  type Packet,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  publish,
  readPublish,
  SUBACK,
  subscribe,
  u16,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertClosed, forVersions, product, settled, unique, untilNow } from "./harness.ts";

const RECEIVE_MAXIMUM = 0x21;
const RECEIVE_MAXIMUM_EXCEEDED = 0x93;

const sluice = product({ limits: { receive_maximum: 3 } });

function published(packets: readonly Packet[]): number[] {
  return packets.filter(({ type }) => type === PUBLISH).map((packet) => readPublish(5, packet).packetId);
}

/** Publishes `count` messages and waits until the gateway has routed them. */
async function publishMany(raw: RawMqtt, topic: string, qos: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    raw.send(publish(5, { topic, payload: `${i}`, qos, packetId: 1 }));
    assert.equal((await raw.next()).type, qos === 1 ? PUBACK : PUBREC);
    if (qos === 1) continue;
    raw.send(ack(PUBREL, 1));
    assert.equal((await raw.next()).type, PUBCOMP);
  }
}

for (const maximum of [1, 2, 7]) {
  forVersions(
    { 5: ["4.9.0-1", "4.9.0-2"] },
    `Receive Maximum ${maximum}: so many leave at first, then one more for each that is acknowledged or refused`,
    async (version, t) => {
      const topic = unique("flow");
      const client = await sluice.connected(t, version, { properties: [RECEIVE_MAXIMUM, u16(maximum)] });
      await client.subscribe(version, topic, 2);
      const publisher = await sluice.connected(t, version);
      await publishMany(publisher, topic, 1, 10);
      const first = published(await untilNow(client));
      assert.equal(first.length, maximum);
      // A PUBACK makes room for one, and so does a refusal.
      client.send(ack(PUBACK, first[0] ?? 0));
      const [second] = published(await untilNow(client));
      client.send(packet(PUBACK, 0, u16(second ?? 0), 0x80));
      const [third, ...more] = published(await untilNow(client));
      assert.deepEqual([typeof third, more.length], ["number", 0]);
      // QoS 0 needs no room.
      publisher.send(publish(version, { topic, payload: "free" }));
      await settled(publisher);
      const free = (await untilNow(client)).map((packet) => readPublish(version, packet));
      assert.deepEqual(
        free.map(({ payload, qos }) => [payload, qos]),
        [["free", 0]],
      );
    },
  );
}

forVersions(
  { 5: ["4.9.0-2"] },
  "a QoS 2 message keeps its place until PUBCOMP, or until a refusing PUBREC",
  async (version, t) => {
    const topic = unique("flow");
    const client = await sluice.connected(t, version, { properties: [RECEIVE_MAXIMUM, u16(1)] });
    await client.subscribe(version, topic, 2);
    const publisher = await sluice.connected(t, version);
    await publishMany(publisher, topic, 2, 3);
    const [first, ...none] = published(await untilNow(client));
    assert.equal(none.length, 0);
    client.send(ack(PUBREC, first ?? 0));
    assert.deepEqual(
      (await untilNow(client)).map(({ type }) => type),
      [PUBREL],
    );
    client.send(ack(PUBCOMP, first ?? 0));
    const [second] = published([await client.next()]);
    client.send(packet(PUBREC, 0, u16(second ?? 0), 0x80));
    assert.equal(published([await client.next()]).length, 1);
    assert.deepEqual(await untilNow(client), []);
  },
);

forVersions({ 5: ["4.9.0-3"] }, "with no room left everything else goes on, both ways", async (version, t) => {
  const topic = unique("flow");
  const client = await sluice.connected(t, version, { properties: [RECEIVE_MAXIMUM, u16(1)] });
  await client.subscribe(version, topic, 1);
  const publisher = await sluice.connected(t, version);
  await publishMany(publisher, topic, 1, 3);
  assert.equal(published(await untilNow(client)).length, 1);
  const own = unique("own");
  client.send(subscribe(version, 2, [own, 0]));
  assert.equal((await client.next()).type, SUBACK);
  client.send(publish(version, { topic: own, payload: "mine", qos: 1, packetId: 9 }));
  const types = [(await client.next()).type, (await client.next()).type].sort();
  assert.deepEqual(types, [PUBLISH, PUBACK]);
  client.send(publish(version, { topic: own, qos: 2, packetId: 10 }));
  const more = [(await client.next()).type, (await client.next()).type].sort();
  assert.deepEqual(more, [PUBLISH, PUBREC]);
  client.send(ack(PUBREL, 10));
  assert.equal((await client.next()).type, PUBCOMP);
});

forVersions(
  { 5: ["4.9.0-2"] },
  "a client that sends more than the gateway's Receive Maximum is disconnected",
  async (version, t) => {
    const client = await sluice.connected(t, version);
    const topic = unique("flow");
    // QoS 2 without PUBREL stays open, so that these four are open at once.
    for (let packetId = 1; packetId <= 4; packetId++) client.send(publish(version, { topic, qos: 2, packetId }));
    await assertClosed(client, version, RECEIVE_MAXIMUM_EXCEEDED);
  },
);
