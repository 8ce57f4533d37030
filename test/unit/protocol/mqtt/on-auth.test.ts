import assert from "node:assert/strict";
import { test } from "node:test";
import { ScramClient, scramRecordOf } from "../../../../src/core/scram.ts";
import { EXCHANGE_GRACE_MS, EXCHANGES_MAX } from "../../../../src/protocol/mqtt/auth-exchanges.ts";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  AUTH,
  CONNACK,
  type ConnectFields,
  DISCONNECT,
  disconnect,
  field,
  type Packet,
  type Part,
  PINGRESP,
  PUBLISH,
  packet,
  pingreq,
  properties,
  publish,
  readConnack,
  readProperties,
  subscribe,
  u32,
} from "../../../support/mqtt-packets.ts";

const METHOD = "SCRAM-SHA-256";
const CONTINUE = 0x18;
const AGAIN = 0x19;
const RECORD = scramRecordOf("secret", Buffer.from("salt"), 4096);

function hubWithUsers(): Hub {
  const hub = new Hub();
  for (const user of ["anna", "zoe"]) hub.scramUsers.set(user, RECORD);
  return hub;
}

function authenticating(method: string, data: string | null): Part[] {
  return [0x15, field(method), ...(data === null ? [] : [0x16, field(data)])];
}

function auth(reason: number, data: string | null, method = METHOD): Buffer {
  return packet(AUTH, 0, reason, properties(5, ...authenticating(method, data)));
}

function hello(hub: Hub, data: string | null, more: Partial<ConnectFields> = {}, method = METHOD): HubPeer {
  return hub.connect({ version: 5, clientId: "c", properties: authenticating(method, data), ...more });
}

/** Authentication data of an AUTH or CONNACK. */
function dataIn({ type, body }: Packet): string {
  const found = readProperties(body, type === CONNACK ? 2 : 1);
  assert.deepEqual(found.find(([id]) => id === 0x15)?.[1], METHOD);
  return found.find(([id]) => id === 0x16)?.[1] as string;
}

/** What came, as packet type and reason. */
function answers(peer: HubPeer): (number | undefined)[][] {
  return peer.take().map(({ type, body }) => [type, body[type === CONNACK ? 1 : 0]]);
}

function login(hub: Hub, user = "anna", more: Partial<ConnectFields> = {}): HubPeer {
  const client = new ScramClient(user, "secret", "n0nce");
  const peer = hello(hub, client.first, more);
  const [challenge] = peer.take();
  assert.deepEqual([challenge?.type, challenge?.body[0]], [AUTH, CONTINUE]);
  peer.send(auth(CONTINUE, client.final(dataIn(challenge as Packet), 4096)));
  const [connack] = peer.take();
  assert.equal(readConnack(connack as Packet).reason, 0);
  assert.ok(client.verifies(dataIn(connack as Packet)), "the gateway knows the password, too");
  return peer;
}

test("[MQTT5-4.12.0-2] CONNECT, AUTH, AUTH, CONNACK: the user is the one who proved it", () => {
  const hub = hubWithUsers();
  login(hub);
  assert.deepEqual(
    [...hub.registry.sessions()].map((session) => session.principal),
    [{ name: "anna", clientId: "c" }],
  );
  assert.equal(hub.counters.get("mqtt.auth.granted"), 1);
  assert.equal(hub.counters.get("mqtt.auth.exchanges"), 0);
});

test("each exchange has a nonce of its own", () => {
  const hub = hubWithUsers();
  const first = dataIn(hello(hub, "n,,n=anna,r=x").take()[0] as Packet);
  const second = dataIn(hello(hub, "n,,n=anna,r=x").take()[0] as Packet);
  assert.notEqual(first, second);
  assert.match(first, /^r=x[A-Za-z0-9+/]{24},s=/);
});

for (const [what, data, more, reason] of [
  ["a user without an entry", "n,,n=nobody,r=x", {}, 0x8c],
  ["no data", null, {}, 0x87],
  ["data that are no SCRAM message", "hello", {}, 0x87],
  ["another user name than in the data", "n,,n=anna,r=x", { user: "zoe" }, 0x87],
] as const) {
  test(`CONNECT by SCRAM with ${what} is refused with 0x${reason.toString(16)}`, () => {
    const hub = hubWithUsers();
    const peer = hello(hub, data, more);
    assert.deepEqual(answers(peer), [[CONNACK, reason]]);
    assert.ok(peer.closed);
    assert.equal(hub.counters.get("mqtt.auth.exchanges"), 0);
    assert.equal(hub.counters.get("mqtt.auth.refused"), 1);
  });
}

test("a user name that agrees with the data is fine, a password beside it means nothing", () => {
  login(hubWithUsers(), "anna", { user: "anna", password: "whatever" });
});

test("[MQTT5-4.12.0-1] another method is refused with 0x8C", () => {
  for (const method of ["SCRAM-SHA-1", "", "scram-sha-256"])
    assert.deepEqual(answers(hello(hubWithUsers(), "n,,n=anna,r=x", {}, method)), [[CONNACK, 0x8c]], method);
});

