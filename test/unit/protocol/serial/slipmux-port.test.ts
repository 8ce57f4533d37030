import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../../src/base/counters.ts";
import { Log } from "../../../../src/base/log.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import type { Publication } from "../../../../src/core/publication.ts";
import { ROUTED } from "../../../../src/core/router.ts";
import { Diagnostics } from "../../../../src/protocol/serial/diagnostics.ts";
import { budget, SlipmuxPort } from "../../../../src/protocol/serial/slipmux-port.ts";
import { slipBytesMax, writeSlip } from "../../../../src/wire/serial/slip.ts";
import { COAP_FRAME_OVERHEAD, writeCoap } from "../../../../src/wire/serial/slipmux.ts";

class FakeDevice {
  isOpen = true;
  readonly written: string[] = [];
  pause(): void {}
  resume(): void {}
  awaitTurn(): void {}
  write(bytes: Buffer): void {
    this.written.push(bytes.toString("hex"));
  }
}

class World {
  readonly device = new FakeDevice();
  readonly counters = new Counters();
  readonly texts: string[] = [];
  readonly heard: string[] = [];
  readonly gone: string[] = [];
  readonly port: SlipmuxPort;

  readonly lines: string[] = [];

  constructor(messageBytesMax = 256, framing: "slipmux" | "slip" = "slipmux", baud = 115_200) {
    const diagnostics = {
      onDiagnostic: (bytes: Buffer, from: number, end: number) =>
        void this.texts.push(bytes.toString("utf8", from, end)),
    };
    const log = new Log({ level: "warn", format: "text", write: (line) => void this.lines.push(line) });
    const parts = { counters: this.counters, log };
    this.port = new SlipmuxPort({ name: "node", framing, messageBytesMax, baud }, this.device, diagnostics, parts);
    this.port.handler = {
      onPeerBack: () => void this.gone.push("back"),
      onDatagram: (bytes, address, port, identity) =>
        void this.heard.push(`${bytes.toString("hex")} ${address} ${port} ${identity}`),
      onPeerGone: (address) => void this.gone.push(address),
    };
  }

  get counts(): Record<string, number> {
    const all = [...this.counters.entries()].filter(([, value]) => value !== 0);
    return Object.fromEntries(all.map(([name, value]) => [name.replace("slipmux.", ""), value]));
  }
}

function frameOf(message: Buffer, framing: "slipmux" | "slip" = "slipmux"): Buffer {
  const out = Buffer.alloc(slipBytesMax(message.length + COAP_FRAME_OVERHEAD));
  const write = framing === "slip" ? writeSlip : writeCoap;
  return out.subarray(0, write(message, 0, message.length, out, 0));
}

const send = (port: SlipmuxPort, message: Buffer): boolean => port.send(message, 0, message.length, port.address, 0);

test("CoAP goes to the handler under the line's name; text, packets and the rest have their own ends", () => {
  const { port, heard, texts, ...world } = new World();
  const frames = ["c00a68690ac0", "c0450000c0", "c060c0", "c0ffc0"].map((hex) => Buffer.from(hex, "hex"));
  port.onData(Buffer.concat([frameOf(Buffer.from("40010001", "hex")), ...frames]));
  assert.deepEqual(heard, ["40010001 serial:node 0 serial:node"]);
  assert.deepEqual(texts, ["hi\n"]);
  assert.deepEqual(Object.fromEntries([...world.counters.entries()].filter(([, value]) => value !== 0)), {
    "slipmux.coap_received": 1,
    "slipmux.diagnostics": 1,
    "slipmux.ip_dropped": 2,
    "slipmux.unknown": 1,
  });
});

test("what did not arrive whole is counted by cause and goes nowhere", () => {
  const world = new World(16);
  const hit = frameOf(Buffer.from("40010001", "hex"));
  hit[3] = (hit[3] as number) ^ 1;
  world.port.onData(hit);
  world.port.onData(Buffer.from(`c0a9db01c0${"a9".repeat(30)}c0`, "hex"));
  assert.deepEqual(world.heard, []);
  assert.deepEqual(world.counts, { bad_check: 1, bad_escape: 1, too_long: 1 });
});

