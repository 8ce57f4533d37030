import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { listedQueue, longestQueueIn, queueIn, sendQueueBytes } from "../../../src/transport/send-queue.ts";

const LIST = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1598
   1: 0100007F:C350 0100007F:22B3 01 00000A40:00000000 01:00000014 00000003     0        0 1599
   2: 0100007F:22B3 0100007F:C350 01 00000000:00000007 00:00000000 00000000     0        0 1600
`;

test("the queue of a connection is found by both of its ports", () => {
  assert.equal(queueIn(LIST, 50_000, 8883), 0xa40);
  assert.equal(queueIn(LIST, 8883, 50_000), 0);
  assert.equal(queueIn(LIST, 1, 2), 0);
  assert.equal(queueIn("", 50_000, 8883), 0);
});

test("for who must not take a no for a yes: the longest queue between two ports, and none when none is listed", () => {
  const twins = `${LIST}   3: 0200007F:C350 0200007F:22B3 01 00000A41:00000000 01:00000014 00000003     0        0 1601\n`;
  assert.equal(longestQueueIn(twins, 50_000, 8883)?.bytes, 0xa41);
  assert.equal(longestQueueIn(twins, 8883, 50_000)?.bytes, 0);
  assert.equal(longestQueueIn(twins, 1, 2), null);
});

test("a window that is closed is held while the peer answers for it, and not when it does not, or when bytes are in flight", () => {
  const line = (timer: string, probes: number): string =>
    `   1: 0100007F:C350 0100007F:22B3 01 00000A40:00000000 ${timer}:00000014 00000003  1000        ${probes} 1599 2 0\n`;
  assert.deepEqual(longestQueueIn(line("04", 0), 50_000, 8883), { bytes: 0xa40, held: true });
  assert.deepEqual(longestQueueIn(line("04", 1), 50_000, 8883), { bytes: 0xa40, held: false });
  assert.deepEqual(longestQueueIn(line("01", 0), 50_000, 8883), { bytes: 0xa40, held: false });
});

test("what a peer does not read piles up in the kernel, and is told", {
  skip: process.platform !== "linux",
}, async () => {
  const accepted: Socket[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => accepted.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  assert.equal(sendQueueBytes(socket), 0);
  assert.deepEqual(listedQueue(socket), { bytes: 0, held: false });
  while (socket.write(Buffer.alloc(65_536)));
  assert(sendQueueBytes(socket) > 0);
  assert((listedQueue(socket)?.bytes ?? 0) > 0);
  socket.destroy();
  assert.equal(listedQueue(socket), null);
  for (const other of accepted) other.destroy();
  server.close();
});
