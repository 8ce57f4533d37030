// What takes seconds: keep alive, session expiry, will delay. In process, on links in memory, with the clock in hand.
import assert from "node:assert/strict";
import { Hub, type HubPeer } from "../../support/mqtt-hub.ts";
import {
  ack,
  bytes,
  type ConnectFields,
  DISCONNECT,
  disconnect,
  field,
  type Packet,
  PINGRESP,
  PUBACK,
  PUBLISH,
  packet,
  pingreq,
  properties,
  publish,
  readConnack,
  readPublish,
  readPublishProperties,
  subscribe,
  u32,
  type Version,
} from "../../support/mqtt-packets.ts";
import { forVersions, unique } from "./harness.ts";

const KEEP_ALIVE_TIMEOUT = 0x8d;
const MESSAGE_EXPIRY = 0x02;

interface Setting {
  readonly hub: Hub;
  /** Subscribed to every topic. */
  readonly watcher: HubPeer;
}

function setUp(version: Version): Setting {
  const hub = new Hub();
  const watcher = hub.connect({ version, clientId: unique("watcher"), keepAliveSeconds: 0 });
  watcher.send(subscribe(version, 1, ["#", 0]));
  watcher.take();
  return { hub, watcher };
}

/** Connects and takes the CONNACK. */
function connected(hub: Hub, fields: ConnectFields): { peer: HubPeer; sessionPresent: boolean; came: Packet[] } {
  const peer = hub.connect(fields);
  const [answer, ...came] = peer.take();
  assert.ok(answer);
  const { reason, sessionPresent } = readConnack(answer);
  assert.equal(reason, 0);
  return { peer, sessionPresent, came };
}

function payloads(version: Version, peer: HubPeer): string[] {
  return peer
    .take()
    .filter(({ type }) => type === PUBLISH)
    .map((packet) => readPublish(version, packet).payload);
}

const WILL = { topic: "will", payload: "gone", qos: 0, retain: false } as const;

/** In steps, so that timers that other timers start run at their time. */
function advance(hub: Hub, seconds: number): void {
  for (let i = 0; i < seconds * 10; i++) hub.advance(100);
}

forVersions(
  { 4: ["3.1.2-24"], 5: ["3.1.2-22", "3.2.2-22"] },
  "one and a half keep alives of silence end the connection as a broken one: with its will",
  async (version) => {
    const { hub, watcher } = setUp(version);
    const { peer } = connected(hub, { version, clientId: "silent", keepAliveSeconds: 10, will: WILL });
    advance(hub, 14.8);
    assert.equal(peer.closed, false);
    advance(hub, 0.4);
    assert.equal(peer.closed, true);
    const last = peer.take().at(-1);
    if (version === 5) assert.deepEqual([last?.type, last?.body[0]], [DISCONNECT, KEEP_ALIVE_TIMEOUT]);
    else assert.equal(last, undefined);
    assert.deepEqual(payloads(version, watcher), ["gone"]);
  },
);

forVersions(
  { 4: ["3.1.2-24"], 5: ["3.1.2-22"] },
  "any packet is a sign of life, and keep alive 0 asks for none",
  async (version) => {
    const { hub } = setUp(version);
    const { peer } = connected(hub, { version, clientId: "alive", keepAliveSeconds: 10 });
    const { peer: silent } = connected(hub, { version, clientId: "off", keepAliveSeconds: 0 });
    for (const sign of [pingreq(), publish(version, { topic: "a" }), subscribe(version, 2, ["b", 0])]) {
      advance(hub, 14);
      peer.send(sign);
    }
    advance(hub, 14);
    assert.equal(peer.closed, false);
    peer.take();
    peer.send(pingreq());
    assert.deepEqual(
      peer.take().map(({ type }) => type),
      [PINGRESP],
    );
    advance(hub, 600);
    assert.deepEqual([peer.closed, silent.closed], [true, false]);
  },
);

forVersions({ 5: ["4.1.0-2", "3.1.2-23"] }, "the session stays for its expiry, and not longer", async (version) => {
  for (const [away, present] of [
    [59, true],
    [61, false],
  ] as const) {
    const { hub } = setUp(version);
    const fields: ConnectFields = { version, clientId: "away", clean: false, expirySeconds: 60 };
    const { peer } = connected(hub, fields);
    peer.send(disconnect());
    advance(hub, away);
    assert.equal(connected(hub, fields).sessionPresent, present);
  }
});

