/**
 * A thread that sends one kind of packet on many connections as fast as the gateway takes it, and counts what comes back.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import { connect, pingreq, publish, subscribe, unsubscribe } from "./mqtt-packets.ts";

/**
 * `replay` subscribes to everything again and again, `filters` to thousands of filters with one packet; `crumbs` are
 * pings of which each byte comes by itself.
 */
export type Storm = "firehose" | "subscribe" | "ping" | "crumbs" | "replay" | "filters";

export interface StormOrder {
  readonly port: number;
  /** With TLS a record, with WebSocket a message holds one packet. */
  readonly over: "tcp" | "tls" | "ws";
  readonly storm: Storm;
  readonly connections: number;
  /** Bytes that each connection has got back: written as they come. */
  readonly answers: SharedArrayBuffer;
}

const { port, over, storm, connections, answers } = workerData as StormOrder;
const counts = new Int32Array(answers);

const FILTERS = 4000;
const PACKETS: Record<Storm, (index: number) => readonly Buffer[]> = {
  firehose: (index) => [publish(4, { topic: `storm/${index}`, payload: "x".repeat(64) })],
  subscribe: (index) => [
    subscribe(4, 1, [`s/${index}/+`, 0], [`t/${index}`, 0]),
    unsubscribe(4, 2, `s/${index}/+`, `t/${index}`),
  ],
  ping: () => [pingreq()],
  crumbs: () => [pingreq()],
  replay: () => [subscribe(4, 1, ["#", 0])],
  filters: (index) => {
    const filters = Array.from({ length: FILTERS }, (_, i) => `${index}/${i % 90}`);
    return [subscribe(4, 1, ...filters.map((filter): [string, number] => [filter, 0])), unsubscribe(4, 2, ...filters)];
  },
};
const CHUNK_BYTES = 64 * 1024;
const UPGRADE =
  "GET /mqtt HTTP/1.1\r\nHost: storm\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: c3Rvcm0gc3Rvcm0gc3Rvcg==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

for (let index = 0; index < connections; index++) open(index);
parentPort?.postMessage("open");

function open(index: number): void {
  const to = { port, host: "127.0.0.1" };
  const socket = over === "tls" ? connectTls({ ...to, rejectUnauthorized: false }) : connectTcp(to);
  socket.setNoDelay(true);
  socket.on("error", () => {});
  if (over === "ws") {
    socket.write(UPGRADE);
    socket.once("data", () => begin(socket, index));
  } else {
    begin(socket, index);
  }
}

function begin(socket: Socket, index: number): void {
  socket.on("data", (chunk: Buffer) => Atomics.add(counts, index, chunk.length));
  const packets = PACKETS[storm](index).map(framed);
  socket.write(framed(connect({ version: 4, clientId: `${storm}-${index}` })));
  if (storm === "firehose") socket.write(framed(subscribe(4, 1, [`storm/${index}`, 0])));
  if (storm === "crumbs") drip(socket, Buffer.concat(packets));
  else if (over === "tls") pour(socket, packets);
  else pour(socket, [manyOf(packets)]);
}

/** As the link carries it: over WebSocket in a binary message, masked with zeros. */
function framed(packet: Buffer): Buffer {
  if (over !== "ws") return packet;
  const { length } = packet;
  const head = length < 126 ? [0x82, 0x80 | length] : [0x82, 0x80 | 126, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), Buffer.alloc(4), packet]);
}

function manyOf(packets: readonly Buffer[]): Buffer {
  const round = Buffer.concat(packets);
  return Buffer.concat(new Array<Buffer>(Math.ceil(CHUNK_BYTES / round.length)).fill(round));
}

/** One after the other, for ever. */
function pour(socket: Socket, chunks: readonly Buffer[]): void {
  let next = 0;
  const more = (): void => {
    while (socket.write(chunks[next++ % chunks.length] as Buffer));
  };
  socket.on("drain", more);
  more();
}

/** A segment for each byte. */
function drip(socket: Socket, round: Buffer): void {
  let at = 0;
  const more = (): void => {
    const byte = at++ % round.length;
    socket.write(round.subarray(byte, byte + 1), () => setImmediate(more));
  };
  more();
}
