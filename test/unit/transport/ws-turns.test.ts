import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { WebSocket } from "ws";
import { REST_BYTES_MAX } from "../../../src/transport/turn-queue.ts";
import { listenWs } from "../../../src/transport/ws.ts";
import { bench, Door, portOf, type Recorder } from "./fixture.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const numbered = (bytes: number): Buffer => Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => i % 251));

async function connected(t: TestContext) {
  const made = bench(t);
  const door = new Door();
  const listener = await listenWs(
    {
      transport: made.transport,
      index: 0,
      type: "ws",
      host: "127.0.0.1",
      port: 0,
      path: "/mqtt",
      origins: null,
      messageBytesMax: 200_000,
      tls: null,
    },
    door.accept,
  );
  made.listeners.push(listener);
  const ws = new WebSocket(`ws://127.0.0.1:${portOf(listener)}/mqtt`, ["mqtt"]);
  ws.on("error", () => {});
  t.after(() => ws.terminate());
  await once(ws, "open");
  return { ...made, ws, peer: await door.link() };
}

/** Takes so many bytes at a time and puts the others back. @returns bytes of each call */
function sipping(peer: Recorder, sipBytes: number): { sips: number[]; refused: number } {
  const seen = { sips: [] as number[], refused: 0 };
  const { link } = peer;
  link.handler = {
    onData(chunk: Buffer): void {
      const takes = Math.min(sipBytes, chunk.length);
      const waits = takes < chunk.length && link.putBack?.(chunk, takes, chunk.length) === true;
      if (takes < chunk.length && !waits) seen.refused++;
      seen.sips.push(waits ? takes : chunk.length);
      peer.onData(waits ? chunk.subarray(0, takes) : chunk);
    },
    onClose: (error) => peer.onClose(error),
    onDrain(): void {},
  };
  return seen;
}

/** As messages of `size(i)` bytes, written in one go. */
function sendAll(ws: WebSocket, bytes: Buffer, size: (i: number) => number): void {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const end = Math.min(at + size(i), bytes.length);
    ws.send(bytes.subarray(at, end));
    at = end;
  }
}

for (const [title, bytes, sip, size] of [
  ["small messages", 60_000, 100, (i: number) => 1 + (i % 40)],
  ["messages of all sizes", 300_000, 1000, (i: number) => 1 + ((i * 7919) % 9000)],
  ["large messages that small ones follow", 600_000, 3000, (i: number) => (i % 3 === 0 ? 150_000 : 1 + (i % 200))],
] as const) {
  test(`what a handler puts back of ${title} comes again in later turns, in order and before what follows`, async (t) => {
    const { ws, peer, counters } = await connected(t);
    const seen = sipping(peer, sip);
    const sent = numbered(bytes);
    sendAll(ws, sent, size);
    let perTurn = 0;
    while (peer.received < sent.length) {
      const before = seen.sips.length;
      await turn();
      perTurn = Math.max(perTurn, seen.sips.length - before);
    }
    assert.deepEqual(Buffer.concat(peer.chunks), sent);
    assert.ok(perTurn <= 3, `${perTurn} times in a turn`);
    assert.equal(seen.refused, 0);
    assert.equal(counters.get("transport.rest_bytes"), 0);
    assert.equal(counters.get("transport.turns_overrun"), 0);
    assert.ok((counters.get("transport.turns_cut") ?? 0) > bytes / sip / 4);
  });
}

test("a read of thousands of messages is given to ws in slices, and a turn has some hundreds", async (t) => {
  const { ws, peer, counters } = await connected(t);
  const sent = numbered(40_000);
  sendAll(ws, sent, () => 2);
  let perTurn = 0;
  while (peer.received < sent.length) {
    const before = peer.received;
    await turn();
    perTurn = Math.max(perTurn, peer.received - before);
  }
  assert.deepEqual(Buffer.concat(peer.chunks), sent);
  // 255 and a slice of 512 more, once with a rest and once with what is read then.
  assert.ok(perTurn <= 2 * 2 * 767, `${perTurn} bytes in a turn`);
  assert.ok((counters.get("transport.turns_cut") ?? 0) > 10);
});

test("without room for rests all is handed on at once, in order", async (t) => {
  const { ws, peer, transport, counters } = await connected(t);
  assert.equal(transport.flusher.turns.hold(REST_BYTES_MAX), true);
  const seen = sipping(peer, 50);
  const sent = numbered(20_000);
  sendAll(ws, sent, () => 100);
  await peer.until(() => peer.received === sent.length);
  assert.deepEqual(Buffer.concat(peer.chunks), sent);
  assert.ok(seen.refused > 0);
  assert.ok((counters.get("transport.turns_overrun") ?? 0) > 0);
});

for (const how of ["end", "destroy"] as const) {
  test(`a link that is closed by ${how} forgets its rest and its place in the queue`, async (t) => {
    const { ws, peer, counters } = await connected(t);
    sipping(peer, 10);
    sendAll(ws, numbered(100_000), () => 500);
    await peer.until(() => peer.received >= 20);
    peer.link[how]();
    await peer.until(() => peer.closed !== undefined);
    assert.equal(counters.get("transport.rest_bytes"), 0);
    assert.equal(counters.get("transport.links_waiting_turn"), 0);
    if (how === "end") assert.equal(peer.closed, null);
  });
}

test("a paused link with a rest gets it when it is resumed", async (t) => {
  const { ws, peer } = await connected(t);
  const seen = sipping(peer, 10);
  ws.send(numbered(25));
  await peer.until(() => peer.received === 10);
  peer.link.pause();
  for (let i = 0; i < 20; i++) await turn();
  assert.deepEqual(seen.sips, [10]);
  peer.link.resume();
  await peer.until(() => peer.received === 25);
  assert.deepEqual(Buffer.concat(peer.chunks), numbered(25));
});

test("a link that is paused in the middle of a read, and asks for a turn afterwards, loses nothing", async (t) => {
  const { ws, peer } = await connected(t);
  const { link } = peer;
  let paused = false;
  link.handler = {
    onData(chunk: Buffer): void {
      peer.onData(chunk);
      if (peer.received < 100 || paused) return;
      paused = true;
      link.pause();
    },
    onClose: (error) => peer.onClose(error),
    onDrain(): void {},
  };
  const sent = numbered(20_000);
  sendAll(ws, sent, () => 2);
  await peer.until(() => paused);
  for (let i = 0; i < 20; i++) await turn();
  const before = peer.received;
  assert.ok(before < sent.length);
  link.resume();
  assert.equal(link.putBack?.(Buffer.alloc(0), 0, 0), true);
  await peer.until(() => peer.received === sent.length);
  assert.deepEqual(Buffer.concat(peer.chunks), sent);
});
