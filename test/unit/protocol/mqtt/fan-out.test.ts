import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../../src/base/counters.ts";
import { seededRandom } from "../../../../src/base/random.ts";
import { Flusher } from "../../../../src/transport/flusher.ts";
import { type Link, type LinkHandler, NO_HANDLER } from "../../../../src/transport/link.ts";
import { Output, type OutputOwner, type Writer } from "../../../../src/transport/output.ts";
import { LARGE_BYTES, outputMemory } from "../../../../src/transport/output-buffers.ts";
import { Hub } from "../../../support/mqtt-hub.ts";
import {
  bytes,
  type ConnectFields,
  connect,
  field,
  PacketReader,
  PUBACK,
  PUBLISH,
  packet,
  properties,
  publish,
  readPublish,
  readPublishProperties,
  SUBSCRIBE,
  subscribe,
  u16,
  u32,
} from "../../../support/mqtt-packets.ts";

/** A link with a real output, to a socket that takes everything. */
class RealOutputPeer implements Link, Writer, OutputOwner {
  readonly remote = "peer";
  readonly remoteAddress = "peer";
  readonly loopback = true;
  readonly certificateName = null;
  readonly paused = false;
  readonly writableLength = 0;
  readonly output: Output;
  readonly fields: ConnectFields;
  handler: LinkHandler = NO_HANDLER;
  readonly #reader = new PacketReader();
  readonly #got: string[] = [];

  constructor(hub: Hub, flusher: Flusher, fields: ConnectFields) {
    this.fields = fields;
    this.output = new Output(flusher, this, this);
    hub.server.accept(this, hub.listener);
    this.handler.onData(connect(fields));
  }

  /** What it was sent, packet by packet, in words. */
  get got(): string[] {
    this.output.flush();
    return this.#got.splice(0);
  }

  write(chunk: Buffer): void {
    for (const got of this.#reader.read(Buffer.from(chunk))) {
      if (got.type === PUBACK) this.#got.push("PUBACK");
      if (got.type !== PUBLISH) continue;
      const { topic, payload, qos, retain, dup } = readPublish(this.fields.version, got);
      const marks = [qos > 0 ? ` qos ${qos}` : "", retain ? " retain" : "", dup ? " dup" : ""].join("");
      const found = this.fields.version === 5 ? readPublishProperties(got) : [];
      this.#got.push(`${topic} ${payload}${marks}${found.map(([id, value]) => ` ${id}=${value}`).join("")}`);
    }
  }

