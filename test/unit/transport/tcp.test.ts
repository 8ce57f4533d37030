import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { Socket } from "node:net";
import { test } from "node:test";
import { READ_BUDGET_BYTES } from "../../../src/transport/link.ts";
import { listenTcp } from "../../../src/transport/tcp.ts";
import { type Bench, bench, client, Door, portOf, readToEnd } from "./fixture.ts";

async function listening(made: Bench, port = 0) {
  const door = new Door();
  const { transport } = made;
  const listener = await listenTcp({ transport, index: 0, type: "mqtt", host: "127.0.0.1", port }, door.accept);
  made.listeners.push(listener);
  return { listener, door };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("bytes go both ways, and both ends learn of an orderly close", async (t) => {
  const made = bench(t);
  const { listener, door } = await listening(made);
  assert.match(listener.address, /^127\.0\.0\.1:\d+$/);
  const socket = await client(t, listener);
  const peer = await door.link();
  assert.equal(peer.link.remote, `127.0.0.1:${socket.localPort}`);
  assert.equal(peer.link.loopback, true);
  assert.equal(peer.link.certificateName, null);
  socket.write("hello");
  await peer.until(() => peer.text() === "hello");
  peer.link.output.append(Buffer.from("welcome"), 0, 7);
  const [chunk] = await once(socket, "data");
  assert.equal(String(chunk), "welcome");
  socket.end();
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.closed, null);
  assert.equal(made.counters.get("transport.accepted"), 1);
  assert.equal(made.counters.get("transport.bytes_received"), 5);
  assert.equal(made.counters.get("transport.bytes_sent"), 7);
  assert.equal(made.transport.admission.connections, 0);
});

test("a thousand small packets in one turn cost two socket writes", async (t) => {
  const made = bench(t);
  const { listener, door } = await listening(made);
  const socket = await client(t, listener);
  const peer = await door.link();
  const write = t.mock.method(Socket.prototype, "_write");
  const packet = Buffer.alloc(80, 7);
  for (let i = 0; i < 1000; i++) peer.link.output.append(packet, 0, packet.length);
  await turn();
  assert.equal(write.mock.callCount(), 2);
  await peer.until(() => peer.drains === 1);
  let received = 0;
  while (received < 80_000) received += (await once(socket, "data"))[0].length;
  assert.equal(received, 80_000);
});

test("a slow reader gets every byte in order, and what it has not taken is in pendingBytes", async (t) => {
  const made = bench(t, { outputBytes: 64 * 1024 * 1024 });
  const { listener, door } = await listening(made);
  const socket = await client(t, listener);
  socket.pause();
  const peer = await door.link();
  const { output } = peer.link;
  const [sent, got] = [createHash("sha256"), createHash("sha256")];
  let bytes = 0;
  for (let i = 0; output.pendingBytes < 1_500_000; i++) {
    const packet = Buffer.alloc(1 + ((i * 7919) % 30_000), i);
    output.append(packet, 0, packet.length);
    sent.update(packet);
    bytes += packet.length;
    if (i % 5 === 0) await turn();
  }
  const { drains } = peer;
  socket.resume();
  let received = 0;
  socket.on("data", (chunk: Buffer) => {
    got.update(chunk);
    received += chunk.length;
    if (received === bytes) socket.end();
  });
  await peer.until(() => peer.drains > drains && output.pendingBytes === 0);
  await peer.until(() => peer.closes === 1);
  assert.equal(received, bytes);
  assert.equal(got.digest("hex"), sent.digest("hex"));
  assert.equal(made.counters.get("transport.output_bytes"), 0);
  assert.equal(made.counters.get("transport.output_overflow"), 0);
});

test("a reader slower than twice limits.output_bytes is closed and counted, and memory comes back", async (t) => {
  const made = bench(t, { outputBytes: 100_000 });
  const { listener, door } = await listening(made);
  const socket = await client(t, listener);
  socket.pause();
  const peer = await door.link();
  const packet = Buffer.alloc(10_000, 1);
  while (peer.closes === 0) {
    for (let i = 0; i < 100; i++) peer.link.output.append(packet, 0, packet.length);
    await turn();
  }
  assert.equal(peer.closed, "output overflow: the peer reads too slowly");
  assert.equal(made.counters.get("transport.output_overflow"), 1);
  assert.equal(made.counters.get("transport.output_bytes"), 0);
});

