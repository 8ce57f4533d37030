import assert from "node:assert/strict";
import { test } from "node:test";
import { Allowance } from "../../../../src/base/allowance.ts";
import {
  CONNECT_MS,
  GWINFOS_PER_SECOND,
  OWED_MAX,
  RETRIES_MAX,
  RETRY_MS,
  SILENT_MS,
  TOPIC_IDS_MAX,
  toleratedMs,
} from "../../../../src/protocol/mqtt-sn/limits.ts";
import { TopicIds } from "../../../../src/protocol/mqtt-sn/topic-ids.ts";
import { OPEN_TO_ALL } from "../../../support/mqtt-hub.ts";
import { subscribe } from "../../../support/mqtt-packets.ts";
import { connectOf, type Device, message, SnHub, subscribeTo } from "./harness.ts";

const CONNACK_OK = "030500";
const DISCONNECT = "0218";
const PINGRESP = "0217";
const LASTING = 0x00;

function connected(hub: SnHub, clientId = "a", flags = 0x04, port = 4000): Device {
  const device = hub.device(port);
  assert.deepEqual(device.ask(connectOf(clientId, flags)), [CONNACK_OK]);
  return device;
}

/** An MQTT client with a lasting session that has subscribed. */
function subscriber(hub: SnHub, filter: string, qos: 0 | 1 | 2 = 1) {
  const peer = hub.connect({ version: 4, clientId: "mqtt", clean: false });
  peer.send(subscribe(4, 1, [filter, qos]));
  hub.settle();
  peer.take();
  return peer;
}

/** Topic and payload of what an MQTT client got. */
function published(peer: ReturnType<typeof subscriber>): string[] {
  return peer
    .take()
    .filter(({ type }) => type === 3)
    .map(({ flags, body }) => {
      const at = 2 + body.readUInt16BE(0);
      return `${body.toString("utf8", 2, at)} ${body.toString("utf8", at + ((flags & 6) === 0 ? 0 : 2))}`;
    });
}

const publishLive = (hub: SnHub, topic: string, payload: string, qos = 0, retain = false): void => {
  const p = hub.sn.publication;
  p.setParts(topic, Buffer.from(payload), qos, retain);
  hub.router.publish(p, { onStored(): void {} }, 0);
};

test("6.2 CONNECT without a will is answered with CONNACK", () => {
  const hub = new SnHub();
  connected(hub);
  assert.equal(hub.registry.connectedCount, 1);
});

test("5.4.4 another protocol id is not supported, and leaves nothing behind", () => {
  const hub = new SnHub();
  assert.deepEqual(hub.device().ask("07 04 04 02 003c 61"), ["030503"]);
  assert.equal(hub.clientCount, 0);
});

test("6.2 the will is asked for, and goes out when the client is lost", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "will");
  const device = hub.device();
  assert.deepEqual(device.ask(connectOf("a", 0x0c, 10)), ["0206"]);
  assert.deepEqual(device.ask(message(0x07, [0x20], "will")), ["0208"]);
  assert.deepEqual(device.ask(message(0x09, [], "gone")), [CONNACK_OK]);
  hub.advance(14_000);
  assert.deepEqual(device.take(), []);
  hub.advance(1_100);
  assert.deepEqual(device.take(), [DISCONNECT]);
  assert.deepEqual(published(peer), ["will gone"]);
});

test("6.2 an empty WILLTOPIC means no will; a repeated CONNECT is asked again; who does not answer is forgotten", () => {
  const hub = new SnHub();
  const device = hub.device();
  assert.deepEqual(device.ask(connectOf("a", 0x0c)), ["0206"]);
  assert.deepEqual(device.ask(connectOf("a", 0x0c)), ["0206"]);
  assert.deepEqual(device.ask("0207"), [CONNACK_OK]);
  const other = hub.device(4001);
  other.send(connectOf("b", 0x0c));
  hub.advance(CONNECT_MS + 100);
  assert.deepEqual(other.take(), ["0206"], "one answer to one question");
  assert.equal(hub.sn.clients.at("127.0.0.1 4001"), null);
});

