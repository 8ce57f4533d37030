// 3.10 UNSUBSCRIBE and 3.11 UNSUBACK.
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
  properties,
  publish,
  readAck,
  readPublish,
  subscribe,
  UNSUBACK,
  UNSUBSCRIBE,
  u16,
  u32,
  type Version,
} from "../../support/mqtt-packets.ts";
import { assertEachCloses, forVersions, product, unique, untilNow } from "./harness.ts";

const MALFORMED = 0x81;
const PROTOCOL_ERROR = 0x82;
const NO_SUBSCRIPTION_EXISTED = 0x11;
const UNSUBACK_REASONS = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];

const sluice = product();

function unsubscribe(version: Version, packetId: number, ...filters: string[]): Buffer {
  return packet(UNSUBSCRIBE, 2, u16(packetId), properties(version), ...filters.map(field));
}

/** Identifier, and the codes of 5.0. */
function readUnsuback(version: Version, { type, body }: Packet): [packetId: number, codes: number[]] {
  assert.equal(type, UNSUBACK);
  if (version === 4) assert.equal(body.length, 2);
  const at = version === 4 ? 2 : 3 + (body[2] as number);
  return [body.readUInt16BE(0), [...body.subarray(at)]];
}

function payloads(version: Version, packets: readonly Packet[]): string[] {
  return packets.filter(({ type }) => type === PUBLISH).map((packet) => readPublish(version, packet).payload);
}

forVersions({ 4: ["3.10.1-1"], 5: ["3.10.1-1"] }, "UNSUBSCRIBE with any flags but 0010 closes", async (version, t) => {
  const others = Array.from({ length: 16 }, (_, flags) => flags).filter((flags) => flags !== 2);
  const body = bytes(u16(1), properties(version), field("a"));
  await assertEachCloses(
    sluice,
    t,
    version,
    MALFORMED,
    others.map((flags) => packet(UNSUBSCRIBE, flags, body)),
  );
});

