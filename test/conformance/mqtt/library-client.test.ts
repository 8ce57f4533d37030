// What binds clients in 3.3 to 3.11, shown by the library's client and `sluice sub` at a server of bytes by hand.
import assert from "node:assert/strict";
import { after, before, type TestContext } from "node:test";
import { type Client, type ConnectOptions, connect } from "../../../src/client.ts";
import { sluice } from "../../support/gateway-process.ts";
import {
  ack,
  bytes,
  field,
  type Packet,
  PINGREQ,
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
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
  u16,
  type Version,
} from "../../support/mqtt-packets.ts";
import type { RawMqtt } from "../../support/raw-mqtt.ts";
import { forVersions, unique } from "./harness.ts";
import { connack, RawServer } from "./raw-server.ts";

const server = new RawServer();
before(() => server.listen());
after(() => server.close());

interface Pair {
  readonly client: Client;
  /** The server's end. */
  readonly raw: RawMqtt;
}

async function paired(t: TestContext, version: Version, options: Partial<ConnectOptions> = {}): Promise<Pair> {
  const connecting = connect({
    url: `mqtt://127.0.0.1:${server.port}`,
    protocol: version,
    clientId: unique("library"),
    keepAliveSeconds: 0,
    reconnect: { minDelayMs: 1, maxDelayMs: 2 },
    ...options,
  });
  const { raw } = await server.connected(version);
  const client = await connecting;
  t.after(async () => {
    await client.close({ timeoutMs: 1 });
    raw.socket.destroy();
  });
  return { client, raw };
}

async function take(raw: RawMqtt, count: number): Promise<Packet[]> {
  const out: Packet[] = [];
  while (out.length < count) out.push(await raw.next());
  return out;
}

/** SUBACK or UNSUBACK; before 5.0 UNSUBACK has no codes. */
function answer(type: number, version: Version, asked: Packet, ...codes: number[]): Buffer {
  const own = type === UNSUBACK && version === 4 ? [] : codes;
  return packet(type, 0, asked.body.subarray(0, 2), properties(version), own);
}

forVersions(
  {
    4: ["3.8.1-1", "3.8.3-1", "3.8.3-3", "3.10.1-1", "3.10.3-1", "3.10.3-2", "2.3.1-1"],
    5: ["3.8.1-1", "3.8.3-1", "3.8.3-2", "3.8.3-5", "3.10.1-1", "3.10.3-1", "3.10.3-2", "2.2.1-3"],
  },
  "the library's SUBSCRIBE and UNSUBSCRIBE: flags 0010, an identifier that is not 0, their filters, no reserved bits",
  async (version, t) => {
    const { client, raw } = await paired(t, version);
    const wanted = { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 1 } as const;
    const subscribing = client.subscribe(["a/é", "b/#"], version === 5 ? wanted : { qos: 2 });
    const asked = await raw.next();
    assert.deepEqual([asked.type, asked.flags], [SUBSCRIBE, 2]);
    assert.notEqual(asked.body.readUInt16BE(0), 0);
    const options = version === 5 ? 0x1e : 2;
    const entries = bytes(field("a/é"), options, field("b/#"), options);
    assert.deepEqual(asked.body.subarray(2), bytes(properties(version), entries));
    raw.send(answer(SUBACK, version, asked, 2, 0));
    assert.deepEqual(
      (await subscribing).map(({ qos }) => qos),
      [2, 0],
    );
    const unsubscribing = client.unsubscribe(["a/é", "b/#"]);
    const ended = await raw.next();
    assert.deepEqual([ended.type, ended.flags], [UNSUBSCRIBE, 2]);
    assert.notEqual(ended.body.readUInt16BE(0), 0);
    assert.deepEqual(ended.body.subarray(2), bytes(properties(version), field("a/é"), field("b/#")));
    raw.send(answer(UNSUBACK, version, ended, 0, 0));
    await unsubscribing;
  },
);