test("a paused link delivers nothing until it is resumed; both are idempotent", async (t) => {
  const { listener, door } = await listening(bench(t));
  const socket = await client(t, listener);
  const peer = await door.link();
  socket.write("one");
  await peer.until(() => peer.received === 3);
  peer.link.pause();
  peer.link.pause();
  assert.equal(peer.link.paused, true);
  socket.write("two");
  for (let i = 0; i < 20; i++) await turn();
  assert.equal(peer.received, 3);
  peer.link.resume();
  peer.link.resume();
  assert.equal(peer.link.paused, false);
  await peer.until(() => peer.text() === "onetwo");
});

test("a chunk goes to the handler as it comes, past the stream; what comes while it is paused keeps its place", async (t) => {
  const made = bench(t);
  const { listener, door } = await listening(made);
  const socket = await client(t, listener);
  const peer = await door.link();
  const emit = t.mock.method(Socket.prototype, "emit");
  const emitted = (): number =>
    emit.mock.calls.filter((call) => String(call.arguments[0]) === "data" && call.this !== socket).length;
  socket.write("0 ");
  await peer.until(() => peer.received === 2);
  assert.equal(emitted(), 0);
  // Paused while it is being told, and resumed in the turn after: in the middle of what comes.
  const { onData } = peer;
  peer.onData = (chunk) => {
    onData.call(peer, chunk);
    peer.link.pause();
    setImmediate(() => peer.link.resume());
  };
  let expected = "0 ";
  for (let i = 1; i <= 300; i++) {
    expected += `${i} `;
    socket.write(`${i} `);
    if (i % 10 === 0) await turn();
  }
  await peer.until(() => peer.received === expected.length);
  assert.equal(peer.text(), expected);
});

test("a reset while bytes wait for the kernel closes once, and the memory comes back", async (t) => {
  const made = bench(t);
  const { listener, door } = await listening(made);
  const socket = await client(t, listener);
  const peer = await door.link();
  socket.pause();
  const packet = Buffer.alloc(60_000, 1);
  while (peer.link.output.hasRoom(8 * 1024 * 1024)) {
    peer.link.output.append(packet, 0, packet.length);
    await turn();
    if (made.transport.flusher.busy.size > 0 && peer.link.output.pendingBytes > 600_000) break;
  }
  assert.ok(peer.link.output.pendingBytes > 0);
  socket.resetAndDestroy();
  await peer.until(() => peer.closes === 1);
  await turn();
  peer.link.output.append(packet, 0, packet.length);
  await turn();
  assert.equal(peer.closes, 1);
  assert.equal(made.transport.flusher.buffers.bytesInUse, 0);
  assert.equal(made.transport.flusher.busy.size, 0);
});

test("a firehose leaves the others their share of a turn", async (t) => {
  const made = bench(t);
  const { listener, door } = await listening(made);
  const [fast, slow] = [await client(t, listener), await client(t, listener)];
  const [firehose, other] = [await door.link(0), await door.link(1)];
  fast.write(Buffer.alloc(READ_BUDGET_BYTES * 8));
  const perTurn: number[] = [];
  while (firehose.received < READ_BUDGET_BYTES * 8) {
    const before = firehose.received;
    await turn();
    perTurn.push(firehose.received - before);
  }
  assert.ok(Math.max(...perTurn) <= READ_BUDGET_BYTES + 2 * 65_536, `at most ${Math.max(...perTurn)} bytes in a turn`);
  slow.write("me too");
  await other.until(() => other.text() === "me too");
});