test("6.4 WILLTOPICUPD and WILLMSGUPD change the will, and an empty WILLTOPICUPD takes it back", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "#");
  const device = hub.device();
  device.ask(connectOf("a", 0x0c, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  assert.deepEqual(device.ask(message(0x1a, [0], "other")), ["031b00"]);
  assert.deepEqual(device.ask(message(0x1c, [], "left")), ["031d00"]);
  hub.advance(15_100);
  assert.deepEqual(published(peer), ["other left"]);
  device.take();
  device.ask(connectOf("a", 0x0c, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  assert.deepEqual(device.ask("021a"), ["031b00"]);
  assert.deepEqual(device.ask(message(0x1c, [], "x")), ["031d03"]);
  hub.advance(15_100);
  assert.deepEqual(published(peer), []);
});

test("who is refused a login is told so and leaves nothing behind", () => {
  const rights = {
    ...OPEN_TO_ALL,
    authenticate: (_: unknown, waiter: { onLogin(p: null, r: number): void }) => waiter.onLogin(null, 0x87),
  };
  const hub = new SnHub({}, {}, undefined, rights);
  assert.deepEqual(hub.device().ask(connectOf("a")), ["030503"]);
  assert.equal(hub.clientCount, 0);
});

test("max_clients: one more is told of congestion, and comes in when another leaves", () => {
  const hub = new SnHub({ clientsMax: 2 });
  connected(hub, "a", 4, 4000);
  const second = connected(hub, "b", 4, 4001);
  const third = hub.device(4002);
  assert.deepEqual(third.ask(connectOf("c")), ["030501"]);
  assert.equal(hub.counter("mqtt_sn.congestion"), 1);
  assert.deepEqual(second.ask(DISCONNECT), [DISCONNECT]);
  assert.deepEqual(third.ask(connectOf("c")), [CONNACK_OK]);
});

test("limits.max_sessions full is congestion", () => {
  const hub = new SnHub({}, { maxSessions: 1 });
  connected(hub);
  assert.deepEqual(hub.device(4001).ask(connectOf("b")), ["030501"]);
  assert.equal(hub.clientCount, 1);
});

test("6.5 REGISTER gives a name an id, and the same again", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 9], "a/b")), ["070b0001000900"]);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 10], "a/b")), ["070b0001000a00"]);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 11], "a/+")), ["070b0000000b03"]);
});

test("topic ids of a client are bounded: one more REGISTER is congestion", () => {
  const hub = new SnHub({ clientsMax: 64 });
  const device = connected(hub);
  for (let i = 0; i < TOPIC_IDS_MAX; i++)
    assert.match(device.ask(message(0x0a, [0, 0, 0, 1], `t/${i}`))[0] as string, /00$/);
  assert.deepEqual(device.ask(message(0x0a, [0, 0, 0, 1], "more")), ["070b0000000101"]);
  assert.equal(hub.counter("mqtt_sn.topic_ids_full"), 1);
});

test("ids that are given up come again when all have been given", () => {
  const ids = new TopicIds(new Map(), new Allowance(10_000));
  assert.equal(ids.register("stays"), 1);
  for (let i = 2; i <= 0xfffe; i++) {
    assert.equal(ids.register("goes"), i);
    ids.forget("goes");
  }
  assert.equal(ids.register("again"), 2);
  assert.deepEqual([ids.find(0, 1), ids.find(0, 2)], ["stays", "again"]);
});

test("6.6 PUBLISH at QoS 0 by normal, predefined and short topic id reaches MQTT clients", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  const peer = subscriber(hub, "#", 0);
  const device = connected(hub);
  device.ask(message(0x0a, [0, 0, 0, 1], "a/b"));
  assert.deepEqual(
    device.ask(
      message(0x0c, [0x00, 0, 1, 0, 0], "one"),
      message(0x0c, [0x01, 0, 5, 0, 0], "two"),
      message(0x0c, [0x02, 0x78, 0x79, 0, 0], "three"),
    ),
    [],
  );
  assert.deepEqual(published(peer), ["a/b one", "pre/defined two", "xy three"]);
});

test("6.6 a PUBLISH to an id that stands for nothing is rejected", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(message(0x0c, [0x20, 0, 9, 0, 1], "x")), ["070d0009000102"]);
  assert.deepEqual(device.ask(message(0x0c, [0x21, 0, 9, 0, 1], "x")), ["070d0009000102"]);
});