forVersions(
  { 4: ["3.3.2-2", "3.3.2-1", "3.8.3-1"], 5: ["3.3.2-2", "3.3.2-1", "3.3.2-14", "3.8.3-1"] },
  "topics with wildcards or U+0000, and filters that are none, do not leave the library's client",
  async (version, t) => {
    const { client, raw } = await paired(t, version);
    for (const topic of ["a/#", "+", "a/+/b", "", "a\0b"])
      for (const qos of [0, 1, 2] as const) await assert.rejects(client.publish(topic, "x", { qos }), topic);
    for (const filter of ["a#", "a/#/b", "", "a\0"]) await assert.rejects(client.subscribe(filter), filter);
    await assert.rejects(client.subscribe([]));
    if (version === 5) await assert.rejects(client.publish("a", "x", { responseTopic: "re/#" }));
    await client.publish("fine", "x");
    const first = await raw.next();
    assert.equal(readPublish(version, first).topic, "fine");
  },
);

forVersions(
  {
    4: ["3.3.1-2", "2.3.1-2", "2.3.1-5", "4.3.3-1", "3.6.1-1"],
    5: ["3.3.1-2", "2.2.1-2", "2.2.1-3", "4.3.3-1", "3.6.1-1"],
  },
  "the library's PUBLISH: DUP 0 at first, an identifier that is in use nowhere else, PUBREL 0010 for each PUBREC",
  async (version, t) => {
    const { client, raw } = await paired(t, version);
    await client.publish("t", "bare");
    assert.deepEqual((await raw.next()).body, bytes(field("t"), properties(version), "bare"));
    const subscribing = client.subscribe("s");
    const asked = await raw.next();
    const all = Array.from({ length: 12 }, (_, i) => client.publish("t", `${i}`, { qos: i % 2 === 0 ? 1 : 2 }));
    const sent = (await take(raw, 12)).map((packet) => readPublish(version, packet));
    const ids = [asked.body.readUInt16BE(0), ...sent.map(({ packetId }) => packetId)];
    assert.equal(new Set(ids).size, 13);
    assert.equal(ids.includes(0), false);
    assert.equal(
      sent.some(({ dup }) => dup),
      false,
    );
    for (const { qos, packetId } of sent) {
      raw.send(ack(qos === 1 ? PUBACK : PUBREC, packetId));
      if (qos === 1) continue;
      const release = await raw.next();
      assert.deepEqual([release.type, release.flags, readAck(release).packetId], [PUBREL, 2, packetId]);
      raw.send(ack(PUBCOMP, packetId));
    }
    await Promise.all(all);
    raw.send(answer(SUBACK, version, asked, 0));
    await subscribing;
  },
);

forVersions(
  { 4: ["3.3.1-1", "4.4.0-1", "2.3.1-3"], 5: ["3.3.1-1", "4.4.0-1", "4.3.3-6"] },
  "with its session on a new connection the library sends again: DUP 1, the same identifiers; PUBREL where PUBREC had come",
  async (version, t) => {
    const { client, raw } = await paired(t, version, { cleanStart: false, sessionExpirySeconds: 600 });
    const all = [client.publish("t", "1", { qos: 1 }), client.publish("t", "2", { qos: 2 })];
    const three = client.publish("t", "3", { qos: 2 });
    const [one, two, last] = (await take(raw, 3)).map((packet) => readPublish(version, packet).packetId);
    raw.send(ack(PUBREC, two ?? 0));
    assert.equal((await raw.next()).type, PUBREL);
    raw.socket.destroy();
    const { raw: again } = await server.connected(version, true);
    t.after(() => again.socket.destroy());
    const came = await take(again, 3);
    const release = came.filter(({ type }) => type === PUBREL).map((packet) => readAck(packet).packetId);
    assert.deepEqual(release, [two]);
    const repeated = came.filter(({ type }) => type === PUBLISH).map((packet) => readPublish(version, packet));
    assert.deepEqual(
      repeated.map(({ payload, packetId, dup }) => [payload, packetId, dup]),
      [
        ["1", one, true],
        ["3", last, true],
      ],
    );
    again.send(ack(PUBACK, one ?? 0), ack(PUBCOMP, two ?? 0), ack(PUBREC, last ?? 0));
    assert.equal((await again.next()).type, PUBREL);
    again.send(ack(PUBCOMP, last ?? 0));
    await Promise.all([...all, three]);
  },
);