forVersions({ 4: ["3.10.3-1"], 5: ["3.10.3-1"] }, "a filter that is not UTF-8 closes", async (version, t) => {
  const bad = [[0xff], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0x61, 0x00]].map((list) => field(Buffer.from(list)));
  const wrong = bad.map((filter) => packet(UNSUBSCRIBE, 2, u16(1), properties(version), field("a"), filter));
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions({ 4: ["3.10.3-2"], 5: ["3.10.3-2"] }, "no filter closes; half of one too", async (version, t) => {
  await assertEachCloses(sluice, t, version, PROTOCOL_ERROR, [unsubscribe(version, 1)]);
  const half = [bytes(u16(5), "a"), bytes(field("a"), 0)];
  const wrong = half.map((filter) => packet(UNSUBSCRIBE, 2, u16(1), properties(version), filter));
  await assertEachCloses(sluice, t, version, MALFORMED, wrong);
});

forVersions(
  {
    4: ["3.10.4-1", "3.10.4-2", "3.10.4-4", "3.10.4-5", "3.10.4-6"],
    5: ["3.10.4-1", "3.10.4-2", "3.10.4-4", "3.10.4-5", "3.10.4-6", "3.11.3-1", "3.11.3-2"],
  },
  "each filter ends the subscription that is the same, and no other; one UNSUBACK says so, also when there was none",
  async (version, t) => {
    const base = unique("end");
    const client = await sluice.connected(t, version);
    const kept = [`${base}/+`, `${base}/#`, `${base}/A`];
    const ended = [`${base}/a`, `${base}/b/+`];
    for (const filter of [...kept, ...ended]) await client.subscribe(version, filter, 0);
    const never = [`${base}/a/`, `${base}`, `${base}/b/#`, "never"];
    client.send(
      unsubscribe(version, 0x4321, never[0] ?? "", ended[0] ?? "", ...never.slice(1), ended[1] ?? "", ended[0] ?? ""),
    );
    const [packetId, codes] = readUnsuback(version, await client.next());
    assert.equal(packetId, 0x4321);
    const none = NO_SUBSCRIPTION_EXISTED;
    assert.deepEqual(codes, version === 4 ? [] : [none, 0, none, none, none, 0, none]);
    for (const code of codes) assert.equal(UNSUBACK_REASONS.includes(code), true);
    client.send(unsubscribe(version, 7, "never"));
    assert.deepEqual(readUnsuback(version, await client.next()), [7, version === 4 ? [] : [none]]);
    // The three that stay still match; one copy each, or one for all.
    client.send(
      publish(version, { topic: `${base}/a`, payload: "a" }),
      publish(version, { topic: `${base}/b/c`, payload: "c" }),
    );
    assert.deepEqual(new Set(payloads(version, await untilNow(client))), new Set(["a", "c"]));
    client.send(unsubscribe(version, 8, ...kept));
    readUnsuback(version, await client.next());
    client.send(
      publish(version, { topic: `${base}/a`, payload: "a" }),
      publish(version, { topic: `${base}/b/c`, payload: "c" }),
    );
    assert.deepEqual(await untilNow(client), []);
  },
);

forVersions(
  { 4: ["3.10.4-2"], 5: ["3.10.4-2"] },
  "nothing that is published after UNSUBACK comes, not even to a session that was away",
  async (version, t) => {
    const topic = unique("after");
    const fields = { clientId: unique("after"), clean: false, expirySeconds: 600 };
    const client = await sluice.connected(t, version, fields);
    await client.subscribe(version, topic, 1);
    client.send(unsubscribe(version, 2, topic));
    readUnsuback(version, await client.next());
    client.socket.destroy();
    const publisher = await sluice.connected(t, version);
    publisher.send(publish(version, { topic, qos: 1, packetId: 1 }));
    assert.equal((await publisher.next()).type, PUBACK);
    const back = await sluice.connected(t, version, fields);
    assert.deepEqual(await untilNow(back), []);
  },
);

forVersions(
  { 4: ["3.10.4-3"], 5: ["3.10.4-3"] },
  "what had been sent is completed: QoS 2 to its PUBCOMP, and again after a reconnect",
  async (version, t) => {
    const topic = unique("begun");
    const fields = { clientId: unique("begun"), clean: false, expirySeconds: 600 };
    const client = await sluice.connected(t, version, fields);
    await client.subscribe(version, topic, 2);
    const publisher = await sluice.connected(t, version);
    publisher.send(publish(version, { topic, payload: "one", qos: 1, packetId: 1 }));
    publisher.send(publish(version, { topic, payload: "two", qos: 2, packetId: 2 }));
    const begun = [readPublish(version, await client.next()), readPublish(version, await client.next())];
    assert.deepEqual(begun.map(({ payload }) => payload).sort(), ["one", "two"]);
    client.send(unsubscribe(version, 9, topic));
    const two = begun.find(({ qos }) => qos === 2)?.packetId ?? 0;
    client.send(ack(PUBREC, two));
    const answers = [await client.next(), await client.next()];
    assert.deepEqual(
      answers.map(({ type }) => type).sort((a, b) => a - b),
      [PUBREL, UNSUBACK],
    );
    client.socket.destroy();
    const back = await sluice.connected(t, version, fields);
    const again = [await back.next(), await back.next()];
    const message = again.find(({ type }) => type === PUBLISH) as Packet;
    const release = again.find(({ type }) => type === PUBREL) as Packet;
    const one = readPublish(version, message);
    assert.deepEqual([one.payload, one.dup], ["one", true]);
    assert.equal(readAck(release).packetId, two);
    back.send(ack(PUBACK, one.packetId), ack(PUBCOMP, two));
    assert.deepEqual(await untilNow(back), []);
  },
);

forVersions(
  { 5: ["3.11.2-1", "3.11.2-2"] },
  "UNSUBACK stays within Maximum Packet Size, with or without words",
  async (version, t) => {
    for (const limit of [1000, 60, 40]) {
      const client = await sluice.connected(t, version, { properties: [0x27, u32(limit)] });
      client.send(subscribe(version, 1, ["a", 0]), unsubscribe(version, 2, "never", "a", "never"));
      await client.next();
      const unsuback = await client.next();
      assert.deepEqual(readUnsuback(version, unsuback), [2, [NO_SUBSCRIPTION_EXISTED, 0, NO_SUBSCRIPTION_EXISTED]]);
      assert.equal(unsuback.body.length + 2 <= limit, true);
    }
  },
);