test("6.6 PUBACK leaves when the message is stored; a repeated PUBLISH meanwhile is not a second message", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "xy", 1);
  peer.drop();
  const device = connected(hub);
  const publish = message(0x0c, [0x22, 0x78, 0x79, 0, 3], "x");
  assert.deepEqual(device.ask(publish, publish), []);
  hub.settle();
  assert.deepEqual(device.take(), ["070d7879000300"]);
});

test("6.6 a queue that refuses is congestion", () => {
  const hub = new SnHub({}, { sessionQueueMessages: 2, sessionWhenFull: "refuse" });
  subscriber(hub, "xy", 1).drop();
  const device = connected(hub);
  for (const msgId of [1, 2, 3]) device.send(message(0x0c, [0x22, 0x78, 0x79, 0, msgId], "x"));
  hub.settle();
  assert.deepEqual(device.take().sort(), ["070d7879000100", "070d7879000200", "070d7879000301"]);
});

test("more PUBLISHes than answers may be owed are congestion", () => {
  const hub = new SnHub();
  subscriber(hub, "xy", 1).drop();
  const device = connected(hub);
  for (let i = 1; i <= OWED_MAX + 1; i++) device.send(message(0x0c, [0x22, 0x78, 0x79, 0, i], "x"));
  assert.deepEqual(device.take(), [`070d787900${(OWED_MAX + 1).toString(16)}01`]);
  hub.settle();
  assert.equal(device.take().length, OWED_MAX);
});

test("6.6 QoS 2: PUBREC once stored, no second message for a repeated PUBLISH, PUBCOMP for PUBREL", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "xy", 0);
  const device = connected(hub, "a", LASTING);
  const publish = message(0x0c, [0x42, 0x78, 0x79, 0, 3], "x");
  assert.deepEqual(device.ask(publish), []);
  hub.settle();
  assert.deepEqual(device.take(), ["040f0003"]);
  device.send(publish);
  hub.settle();
  assert.deepEqual(device.take(), ["040f0003"]);
  assert.deepEqual(published(peer), ["xy x"]);
  device.send("0410 0003");
  hub.settle();
  assert.deepEqual(device.take(), ["040e0003"]);
  device.send(publish);
  hub.settle();
  assert.deepEqual(published(peer), ["xy x"], "a new message under the id that is free again");
});

test("6.8 QoS -1 needs no connection, and is never answered", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  const peer = subscriber(hub, "#", 0);
  const device = hub.device();
  assert.deepEqual(
    device.ask(
      message(0x0c, [0x61, 0, 5, 0, 0], "1"),
      message(0x0c, [0x62, 0x78, 0x79, 0, 0], "2"),
      message(0x0c, [0x60, 0, 1, 0, 0], "3"),
    ),
    [],
  );
  assert.deepEqual(published(peer), ["pre/defined 1", "xy 2"]);
  assert.equal(hub.clientCount, 0);
});

test("rights: what a client may not publish or read is rejected", () => {
  const rights = { ...OPEN_TO_ALL, open: false, mayPublish: () => false, maySubscribe: () => false };
  const hub = new SnHub({}, {}, undefined, rights);
  const device = connected(hub);
  assert.deepEqual(device.ask(message(0x0c, [0x22, 0x78, 0x79, 0, 3], "x")), ["070d7879000303"]);
  assert.deepEqual(device.ask(subscribeTo("a/b")), ["08130000000001" + "03"]);
});

test("6.9 SUBSCRIBE to a name brings its id, and PUBLISHes say it", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(subscribeTo("a/b", 1, 2)), ["0813200001000200"]);
  publishLive(hub, "a/b", "hi");
  assert.deepEqual(device.take(), [message(0x0c, [0x00, 0, 1, 0, 0], "hi")]);
  assert.deepEqual(device.ask(message(0x14, [0, 0, 3], "a/b")), ["04150003"]);
  publishLive(hub, "a/b", "hi");
  assert.deepEqual(device.take(), []);
});

test("6.9 SUBSCRIBE by predefined id and short name; PUBLISHes come back by those", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  const device = connected(hub);
  assert.deepEqual(device.ask("07 12 01 0001 0005"), ["0813000005000100"]);
  assert.deepEqual(device.ask("07 12 02 0002 7879"), ["0813000000000200"]);
  assert.deepEqual(device.ask("07 12 01 0003 0006"), ["0813000000000302"]);
  publishLive(hub, "pre/defined", "1");
  publishLive(hub, "xy", "2");
  assert.deepEqual(device.take(), [
    message(0x0c, [0x01, 0, 5, 0, 0], "1"),
    message(0x0c, [0x02, 0x78, 0x79, 0, 0], "2"),
  ]);
});

