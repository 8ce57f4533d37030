import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import type { LinkHandler } from "../../../src/transport/link.ts";
import { listenTcp } from "../../../src/transport/tcp.ts";
import { LINKS_PER_TURN, REST_BYTES_MAX, TurnQueue, type TurnTaker } from "../../../src/transport/turn-queue.ts";
import { bench, client, Door, type Recorder } from "./fixture.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Takes so many bytes at a time and puts the others back. */
class Sipper implements LinkHandler {
  readonly #recorder: Recorder;
  readonly #sipBytes: number;
  readonly sips: number[] = [];
  refused = 0;

  constructor(recorder: Recorder, sipBytes: number) {
    this.#recorder = recorder;
    this.#sipBytes = sipBytes;
    recorder.link.handler = this;
  }

  onData(chunk: Buffer): void {
    const { link } = this.#recorder;
    const takes = Math.min(this.#sipBytes, chunk.length);
    const waits = takes < chunk.length && link.putBack?.(chunk, takes, chunk.length) === true;
    if (takes < chunk.length && !waits) this.refused++;
    this.sips.push(waits ? takes : chunk.length);
    this.#recorder.onData(waits ? chunk.subarray(0, takes) : chunk);
  }

  onClose(error: string | null): void {
    this.#recorder.onClose(error);
  }

  onDrain(): void {}
}

async function listening(t: Parameters<typeof bench>[0]) {
  const made = bench(t);
  const door = new Door();
  const listener = await listenTcp(
    { transport: made.transport, index: 0, type: "mqtt", host: "127.0.0.1", port: 0 },
    door.accept,
  );
  made.listeners.push(listener);
  return { made, door, listener };
}

const numbered = (bytes: number): Buffer => Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => i % 251));

test("what a handler puts back comes again in later turns, in order and before what is read next", async (t) => {
  const { made, door, listener } = await listening(t);
  const socket = await client(t, listener);
  const peer = await door.link();
  const sipper = new Sipper(peer, 1000);
  const sent = numbered(300_000);
  socket.write(sent);
  let perTurn = 0;
  while (peer.received < sent.length) {
    const before = sipper.sips.length;
    await turn();
    perTurn = Math.max(perTurn, sipper.sips.length - before);
  }
  assert.deepEqual(Buffer.concat(peer.chunks), sent);
  assert.ok(perTurn <= 2, `${perTurn} times in a turn: once with its rest, once with what it read then`);
  assert.ok(sipper.sips.every((bytes) => bytes <= 1000));
  assert.equal(made.counters.get("transport.rest_bytes"), 0);
  assert.equal(made.counters.get("transport.turns_overrun"), 0);
  assert.ok((made.counters.get("transport.turns_cut") ?? 0) >= 290);
});

test("a paused link with a rest gets it when it is resumed, and takes no turns until then", async (t) => {
  const { door, listener } = await listening(t);
  const socket = await client(t, listener);
  const peer = await door.link();
  const sipper = new Sipper(peer, 10);
  socket.write(numbered(25));
  await peer.until(() => peer.received === 10);
  peer.link.pause();
  for (let i = 0; i < 20; i++) await turn();
  assert.deepEqual(sipper.sips, [10]);
  peer.link.resume();
  await peer.until(() => peer.received === 25);
  assert.deepEqual(Buffer.concat(peer.chunks), numbered(25));
  assert.deepEqual(sipper.sips, [10, 10, 5]);
});

test("a link that asks for a turn while it has a rest keeps the rest", async (t) => {
  const { door, listener } = await listening(t);
  const socket = await client(t, listener);
  const peer = await door.link();
  const sipper = new Sipper(peer, 10);
  socket.write(numbered(25));
  await peer.until(() => peer.received === 10);
  peer.link.pause();
  assert.equal(peer.link.putBack?.(Buffer.alloc(0), 0, 0), true);
  peer.link.resume();
  await peer.until(() => peer.received === 25);
  assert.deepEqual(Buffer.concat(peer.chunks), numbered(25));
  assert.deepEqual(sipper.sips, [10, 10, 5]);
});

for (const how of ["end", "destroy"] as const) {
  test(`a link that is closed by ${how} forgets its rest and its place in the queue`, async (t) => {
    const { made, door, listener } = await listening(t);
    const socket = await client(t, listener);
    const peer = await door.link();
    const sipper = new Sipper(peer, 10);
    socket.resume();
    socket.write(numbered(100_000));
    await peer.until(() => peer.received >= 10);
    peer.link[how]();
    await peer.until(() => peer.closed !== undefined);
    assert.equal(made.counters.get("transport.rest_bytes"), 0);
    assert.equal(made.counters.get("transport.links_waiting_turn"), 0);
    assert.equal(sipper.refused, 0);
  });
}

test("who is cut short while all rests are full works on at once, is counted, and waits afterwards", async (t) => {
  const { made, door, listener } = await listening(t);
  assert.equal(made.transport.flusher.turns.hold(REST_BYTES_MAX - 5), true);
  const socket = await client(t, listener);
  const peer = await door.link();
  const sipper = new Sipper(peer, 10);
  socket.write(numbered(15));
  await peer.until(() => peer.received === 10);
  assert.equal(sipper.refused, 0, "five bytes have room");
  await peer.until(() => peer.received === 15);
  socket.write(numbered(16));
  await peer.until(() => peer.received === 31);
  assert.equal(sipper.refused, 1, "six have none");
  assert.equal(made.counters.get("transport.turns_overrun"), 1);
  socket.write(numbered(1));
  await peer.until(() => peer.received === 32);
});

/** A link that always has more to do. */
class Greedy implements TurnTaker {
  turns = 0;
  readonly #queue: TurnQueue;
  readonly #again: (queue: TurnQueue, taker: TurnTaker) => void;

  constructor(queue: TurnQueue, again: (queue: TurnQueue, taker: TurnTaker) => void) {
    this.#queue = queue;
    this.#again = again;
  }
  takeTurn(): void {
    this.turns++;
    this.#again(this.#queue, this);
  }
}

test("however many links wait, a turn lets a few of them go on, and all get the same", () => {
  for (const [perTurn, again] of [
    [LINKS_PER_TURN, (queue: TurnQueue, taker: TurnTaker) => queue.enter(taker)],
    // As many as have room for what they may put back.
    [REST_BYTES_MAX / 65_536, (queue: TurnQueue, taker: TurnTaker) => queue.wait(taker)],
  ] as const) {
    const queue = new TurnQueue(new Counters());
    const links = Array.from({ length: 100 }, () => new Greedy(queue, again));
    for (const link of links) again(queue, link);
    const total = () => links.reduce((sum, { turns }) => sum + turns, 0);
    for (let i = 1; i <= 1000 / perTurn; i++) {
      queue.run();
      assert.equal(total(), i * perTurn);
    }
    assert.deepEqual(new Set(links.map(({ turns }) => turns)), new Set([10]));
  }
});

test("links that wait to read go on one at a time when paused ones hold all the room", () => {
  const queue = new TurnQueue(new Counters());
  queue.hold(REST_BYTES_MAX);
  const links = Array.from({ length: 10 }, () => new Greedy(queue, () => {}));
  for (const link of links) queue.wait(link);
  for (let i = 1; i <= 10; i++) {
    queue.run();
    assert.equal(
      links.reduce((sum, { turns }) => sum + turns, 0),
      i,
    );
  }
  assert.equal(queue.empty, true);
});
