// What binds clients, shown by the product's own: its uplink and `sluice pub`, at a server of bytes by hand.
import assert from "node:assert/strict";
import { after, type TestContext } from "node:test";
import { eventually } from "../../support/eventually.ts";
import { sluice as runSluice } from "../../support/gateway-process.ts";
import {
  AUTH,
  ack,
  bytes,
  CONNECT,
  DISCONNECT,
  field,
  type Packet,
  PINGREQ,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  publish,
  readAck,
  readPublish,
  u16,
  u32,
  type Version,
} from "../../support/mqtt-packets.ts";
import { Cloud } from "./cloud.ts";
import { forVersions, product } from "./harness.ts";
import { connack, RawServer, readConnect } from "./raw-server.ts";

function pair(name: string, keepAliveSeconds?: number): Record<Version, Cloud> {
  return { 4: new Cloud(name, 4, keepAliveSeconds), 5: new Cloud(name, 5, keepAliveSeconds) };
}

const MAIN = pair("main");
const IDLE = pair("idle", 1);
const AGAIN = pair("again");
const LOST = pair("lost");
const PLAIN = new Cloud("plain", 4);
const CLOUDS = [...[MAIN, IDLE, AGAIN, LOST].flatMap((both) => [both[4], both[5]]), PLAIN];
/** Where `sluice pub` goes. */
const visited = new RawServer();

const sluice = product(async () => {
  await Promise.all([...CLOUDS.map(({ server }) => server.listen()), visited.listen()]);
  return { memory_limit: "128MiB", uplinks: CLOUDS.map(({ config }) => config) };
});

after(() => {
  for (const { server } of CLOUDS) server.close();
  visited.close();
});

/** Publishes to the gateway, for this uplink. */
async function publishLocally(t: TestContext, cloud: Cloud, qos: number, payloads: readonly string[]): Promise<void> {
  const raw = await sluice.connected(t, 4);
  for (const [i, payload] of payloads.entries())
    raw.send(publish(4, { topic: `${cloud.name}/${qos}/t`, payload, qos: 1, packetId: i + 1 }));
}

forVersions(
  { 4: ["3.1.0-1", "7.1.2-1"], 5: ["3.1.0-1", "4.2.0-1"] },
  "the uplink's first packet is CONNECT, of a valid form",
  async (v) => {
    await MAIN[v].link();
    const [first] = MAIN[v].seen;
    assert.ok(first);
    assert.deepEqual([first.type, first.flags], [CONNECT, 0]);
    const { name, level, flags, keepAlive, clientId, rest } = readConnect(first);
    assert.deepEqual([name, level, flags & 1, keepAlive, clientId], ["MQTT", v, 0, 60, `gateway-${v}`]);
    assert.equal(rest.length, 0);
  },
);

forVersions(
  { 4: ["3.1.2-23"], 5: ["3.1.2-20"] },
  "an idle uplink sends PINGREQ within its keep alive",
  async (version) => {
    const cloud = IDLE[version];
    await cloud.link();
    await eventually("a PINGREQ", () => cloud.pings.length > 0);
    for (const { afterMs, packet } of cloud.pings) {
      assert.deepEqual([packet.type, packet.flags, packet.body.length], [PINGREQ, 0, 0]);
      assert.equal(afterMs < 1500, true);
    }
  },
);

forVersions(
  { 4: ["2.3.1-2", "4.3.2-1"], 5: ["2.2.1-3", "4.3.2-1", "4.3.2-2"] },
  "QoS 1 from the uplink: identifiers that are not 0 and not in use, DUP 0",
  async (version, t) => {
    const cloud = MAIN[version];
    const raw = await cloud.link();
    await publishLocally(t, cloud, 1, ["a", "b", "c"]);
    const sent = await cloud.nextMessages(3);
    assert.deepEqual(
      sent.map(({ payload, qos, dup }) => [payload, qos, dup]),
      [
        ["a", 1, false],
        ["b", 1, false],
        ["c", 1, false],
      ],
    );
    const ids = sent.map(({ packetId }) => packetId);
    assert.equal(new Set(ids).size === 3 && !ids.includes(0), true);
    for (const id of ids) raw.send(ack(PUBACK, id));
  },
);

forVersions(
  { 4: ["4.3.3-1", "4.6.0-4"], 5: ["4.3.3-1", "4.3.3-2", "4.3.3-4", "4.6.0-4"] },
  "QoS 2 from the uplink: DUP 0, and PUBREL with the same identifier in the order of the PUBRECs",
  async (version, t) => {
    const cloud = MAIN[version];
    const raw = await cloud.link();
    await publishLocally(t, cloud, 2, ["a", "b", "c"]);
    const sent = await cloud.nextMessages(3);
    assert.deepEqual(
      sent.map(({ payload, qos, dup }) => [payload, qos, dup]),
      [
        ["a", 2, false],
        ["b", 2, false],
        ["c", 2, false],
      ],
    );
    const order = [2, 0, 1].map((i) => sent[i]?.packetId ?? 0);
    raw.send(...order.map((id) => ack(PUBREC, id)));
    for (const id of order) {
      const release = await cloud.next();
      assert.deepEqual([release.type, release.flags, readAck(release).packetId], [PUBREL, 2, id]);
      raw.send(ack(PUBCOMP, id));
    }
  },
);

