import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Hub, type HubPeer } from "../../../support/mqtt-hub.ts";
import {
  ack,
  bytes,
  DISCONNECT,
  field,
  type Packet,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  packet,
  properties,
  readAck,
  readConnack,
  subscribe,
  u16,
} from "../../../support/mqtt-packets.ts";

const MEMORY = 16 << 20;
const TEXT = 1;
const COUNTER = "mqtt.publish.payload_format_invalid";

const NO_TEXT = [
  Buffer.from([0xff]),
  Buffer.from([0xc3]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.from([0xc0, 0xaf]),
  Buffer.from([0x61, 0xf4, 0x90, 0x80, 0x80]),
];
const ANY_TEXT = ["", "a", "grüße", "\u{1f600}", "a\0b"].map((text) => Buffer.from(text));

function send(peer: HubPeer, qos: number, format: number | null, payload: Buffer): void {
  const block = properties(5, ...(format === null ? [] : [0x01, format]));
  peer.send(packet(PUBLISH, qos << 1, field("t"), qos > 0 ? u16(5) : "", block, payload));
}

function of(type: number, packets: readonly Packet[]): Packet[] {
  return packets.filter((found) => found.type === type);
}

describe("limits.validate_utf8_payload", () => {
  for (const qos of [0, 1, 2])
    test(`a QoS ${qos} payload that is called text and is none reaches nobody, and its publisher gets 0x99`, () => {
      for (const payload of NO_TEXT) {
        const hub = new Hub(MEMORY, { validateUtf8Payload: true });
        const receiver = hub.connect({ version: 5, clientId: "s" });
        receiver.send(subscribe(5, 1, ["#", 2]));
        receiver.take();
        const peer = hub.connect({ version: 5, clientId: "p" });
        peer.take();
        send(peer, qos, TEXT, payload);
        const got = peer.take();
        if (qos === 0) assert.deepEqual([...(of(DISCONNECT, got)[0] as Packet).body].slice(0, 1), [0x99]);
        else
          assert.deepEqual(readAck(of(qos === 1 ? PUBACK : PUBREC, got)[0] as Packet), { packetId: 5, reason: 0x99 });
        assert.equal(peer.closed, qos === 0);
        assert.deepEqual(of(PUBLISH, receiver.take()), []);
        assert.equal(hub.counters.counter(COUNTER).value, 1);
        if (qos !== 2) continue;
        // The exchange is over: the id is free, and not known.
        peer.send(ack(PUBREL, 5));
        assert.deepEqual(readAck(of(PUBCOMP, peer.take())[0] as Packet), { packetId: 5, reason: 0x92 });
      }
    });

  test("text comes through, and so does everything that is not called text", () => {
    const hub = new Hub(MEMORY, { validateUtf8Payload: true });
    const receiver = hub.connect({ version: 5, clientId: "s" });
    receiver.send(subscribe(5, 1, ["#", 0]));
    receiver.take();
    const peer = hub.connect({ version: 5, clientId: "p" });
    for (const payload of ANY_TEXT) send(peer, 0, TEXT, payload);
    for (const payload of NO_TEXT) send(peer, 0, 0, payload);
    for (const payload of NO_TEXT) send(peer, 0, null, payload);
    assert.equal(of(PUBLISH, receiver.take()).length, ANY_TEXT.length + 2 * NO_TEXT.length);
    assert.equal(peer.closed, false);
    assert.equal(hub.counters.counter(COUNTER).value, 0);
  });

  test("a will that is called text and is none is refused with 0x99 in CONNACK", () => {
    for (const validateUtf8Payload of [true, false])
      for (const [payload, isText] of [
        [Buffer.from([0xff]), false],
        [Buffer.from("ä"), true],
      ] as const) {
        const hub = new Hub(MEMORY, { validateUtf8Payload });
        const connect = packet(
          1,
          0,
          bytes(field("MQTT"), 5, 0x06, u16(60), properties(5)),
          field("a"),
          bytes(properties(5, 0x01, TEXT), field("w"), field(payload)),
        );
        const peer = hub.open();
        peer.send(connect);
        const refused = validateUtf8Payload && !isText;
        assert.equal(readConnack(peer.take()[0] as Packet).reason, refused ? 0x99 : 0);
        assert.equal(peer.closed, refused);
      }
  });

  test("switched off, which is the default, nobody looks", () => {
    const hub = new Hub();
    const peer = hub.connect({ version: 5, clientId: "p" });
    for (const payload of NO_TEXT) send(peer, 1, TEXT, payload);
    assert.deepEqual(
      of(PUBACK, peer.take()).map((found) => readAck(found).reason),
      NO_TEXT.map(() => 0x10),
    );
  });
});
