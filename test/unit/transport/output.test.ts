import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { Counters } from "../../../src/base/counters.ts";
import { type Random, seededRandom } from "../../../src/base/random.ts";
import { budget } from "../../../src/transport/budget.ts";
import { Flusher } from "../../../src/transport/flusher.ts";
import { Output, type OutputOwner, type Writer } from "../../../src/transport/output.ts";
import { LARGE_BYTES, outputMemory, SMALL_BYTES } from "../../../src/transport/output-buffers.ts";

/** Takes bytes at once or keeps them, unread, until it is told: a buffer reused too early would show. */
class FakeWriter implements Writer, OutputOwner {
  keeps = false;
  writes = 0;
  empties = 0;
  overflows = 0;
  #kept: Buffer[] = [];
  readonly #taken: Buffer[] = [];
  readonly hash = createHash("sha256");
  bytes = 0;

  write(bytes: Buffer): void {
    this.writes++;
    this.#kept.push(bytes);
    if (!this.keeps) this.take();
  }

  get writableLength(): number {
    return this.#kept.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  take(): void {
    for (const bytes of this.#kept) {
      this.hash.update(bytes);
      this.bytes += bytes.length;
      this.#taken.push(Buffer.from(bytes));
    }
    this.#kept = [];
  }

  text(): string {
    return Buffer.concat(this.#taken).toString("latin1");
  }

  onEmpty(): void {
    this.empties++;
  }

  onOverflow(): void {
    this.overflows++;
  }
}

function made(outputBytes = 1024 * 1024, memory = outputMemory(100)) {
  const counters = new Counters();
  const flusher = new Flusher(outputBytes, memory, counters);
  const writer = new FakeWriter();
  return { counters, flusher, writer, output: new Output(flusher, writer, writer) };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function put(output: Output, text: string): void {
  const bytes = Buffer.from(text, "latin1");
  output.append(bytes, 0, bytes.length);
}

test("a thousand small writes in one turn become one write per 64 KiB, in order", async () => {
  const { output, writer, flusher } = made();
  let expected = "";
  for (let i = 0; i < 1000; i++) {
    const text = `${i}:${"x".repeat(i % 140)};`;
    expected += text;
    put(output, text);
  }
  assert.equal(output.pendingBytes, expected.length - writer.bytes);
  await turn();
  assert.equal(writer.writes, Math.ceil(expected.length / LARGE_BYTES));
  assert.equal(writer.text(), expected);
  assert.equal(output.pendingBytes, 0);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("what fits in one buffer costs one write, reserved and committed in place", async () => {
  const { output, writer, flusher } = made();
  for (const text of ["a", "bc", "def"]) {
    const at = output.reserve(text.length);
    output.buffer.write(text, at, "latin1");
    output.commit(at + text.length);
  }
  assert.equal(flusher.buffers.bytesInUse, SMALL_BYTES);
  assert.equal(writer.writes, 0);
  await turn();
  assert.equal(writer.writes, 1);
  assert.equal(writer.text(), "abcdef");
  assert.equal(writer.empties, 1);
});

test("while the socket is busy bytes wait, and go out in order when it has taken what it had", async () => {
  const { output, writer, flusher } = made();
  writer.keeps = true;
  put(output, "first");
  await turn();
  assert.equal(output.pendingBytes, 5);
  put(output, "second");
  await turn();
  put(output, "third");
  await turn();
  assert.equal(writer.writes, 1);
  assert.equal(output.pendingBytes, 16);
  assert.equal(writer.empties, 0);
  output.onTaken(); // too early: the socket still has it
  assert.equal(output.pendingBytes, 16);
  writer.keeps = false;
  writer.take();
  output.onTaken();
  assert.equal(writer.writes, 2);
  assert.equal(writer.text(), "firstsecondthird");
  assert.equal(output.pendingBytes, 0);
  assert.equal(writer.empties, 1);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("a packet larger than any pooled buffer goes out whole, between its neighbours", async () => {
  const { output, writer, flusher } = made();
  const large = "L".repeat(256 * 1024 + 16);
  put(output, "before");
  put(output, large);
  put(output, "after");
  await turn();
  assert.equal(writer.text(), `before${large}after`);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("reserve has room at every size around the sizes of the buffers", async () => {
  const { output, writer } = made();
  let expected = "";
  for (const size of [SMALL_BYTES, LARGE_BYTES]) {
    for (const bytes of [size - 1, size, size + 1, 2 * size]) {
      for (const before of [0, 1, size - 1, size]) {
        put(output, "b".repeat(before));
        const at = output.reserve(bytes);
        assert.ok(output.buffer.length >= at + bytes);
        output.buffer.fill("r", at, at + bytes);
        output.commit(at + bytes);
        expected += "b".repeat(before) + "r".repeat(bytes);
      }
      await turn();
      assert.equal(writer.bytes, expected.length);
    }
  }
  assert.equal(writer.text(), expected);
});

test("beyond twice limits.output_bytes the link goes; room is still given, and forgotten", async () => {
  const { output, writer, flusher, counters } = made(100_000);
  writer.keeps = true;
  const block = Buffer.alloc(1000, 1);
  let blocks = 0;
  while (writer.overflows === 0) {
    output.append(block, 0, block.length);
    blocks++;
    if (blocks === 1) await turn();
  }
  assert.ok(blocks * 1000 > 200_000 && blocks * 1000 <= 200_000 + 2 * LARGE_BYTES + 2000, `${blocks} blocks`);
  assert.equal(counters.get("transport.output_overflow"), 1);
  for (let i = 0; i < 1000; i++) output.append(block, 0, block.length);
  const at = output.reserve(300_000);
  assert.ok(output.buffer.length >= at + 300_000);
  output.commit(at + 300_000);
  await turn();
  assert.equal(writer.writes, 1);
  assert.equal(writer.overflows, 1);
  output.onSocketClosed();
  assert.equal(output.pendingBytes, 0);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("without pooled buffers outputs still write, from small one-offs that are counted", async () => {
  const { output, writer, flusher, counters } = made(1024 * 1024, {
    smallMax: 0,
    mediumMax: 0,
    largeMax: 0,
    oneOffBytesMax: 1e6,
  });
  let expected = "";
  for (let i = 0; i < 500; i++) {
    const text = `${i}`.repeat(25);
    expected += text;
    put(output, text);
  }
  await turn();
  assert.equal(writer.text(), expected);
  assert.ok(counters.get("transport.pool_empty") >= 1);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("when one-offs have used up their allowance, the output that holds most goes", async () => {
  const { flusher, counters } = made(10e6, { smallMax: 1, mediumMax: 0, largeMax: 0, oneOffBytesMax: 600_000 });
  const slow = [300_000, 200_000, 150_000].map((bytes) => {
    const writer = new FakeWriter();
    writer.keeps = true;
    const output = new Output(flusher, writer, writer);
    return { writer, output, block: Buffer.alloc(bytes, 1) };
  });
  for (const { output, block } of slow) {
    output.append(block, 0, block.length);
    output.flush();
  }
  assert.deepEqual(
    slow.map(({ writer }) => writer.overflows),
    [1, 0, 0],
  );
  assert.equal(counters.get("transport.output_evicted"), 1);
  assert.ok(flusher.buffers.bytesInUse < 600_000);
});

test("one that is far behind is told to wait before memory is so short that it would have to go", () => {
  const { flusher, counters, output, writer } = made();
  writer.keeps = true;
  const message = Buffer.alloc(1100, 7);
  let sent = 0;
  while (output.hasRoom(1024 * 1024)) {
    output.append(message, 0, message.length);
    output.flush();
    sent++;
    assert.ok(sent < 1000);
  }
  assert.ok(sent > 400, `${sent}`);
  assert.equal(writer.overflows, 0);
  assert.equal(flusher.buffers.exhausted, false);
  const other = new Output(flusher, new FakeWriter(), new FakeWriter());
  assert.ok(other.hasRoom(1024 * 1024), "who is not behind goes on");
  other.append(message, 0, message.length);
  assert.equal(counters.get("transport.output_evicted"), 0);
});

test("sealed, an output sends what it has and forgets what comes", async () => {
  const { output, writer, flusher } = made();
  writer.keeps = true;
  put(output, "one");
  output.flush();
  put(output, "two");
  output.seal();
  put(output, "three");
  assert.equal(output.pendingBytes, 6);
  writer.keeps = false;
  writer.take();
  output.onTaken();
  await turn();
  assert.equal(writer.text(), "onetwo");
  assert.equal(writer.empties, 1);
  assert.equal(output.pendingBytes, 0);
  assert.equal(flusher.buffers.bytesInUse, 0);
});

test("what is written when the output is empty goes out in the next turn, not in an endless one", async () => {
  const { flusher } = made();
  const writer = new FakeWriter();
  let answers = 0;
  const owner: OutputOwner = {
    onEmpty() {
      answers++;
      put(output, "again");
    },
    onOverflow() {},
  };
  const output = new Output(flusher, writer, owner);
  put(output, "once");
  await turn();
  assert.equal(answers, 1);
  await turn();
  assert.equal(answers, 2);
  output.drop();
});

test("many outputs share few buffers and none is reused while a socket has it", async () => {
  for (let seed = 1; seed <= 20; seed++) await shareBuffers(seededRandom(seed), seed);
});

async function shareBuffers(random: Random, seed: number): Promise<void> {
  const { flusher } = made(1e9, { smallMax: 4, mediumMax: 2, largeMax: 3, oneOffBytesMax: 1e9 });
  const peers = Array.from({ length: 12 }, () => {
    const writer = new FakeWriter();
    return { writer, output: new Output(flusher, writer, writer), hash: createHash("sha256"), bytes: 0 };
  });
  for (let round = 0; round < 400; round++) {
    const peer = peers[Math.floor(random() * peers.length)];
    assert.ok(peer !== undefined);
    const { output, writer } = peer;
    const action = random();
    if (action < 0.6) {
      const block = Buffer.alloc(Math.ceil(random() ** 6 * 200_000), round);
      output.append(block, 0, block.length);
      peer.hash.update(block);
      peer.bytes += block.length;
    } else if (action < 0.7) {
      writer.keeps = !writer.keeps;
    } else if (action < 0.9) {
      writer.take();
      output.onTaken();
    } else {
      await turn();
    }
  }
  await turn();
  for (const { output, writer, hash, bytes } of peers) {
    writer.keeps = false;
    writer.take();
    output.onTaken();
    assert.equal(writer.bytes, bytes, `seed ${seed}`);
    assert.equal(writer.hash.digest("hex"), hash.digest("hex"), `seed ${seed}`);
  }
  assert.equal(flusher.buffers.bytesInUse, 0, `seed ${seed}`);
  assert.equal(flusher.busy.size, 0);
}

test("the memory bill has a line per owner", () => {
  const lines = budget({ maxConnections: 1024, connectionsPerAddress: 1024, maxPacketBytes: 256 * 1024 });
  assert.deepEqual(
    lines.map(({ owner, bytes }) => [owner, bytes / 1024]),
    [
      ["transport: connections", 896],
      ["transport: output", 512 + 20 * 16 + 5 * 64],
      ["transport: rests that wait for a turn", 128],
      ["transport: large packets on their way out", 256 + 256],
    ],
  );
  const counted = budget({ maxConnections: 1024, connectionsPerAddress: 8, maxPacketBytes: 256 * 1024 });
  assert.equal(counted[0]?.bytes, 1024 * (896 + 128));
});
