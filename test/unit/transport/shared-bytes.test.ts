import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { type Random, seededRandom } from "../../../src/base/random.ts";
import { Flusher } from "../../../src/transport/flusher.ts";
import { Output, type OutputOwner, type Writer } from "../../../src/transport/output.ts";
import { LARGE_BYTES, MEDIUM_BYTES, type OutputMemory, outputMemory } from "../../../src/transport/output-buffers.ts";
import { NO_COPY } from "../../../src/transport/shared-bytes.ts";

/** A socket that takes of each write what it has room for, and the rest, unread until then, when it is told. */
class FakeSocket implements Writer, OutputOwner {
  /** Bytes it takes of the next write. */
  room = Number.POSITIVE_INFINITY;
  writes = 0;
  overflows = 0;
  #kept: Buffer | null = null;
  #taken: Buffer[] = [];

  write(bytes: Buffer): void {
    assert.equal(this.#kept, null, "one write at a time");
    this.writes++;
    this.#kept = bytes;
    this.take(this.room);
  }

  get writableLength(): number {
    return this.#kept?.length ?? 0;
  }

  /** The kernel takes `room` bytes more. */
  take(room: number): void {
    if (this.#kept === null) return;
    this.#taken.push(Buffer.from(this.#kept.subarray(0, room)));
    this.#kept = room < this.#kept.length ? this.#kept.subarray(room) : null;
  }

  get bytes(): Buffer {
    this.#taken = [Buffer.concat(this.#taken)];
    return this.#taken[0] as Buffer;
  }

  onEmpty(): void {}

  onOverflow(): void {
    this.overflows++;
  }
}

interface Peer {
  readonly socket: FakeSocket;
  readonly output: Output;
  /** What has been written to it. */
  readonly expected: Buffer[];
}

function made(count: number, memory: Partial<OutputMemory> = {}, outputBytes = 1e9) {
  const counters = new Counters();
  const flusher = new Flusher(outputBytes, { ...outputMemory(100), ...memory }, counters);
  const peers = Array.from({ length: count }, (): Peer => {
    const socket = new FakeSocket();
    return { socket, output: new Output(flusher, socket, socket), expected: [] };
  });
  return { counters, flusher, peers };
}

let serial = 0;

/** A message that is like no part of another. */
function message(bytes: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(++serial, 0x9e3779b1);
  return Buffer.from(words.buffer, 0, bytes);
}

/** As a route's receivers get it. */
function share(peers: readonly Peer[], bytes: number): void {
  const source = message(bytes);
  let ticket = NO_COPY;
  for (const { output, expected } of peers) {
    ticket = output.appendShared(source, 0, bytes, ticket);
    expected.push(Buffer.from(source));
  }
  source.fill("?");
}

function own({ output, expected }: Peer, bytes: number): void {
  const source = message(bytes);
  output.append(source, 0, bytes);
  expected.push(source);
}

function assertCame(peers: readonly Peer[], what = ""): void {
  peers.forEach(({ socket, expected }, i) => {
    assert.ok(socket.bytes.equals(Buffer.concat(expected)), `${what} output ${i}`);
  });
}

/** Sockets that kept something take it, and all that follows. */
function drain(peers: readonly Peer[]): void {
  for (const { socket, output } of peers) {
    socket.room = Number.POSITIVE_INFINITY;
    socket.take(Number.POSITIVE_INFINITY);
    output.onTaken();
  }
}

test("what twenty outputs send is in memory once, and each writes it once", () => {
  const { flusher, peers } = made(20);
  for (let i = 0; i < 500; i++) share(peers, 71);
  assert.equal(flusher.buffers.bytesInUse, LARGE_BYTES);
  for (const { output } of peers) assert.equal(output.pendingBytes, 500 * 71);
  flusher.endTurn();
  for (const { socket } of peers) assert.equal(socket.writes, 1);
  assertCame(peers);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("a full buffer is written by all, and used again in the same turn", () => {
  const { flusher, peers } = made(20);
  for (let i = 0; i < 5000; i++) {
    share(peers, 71);
    assert.equal(flusher.buffers.bytesInUse, LARGE_BYTES);
  }
  flusher.endTurn();
  for (const { socket } of peers) assert.equal(socket.writes, Math.ceil(5000 / Math.floor(LARGE_BYTES / 71)));
  assertCame(peers);
});

test("a thousand outputs need no more memory than two", () => {
  const { flusher, peers, counters } = made(1000);
  for (let i = 0; i < 50; i++) share(peers, 71);
  assert.equal(flusher.buffers.bytesInUse, LARGE_BYTES);
  flusher.endTurn();
  for (const { socket } of peers) assert.equal(socket.writes, 1);
  assertCame(peers);
  assert.equal(counters.get("transport.pool_empty"), 0);
});

test("a message larger than any pooled buffer is in memory once, too", () => {
  const { flusher, peers, counters } = made(20);
  for (let i = 0; i < 3; i++) {
    share(peers, 200_000);
    assert.ok(flusher.buffers.bytesInUse < 202_000);
    share(peers, 71);
  }
  flusher.endTurn();
  assertCame(peers);
  assert.equal(counters.get("transport.output_evicted"), 0);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("an output's own bytes keep their place: behind a little they are copied with it, behind much they are written after it", () => {
  for (const before of [0, 1, 30]) {
    for (const [bytes, writes] of [
      [1, 1],
      [MEDIUM_BYTES - 200, 1],
      [MEDIUM_BYTES, 2],
    ] as const) {
      const { flusher, peers } = made(3);
      const [first] = peers as [Peer, ...Peer[]];
      if (before > 0) own(first, before);
      share(peers, bytes);
      own(first, 50);
      share(peers, 71);
      flusher.endTurn();
      const pieces = before > 0 && bytes === MEDIUM_BYTES ? 1 : writes;
      assert.equal(first.socket.writes, pieces, `${before} bytes before ${bytes}`);
      assertCame(peers);
      assert.equal(flusher.buffers.bytesInUse, 0);
    }
  }
});

test("outputs that take turns in a buffer write no more often than with copies of their own", () => {
  const { flusher, peers } = made(3);
  const [a, b, c] = peers as [Peer, Peer, Peer];
  for (let i = 0; i < 200; i++) {
    share([a, b], 71);
    share([b, c], 71);
    share([c, a], 71);
  }
  flusher.endTurn();
  for (const { socket } of peers) assert.ok(socket.writes <= Math.ceil((400 * 71) / MEDIUM_BYTES), `${socket.writes}`);
  assertCame(peers);
});

test("a slow output among twenty holds one shared buffer; the others wait for nothing and share on", () => {
  const { flusher, peers, counters } = made(20);
  const [slow, ...others] = peers as [Peer, ...Peer[]];
  slow.socket.room = 1000;
  share(peers, 2000);
  flusher.endTurn();
  assert.equal(slow.output.pendingBytes, 2000);
  assert.equal(flusher.buffers.bytesInUse, LARGE_BYTES);
  for (let i = 0; i < 300; i++) {
    share(others, 2000);
    assert.equal(flusher.buffers.bytesInUse, 2 * LARGE_BYTES);
    if (i % 10 === 9) flusher.endTurn();
  }
  for (const { socket } of others) assert.equal(socket.bytes.length, 301 * 2000);
  // What comes for it meanwhile is its own, and so is the memory for it.
  for (let i = 0; i < 10; i++) share(peers, 71);
  flusher.endTurn();
  assert.equal(slow.output.pendingBytes, 2000 + 710);
  assert.equal(flusher.buffers.bytesInUse, LARGE_BYTES + 1024);
  drain(peers);
  assertCame(peers);
  assert.equal(counters.get("transport.pool_empty"), 0);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("one who waits leaves two large buffers to the others", () => {
  const { flusher, peers } = made(3, {}, 1e6);
  const [slow, ...others] = peers as [Peer, ...Peer[]];
  slow.socket.room = 0;
  own(slow, 500);
  flusher.endTurn();
  for (let i = 0; i < 7000; i++) own(slow, 71);
  for (let i = 0; i < 1000; i++) share(others, 71);
  for (let i = 0; i < 900; i++) own(others[0] as Peer, 71);
  flusher.endTurn();
  for (const { socket } of others) assert.ok(socket.writes <= 4, `${socket.writes} writes`);
  drain(peers);
  assertCame(peers);
});

test("sockets that keep every shared buffer leave copies to the others, and are counted", () => {
  const { flusher, peers, counters } = made(20, { largeMax: 2, oneOffBytesMax: LARGE_BYTES * 1.5 });
  const [fast] = peers as [Peer, ...Peer[]];
  for (let i = 1; i <= 5; i++) {
    const slow = peers[i] as Peer;
    share([fast, slow], 71);
    slow.socket.room = 0;
    flusher.endTurn();
  }
  assert.ok(counters.get("transport.pool_empty") > 0);
  // Three buffers, two of the pool and a one-off; the last two have copies.
  assert.ok(flusher.buffers.bytesInUse < 3 * LARGE_BYTES + 2 * 1024 + 2048, `${flusher.buffers.bytesInUse}`);
  for (let i = 0; i < 100; i++) share(peers, 71);
  flusher.endTurn();
  assert.equal(counters.get("transport.output_evicted"), 0);
  drain(peers);
  flusher.endTurn();
  assertCame(peers);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("an output that is closed in its run takes nothing more, sealed it sends it", () => {
  const { flusher, peers } = made(4);
  const [dropped, sealed, overflowed] = peers as [Peer, Peer, Peer, Peer];
  share(peers, 71);
  sealed.output.seal();
  dropped.output.drop();
  overflowed.output.overflow();
  for (const peer of [dropped, sealed, overflowed]) share([peer, peers[3] as Peer], 71);
  flusher.endTurn();
  assert.equal(sealed.socket.bytes.length, 71);
  assert.equal(dropped.socket.bytes.length, 0);
  assert.equal(overflowed.socket.bytes.length, 0);
  assertCame([peers[3] as Peer]);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("a ticket of a buffer that is gone is worth nothing", () => {
  const { flusher, peers } = made(3);
  const source = message(71);
  let ticket = NO_COPY;
  for (const [i, { output, expected }] of peers.entries()) {
    ticket = output.appendShared(source, 0, 71, ticket);
    expected.push(source);
    // Another message between two receivers of one.
    if (i === 0) share(peers, LARGE_BYTES);
  }
  flusher.endTurn();
  assertCame(peers);
});

test("bytes of one output keep their order whatever way they come, with sockets that take a part", () => {
  for (let seed = 1; seed <= 60; seed++) mix(seededRandom(seed), `seed ${seed}`);
});

function mix(random: Random, what: string): void {
  const below = (limit: number): number => Math.floor(random() * limit);
  const { flusher, peers } = made(8, {
    smallMax: 1 + below(8),
    mediumMax: below(5),
    largeMax: below(4),
    oneOffBytesMax: 1e9,
  });
  const closed = new Set<Peer>();
  const anyPeer = (): Peer => peers[below(peers.length)] as Peer;
  for (let step = 0; step < 600; step++) {
    const action = random();
    const peer = anyPeer();
    const size = 1 + Math.floor(random() ** 10 * 100_000);
    if (action < 0.5) {
      const some = random() < 0.6 ? peers : peers.filter(() => random() < 0.5);
      share(
        some.filter((other) => !closed.has(other)),
        size,
      );
    } else if (action < 0.7) {
      if (!closed.has(peer)) own(peer, size);
    } else if (action < 0.75) {
      peer.socket.room = random() < 0.5 ? Number.POSITIVE_INFINITY : below(20_000);
    } else if (action < 0.9) {
      peer.socket.take(below(40_000));
      peer.output.onTaken();
    } else if (action < 0.93) {
      peer.output.flush();
    } else if (action < 0.999) {
      flusher.endTurn();
    } else {
      closed.add(peer);
      if (random() < 0.5) peer.output.seal();
      else peer.output.drop();
    }
  }
  flusher.endTurn();
  drain(peers);
  assertCame(
    peers.filter((peer) => !closed.has(peer)),
    what,
  );
  for (const { socket, expected, output } of closed) {
    assert.ok(Buffer.concat(expected).subarray(0, socket.bytes.length).equals(socket.bytes), what);
    output.onSocketClosed();
  }
  assert.equal(flusher.buffers.bytesInUse, 0, what);
  assert.equal(flusher.busy.size, 0, what);
}