test("a wrong password is refused with 0x86", () => {
  const hub = hubWithUsers();
  const client = new ScramClient("anna", "Secret", "n0nce");
  const peer = hello(hub, client.first);
  peer.send(auth(CONTINUE, client.final(dataIn(peer.take()[0] as Packet), 4096)));
  assert.deepEqual(answers(peer), [[CONNACK, 0x86]]);
  assert.equal(hub.registry.count, 0);
});

for (const [what, wrong, reason] of [
  ["another packet", pingreq(), 0x82],
  ["a PUBLISH", publish(5, { topic: "a" }), 0x82],
  ["AUTH with another method", auth(CONTINUE, "x", "OTHER"), 0x82],
  ["AUTH that says success", auth(0, "x"), 0x82],
  ["AUTH that begins anew", auth(AGAIN, "n,,n=anna,r=x"), 0x82],
  ["AUTH without a body", packet(AUTH, 0), 0x82],
  ["AUTH with flags", packet(AUTH, 1, CONTINUE, properties(5, ...authenticating(METHOD, "x"))), 0x81],
  ["AUTH with an unknown reason", auth(0x17, "x"), 0x82],
  ["AUTH without a method", packet(AUTH, 0, CONTINUE, properties(5)), 0x82],
  ["data that are no SCRAM message", auth(CONTINUE, "hello"), 0x87],
] as const) {
  test(`[MQTT5-3.1.2-30] ${what} in the middle of the exchange is refused with 0x${reason.toString(16)}`, () => {
    const hub = hubWithUsers();
    const peer = hello(hub, "n,,n=anna,r=x");
    peer.take();
    peer.send(wrong);
    assert.deepEqual(answers(peer), [[CONNACK, reason]]);
    assert.ok(peer.closed);
    assert.equal(hub.registry.count, 0);
  });
}

test("DISCONNECT in the middle of the exchange ends it, and its will is nobody's", () => {
  const hub = hubWithUsers();
  const peer = hello(hub, "n,,n=anna,r=x", { will: { topic: "w", payload: "gone", qos: 0, retain: false } });
  const watcher = hub.connect({ version: 5, clientId: "watcher" });
  watcher.send(subscribe(5, 1, ["w", 0]));
  watcher.take();
  peer.take();
  peer.send(disconnect());
  assert.deepEqual(answers(peer), []);
  assert.ok(peer.closed);
  assert.deepEqual([watcher.take().length, hub.counters.get("session.will_bytes")], [0, 0]);
});

test("an exchange has as long as a CONNECT, also after its CONNECT had to wait", () => {
  const hub = hubWithUsers();
  const peer = hello(hub, "n,,n=anna,r=x");
  peer.take();
  hub.advance(9_900);
  assert.ok(!peer.closed);
  hub.advance(200);
  assert.ok(peer.closed);
  assert.equal(hub.counters.get("mqtt.auth.exchanges"), 0);
});

test(`of ${EXCHANGES_MAX} exchanges under way nobody gives way at first: the next one waits until there is a place`, () => {
  const hub = hubWithUsers();
  const clients = Array.from({ length: EXCHANGES_MAX }, () => new ScramClient("anna", "secret", "n0nce"));
  const peers = clients.map(({ first }, i) => hello(hub, first, { clientId: `c${i}` }));
  const late = hello(hub, "n,,n=anna,r=x", { clientId: "late" });
  hub.advance(EXCHANGE_GRACE_MS - 500);
  assert.deepEqual(answers(late), []);
  assert.ok(hub.counters.get("mqtt.auth.deferred") > 0);
  const slow = peers[0] as HubPeer;
  slow.send(auth(CONTINUE, (clients[0] as ScramClient).final(dataIn(slow.take()[0] as Packet), 4096)));
  assert.deepEqual(answers(slow), [[CONNACK, 0]]);
  hub.advance(400);
  assert.deepEqual(answers(late), [[AUTH, CONTINUE]]);
  assert.equal(hub.counters.get("mqtt.auth.evicted"), 0);
});

test("who holds a place for too long while others wait gives way: 0x89", () => {
  const hub = hubWithUsers();
  const peers = Array.from({ length: EXCHANGES_MAX }, (_, i) => hello(hub, "n,,n=anna,r=x", { clientId: `c${i}` }));
  for (const peer of peers) peer.take();
  const late = hello(hub, "n,,n=anna,r=x", { clientId: "late" });
  hub.advance(EXCHANGE_GRACE_MS + 300);
  assert.deepEqual(answers(late), [[AUTH, CONTINUE]]);
  assert.deepEqual(answers(peers[0] as HubPeer), [[CONNACK, 0x89]]);
  assert.deepEqual(
    peers.map((peer) => peer.closed),
    peers.map((_, i) => i === 0),
  );
  assert.equal(hub.counters.get("mqtt.auth.exchanges"), EXCHANGES_MAX);
  assert.equal(hub.counters.get("mqtt.auth.evicted"), 1);
});