test("one write at a time; frames that come meanwhile go together, and what finds no room is refused and counted", () => {
  const { port, device, ...world } = new World(1152);
  const message = (fill: number, bytes = 4) => Buffer.alloc(bytes, fill);
  assert.equal(send(port, message(1)), true);
  assert.equal(send(port, message(2)), true);
  assert.equal(send(port, message(3)), true);
  const hex = (fill: number) => frameOf(message(fill)).toString("hex");
  assert.deepEqual(device.written, [hex(1)]);
  port.onWritten();
  assert.deepEqual(device.written, [hex(1), hex(2) + hex(3)]);
  port.onWritten();
  assert.equal(device.written.length, 2, "nothing to go");
  let taken = 0;
  while (send(port, message(4, 1000))) taken++;
  assert.equal(taken, 4, "one that is being written, and what fits in 4 KiB with room for the worst");
  assert.equal(send(port, message(5, 1153)), false, "longer than a message may be");
  device.isOpen = false;
  assert.equal(send(port, message(6)), false, "away");
  assert.equal(world.counters.counter("slipmux.sends_dropped").value, 3);
});

test("when the device goes away its peer does; a frame under way is forgotten, and the next opening begins anew", () => {
  const world = new World();
  const { port, device } = world;
  const frame = frameOf(Buffer.from("40010001", "hex"));
  port.onData(frame.subarray(0, 5));
  send(port, Buffer.from("60000001", "hex"));
  send(port, Buffer.from("60000002", "hex"));
  device.isOpen = false;
  port.onAway();
  assert.deepEqual(world.gone, ["serial:node"]);
  assert.equal(world.counts.cut, 1);
  device.isOpen = true;
  device.written.length = 0;
  port.onOpen();
  assert.deepEqual(world.gone, ["serial:node", "back"]);
  port.onData(frame);
  assert.equal(world.heard.length, 1);
  send(port, Buffer.from("60000003", "hex"));
  assert.deepEqual(device.written, [frameOf(Buffer.from("60000003", "hex")).toString("hex")]);
});

test("bare SLIP has messages without byte and check; text is text there, too, and packets are none", () => {
  const world = new World(256, "slip");
  const message = Buffer.from("48010001c0dbc0dbc0dbc0db", "hex");
  const frame = frameOf(message, "slip");
  assert.equal(frame.toString("hex"), `c048010001${"dbdcdbdd".repeat(4)}c0`);
  world.port.onData(Buffer.concat([frame, Buffer.from("c00a6869c0c0600000c0c0800000c0", "hex")]));
  assert.deepEqual(world.heard, [
    `${message.toString("hex")} serial:node 0 serial:node`,
    "600000 serial:node 0 serial:node",
  ]);
  assert.deepEqual(world.texts, ["hi"]);
  assert.deepEqual(world.counts, { coap_received: 2, diagnostics: 1, unknown: 1 });
  send(world.port, message);
  assert.deepEqual(world.device.written, [frame.toString("hex")]);
});

test("a device with the other framing is named once in the log, with what to set", () => {
  for (const [mine, other] of [
    ["slipmux", "slip"],
    ["slip", "slipmux"],
  ] as const) {
    const { port, lines } = new World(256, mine);
    const frame = frameOf(Buffer.from("40010001", "hex"), other);
    port.onData(Buffer.from("c0ffc0", "hex"));
    assert.equal(lines.length, 0);
    port.onData(Buffer.concat([frame, frame]));
    assert.equal(lines.length, 1);
    assert.match(lines[0] as string, new RegExp(`serial-coap-framing name=node .*coap.framing: ${other}"?$`));
  }
});