forVersions({ 5: ["4.1.0-2"] }, "DISCONNECT may change how long it stays", async (version) => {
  for (const [expirySeconds, away, present] of [
    [100, 90, true],
    [10, 11, false],
    [0, 0, false],
  ] as const) {
    const { hub } = setUp(version);
    const fields: ConnectFields = { version, clientId: "changes", clean: false, expirySeconds: 60 };
    const { peer } = connected(hub, fields);
    peer.send(packet(DISCONNECT, 0, 0, properties(5, 0x11, u32(expirySeconds))));
    advance(hub, away);
    assert.equal(connected(hub, fields).sessionPresent, present);
  }
});

/** A client whose will waits `delay` seconds, in a session of `expiry` seconds. */
function withDelayedWill(clientId: string, delay: number, expiry: number): ConnectFields {
  const will = { ...WILL, properties: [bytes(0x18, u32(delay))] };
  return { version: 5, clientId, clean: false, expirySeconds: expiry, will };
}

forVersions({ 5: ["3.1.2-8"] }, "a will is published when its delay is over, not before", async (version) => {
  const { hub, watcher } = setUp(version);
  connected(hub, withDelayedWill("delayed", 20, 60)).peer.drop();
  advance(hub, 19);
  assert.deepEqual(payloads(version, watcher), []);
  advance(hub, 1.5);
  assert.deepEqual(payloads(version, watcher), ["gone"]);
  advance(hub, 60);
  assert.deepEqual(payloads(version, watcher), []);
});

forVersions({ 5: ["3.1.2-8"] }, "the end of the session does not wait for the delay", async (version) => {
  const { hub, watcher } = setUp(version);
  connected(hub, withDelayedWill("ends", 60, 20)).peer.drop();
  advance(hub, 19);
  assert.deepEqual(payloads(version, watcher), []);
  advance(hub, 1.5);
  assert.deepEqual(payloads(version, watcher), ["gone"]);
  // A clean start ends it too.
  connected(hub, withDelayedWill("ends", 60, 600)).peer.drop();
  hub.connect({ version, clientId: "ends", clean: true });
  assert.deepEqual(payloads(version, watcher), ["gone"]);
  // And a session without expiry has no time to wait in.
  connected(hub, withDelayedWill("at-once", 60, 0)).peer.drop();
  assert.deepEqual(payloads(version, watcher), ["gone"]);
});

forVersions(
  { 5: ["3.1.3-9", "3.1.2-8"] },
  "a new connection to the session within the delay keeps the will from being published",
  async (version) => {
    const { hub, watcher } = setUp(version);
    const fields = withDelayedWill("returns", 20, 60);
    connected(hub, fields).peer.drop();
    advance(hub, 19);
    const back = connected(hub, { version, clientId: "returns", clean: false, expirySeconds: 60 });
    assert.equal(back.sessionPresent, true);
    advance(hub, 120);
    assert.deepEqual(payloads(version, watcher), []);
    // Nor does a takeover within the delay send it.
    connected(hub, fields);
    connected(hub, { version, clientId: "returns", clean: false, expirySeconds: 60 });
    advance(hub, 120);
    assert.deepEqual(payloads(version, watcher), []);
  },
);

forVersions({ 5: ["3.1.2-10"] }, "a will that was published is gone for the session's end", async (version) => {
  const { hub, watcher } = setUp(version);
  connected(hub, withDelayedWill("once", 1, 30)).peer.drop();
  advance(hub, 2);
  assert.deepEqual(payloads(version, watcher), ["gone"]);
  advance(hub, 60);
  assert.deepEqual(payloads(version, watcher), []);
});

forVersions({ 5: ["3.1.2-9"] }, "a will's Message Expiry Interval is its own", async (version) => {
  const { hub } = setUp(version);
  const will = { ...WILL, retain: true, properties: [bytes(0x02, u32(10)), bytes(0x03, field("t"))] };
  connected(hub, { version, clientId: "expires", will }).peer.drop();
  hub.settle();
  const reader = connected(hub, { version, clientId: "reader" }).peer;
  reader.send(subscribe(version, 1, ["will", 0]));
  assert.deepEqual(payloads(version, reader), ["gone"]);
  advance(hub, 11);
  reader.send(subscribe(version, 2, ["will", 0]));
  assert.deepEqual(payloads(version, reader), []);
});