test("logins by SCRAM wait their turn as those by password do, at CONNECT and again", () => {
  const hub = hubWithUsers();
  const peer = login(hub);
  hub.loginWaitMs = 500;
  const other = hello(hub, "n,,n=anna,r=x", { clientId: "other" });
  peer.send(auth(AGAIN, "n,,n=anna,r=x"));
  assert.deepEqual([answers(peer), answers(other)], [[], []]);
  hub.loginWaitMs = 0;
  hub.advance(600);
  assert.deepEqual([answers(peer), answers(other)], [[[AUTH, CONTINUE]], [[AUTH, CONTINUE]]]);
  assert.equal(peer.closed, false);
});

test("a reload between challenge and proof holds: the password that was taken away lets nobody in", () => {
  const hub = hubWithUsers();
  const client = new ScramClient("anna", "secret", "n0nce");
  const prove = (peer: HubPeer): void => {
    peer.send(auth(CONTINUE, client.final(dataIn(peer.take()[0] as Packet), 4096)));
  };
  const gone = hello(hub, client.first);
  hub.scramUsers.delete("anna");
  prove(gone);
  assert.deepEqual(answers(gone), [[CONNACK, 0x86]]);
  hub.scramUsers.set("anna", RECORD);
  const same = hello(hub, client.first);
  hub.scramUsers.set("anna", { ...RECORD, storedKey: Buffer.from(RECORD.storedKey) });
  prove(same);
  assert.deepEqual(answers(same), [[CONNACK, 0]], "a reload that changed nothing disturbs nobody");
});

test("[MQTT5-4.12.1-1] a client that is in proves again who it is, and is served meanwhile", () => {
  const hub = hubWithUsers();
  const peer = login(hub);
  const client = new ScramClient("anna", "secret", "another");
  peer.send(subscribe(5, 1, ["t", 0]), auth(AGAIN, client.first));
  const [suback, challenge] = peer.take();
  assert.ok(suback !== undefined && challenge !== undefined);
  assert.equal(challenge.body[0], CONTINUE);
  peer.send(publish(5, { topic: "t" }), pingreq());
  assert.deepEqual(
    peer.take().map(({ type }) => type),
    [PUBLISH, PINGRESP],
  );
  peer.send(auth(CONTINUE, client.final(dataIn(challenge), 4096)));
  const [done] = peer.take();
  assert.deepEqual([done?.type, done?.body[0]], [AUTH, 0]);
  assert.ok(client.verifies(dataIn(done as Packet)));
  peer.send(pingreq());
  assert.deepEqual(answers(peer), [[PINGRESP, undefined]]);
  assert.equal(hub.counters.get("mqtt.auth.granted"), 2);
});

test("[MQTT5-4.12.1-2] who fails to prove it again is disconnected: another user, no entry any more, a wrong proof", () => {
  for (const [data, reason] of [
    ["n,,n=zoe,r=x", 0x87],
    ["n,,n=nobody,r=x", 0x8c],
    ["hello", 0x87],
  ] as const) {
    const peer = login(hubWithUsers());
    peer.send(auth(AGAIN, data));
    assert.deepEqual(answers(peer), [[DISCONNECT, reason]], data);
    assert.ok(peer.closed);
  }
  const hub = hubWithUsers();
  const peer = login(hub);
  hub.scramUsers.set("anna", scramRecordOf("changed", Buffer.from("salt"), 4096));
  const client = new ScramClient("anna", "secret", "again");
  peer.send(auth(AGAIN, client.first));
  peer.send(auth(CONTINUE, client.final(dataIn(peer.take()[0] as Packet), 4096)));
  assert.deepEqual(answers(peer), [[DISCONNECT, 0x87]], "the entry that holds now counts");
});

test("[MQTT5-4.12.0-5] once in: another method, or AUTH out of turn, is a protocol error", () => {
  for (const wrong of [auth(AGAIN, "n,,n=anna,r=x", "OTHER"), auth(CONTINUE, "x"), auth(0, "x"), packet(AUTH, 0)]) {
    const peer = login(hubWithUsers());
    peer.send(wrong);
    assert.deepEqual(answers(peer), [[DISCONNECT, 0x82]]);
  }
});

test("[MQTT5-4.12.0-6] [MQTT5-4.12.0-7] AUTH of a client whose CONNECT named no method is a protocol error", () => {
  const peer = hubWithUsers().connect({ version: 5, clientId: "c" });
  peer.take();
  peer.send(auth(AGAIN, "n,,n=anna,r=x"));
  assert.deepEqual(answers(peer), [[DISCONNECT, 0x82]]);
});

test("[MQTT5-3.1.2-24] a peer that does not take a packet as large as the challenge is closed without it", () => {
  const hub = hubWithUsers();
  const peer = hub.connect({
    version: 5,
    clientId: "c",
    properties: [0x27, u32(40), ...authenticating(METHOD, "n,,n=anna,r=x")],
  });
  assert.deepEqual(answers(peer), []);
  assert.ok(peer.closed);
});