test("the memory of what was read goes back when the handler has seen it", async (t) => {
  const { listener, door } = await listening(bench(t));
  const socket = await client(t, listener);
  const peer = await door.link();
  const seen: Buffer[] = [];
  const onData = peer.onData.bind(peer);
  peer.onData = (chunk) => {
    seen.push(chunk);
    onData(chunk);
  };
  const sent = Buffer.alloc(300_000, 7);
  socket.write(sent);
  await peer.until((self) => self.received === sent.length);
  await turn();
  assert.deepEqual(Buffer.concat(peer.chunks), sent);
  assert.ok(peer.chunks.some(({ length }) => length >= 1024));
  for (const [i, { length }] of peer.chunks.entries()) assert.equal(seen[i]?.length, length < 1024 ? length : 0);
});

test("end sends what is in the output, then FIN, and reads no more", async (t) => {
  const { listener, door } = await listening(bench(t));
  const socket = await client(t, listener);
  const peer = await door.link();
  const packet = Buffer.alloc(200_000, 3);
  peer.link.output.append(packet, 0, packet.length);
  peer.link.output.append(Buffer.from("bye"), 0, 3);
  peer.link.end();
  peer.link.end();
  peer.link.output.append(Buffer.from("late"), 0, 4);
  socket.write("unheard");
  const all = await readToEnd(socket);
  assert.equal(all.length, 200_003);
  assert.equal(all.subarray(-3).toString(), "bye");
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.closed, null);
  assert.equal(peer.received, 0);
});

test("end destroys the link when the peer takes nothing for 2 s", async (t) => {
  const made = bench(t, { outputBytes: 64 * 1024 * 1024 });
  const { listener, door } = await listening(made);
  const socket = await client(t, listener);
  socket.pause();
  const peer = await door.link();
  const block = Buffer.alloc(60_000, 3);
  while (peer.link.output.pendingBytes < 2_000_000) {
    peer.link.output.append(block, 0, block.length);
    peer.link.output.flush();
  }
  const startMs = performance.now();
  peer.link.end();
  await peer.until(() => peer.closes === 1);
  const tookMs = performance.now() - startMs;
  assert.ok(tookMs >= 1990 && tookMs < 6000, `${tookMs} ms`);
  assert.equal(made.counters.get("transport.output_bytes"), 0);
});

test("a peer that half-closes gets what the output held", async (t) => {
  const { listener, door } = await listening(bench(t));
  const socket = await client(t, listener);
  const peer = await door.link();
  const onData = peer.onData.bind(peer);
  peer.onData = (chunk) => {
    onData(chunk);
    peer.link.output.append(Buffer.from("answer"), 0, 6);
  };
  socket.end("question");
  assert.equal(String(await readToEnd(socket)), "answer");
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.text(), "question");
  assert.equal(peer.closed, null);
});

test("a reset by the peer is told in words, once", async (t) => {
  const { listener, door } = await listening(bench(t));
  const socket = await client(t, listener);
  const peer = await door.link();
  socket.resetAndDestroy();
  await peer.until(() => peer.closes === 1);
  assert.equal(peer.closed, "connection reset by peer (ECONNRESET)");
  peer.link.output.append(Buffer.from("x"), 0, 1);
  peer.link.end();
  peer.link.destroy();
  await turn();
  assert.equal(peer.closes, 1);
});

test("a port in use names the listener", async (t) => {
  const made = bench(t);
  const { listener } = await listening(made);
  const port = portOf(listener);
  await assert.rejects(listening(made, port), {
    name: "ListenerError",
    message: `listener 0 (mqtt 127.0.0.1:${port}): address in use`,
  });
});

test("an address that is not ours names the listener", async (t) => {
  const { transport } = bench(t);
  const options = { transport, index: 3, type: "mqtt", host: "192.0.2.1", port: 1883 };
  await assert.rejects(
    listenTcp(options, () => {}),
    { message: "listener 3 (mqtt 192.0.2.1:1883): no such address on this machine (EADDRNOTAVAIL)" },
  );
});

test("a closed listener lets nobody in, and its links stay", async (t) => {
  const { listener, door } = await listening(bench(t));
  const socket = await client(t, listener);
  const peer = await door.link();
  await listener.close();
  const late = new Socket();
  late.connect(portOf(listener), "127.0.0.1");
  const [error] = await once(late, "error");
  assert.equal(error.code, "ECONNREFUSED");
  socket.write("still here");
  await peer.until(() => peer.text() === "still here");
});