test("6.10 a wildcard: REGISTER goes before the PUBLISH, once, and what comes meanwhile waits", () => {
  const hub = new SnHub();
  const device = connected(hub);
  assert.deepEqual(device.ask(subscribeTo("a/#", 1)), ["0813200000000100"]);
  publishLive(hub, "a/b", "1");
  publishLive(hub, "a/b", "2", 1);
  assert.deepEqual(device.take(), [message(0x0a, [0, 1, 0, 1], "a/b")]);
  assert.deepEqual(device.ask("07 0b 0001 0001 00"), [
    message(0x0c, [0x00, 0, 1, 0, 0], "1"),
    message(0x0c, [0x20, 0, 1, 0, 1], "2"),
  ]);
  assert.deepEqual(device.ask("07 0d 0001 0001 00"), []);
  publishLive(hub, "a/b", "3");
  assert.deepEqual(device.take(), [message(0x0c, [0x00, 0, 1, 0, 0], "3")]);
});

test("6.10 a REGISTER that is refused gives its message up, and the next one goes on", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("#", 1));
  publishLive(hub, "a/b", "1", 1);
  publishLive(hub, "xy", "2", 1);
  assert.deepEqual(device.take(), [message(0x0a, [0, 1, 0, 1], "a/b")]);
  assert.deepEqual(device.ask("07 0b 0001 0001 03"), [message(0x0c, [0x22, 0x78, 0x79, 0, 2], "2")]);
  assert.equal(hub.counter("mqtt_sn.undeliverable"), 1);
});

test("6.13 an unanswered PUBLISH is repeated with DUP, one at a time; then the client is lost and keeps its session", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("xy", 1));
  hub.settle();
  device.take();
  publishLive(hub, "xy", "1", 1);
  publishLive(hub, "xy", "2", 1);
  hub.settle();
  assert.deepEqual(device.take(), [message(0x0c, [0x20, 0, 1, 0, 1], "1")]);
  for (let i = 0; i < RETRIES_MAX; i++) {
    hub.advance(RETRY_MS + 100);
    assert.deepEqual(device.take(), [message(0x0c, [0xa0, 0, 1, 0, 1], "1")]);
  }
  hub.advance(RETRY_MS + 100);
  assert.deepEqual(device.take(), [DISCONNECT]);
  device.send(connectOf("a", LASTING));
  hub.settle();
  const [connack, publish] = device.take();
  assert.equal(connack, CONNACK_OK);
  // A short name needs no REGISTER, and nothing is registered any more.
  assert.equal(publish, message(0x0c, [0xa2, 0x78, 0x79, 0, 1], "1"));
  assert.equal(hub.registry.connectedCount, 1);
});

test("6.10 a PUBACK that does not know the topic id has the topic registered again", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("a/b", 1));
  publishLive(hub, "a/b", "1", 1);
  assert.deepEqual(device.take(), [message(0x0c, [0x20, 0, 1, 0, 1], "1")]);
  assert.deepEqual(device.ask("07 0d 0001 0001 02"), [message(0x0a, [0, 2, 0, 1], "a/b")]);
  assert.deepEqual(device.ask("07 0b 0002 0001 00"), [message(0x0c, [0x20, 0, 2, 0, 1], "1")]);
});

test("QoS 2 to a client: PUBREC, PUBREL, PUBCOMP, and the next", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy", 2));
  publishLive(hub, "xy", "1", 2);
  publishLive(hub, "xy", "2", 2);
  assert.deepEqual(device.take(), [message(0x0c, [0x40, 0, 1, 0, 1], "1")]);
  const more = device.ask("04 0f 0001");
  assert.ok(more.includes("04100001"), String(more));
  hub.advance(RETRY_MS + 100);
  device.take();
  const rest = device.ask("04 0e 0001");
  assert.ok(
    more.concat(rest).some((hex) => hex.startsWith("080c")),
    String(rest),
  );
});

