import assert from "node:assert/strict";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { seededRandom } from "../../../src/base/random.ts";
import { Flusher } from "../../../src/transport/flusher.ts";
import { LateCopy } from "../../../src/transport/late-copy.ts";
import { Output, type OutputOwner, type Writer } from "../../../src/transport/output.ts";
import { outputMemory } from "../../../src/transport/output-buffers.ts";
import { NO_COPY } from "../../../src/transport/shared-bytes.ts";

/** What was asked to be copied, by a source that notes it. */
class Noting {
  readonly late = new LateCopy();
  readonly source = Buffer.alloc(1000, "abcdefghij");
  copies = 0;

  constructor() {
    const copy = this.source.copy.bind(this.source);
    this.source.copy = (...where: Parameters<Buffer["copy"]>) => {
      this.copies++;
      return copy(...where);
    };
  }
}

test("packets that follow each other in their source and go the same way are copied at once", () => {
  const { late, source } = new Noting();
  const target = Buffer.alloc(1000);
  for (let i = 0; i < 9; i++) late.add(source, 100 * i, 100 * (i + 1), target, 50 + 100 * i);
  assert.ok(target.every((byte) => byte === 0));
  late.settle();
  assert.ok(target.subarray(50, 950).equals(source.subarray(0, 900)));
  assert.ok(target.subarray(0, 50).every((byte) => byte === 0) && target.subarray(950).every((byte) => byte === 0));
});

test("it takes one call; a packet of another source, another target, or not next to the last settles what is there", () => {
  const noting = new Noting();
  const { late, source } = noting;
  const [a, b] = [Buffer.alloc(1000), Buffer.alloc(1000)];
  late.add(source, 0, 100, a, 0);
  late.add(source, 100, 200, a, 100);
  assert.equal(noting.copies, 0);
  late.add(source, 200, 300, b, 200);
  assert.equal(noting.copies, 1);
  late.add(source, 310, 400, b, 300);
  assert.equal(noting.copies, 2);
  late.add(source, 400, 500, b, 500);
  assert.equal(noting.copies, 3);
  late.add(Buffer.from(source), 500, 600, b, 600);
  assert.equal(noting.copies, 4);
  assert.ok(a.subarray(0, 200).equals(source.subarray(0, 200)));
  late.settle();
  late.settle();
  assert.equal(noting.copies, 4);
  assert.ok(b.subarray(500, 700).equals(source.subarray(400, 600)));
});

/** Takes of each write what it has room for; the rest stays unread until it is told. */
class Socket implements Writer, OutputOwner {
  room = Number.POSITIVE_INFINITY;
  readonly taken: Buffer[] = [];
  #kept: Buffer | null = null;

  write(bytes: Buffer): void {
    this.#kept = bytes;
    this.take(this.room);
  }

  get writableLength(): number {
    return this.#kept?.length ?? 0;
  }

  take(room: number): void {
    if (this.#kept === null) return;
    this.taken.push(Buffer.from(this.#kept.subarray(0, room)));
    this.#kept = room < this.#kept.length ? this.#kept.subarray(room) : null;
  }

  onEmpty(): void {}

  onOverflow(): void {}
}

test("chunks of packets to outputs at random, busy and closed ones among them, own and shared bytes between: all come as they were read", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const dice = (count: number): number => Math.floor(random() * count);
    const flusher = new Flusher(1e9, outputMemory(100), new Counters());
    const peers = Array.from({ length: 4 }, () => {
      const socket = new Socket();
      return { socket, output: new Output(flusher, socket, socket), expected: [] as Buffer[], open: true };
    });
    const peer = () => peers[dice(peers.length)]!;
    for (let chunk = 0; chunk < 60; chunk++) {
      const bytes = Buffer.from(
        Uint8Array.from({ length: 1 + dice(random() < 0.2 ? 70_000 : 3_000) }, () => dice(256)),
      );
      let to = peer();
      for (let from = 0; from < bytes.length; ) {
        const end = Math.min(bytes.length, from + 1 + dice(random() < 0.05 ? 30_000 : 150));
        if (random() < 0.1) to = peer();
        const kind = dice(20);
        if (kind === 0) to.output.append(bytes, from, end);
        else if (kind === 1) {
          let ticket = NO_COPY;
          for (const { output, expected, open } of peers) {
            ticket = output.appendShared(bytes, from, end, ticket);
            if (open) expected.push(Buffer.from(bytes.subarray(from, end)));
          }
        } else to.output.appendLate(bytes, from, end);
        if (kind !== 1 && to.open) to.expected.push(Buffer.from(bytes.subarray(from, end)));
        from = end + (random() < 0.1 ? 1 : 0);
      }
      if (random() < 0.3) peer().output.flush();
      flusher.late.settle();
      bytes.fill("?");
      if (random() < 0.02) {
        const gone = peer();
        gone.output.drop();
        gone.open = false;
        gone.expected.length = 0;
      }
      if (random() < 0.5) flusher.endTurn();
      const { socket, output } = peer();
      socket.room = random() < 0.3 ? dice(3_000) : Number.POSITIVE_INFINITY;
      socket.take(dice(50_000));
      output.onTaken();
    }
    flusher.endTurn();
    for (const { socket, output, expected, open } of peers) {
      socket.room = Number.POSITIVE_INFINITY;
      socket.take(Number.POSITIVE_INFINITY);
      output.onTaken();
      if (open) assert.ok(Buffer.concat(socket.taken).equals(Buffer.concat(expected)), `seed ${seed}`);
    }
    assert.equal(flusher.buffers.bytesInUse, 0);
  }
});
