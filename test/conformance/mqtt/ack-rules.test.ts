// 3.4 to 3.7, PUBACK to PUBCOMP: what the specifications say without a number about their form.
import assert from "node:assert/strict";
import {
  ack,
  bytes,
  field,
  type Packet,
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
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;

const REASON = bytes(0x1f, field("why"));
const USER = bytes(0x26, field("name"), field("value"));

const sluice = product();

const ACKS: readonly (readonly [name: string, type: number])[] = [
  ["PUBACK", PUBACK],
  ["PUBREC", PUBREC],
  ["PUBREL", PUBREL],
  ["PUBCOMP", PUBCOMP],
];

/** What may follow the packet identifier in 5.0: nothing, a reason, and properties behind that. */
const FORMS: readonly (readonly [what: string, rest: Buffer])[] = [
  ["nothing", bytes()],
  ["a reason", bytes(0)],
  ["a Property Length of 0", bytes(0, 0)],
  ["a Reason String", bytes(0, REASON.length, REASON)],
  ["User Properties, again and again", bytes(0, 2 * USER.length, USER, USER)],
  ["both", bytes(0, REASON.length + USER.length, USER, REASON)],
];

function form(type: number, packetId: number, rest: Buffer): Buffer {
  return packet(type, type === PUBREL ? 2 : 0, u16(packetId), rest);
}

/** The next packet of this type; what else comes on the way is dropped. */
async function nextOf(raw: RawMqtt, type: number): Promise<Packet> {
  for (;;) {
    const packet = await raw.next();
    if (packet.type === type) return packet;
  }
}

for (const [what, rest] of FORMS) {
  forVersions(
    { 5: [] },
    `sections 3.4.2.1 to 3.7.2.1: acknowledgements with ${what} behind the identifier are taken`,
    async (version, t) => {
      const topic = unique("forms");
      const client = await sluice.connected(t, version, { properties: [0x21, u16(1)] });
      await client.subscribe(version, topic, 2);
      for (let round = 0; round < 3; round++) {
        // A window of one: the next message proves that the one before is closed.
        client.send(publish(version, { topic, qos: 1, packetId: 1 }));
        client.send(form(PUBACK, readPublish(version, await nextOf(client, PUBLISH)).packetId, rest));
        client.send(publish(version, { topic, qos: 2, packetId: 2 }), form(PUBREL, 2, rest));
        const { packetId } = readPublish(version, await nextOf(client, PUBLISH));
        await untilNow(client);
        client.send(form(PUBREC, packetId, rest));
        assert.deepEqual(readAck(await nextOf(client, PUBREL)), { packetId, reason: 0 });
        client.send(form(PUBCOMP, packetId, rest));
        assert.deepEqual(await untilNow(client), []);
      }
    },
  );
}

for (const [name, type] of ACKS) {
  const flags = type === PUBREL ? 2 : 0;

  forVersions({ 4: [], 5: [] }, `section 2: ${name} that is cut off closes`, async (version, t) => {
    const wrong = [packet(type, flags), packet(type, flags, 0)];
    if (version === 5) {
      wrong.push(
        form(type, 1, bytes(0, 1)),
        form(type, 1, bytes(0, REASON.length + 1, REASON)),
        form(type, 1, bytes(0, REASON.length - 1, REASON)),
        form(type, 1, bytes(0, 0, 0)),
        form(type, 1, bytes(0, [0xff, 0xff, 0xff, 0xff, 0x01])),
      );
    }
    await assertEachCloses(sluice, t, version, MALFORMED, wrong);
  });

  forVersions({ 4: [] }, `section 3: ${name} has a Remaining Length of 2, more closes`, async (version, t) => {
    await assertEachCloses(sluice, t, version, MALFORMED, [form(type, 1, bytes(0)), form(type, 1, bytes(0, 0))]);
  });

  forVersions({ 5: [] }, `sections 3.4.2.2 to 3.7.2.2: Reason String twice in ${name} closes`, async (version, t) => {
    const wrong = [form(type, 1, bytes(0, 2 * REASON.length, REASON, REASON))];
    await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, wrong);
  });

  forVersions({ 5: [] }, `section 2.2.2.2: a property of another packet in ${name} closes`, async (version, t) => {
    const foreign = [bytes(0x01, 0), bytes(0x02, u32(1)), bytes(0x0b, 1), bytes(0x23, u16(1)), bytes(0x21, u16(1))];
    const wrong = foreign.map((property) => form(type, 1, bytes(0, property.length, property)));
    await assertEachCloses(sluice, t, version, MALFORMED, wrong);
  });

  forVersions({ 4: [], 5: [] }, `section 2.2.1: ${name} with packet identifier 0 closes`, async (version, t) => {
    await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, [ack(type, 0)]);
  });
}

forVersions(
  { 5: [] },
  "sections 3.6.2.1, 3.7.2.1: 0x92 in PUBREL and PUBCOMP ends the exchange as 0x00 does",
  async (version, t) => {
    const topic = unique("lost");
    const client = await sluice.connected(t, version);
    await client.subscribe(version, topic, 2);
    client.send(publish(version, { topic, qos: 2, packetId: 7 }));
    const { packetId } = readPublish(version, await nextOf(client, PUBLISH));
    await untilNow(client);
    client.send(form(PUBREL, 7, bytes(0x92)));
    assert.equal(readAck(await nextOf(client, PUBCOMP)).packetId, 7);
    client.send(ack(PUBREC, packetId));
    await nextOf(client, PUBREL);
    client.send(form(PUBCOMP, packetId, bytes(0x92)));
    assert.deepEqual(await untilNow(client), []);
    // The identifier of the first is free: a PUBLISH with it is a new message.
    client.send(publish(version, { topic, qos: 2, payload: "new", packetId: 7 }));
    assert.equal(readPublish(version, await nextOf(client, PUBLISH)).payload, "new");
  },
);

forVersions(
  { 4: [], 5: [] },
  "section 3.6.4: PUBREL of a message that the gateway does not know gets PUBCOMP, in 5.0 with 0x92",
  async (version, t) => {
    const client = await sluice.connected(t, version);
    for (const packetId of [1, 300, 65_535]) {
      client.send(ack(PUBREL, packetId));
      const answer = await client.next();
      assert.equal(answer.type, PUBCOMP);
      assert.deepEqual(readAck(answer), { packetId, reason: version === 5 ? 0x92 : 0 });
      if (version === 4) assert.equal(answer.body.length, 2);
    }
  },
);