forVersions(
  { 4: ["4.4.0-1", "4.6.0-1", "2.3.1-3"], 5: ["4.4.0-1", "4.6.0-1", "4.3.2-3", "4.3.3-3", "4.3.3-5", "4.3.3-6"] },
  "on a new connection with the session the uplink sends again, in order, with DUP and the same identifiers, what is not acknowledged",
  async (version, t) => {
    const cloud = AGAIN[version];
    let raw = await cloud.link();
    await publishLocally(t, cloud, 1, ["done", "a"]);
    const [done, a] = await cloud.nextMessages(2);
    await publishLocally(t, cloud, 2, ["released", "b"]);
    const [released, b] = await cloud.nextMessages(2);
    raw.send(ack(PUBACK, done?.packetId ?? 0), ack(PUBREC, released?.packetId ?? 0));
    assert.equal((await cloud.next()).type, PUBREL);
    raw = await cloud.reconnected(true);
    const again: [number, number, boolean][] = [];
    const releases: number[] = [];
    while (again.length < 2 || releases.length < 1) {
      const came = await cloud.next();
      if (came.type === PUBREL) releases.push(readAck(came).packetId);
      else {
        const { packetId, qos, dup } = readPublish(version, came);
        again.push([packetId, qos, dup]);
      }
    }
    assert.deepEqual(again, [
      [a?.packetId, 1, true],
      [b?.packetId, 2, true],
    ]);
    assert.deepEqual(releases, [released?.packetId]);
    raw.send(ack(PUBCOMP, released?.packetId ?? 0), ack(PUBACK, a?.packetId ?? 0), ack(PUBREC, b?.packetId ?? 0));
    assert.deepEqual(readAck(await cloud.next()).packetId, b?.packetId);
    raw.send(ack(PUBCOMP, b?.packetId ?? 0));
  },
);

forVersions(
  { 4: ["4.5.0-2", "4.6.0-2", "4.6.0-3"], 5: ["4.5.0-2", "4.6.0-2", "4.6.0-3"] },
  "the uplink acknowledges every PUBLISH by its QoS, wanted or not, in the order of arrival",
  async (version) => {
    const cloud = MAIN[version];
    const raw = await cloud.link();
    const sent: Buffer[] = [];
    const expected: [number, number][] = [];
    for (let packetId = 100; packetId < 140; packetId++) {
      const qos = packetId % 3 === 0 ? 2 : 1;
      const topic = packetId % 5 === 0 ? "nobody/asked" : `cmd/${qos}/x`;
      sent.push(publish(version, { topic, payload: `${packetId}`, qos, packetId }));
      expected.push([qos === 1 ? PUBACK : PUBREC, packetId]);
    }
    raw.send(...sent);
    const answers: [number, number][] = [];
    while (answers.length < sent.length) {
      const { type, body } = await cloud.next();
      answers.push([type, body.readUInt16BE(0)]);
    }
    assert.deepEqual(answers, expected);
    // A repeated QoS 2 PUBLISH is acknowledged and not taken again; PUBREL ends it.
    raw.send(publish(version, { topic: "cmd/2/x", qos: 2, packetId: 102, dup: true }));
    assert.deepEqual([(await cloud.next()).type], [PUBREC]);
    for (const [type, id] of expected) if (type === PUBREC) raw.send(ack(PUBREL, id));
    for (const [type, id] of expected) {
      if (type !== PUBREC) continue;
      const complete = await cloud.next();
      assert.deepEqual([complete.type, readAck(complete).packetId], [PUBCOMP, id]);
    }
  },
);

forVersions(
  { 4: ["4.4.0-1"], 5: ["3.2.2-5"] },
  "a server that has lost the session: the uplink forgets its packets, subscribes anew and sends without DUP",
  async (version, t) => {
    const cloud = LOST[version];
    await cloud.link();
    await publishLocally(t, cloud, 1, ["lost with the session"]);
    const [first] = await cloud.nextMessages(1);
    assert.equal(first?.dup, false);
    const raw = await cloud.reconnected(false);
    const [again] = await cloud.nextMessages(1);
    assert.deepEqual([again?.payload, again?.dup], ["lost with the session", false]);
    raw.send(ack(PUBACK, again?.packetId ?? 0));
  },
);