  onEmpty(): void {}
  onOverflow(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

/** SUBSCRIBE of 5.0 with a Subscription Identifier. */
function subscribeAs(id: number, filter: string, options: number): Buffer {
  return packet(SUBSCRIBE, 2, u16(1), properties(5, 0x0b, id), bytes(field(filter), options));
}

test("each receiver of a wide topic gets its own form of the message, in the publisher's order", () => {
  const hub = new Hub();
  const flusher = new Flusher(1 << 20, outputMemory(100), new Counters());
  const peer = (clientId: string, more: Partial<ConnectFields> = {}): RealOutputPeer =>
    new RealOutputPeer(hub, flusher, { version: 4, clientId, ...more });
  const publisher = peer("publisher", { version: 5 });
  const old = peer("old");
  const plain = peer("plain", { version: 5 });
  const alike = peer("alike", { version: 5 });
  const named = peer("named", { version: 5 });
  const aliased = peer("aliased", { version: 5, properties: [0x22, u16(5)] });
  const small = peer("small", { version: 5, properties: [0x27, u32(40)] });
  const keeping = peer("keeping", { version: 5 });
  const narrow = peer("narrow", { version: 5 });
  const all = [publisher, old, plain, alike, named, aliased, small, keeping, narrow];
  for (const { handler } of [plain, alike, aliased, small]) handler.onData(subscribe(5, 1, ["topic/of/all", 0]));
  old.handler.onData(subscribe(4, 1, ["topic/of/all", 0]));
  named.handler.onData(subscribeAs(7, "topic/of/all", 0));
  // No Local; and Retain As Published.
  publisher.handler.onData(subscribe(5, 1, ["topic/of/all", 4]));
  keeping.handler.onData(subscribe(5, 1, ["topic/of/all", 1 | 8]));
  narrow.handler.onData(subscribe(5, 1, ["topic/of/all", 0], ["only/narrow", 0]));
  for (const { output } of all) output.flush();
  for (const { got } of all) assert.deepEqual(got, []);

  const long = "l".repeat(60);
  const send = (topic: string, payload: string, qos = 0, retain = false): void =>
    publisher.handler.onData(publish(5, { topic, payload, qos, retain, packetId: 1 }, 0x03, field("x")));
  send("topic/of/all", "one");
  send("only/narrow", "two");
  send("topic/of/all", "three", 1);
  send("topic/of/all", "four", 0, true);
  send("topic/of/all", long);
  send("topic/of/all", "six");

  const of = (...entries: string[]): string[] => entries;
  assert.deepEqual(publisher.got, of("PUBACK"));
  assert.deepEqual(
    old.got,
    of("topic/of/all one", "topic/of/all three", "topic/of/all four", `topic/of/all ${long}`, "topic/of/all six"),
  );
  const everything = of(
    "topic/of/all one 3=x",
    "topic/of/all three 3=x",
    "topic/of/all four 3=x",
    `topic/of/all ${long} 3=x`,
    "topic/of/all six 3=x",
  );
  assert.deepEqual(plain.got, everything);
  assert.deepEqual(alike.got, everything);
  assert.deepEqual(
    named.got,
    everything.map((entry) => entry.replace(" 3=x", " 11=7 3=x")),
  );
  const [first, ...rest] = everything.map((entry) => entry.replace(" 3=x", " 35=3 3=x"));
  assert.deepEqual(aliased.got, [first, ...rest.map((entry) => entry.slice("topic/of/all".length))]);
  assert.deepEqual(
    small.got,
    everything.filter((entry) => !entry.includes(long)),
  );
  const kept = of(
    "topic/of/all one 3=x",
    "topic/of/all three qos 1 3=x",
    "topic/of/all four retain 3=x",
    `topic/of/all ${long} 3=x`,
    "topic/of/all six 3=x",
  );
  assert.deepEqual(keeping.got, kept);
  assert.deepEqual(narrow.got, of("topic/of/all one 3=x", "only/narrow two 3=x", ...everything.slice(1)));
});

test("a QoS 0 message to a hundred receivers is copied once", () => {
  const hub = new Hub();
  const flusher = new Flusher(1 << 20, outputMemory(100), new Counters());
  const peers = Array.from(
    { length: 100 },
    (_, i) => new RealOutputPeer(hub, flusher, { version: 4, clientId: `c${i}` }),
  );
  for (const { handler } of peers) handler.onData(subscribe(4, 1, ["topic/of/all", 0]));
  flusher.endTurn();
  const [publisher] = peers as [RealOutputPeer];
  for (let i = 0; i < 200; i++) publisher.handler.onData(publish(4, { topic: "topic/of/all", payload: `${i}` }));
  assert.equal(flusher.buffers.bytesInUse, LARGE_BYTES);
  const expected = Array.from({ length: 200 }, (_, i) => `topic/of/all ${i}`);
  for (const { got } of peers) assert.deepEqual(got, expected);
});

test("what was read may be written over when the handler returns: streams to one, to others and to many came as they were", () => {
  const hub = new Hub();
  const flusher = new Flusher(1e9, outputMemory(100), new Counters());
  const [a, b] = ["a", "b"].map((clientId) => {
    const peer = new RealOutputPeer(hub, flusher, { version: 4, clientId });
    peer.handler.onData(subscribe(4, 1, [clientId, 0]));
    peer.handler.onData(subscribe(4, 2, ["all", 0]));
    return peer;
  }) as [RealOutputPeer, RealOutputPeer];
  const publisher = new RealOutputPeer(hub, flusher, { version: 4, clientId: "publisher" });
  const random = seededRandom(5);
  const expected = { a: [] as string[], b: [] as string[] };
  for (let chunk = 0; chunk < 300; chunk++) {
    const packets: Buffer[] = [];
    let topic: "a" | "b" = "a";
    for (let i = 0; i < 40; i++) {
      if (random() < 0.2) topic = topic === "a" ? "b" : "a";
      const payload = `${chunk}/${i}`.padEnd(Math.floor(random() * 90), ".");
      const toAll = random() < 0.05;
      const retain = random() < 0.05;
      packets.push(publish(4, { topic: toAll ? "all" : topic, payload, retain }));
      for (const to of toAll ? (["a", "b"] as const) : [topic])
        expected[to].push(`${toAll ? "all" : topic} ${payload}`);
    }
    const bytes = Buffer.concat(packets);
    // Also in pieces: a packet that straddles two is put together elsewhere.
    const middle = Math.floor(random() * bytes.length);
    for (const piece of [Buffer.from(bytes.subarray(0, middle)), Buffer.from(bytes.subarray(middle))]) {
      publisher.handler.onData(piece);
      piece.fill("?");
    }
    if (random() < 0.5) flusher.endTurn();
  }
  flusher.endTurn();
  assert.deepEqual(a.got, expected.a);
  assert.deepEqual(b.got, expected.b);
});