test("an answer may take what two of the longest frames take on the line each way, and two seconds", () => {
  assert.equal(new World(1152, "slipmux", 115_200).port.answerMs, 2_000 + 442);
  assert.equal(new World(128, "slipmux", 1_200).port.answerMs, 2_000 + 4_877);
});

test("who closes may wait until all is written, until the device is away, or for some time", async () => {
  const { port, device } = new World();
  await port.written(60_000); // nothing is under way
  send(port, Buffer.from("60000001", "hex"));
  send(port, Buffer.from("60000002", "hex"));
  let done = false;
  const written = port.written(60_000).then(() => {
    done = true;
  });
  port.onWritten();
  await Promise.resolve();
  assert.equal(done, false, "the second one is under way");
  port.onWritten();
  await written;
  send(port, Buffer.from("60000003", "hex"));
  const away = port.written(60_000);
  device.isOpen = false;
  port.onAway();
  await away;
  device.isOpen = true;
  send(port, Buffer.from("60000004", "hex"));
  await port.written(5);
});

test("diagnostic text is published at QoS 0 without its line end, or logged at debug; a forbidden topic is said once", () => {
  const published: string[] = [];
  const lines: string[] = [];
  let allowed = true;
  const parts = {
    principal: { name: "serial:node", clientId: "serial:node" },
    router: {
      publish: (publication: Publication): number => {
        const { topic, qos, bytes, payloadFrom, payloadEnd } = publication;
        published.push(`${topic} ${qos} ${bytes.toString("utf8", payloadFrom, payloadEnd)}`);
        return ROUTED;
      },
    },
    authority: { mayPublish: () => allowed },
    log: new Log({ level: "debug", format: "text", write: (line) => void lines.push(line) }),
    counters: new Counters(),
  };
  const say = (to: Diagnostics, text: string): void => to.onDiagnostic(Buffer.from(text), 0, Buffer.byteLength(text));
  const toTopic = new Diagnostics(parts, "site/console");
  for (const text of ["booted\r\n", "\n", "", "21.5 °C"]) say(toTopic, text);
  assert.deepEqual(published, ["site/console 0 booted", "site/console 0 21.5 °C"]);
  allowed = false;
  for (const text of ["a", "b"]) say(toTopic, text);
  assert.equal(lines.filter((line) => line.includes("serial-publish-denied")).length, 1);
  assert.equal(parts.counters.counter("slipmux.diagnostics_denied").value, 2);
  say(new Diagnostics(parts, null), "booted\n");
  assert.match(lines.at(-1) as string, /debug +serial-diagnostic name=serial:node text=booted$/);
});

test("the bill has a line for all of them, and none for none", () => {
  assert.deepEqual(budget([]), []);
  assert.equal(budget([1152, 128])[0]?.bytes, 2 * (4096 + 8192 + 3) + 1152 + 128);
});

test("noise of one byte in a thousand loses the frames that it hits and no other, and invents none", () => {
  const random = seededRandom(7);
  const world = new World(64);
  const expected: string[] = [];
  const stream: Buffer[] = [];
  let hits = 0;
  for (let i = 0; i < 4_000; i++) {
    const message = Buffer.from(
      Array.from({ length: 4 + Math.floor(random() * 40) }, () => Math.floor(random() * 256)),
    );
    const frame = frameOf(message);
    const hit = frame.map((byte) => (random() < 0.001 ? Math.floor(random() * 256) : byte));
    if (frame.equals(hit)) expected.push(message.toString("hex"));
    else hits++;
    stream.push(Buffer.from(hit));
  }
  const bytes = Buffer.concat(stream);
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + Math.floor(random() * 300);
    world.port.onData(bytes.subarray(at, end));
    at = end;
  }
  assert.ok(hits > 50);
  const heard = world.heard.map((line) => line.split(" ")[0]);
  // Two bytes that are hit the same way would do it; a byte that becomes what it was is no hit.
  assert.deepEqual(heard, expected);
});