test("6.14 a sleeping client gets what waits after PINGREQ, then PINGRESP, and sleeps again", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("xy", 1));
  hub.settle();
  device.take();
  assert.deepEqual(device.ask("04 18 003c"), ["0218"]);
  publishLive(hub, "xy", "live");
  publishLive(hub, "xy", "one", 1);
  publishLive(hub, "xy", "two", 1);
  hub.settle();
  hub.advance(30_000);
  assert.deepEqual(device.take(), []);
  assert.deepEqual(device.ask(message(0x16, [], "a")), [
    message(0x0c, [0x00, 0, 1, 0, 0], "live"),
    message(0x0c, [0x20, 0, 1, 0, 1], "one"),
  ]);
  assert.deepEqual(device.ask("07 0d 0001 0001 00"), [message(0x0c, [0x20, 0, 1, 0, 2], "two")]);
  assert.deepEqual(device.ask("07 0d 0001 0002 00"), [PINGRESP]);
  publishLive(hub, "xy", "later");
  assert.deepEqual(device.take(), []);
  hub.advance(80_000);
  assert.deepEqual(device.take(), [], "PINGREQ has begun its sleep anew");
  hub.advance(20_000);
  assert.deepEqual(device.take(), [DISCONNECT]);
});

test("6.14 CONNECT ends the sleep; what was registered stays", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("a/b", 1));
  hub.settle();
  device.take();
  device.ask("04 18 003c");
  publishLive(hub, "a/b", "one", 1);
  hub.settle();
  assert.deepEqual(device.ask(connectOf("a", LASTING)), [CONNACK_OK, message(0x0c, [0xa0, 0, 1, 0, 1], "one")]);
});

test("6.3 a device that connects again is not dead: its will stays, but for one of its own or a clean start", () => {
  const hub = new SnHub();
  const peer = subscriber(hub, "will");
  const device = hub.device();
  device.ask(connectOf("a", 0x08, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  device.ask("04 18 000a");
  assert.deepEqual(device.ask(connectOf("a", 0x00, 10)), [CONNACK_OK]);
  assert.deepEqual(published(peer), []);
  hub.advance(15_100);
  assert.deepEqual(published(peer), ["will gone"]);
  device.ask(connectOf("a", 0x08, 10), message(0x07, [0], "will"), message(0x09, [], "gone"));
  device.send(connectOf("a", 0x04, 10));
  hub.settle();
  hub.advance(15_100);
  assert.deepEqual(published(peer), []);
});

test("publishers do not wait for a client that sleeps", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy", 1));
  for (let i = 0; i < 30; i++) publishLive(hub, "qq", "x");
  device.ask("04 18 003c");
  for (let i = 0; i < 30; i++) publishLive(hub, "xy", "x");
  publishLive(hub, "xy", "x", 1);
  assert.equal(hub.router.slowReceiver, null);
});

test("what a sleeping client is kept at QoS 0 is bounded", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy", 1), "04 18 003c");
  for (let i = 0; i < 50; i++) publishLive(hub, "xy", "x");
  assert.equal(device.ask(message(0x16, [], "a")).length, 33, "32 of 50, and PINGRESP");
});

test("6.11 PINGREQ is answered, and keeps a client that is awake", () => {
  const hub = new SnHub();
  const device = connected(hub);
  for (let i = 0; i < 5; i++) {
    hub.advance(50_000);
    assert.deepEqual(device.ask("0216"), [PINGRESP]);
  }
  hub.advance(91_000);
  assert.deepEqual(device.take(), [DISCONNECT]);
});

test("who is not connected is told so when it asks, and not when it answers", () => {
  const hub = new SnHub();
  const device = hub.device();
  for (const asks of [message(0x0c, [0x20, 0, 1, 0, 1], "x"), subscribeTo("a"), "0216", "04100001"])
    assert.deepEqual(device.ask(asks), [DISCONNECT]);
  assert.deepEqual(device.ask("0218", "0217", "070d0001000100", "04150001", "020503", "030205"), []);
});

/** A multicast group: what was sent to it. */
class FakeGroup {
  readonly sent: string[] = [];

  send(bytes: Buffer, from: number, end: number, hops: number): void {
    this.sent.push(`${bytes.toString("hex", from, end)} ${hops}`);
  }
}

