// 3.1.2.5 to 3.1.2.7 and 3.1.3: wills. Their delays are in timers.test.ts.
import assert from "node:assert/strict";
import {
  bytes,
  type ConnectFields,
  connect,
  DISCONNECT,
  disconnect,
  field,
  type Part,
  packet,
  readConnack,
  readPublish,
  readPublishProperties,
  u32,
} from "../../support/mqtt-packets.ts";
import { forVersions, product, unique, untilNow } from "./harness.ts";

const sluice = product();

type Will = NonNullable<ConnectFields["will"]>;

function willOn(topic: string, more: Partial<Will> = {}): Will {
  return { topic, payload: "gone", qos: 0, retain: false, ...more };
}

forVersions(
  { 4: ["3.1.2-8", "3.1.2-10", "3.1.2-16"], 5: ["3.1.2-7", "3.1.2-8", "3.1.2-10", "3.1.2-14"] },
  "a connection that breaks publishes its will, once, and not as retained",
  async (version, t) => {
    const topic = unique("will");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 2);
    const clientId = unique("dies");
    for (const qos of [0, 1, 2]) {
      const client = await sluice.connected(t, version, { clientId, will: willOn(topic, { qos }) });
      assert.deepEqual(await untilNow(watcher), []);
      client.socket.destroy();
      const message = readPublish(version, await watcher.next());
      assert.deepEqual([message.topic, message.payload, message.qos, message.retain], [topic, "gone", qos, false]);
    }
    // It is gone: the same client without a will leaves without one.
    const silent = await sluice.connected(t, version, { clientId });
    silent.socket.destroy();
    const late = await sluice.connected(t, version);
    await late.subscribe(version, topic, 0);
    assert.deepEqual(await untilNow(late), []);
    assert.deepEqual(
      (await untilNow(watcher)).filter(({ type }) => type === 3),
      [],
    );
  },
);

forVersions({ 4: ["3.1.2-17"], 5: ["3.1.2-15"] }, "a will with Will Retain is retained", async (version, t) => {
  const topic = unique("will");
  const watcher = await sluice.connected(t, version);
  await watcher.subscribe(version, topic, 0);
  const client = await sluice.connected(t, version, { will: willOn(topic, { retain: true, qos: 1 }) });
  client.socket.destroy();
  assert.equal(readPublish(version, await watcher.next()).retain, false);
  const late = await sluice.connected(t, version);
  await late.subscribe(version, topic, 1);
  const message = readPublish(version, await late.next());
  assert.deepEqual([message.payload, message.qos, message.retain], ["gone", 1, true]);
});

forVersions(
  { 4: ["3.1.2-10", "3.14.4-3"], 5: ["3.1.2-10", "3.14.4-3"] },
  "DISCONNECT throws the will away",
  async (version, t) => {
    const topic = unique("will");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 0);
    const goodbyes =
      version === 4 ? [disconnect()] : [disconnect(), packet(DISCONNECT, 0, 0), packet(DISCONNECT, 0, 0, 0)];
    for (const goodbye of goodbyes) {
      const client = await sluice.connected(t, version, { will: willOn(topic), expirySeconds: 60 });
      client.send(goodbye);
      await client.end();
      assert.deepEqual(await untilNow(watcher), []);
    }
  },
);

forVersions({ 5: ["3.1.2-8"] }, "DISCONNECT with any other reason publishes the will", async (version, t) => {
  const topic = unique("will");
  const watcher = await sluice.connected(t, version);
  await watcher.subscribe(version, topic, 0);
  for (const reason of [0x04, 0x80, 0x83, 0x93]) {
    const client = await sluice.connected(t, version, { will: willOn(topic) });
    client.send(packet(DISCONNECT, 0, reason));
    assert.equal(readPublish(version, await watcher.next()).payload, "gone");
  }
});

forVersions(
  { 4: ["3.1.2-8"], 5: ["3.1.2-8"] },
  "a client that breaks the protocol, or whose session is taken over, leaves its will",
  async (version, t) => {
    const topic = unique("will");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 0);
    const clientId = unique("taken");
    const hostile = await sluice.connected(t, version, { will: willOn(topic) });
    hostile.send(packet(0, 0));
    assert.equal(readPublish(version, await watcher.next()).payload, "gone");
    await sluice.connected(t, version, { clientId, will: willOn(topic) });
    const taker = await sluice.connected(t, version, { clientId });
    assert.equal(readPublish(version, await watcher.next()).payload, "gone");
    assert.deepEqual(await untilNow(taker), []);
  },
);

forVersions({ 4: ["3.1.2-12"], 5: ["3.1.2-8"] }, "without the Will Flag nothing is published", async (version, t) => {
  const watcher = await sluice.connected(t, version);
  await watcher.subscribe(version, "#", 0);
  await untilNow(watcher); // what other tests left retained
  const clientId = unique("silent");
  const client = await sluice.connected(t, version, { clientId });
  client.socket.destroy();
  const again = await sluice.connected(t, version, { clientId });
  again.send(packet(0, 0));
  await again.end();
  assert.deepEqual(await untilNow(watcher), []);
});

forVersions({ 4: ["3.1.2-8"], 5: ["3.1.2-7"] }, "the will of a refused CONNECT is not kept", async (version, t) => {
  const topic = unique("will");
  const watcher = await sluice.connected(t, version);
  await watcher.subscribe(version, topic, 0);
  const refused = await sluice.open(t);
  refused.send(connect({ version, clientId: "x".repeat(2000), will: willOn(topic) }));
  assert.notEqual(readConnack(await refused.next()).reason, 0);
  await refused.end();
  assert.deepEqual(await untilNow(watcher), []);
});

forVersions(
  { 5: ["3.1.3-10", "3.1.2-9"] },
  "the will's properties are published: User Properties in their order, but not the Will Delay",
  async (version, t) => {
    const topic = unique("will");
    const watcher = await sluice.connected(t, version);
    await watcher.subscribe(version, topic, 0);
    const pairs: readonly (readonly [string, string])[] = [
      ["z", "1"],
      ["a", "2"],
      ["z", "1"],
      ["", ""],
    ];
    const own: Part[] = [
      bytes(0x01, 1),
      bytes(0x03, field("text/plain")),
      bytes(0x08, field("answer/here")),
      bytes(0x09, field("c")),
    ];
    const properties = [
      ...pairs.map(([name, value]) => bytes(0x26, field(name), field(value))),
      bytes(0x18, u32(0)),
      ...own,
    ];
    const client = await sluice.connected(t, version, { will: willOn(topic, { properties }) });
    client.socket.destroy();
    const message = await watcher.next();
    assert.equal(readPublish(version, message).payload, "gone");
    const got = readPublishProperties(message);
    assert.deepEqual(
      got.filter(([id]) => id === 0x26).map(([, pair]) => pair),
      pairs,
    );
    assert.deepEqual(
      got.filter(([id]) => id !== 0x26),
      [
        [0x01, 1],
        [0x03, "text/plain"],
        [0x08, "answer/here"],
        [0x09, "c"],
      ],
    );
  },
);