forVersions(
  { 5: ["4.3.3-7"] },
  "a QoS 2 message that was sent does not expire: it comes again until PUBREC",
  async (version) => {
    const { hub, watcher } = setUp(version);
    const fields: ConnectFields = { version, clientId: "slow", clean: false, expirySeconds: 600, keepAliveSeconds: 0 };
    const { peer } = connected(hub, fields);
    peer.send(subscribe(version, 1, ["t", 2]));
    hub.settle();
    peer.take();
    watcher.send(publish(version, { topic: "t", payload: "sent", qos: 2, packetId: 1 }, bytes(0x02, u32(5))));
    hub.settle();
    assert.deepEqual(payloads(version, peer), ["sent"]);
    peer.drop();
    advance(hub, 20);
    const back = connected(hub, fields);
    assert.equal(back.sessionPresent, true);
    hub.settle();
    const again = [...back.came, ...back.peer.take()].map((packet) => readPublish(version, packet));
    assert.deepEqual(
      again.map(({ payload, dup }) => [payload, dup]),
      [["sent", true]],
    );
  },
);

/** Message Expiry Interval of a PUBLISH that came; null = none. */
function expiryOf(packet: Packet): unknown {
  return readPublishProperties(packet).find(([id]) => id === MESSAGE_EXPIRY)?.[1] ?? null;
}

forVersions(
  { 5: ["3.3.2-6"] },
  "a message leaves with what is left of its expiry, from the queue and retained; at once with all of it",
  async (version) => {
    const { hub, watcher } = setUp(version);
    const fields: ConnectFields = { version, clientId: "away", clean: false, expirySeconds: 600, keepAliveSeconds: 0 };
    const { peer } = connected(hub, fields);
    peer.send(subscribe(version, 1, ["t", 1]));
    hub.settle();
    peer.drop();
    const message = { topic: "t", payload: "m", qos: 1, packetId: 1, retain: true };
    watcher.send(publish(version, message, bytes(MESSAGE_EXPIRY, u32(60))));
    hub.settle();
    const [live] = watcher.take().filter(({ type }) => type === PUBLISH);
    assert.equal(live && expiryOf(live), 60);
    advance(hub, 20);
    const back = connected(hub, fields);
    hub.settle();
    assert.deepEqual([...back.came, ...back.peer.take()].map(expiryOf), [40]);
    const late = connected(hub, { version, clientId: "late", keepAliveSeconds: 0 }).peer;
    advance(hub, 10);
    late.send(subscribe(version, 1, ["t", 0]));
    assert.deepEqual(
      late
        .take()
        .filter(({ type }) => type === PUBLISH)
        .map(expiryOf),
      [30],
    );
  },
);

forVersions(
  { 5: ["3.3.2-5"] },
  "a message whose expiry passed before it was sent does not come: not from the queue, not retained, not past a full window",
  async (version) => {
    const { hub, watcher } = setUp(version);
    const fields: ConnectFields = { version, clientId: "away", clean: false, expirySeconds: 600, keepAliveSeconds: 0 };
    const { peer } = connected(hub, fields);
    peer.send(subscribe(version, 1, ["t", 2]));
    hub.settle();
    peer.drop();
    // The third has a window to wait for, of one message.
    const narrow = connected(hub, { ...fields, clientId: "narrow", properties: [0x21, 0, 1] }).peer;
    narrow.send(subscribe(version, 1, ["t", 1]));
    for (const [i, expiry] of [300, 30, 29].entries()) {
      const message = { topic: "t", payload: `${expiry}`, qos: 1, packetId: i + 1, retain: true };
      watcher.send(publish(version, message, bytes(MESSAGE_EXPIRY, u32(expiry))));
      hub.settle();
    }
    const [sent] = narrow.take().filter(({ type }) => type === PUBLISH);
    advance(hub, 30);
    const back = connected(hub, fields);
    hub.settle();
    const came = [...back.came, ...back.peer.take()].map((packet) => readPublish(version, packet).payload);
    assert.deepEqual(came, ["300"]);
    narrow.send(ack(PUBACK, sent ? readPublish(version, sent).packetId : 0));
    hub.settle();
    assert.deepEqual(payloads(version, narrow), []);
    const late = connected(hub, { version, clientId: "late", keepAliveSeconds: 0 }).peer;
    late.send(subscribe(version, 1, ["t", 0]));
    assert.deepEqual(payloads(version, late), []);
  },
);