test("6.1 ADVERTISE goes to the group, and again when it said so", () => {
  const hub = new SnHub({ advertise: { intervalMs: 60_000, hops: 2 } });
  const group = new FakeGroup();
  hub.sn.discovery.open(group);
  assert.deepEqual(group.sent.splice(0), ["050007003c 2"]);
  hub.advance(60_100);
  assert.deepEqual(group.sent.splice(0), ["050007003c 2"]);
  hub.sn.close();
  hub.advance(60_100);
  assert.deepEqual(group.sent, []);
});

test("6.1 SEARCHGW is answered with GWINFO: to the group as far as the question went, and to who asked", () => {
  const hub = new SnHub({ advertise: { intervalMs: 60_000, hops: 8 } });
  const group = new FakeGroup();
  const device = hub.device();
  const search = (hex: string): void =>
    hub.sn.discovery.searches.onDatagram(Buffer.from(hex, "hex"), "127.0.0.1", 4000);
  assert.deepEqual(device.ask("03 01 00"), ["030207"], "at the listener's own address");
  hub.sn.discovery.open(group);
  group.sent.length = 0;
  for (const hex of ["030101", "030100", "0301ff"]) search(hex);
  assert.deepEqual(group.sent.splice(0), ["030207 1", "030207 8", "030207 8"]);
  assert.deepEqual(device.take(), ["030207", "030207", "030207"]);
  search(connectOf("a"));
  search("0216");
  search("03");
  assert.deepEqual(group.sent, []);
  assert.equal(hub.counter("mqtt_sn.malformed"), 1);
  for (let i = 0; i < 100; i++) search("030101");
  assert.ok(group.sent.length <= GWINFOS_PER_SECOND, "a flood of questions is no flood of answers");
  assert.equal(hub.clientCount, 0);
});

test("an MQTT client with the same client id takes the session over, and the device is told", () => {
  const hub = new SnHub();
  const device = connected(hub, "same", LASTING);
  hub.connect({ version: 4, clientId: "same", clean: false });
  assert.deepEqual(device.take(), [DISCONNECT]);
  assert.equal(hub.clientCount, 0);
});

test("a client that connects from elsewhere takes its session along", () => {
  const hub = new SnHub();
  const device = connected(hub, "same", LASTING, 4000);
  connected(hub, "same", LASTING, 4001);
  assert.deepEqual(device.take(), [DISCONNECT]);
  assert.equal(hub.clientCount, 1);
});

test("5.5 nodes behind one forwarder are clients of their own, and hear in envelopes", () => {
  const hub = new SnHub();
  const [one, two, forwarder] = [hub.node("aabb"), hub.node("01"), hub.device()];
  assert.deepEqual(one.ask(connectOf("one")), [CONNACK_OK]);
  assert.deepEqual(two.ask(connectOf("two")), [CONNACK_OK]);
  assert.deepEqual(forwarder.ask(connectOf("itself")), [CONNACK_OK]);
  assert.equal(hub.clientCount, 3);
  one.ask(subscribeTo("xy"));
  publishLive(hub, "xy", "1");
  assert.deepEqual(one.take(), [message(0x0c, [0x00, 0, 1, 0, 0], "1")]);
  assert.deepEqual([two.take(), forwarder.take()], [[], []]);
  assert.deepEqual(one.ask(DISCONNECT), [DISCONNECT]);
  assert.deepEqual(two.ask("0216"), [PINGRESP]);
  assert.equal(hub.counter("mqtt_sn.encapsulated"), 5);
});

test("5.5 who searches through a forwarder is answered with the radius of the question", () => {
  const hub = new SnHub();
  hub.node("aabb").send("030102");
  assert.deepEqual(
    hub.datagrams.sent.map(({ hex }) => hex),
    ["05fe02aabb030207"],
  );
});

test("5.5 an envelope without a node, with too long a one, with nothing or an envelope inside is malformed", () => {
  const hub = new SnHub();
  const device = hub.device();
  const bad = ["03fe00 0216", message(0xfe, [0], "x".repeat(17)) + "0216", "04fe00aa", "04fe00aa 04fe00aa0216"];
  assert.deepEqual(device.ask(...bad), []);
  assert.equal(hub.counter("mqtt_sn.malformed"), bad.length);
  device.send(`${message(0xfe, [0], "x".repeat(16))}0216`);
  assert.equal(hub.datagrams.sent.length, 1);
});