forVersions({ 5: ["4.12.0-7", "3.2.2-18"] }, "the uplink never sent AUTH nor a Topic Alias", async (version) => {
  const seen = [MAIN, AGAIN, LOST].flatMap((both) => both[version].seen);
  assert.equal(seen.length > 20, true);
  assert.equal(
    seen.some(({ type }) => type === AUTH),
    false,
  );
  const published = seen.filter(({ type }) => type === PUBLISH);
  for (const { body } of published) {
    const propertiesAt = 2 + body.readUInt16BE(0) + 2;
    // The mark against loops, a User Property, and nothing else: no alias.
    assert.equal(body[propertiesAt + 1], 0x26);
    assert.equal(body[propertiesAt], 1 + 2 + "sluice".length + 2 + "gw".length);
  }
});

/** What one run of `sluice pub` sends to a server that answers CONNECT with `answer`. */
async function visit(
  version: Version,
  answer: Buffer,
  ...more: string[]
): Promise<{ packets: Packet[]; code: number | null }> {
  const args = ["pub", "-p", String(visited.port), "-V", version === 4 ? "311" : "5", "-t", "a", ...more];
  const run = runSluice(args);
  const { raw, connect } = await visited.accept();
  raw.send(answer);
  const packets = [connect];
  while (!raw.closed || raw.packets.length > 0) {
    const packet = await raw.next().catch(() => null);
    if (packet === null) break;
    packets.push(packet);
    if (packet.type === PUBLISH && (packet.flags & 6) === 2)
      raw.send(ack(PUBACK, readPublish(version, packet).packetId));
  }
  return { packets, code: (await run).code };
}

forVersions(
  { 4: ["3.14.4-1", "3.14.4-2"], 5: ["3.14.4-1", "3.14.4-2"] },
  "sluice pub ends with DISCONNECT, then closes, and sends nothing after it",
  async (version) => {
    const { packets, code } = await visit(version, connack(version, false, 0), "-m", "x", "-q", "1");
    assert.deepEqual(
      packets.map(({ type }) => type),
      [CONNECT, PUBLISH, DISCONNECT],
    );
    assert.equal(code, 0);
  },
);

forVersions({ 4: ["3.1.3-7"], 5: ["3.1.3-3"] }, "sluice pub with an empty client id starts clean", async (version) => {
  const { packets } = await visit(version, connack(version, false, 0), "-i", "", "-m", "x");
  const { clientId, flags } = readConnect(packets[0] as Packet);
  assert.deepEqual([clientId, flags & 2], ["", 2]);
});

forVersions(
  { 4: ["3.1.2-19", "3.1.2-21", "3.1.3-1"], 5: ["3.1.2-17", "3.1.2-19", "3.1.3-1"] },
  "sluice pub sends user name and password after the client id, with their flags",
  async (version) => {
    const { packets } = await visit(version, connack(version, false, 0), "-u", "me", "-P", "secret", "-m", "x");
    const { flags, rest } = readConnect(packets[0] as Packet);
    assert.equal(flags & 0xc0, 0xc0);
    assert.deepEqual(rest, bytes(field("me"), field("secret")));
  },
);

forVersions({ 5: ["3.2.2-4"] }, "told of a session that it cannot have, sluice pub closes", async (version) => {
  const { packets, code } = await visit(version, connack(version, true, 0), "-m", "x");
  assert.equal(
    packets.some(({ type }) => type === PUBLISH),
    false,
  );
  assert.equal(code, 1);
});

for (const [id, what, answer, more] of [
  ["3.2.2-11", "no QoS above Maximum QoS", bytes(0x24, 0), ["-q", "1", "-m", "x"]],
  ["3.2.2-14", "no RETAIN where Retain Available is 0", bytes(0x25, 0), ["-r", "-m", "x"]],
  ["3.2.2-15", "nothing above Maximum Packet Size", bytes(0x27, u32(50)), ["-m", "x".repeat(100)]],
  ["3.2.2-17", "no Topic Alias", bytes(0x22, u16(0)), ["-m", "x"]],
] as const) {
  forVersions({ 5: [id] }, `sluice pub sends ${what}`, async (version) => {
    const { packets } = await visit(version, connack(version, false, 0, answer), ...more);
    for (const packet of packets.filter(({ type }) => type === PUBLISH)) {
      assert.equal(packet.flags, 0);
      assert.equal(packet.body.length <= 48, true);
      assert.deepEqual(packet.body, bytes(field("a"), 0, "x"));
    }
  });
}

forVersions({ 4: ["7.0.0-1", "7.0.0-2"] }, "a server that refuses the bridge bit gets a plain CONNECT", async () => {
  const { raw, connect } = await PLAIN.server.accept();
  assert.equal(readConnect(connect).bridge, true);
  raw.send(connack(4, false, 1));
  await raw.end();
  const plain = await PLAIN.server.accept();
  assert.deepEqual([readConnect(plain.connect).bridge, readConnect(plain.connect).level], [false, 4]);
});