forVersions(
  { 4: ["3.3.4-1", "4.3.3-2"], 5: ["3.3.4-1", "4.3.3-10"] },
  "the library answers a PUBLISH by its QoS, and gives a QoS 2 message that comes twice to the program once",
  async (version, t) => {
    const { client, raw } = await paired(t, version);
    raw.send(publish(version, { topic: "t", payload: "0" }));
    raw.send(publish(version, { topic: "t", payload: "1", qos: 1, packetId: 5 }));
    raw.send(publish(version, { topic: "t", payload: "2", qos: 2, packetId: 6 }));
    const payloads: string[] = [];
    const reading = (async () => {
      for await (const { payload } of client.messages) payloads.push(`${payload}`);
    })();
    const answers = (await take(raw, 2)).map((packet) => [packet.type, packet.flags, readAck(packet).packetId]);
    assert.deepEqual(answers, [
      [PUBACK, 0, 5],
      [PUBREC, 0, 6],
    ]);
    raw.send(publish(version, { topic: "t", payload: "2", qos: 2, dup: true, packetId: 6 }), ack(PUBREL, 6));
    const types = (await take(raw, 2)).map((packet) => [packet.type, readAck(packet).packetId]);
    assert.deepEqual(types, [
      [PUBREC, 6],
      [PUBCOMP, 6],
    ]);
    await client.close();
    await reading;
    assert.deepEqual(payloads, ["0", "1", "2"]);
  },
);

for (const [what, wrong] of [
  ["QoS 3", (version) => packet(PUBLISH, 6, field("t"), u16(1), properties(version))],
  ["DUP at QoS 0", (version) => packet(PUBLISH, 8, field("t"), properties(version))],
  ["a wildcard in the topic", (version) => publish(version, { topic: "t/#" })],
  ["a topic that is not UTF-8", (version) => packet(PUBLISH, 0, field(Buffer.from([0xff])), properties(version))],
  ["PUBREL with flags 0000", () => packet(PUBREL, 0, u16(1))],
  ["a topic alias, though none is allowed", () => publish(5, { topic: "t" }, 0x23, u16(1))],
] as const satisfies readonly (readonly [string, (version: Version) => Buffer])[]) {
  const only5 = what.includes("alias");
  forVersions(
    only5 ? { 5: [] } : { 4: [], 5: [] },
    `section 3.3: ${what} from the server ends the library's connection, and reaches no program`,
    async (version, t) => {
      const { client, raw } = await paired(t, version, { reconnect: false });
      raw.send(wrong(version));
      assert.notEqual(await client.closed, null);
      await assert.rejects(async () => {
        for await (const { topic } of client.messages) assert.fail(topic);
      });
    },
  );
}

forVersions(
  { 4: ["3.8.1-1", "3.8.3-3", "4.5.0-2"], 5: ["3.8.1-1", "3.8.3-2", "4.5.0-2"] },
  "sluice sub: SUBSCRIBE as it must be, PUBACK for what comes, for the last one that it was asked for too",
  async (version) => {
    const args = ["sub", "-p", String(server.port), "-V", version === 4 ? "311" : "5", "-t", "a/+", "-q", "1"];
    const run = sluice([...args, "-C", "1"]);
    const { raw } = await server.accept();
    raw.send(connack(version, false, 0));
    const asked = await raw.next();
    assert.deepEqual([asked.type, asked.flags], [SUBSCRIBE, 2]);
    assert.deepEqual(asked.body.subarray(2), bytes(properties(version), field("a/+"), 1));
    raw.send(answer(SUBACK, version, asked, 1), publish(version, { topic: "a/b", payload: "x", qos: 1, packetId: 9 }));
    const rest: Packet[] = [];
    for (;;) {
      const next = await raw.next().catch(() => null);
      if (next === null) break;
      if (next.type !== PINGREQ) rest.push(next);
    }
    assert.deepEqual([rest[0]?.type, rest[0] && readAck(rest[0]).packetId], [PUBACK, 9]);
    const { code, stdout } = await run;
    assert.deepEqual([code, stdout.trim()], [0, "x"]);
  },
);