test("5.5 max_clients bounds the nodes of a forwarder, too", () => {
  const hub = new SnHub({ clientsMax: 2 });
  for (const [node, answer] of [
    ["01", CONNACK_OK],
    ["02", CONNACK_OK],
    ["03", "030501"],
  ] as const)
    assert.deepEqual(hub.node(node).ask(connectOf(node)), [answer]);
});

test("6.14 a client that wakes up at another address is known by its client id", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("a/b", 1));
  hub.settle();
  device.take();
  device.ask("04 18 003c");
  publishLive(hub, "a/b", "night", 1);
  hub.settle();
  const moved = hub.device(5000);
  assert.deepEqual(moved.ask(message(0x16, [], "a")), [message(0x0c, [0x20, 0, 1, 0, 1], "night")]);
  assert.deepEqual(moved.ask("07 0d 0001 0001 00"), [PINGRESP]);
  assert.deepEqual(device.ask("0216"), [DISCONNECT], "nobody is connected there any more");
  assert.deepEqual([hub.clientCount, hub.counter("mqtt_sn.moved"), hub.counter("mqtt_sn.sleeping")], [1, 1, 1]);
  hub.advance(91_000);
  assert.deepEqual(moved.take(), [DISCONNECT]);
  assert.deepEqual([hub.clientCount, hub.counter("mqtt_sn.sleeping")], [0, 0]);
});

test("6.14 where somebody else was, he makes place; without a known id there is DISCONNECT", () => {
  const hub = new SnHub();
  connected(hub, "a", LASTING).ask("04 18 003c");
  const other = connected(hub, "b", LASTING, 4001);
  assert.deepEqual(other.ask(message(0x16, [], "a")), [PINGRESP]);
  assert.equal(hub.clientCount, 1);
  assert.deepEqual(other.ask(message(0x16, [], "nobody")), [DISCONNECT]);
  assert.deepEqual(hub.device(4002).ask(message(0x16, [], "b")), [DISCONNECT]);
});

test("6.14 who was let in on this machine is not followed to another", () => {
  const hub = new SnHub();
  connected(hub, "a", LASTING).ask("04 18 003c");
  assert.deepEqual(hub.device(4000, "10.0.0.7").ask(message(0x16, [], "a")), [DISCONNECT]);
  assert.notEqual(hub.sn.clients.at("127.0.0.1 4000"), null);
});

test("6.14 a client whose CONNECT is under way stays where it is", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  assert.deepEqual(device.ask(connectOf("a", 0x08)), ["0206"]);
  assert.deepEqual(hub.device(5000).ask(message(0x16, [], "a")), [DISCONNECT]);
  assert.deepEqual(device.ask("0207"), [CONNACK_OK]);
  assert.equal(hub.clientCount, 1);
});

test("7.2 a minute is tolerated for half of it more, an hour for a tenth, and no longer time for less", () => {
  assert.deepEqual(
    [1_000, 60_000, 61_000, 90_000, 3_600_000].map(toleratedMs),
    [1_500, 90_000, 90_000, 99_000, 3_960_000],
  );
});

test("one address may send so many messages a second, and the others are served", () => {
  const hub = new SnHub({ rate: 20 });
  const [flood, other] = [hub.device(4000, "10.0.0.1"), hub.device(4000, "10.0.0.2")];
  for (let i = 0; i < 50; i++) flood.send("0216");
  assert.equal(flood.take().length, 20);
  assert.equal(hub.counter("mqtt_sn.too_fast"), 30);
  assert.deepEqual(other.ask(connectOf("b")), [CONNACK_OK]);
  hub.advance(500);
  for (let i = 0; i < 50; i++) flood.send("0216");
  assert.equal(flood.take().length, 10);
});

test("a CONNECT counts as ten", () => {
  const hub = new SnHub({ rate: 22, clientsMax: 64 });
  const flood = [...Array(5).keys()].map((i) => hub.device(4000 + i, "10.0.0.1"));
  const answers = flood.flatMap((device, i) => device.ask(connectOf(`c${i}`)));
  assert.deepEqual(answers, [CONNACK_OK, CONNACK_OK]);
});

