import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../../src/base/counters.ts";
import { budget, MqttSnSerialPort } from "../../../../src/protocol/mqtt-sn/serial-port.ts";

class World {
  isOpen = true;
  nowMs = 0;
  readonly written: string[] = [];
  readonly heard: string[] = [];
  readonly counters = new Counters();
  readonly port: MqttSnSerialPort;

  constructor(framing: "slip" | "length", messageBytesMax = 64) {
    const time = { nowMs: () => this.nowMs };
    const write = (bytes: Buffer): void => void this.written.push(bytes.toString("hex"));
    const world = this;
    const device = {
      get isOpen(): boolean {
        return world.isOpen;
      },
      write,
    };
    this.port = new MqttSnSerialPort("node", device, { framing, messageBytesMax }, time, this.counters);
    this.port.handler = {
      onDatagram: (bytes, address, port) => void this.heard.push(`${bytes.toString("hex")} ${address} ${port}`),
    };
  }

  data(hex: string): void {
    this.port.onData(Buffer.from(hex, "hex"));
  }

  send(hex: string): boolean {
    const bytes = Buffer.from(hex, "hex");
    return this.port.send(bytes, 0, bytes.length);
  }

  count(name: string): number {
    return Object.fromEntries(this.counters.entries())[`mqtt_sn.serial_${name}`] as number;
  }
}

const MESSAGES = ["0216", "080c00c0db0000c0", "05fe01aabb0216", `01001f0c${"ab".repeat(27)}`];

for (const framing of ["slip", "length"] as const) {
  test(`${framing}: what one port writes another reads, cut at every byte`, () => {
    const from = new World(framing);
    for (const message of MESSAGES) {
      assert.ok(from.send(message));
      from.port.onWritten();
    }
    const bytes = from.written.join("");
    for (let cut = 2; cut < bytes.length; cut += 2) {
      const to = new World(framing);
      to.data(bytes.slice(0, cut));
      to.data(bytes.slice(cut));
      assert.deepEqual(
        to.heard,
        MESSAGES.map((message) => `${message} serial:node 0`),
      );
      assert.equal(to.count("bad_frames"), 0);
    }
  });
}

test("slip: escapes and ENDs as RFC 1055 has them", () => {
  const world = new World("slip");
  world.send("c0db01");
  assert.deepEqual(world.written, ["c0dbdcdbdd01c0"]);
});

test("slip: a frame with a wrong escape, or longer than a message may be, is counted; the next one is read", () => {
  const world = new World("slip", 64);
  world.data("c0db01c0");
  world.data(`c0${"aa".repeat(65)}c0`);
  world.data("c0db");
  world.data("c0c00216c0");
  assert.deepEqual(world.heard, ["0216 serial:node 0"]);
  assert.equal(world.count("bad_frames"), 3);
});

test("length: who lost the beginning finds it after a pause, not before", () => {
  const world = new World("length");
  world.data("000216");
  world.nowMs = 150;
  world.data("0216");
  assert.deepEqual(world.heard, []);
  world.nowMs = 400;
  world.data("0216");
  world.data("0a0c");
  world.nowMs = 700;
  world.data("0217");
  assert.deepEqual(world.heard, ["0216 serial:node 0", "0217 serial:node 0"]);
});

test("length: a MsgType that 1.2 does not have, an envelope in an envelope and half a message are counted", () => {
  const world = new World("length");
  for (const [hex, at] of [
    ["0503aabbcc", 1000],
    ["04fe00aa04fe00aa0216", 2000],
    ["050c00", 3000],
    ["ff0c", 4000],
    ["0217", 5000],
  ] as const) {
    world.nowMs = at;
    world.data(hex);
  }
  assert.deepEqual(world.heard, ["0217 serial:node 0"]);
  assert.equal(world.count("bad_frames"), 4);
});

test("what finds no room behind the write under way, no open port, or is too long, is dropped and counted", () => {
  const world = new World("slip", 64);
  const message = "aa".repeat(64);
  assert.ok(world.send(message));
  let waiting = 0;
  while (world.send(message)) waiting++;
  assert.ok(waiting >= 2 && waiting < 5, `${waiting}`);
  assert.equal(world.written.length, 1);
  world.port.onWritten();
  assert.equal(world.written.length, 2);
  assert.equal(world.send("aa".repeat(65)), false);
  world.isOpen = false;
  assert.equal(world.send("0216"), false);
  assert.equal(world.count("sends_dropped"), 3);
});

test("an unplugged device leaves nothing behind", () => {
  const world = new World("slip");
  world.send("0216");
  world.send("0217");
  world.data("c0aa");
  world.port.onAway();
  world.port.onOpen();
  world.data("c00216c0");
  assert.deepEqual(world.heard, ["0216 serial:node 0"]);
  world.send("0218");
  assert.equal(world.written.at(-1), "c00218c0");
});

test("the bill of two lines", () => {
  assert.equal(budget([64, 64])[0]?.bytes, 2 * (4096 + 64 + 4 * 130));
});
