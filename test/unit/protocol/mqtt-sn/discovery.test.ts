import assert from "node:assert/strict";
import { test } from "node:test";
import { GWINFOS_PER_SECOND } from "../../../../src/protocol/mqtt-sn/limits.ts";
import { connectOf, SnHub } from "./harness.ts";

/** A multicast group: what was sent to it. */
class FakeGroup {
  readonly sent: string[] = [];

  send(bytes: Buffer, from: number, end: number, hops: number): void {
    this.sent.push(`${bytes.toString("hex", from, end)} ${hops}`);
  }
}

test("[SN12-6.1-1] ADVERTISE goes to the group, and again when it said so", () => {
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

test("[SN12-6.1-4] [SN12-5.4.3-2] SEARCHGW is answered with GWINFO: to the group as far as the question went, and to who asked", () => {
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

test("[SN12-5.5-3] who searches through a forwarder is answered with the radius of the question", () => {
  const hub = new SnHub();
  hub.node("aabb").send("030102");
  assert.deepEqual(
    hub.datagrams.sent.map(({ hex }) => hex),
    ["05fe02aabb030207"],
  );
});
