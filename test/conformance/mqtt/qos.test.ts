// 4.3 Quality of Service: the gateway as receiver of a client's messages, and as their sender.
import assert from "node:assert/strict";
import {
  ack,
  bytes,
  type Packet,
  type Part,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  publish,
  readAck,
  readPublish,
  u16,
  u32,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { forVersions, product, settled, unique, untilNow } from "./harness.ts";

const NOT_AUTHORIZED = 0x87;

const sluice = product();

/** The next packet, which must be of this type. */
async function expect(raw: RawMqtt, type: number): Promise<Packet> {
  const next = await raw.next();
  assert.equal(next.type, type);
  return next;
}

async function nextMessage(raw: RawMqtt, version: Version) {
  return readPublish(version, await expect(raw, PUBLISH));
}

/** A subscriber to a topic of its own. */
async function subscriber(t: Parameters<typeof sluice.connected>[0], version: Version, qos: number, ...more: Part[]) {
  const topic = unique("qos");
  const raw = await sluice.connected(t, version, { properties: more });
  await raw.subscribe(version, topic, qos);
  return { raw, topic };
}

forVersions({ 4: ["4.3.1-1"], 5: ["4.3.1-1"] }, "QoS 0 leaves with QoS 0 and DUP 0", async (version, t) => {
  const { raw, topic } = await subscriber(t, version, 0);
  const publisher = await sluice.connected(t, version);
  // Whatever it came with.
  publisher.send(publish(version, { topic, payload: "0" }));
  publisher.send(publish(version, { topic, payload: "1", qos: 1, packetId: 1, dup: true }));
  publisher.send(publish(version, { topic, payload: "2", qos: 2, packetId: 2, dup: true }));
  await settled(publisher);
  const came = (await untilNow(raw)).map((packet) => readPublish(version, packet));
  assert.deepEqual(
    came.map(({ payload, qos, dup }) => [payload, qos, dup]),
    [
      ["0", 0, false],
      ["1", 0, false],
      ["2", 0, false],
    ],
  );
});

forVersions(
  { 4: ["4.3.2-2"], 5: ["4.3.2-4", "4.3.2-5"] },
  "QoS 1 is answered with PUBACK, and the same identifier again is a new message, also with DUP",
  async (version, t) => {
    const { raw, topic } = await subscriber(t, version, 0);
    const publisher = await sluice.connected(t, version);
    for (const [payload, dup] of [
      ["first", false],
      ["second", false],
      ["third", true],
    ] as const) {
      publisher.send(publish(version, { topic, payload, qos: 1, packetId: 77, dup }));
      assert.deepEqual(readAck(await expect(publisher, PUBACK)), { packetId: 77, reason: 0 });
      assert.equal((await nextMessage(raw, version)).payload, payload);
    }
  },
);

forVersions(
  { 4: ["4.3.3-2"], 5: ["4.3.3-8", "4.3.3-10", "4.3.3-11", "4.3.3-12"] },
  "QoS 2: PUBREC, again for the same identifier without a second delivery, PUBCOMP, then it is a new message",
  async (version, t) => {
    const { raw, topic } = await subscriber(t, version, 0);
    const publisher = await sluice.connected(t, version);
    for (const payload of ["first", "second"]) {
      publisher.send(publish(version, { topic, payload, qos: 2, packetId: 78 }));
      assert.deepEqual(readAck(await expect(publisher, PUBREC)), { packetId: 78, reason: 0 });
      for (const dup of [true, false]) {
        publisher.send(publish(version, { topic, payload: "again", qos: 2, packetId: 78, dup }));
        assert.deepEqual(readAck(await expect(publisher, PUBREC)), { packetId: 78, reason: 0 });
      }
      for (let i = 0; i < 2; i++) {
        publisher.send(ack(PUBREL, 78));
        const { packetId, reason } = readAck(await expect(publisher, PUBCOMP));
        // The second time it is not known any more; 5.0 may be told.
        assert.deepEqual([packetId, i === 0 ? reason : [0, 0x92].includes(reason)], [78, i === 0 ? 0 : true]);
      }
      assert.equal((await nextMessage(raw, version)).payload, payload);
      assert.deepEqual(await untilNow(raw), []);
    }
  },
);

forVersions(
  { 4: ["4.3.3-2"], 5: ["4.3.3-10"] },
  "a QoS 2 message of a client that comes back before its PUBREL is not delivered twice",
  async (version, t) => {
    const { raw, topic } = await subscriber(t, version, 0);
    const fields = { clientId: unique("twice"), clean: false, expirySeconds: 600 };
    const first = await sluice.connected(t, version, fields);
    first.send(publish(version, { topic, payload: "once", qos: 2, packetId: 5 }));
    await expect(first, PUBREC);
    first.socket.destroy();
    const back = await sluice.connected(t, version, fields);
    back.send(publish(version, { topic, payload: "once", qos: 2, packetId: 5, dup: true }));
    await expect(back, PUBREC);
    back.send(ack(PUBREL, 5));
    await expect(back, PUBCOMP);
    const came = (await untilNow(raw)).map((packet) => readPublish(version, packet).payload);
    assert.deepEqual(came, ["once"]);
  },
);

forVersions({ 5: ["4.3.3-9"] }, "after a refusing PUBREC the identifier is a new message", async (version, t) => {
  const { raw, topic } = await subscriber(t, version, 0);
  const publisher = await sluice.connected(t, version);
  publisher.send(publish(version, { topic: "$SYS/mine", qos: 2, packetId: 9 }));
  assert.deepEqual(readAck(await expect(publisher, PUBREC)), { packetId: 9, reason: NOT_AUTHORIZED });
  publisher.send(publish(version, { topic, payload: "new", qos: 2, packetId: 9 }));
  assert.deepEqual(readAck(await expect(publisher, PUBREC)), { packetId: 9, reason: 0 });
  assert.equal((await nextMessage(raw, version)).payload, "new");
});

forVersions({ 5: ["4.3.3-13"] }, "a QoS 2 handshake goes on although the message expires", async (version, t) => {
  const { topic } = await subscriber(t, version, 0);
  const publisher = await sluice.connected(t, version);
  publisher.send(publish(version, { topic, qos: 2, packetId: 3 }, bytes(0x02, u32(0))));
  assert.deepEqual(readAck(await expect(publisher, PUBREC)).packetId, 3);
  publisher.send(ack(PUBREL, 3));
  assert.deepEqual(readAck(await expect(publisher, PUBCOMP)), { packetId: 3, reason: 0 });
});

forVersions(
  { 4: ["4.3.2-1"], 5: ["4.3.2-1", "4.3.2-2", "4.3.2-3"] },
  "the gateway sends QoS 1 with an identifier of its own and DUP 0, and gives it to no other message before PUBACK",
  async (version, t) => {
    const { raw, topic } = await subscriber(t, version, 1);
    const publisher = await sluice.connected(t, version);
    const ids: number[] = [];
    for (let packetId = 1; packetId <= 20; packetId++) {
      publisher.send(publish(version, { topic, qos: 1, packetId }));
      const message = await nextMessage(raw, version);
      assert.deepEqual([message.qos, message.dup], [1, false]);
      ids.push(message.packetId);
    }
    assert.equal(new Set(ids).size, 20);
    assert.equal(ids.includes(0), false);
    // Unacknowledged for as long as it takes: nothing is sent again on this connection.
    assert.deepEqual(await untilNow(raw), []);
    for (const id of ids) raw.send(ack(PUBACK, id));
    assert.deepEqual(await untilNow(raw), []);
  },
);

forVersions(
  { 4: ["4.3.3-1"], 5: ["4.3.3-1", "4.3.3-2", "4.3.3-3", "4.3.3-4", "4.3.3-5", "4.3.3-6"] },
  "the gateway sends QoS 2 with DUP 0, PUBREL for PUBREC, and over reconnects PUBLISH until PUBREC, PUBREL until PUBCOMP",
  async (version, t) => {
    const fields = { clientId: unique("twice"), clean: false, expirySeconds: 600 };
    const topic = unique("qos");
    const publisher = await sluice.connected(t, version);
    let raw = await sluice.connected(t, version, fields);
    await raw.subscribe(version, topic, 2);
    publisher.send(publish(version, { topic, payload: "once", qos: 2, packetId: 1 }));
    const { packetId, dup, qos } = await nextMessage(raw, version);
    assert.deepEqual([dup, qos], [false, 2]);
    const reconnect = async (): Promise<void> => {
      raw.socket.destroy();
      raw = await sluice.connected(t, version, fields);
    };
    for (let i = 0; i < 2; i++) {
      await reconnect();
      const again = await nextMessage(raw, version);
      assert.deepEqual([again.packetId, again.dup, again.payload], [packetId, true, "once"]);
    }
    raw.send(ack(PUBREC, packetId));
    assert.equal(readAck(await expect(raw, PUBREL)).packetId, packetId);
    for (let i = 0; i < 2; i++) {
      await reconnect();
      assert.equal(readAck(await expect(raw, PUBREL)).packetId, packetId);
      assert.deepEqual(await untilNow(raw), []);
    }
    raw.send(ack(PUBCOMP, packetId));
    await settled(raw);
    await reconnect();
    assert.deepEqual(await untilNow(raw), []);
  },
);

forVersions({ 5: ["4.3.3-4"] }, "PUBREC from 0x80 ends the message: no PUBREL", async (version, t) => {
  const { raw, topic } = await subscriber(t, version, 2);
  const publisher = await sluice.connected(t, version);
  publisher.send(publish(version, { topic, qos: 2, packetId: 1 }));
  const { packetId } = await nextMessage(raw, version);
  raw.send(packet(PUBREC, 0, u16(packetId), 0x80));
  assert.deepEqual(await untilNow(raw), []);
});