test("forged addresses take no place for long: who was silent since its CONNECT makes room, who spoke does not", () => {
  const hub = new SnHub({ clientsMax: 4 });
  const real = connected(hub, "real");
  assert.deepEqual(real.ask("0216"), [PINGRESP]);
  for (let i = 1; i < 4; i++) connected(hub, `forged${i}`, 0x04, 5000 + i);
  const late = hub.device(4001);
  assert.deepEqual(late.ask(connectOf("late")), ["030501"], "they may yet speak");
  hub.advance(SILENT_MS + 100);
  assert.deepEqual(late.ask(connectOf("late")), [CONNACK_OK]);
  assert.deepEqual(hub.device(5001).take(), [DISCONNECT]);
  assert.deepEqual(real.ask("0216"), [PINGRESP]);
  for (let i = 0; i < 20; i++) hub.device(6000 + i).send(connectOf(`more${i}`));
  assert.deepEqual(real.ask("0216"), [PINGRESP]);
  assert.equal(hub.clientCount, 4);
});

test("who is not connected gets no more bytes than it sent", () => {
  const hub = new SnHub();
  const device = hub.device();
  for (const question of ["030100", connectOf("a", 0x0c), connectOf("b"), "0216", "04100001", subscribeTo("#")]) {
    const answers = device.ask(question).join("");
    assert.ok(answers.length <= question.length, `${question}: ${answers}`);
    device.ask(DISCONNECT);
    hub.datagrams.sent.length = 0;
  }
});

test("6.10 who refuses a REGISTER has unsubscribed from that topic, and not from a wildcard", () => {
  const hub = new SnHub();
  const device = connected(hub, "a", LASTING);
  device.send(subscribeTo("a/b", 1), subscribeTo("c/#", 1, 2));
  hub.settle();
  device.send(DISCONNECT, connectOf("a", LASTING));
  hub.settle();
  device.take();
  publishLive(hub, "a/b", "1", 1);
  hub.settle();
  assert.deepEqual(device.take(), [message(0x0a, [0, 1, 0, 1], "a/b")]);
  device.ask("07 0b 0001 0001 03");
  publishLive(hub, "c/d", "2");
  assert.deepEqual(device.take(), [message(0x0a, [0, 2, 0, 2], "c/d")]);
  device.ask("07 0b 0002 0002 03");
  publishLive(hub, "a/b", "3");
  publishLive(hub, "c/e", "4");
  assert.deepEqual(device.take(), [message(0x0a, [0, 3, 0, 3], "c/e")]);
});

test("6.14 a PINGREQ without an id wakes a client that sleeps, too", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("xy"), "04 18 003c");
  publishLive(hub, "xy", "1");
  assert.deepEqual(device.ask("0216"), [message(0x0c, [0, 0, 1, 0, 0], "1"), PINGRESP]);
});

test("what came to an end gives its memory back", () => {
  const hub = new SnHub();
  const device = connected(hub);
  device.ask(subscribeTo("#", 1), message(0x0a, [0, 0, 0, 1], "a/b"));
  for (let i = 0; i < 10; i++) publishLive(hub, `t/${i}`, "x", i % 3);
  assert.ok(hub.sn.held.used > 0 && hub.sn.names.used > 0);
  device.send(DISCONNECT);
  assert.deepEqual([hub.sn.held.used, hub.sn.names.used, hub.clientCount], [0, 0, 0]);
  assert.equal(hub.registry.count, 0);
});

test("no datagram makes it throw, whoever sends it", () => {
  const hub = new SnHub({ predefined: new Map([[5, "pre/defined"]]) });
  let seed = 7;
  const next = (): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return seed >>> 16;
  };
  for (let run = 0; run < 20_000; run++) {
    const device = hub.device(4000 + (next() % 12));
    const bytes = Buffer.alloc(2 + (next() % 12));
    for (let i = 2; i < bytes.length; i++) bytes[i] = next() % 4 === 0 ? next() : next() % 8;
    bytes[0] = bytes.length;
    bytes[1] = next() % 0x1e;
    if (run % 16 === 0) device.send(connectOf("abc"[next() % 3] as string, next() % 16));
    else device.send(bytes.toString("hex"));
    if (run % 64 === 0) hub.settle();
    if (run % 256 === 0) hub.advance(next() % 12_000);
    if (run % 1024 === 0) hub.datagrams.sent.length = 0;
  }
  assert.ok(hub.clientCount <= 8);
  for (let i = 0; i < 200; i++) hub.advance(1_000_000);
  assert.deepEqual([hub.clientCount, hub.sn.held.used, hub.sn.names.used], [0, 0, 0]);
});
