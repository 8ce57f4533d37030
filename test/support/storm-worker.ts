/** A thread that sends one kind of packet on many connections as fast as the gateway takes it, and counts what comes back. */
import { connect as connectTcp, type Socket } from "node:net";
import { parentPort, workerData } from "node:worker_threads";
import { connect, pingreq, publish, subscribe, unsubscribe } from "./mqtt-packets.ts";

export type Storm = "firehose" | "subscribe" | "ping" | "crumbs";

export interface StormOrder {
  readonly port: number;
  readonly storm: Storm;
  readonly connections: number;
  /** Bytes that each connection has got back: written as they come. */
  readonly answers: SharedArrayBuffer;
}

const { port, storm, connections, answers } = workerData as StormOrder;
const counts = new Int32Array(answers);

const PACKETS: Record<Storm, (index: number) => readonly Buffer[]> = {
  firehose: (index) => [publish(4, { topic: `storm/${index}`, payload: "x".repeat(64) })],
  subscribe: (index) => [
    subscribe(4, 1, [`s/${index}/+`, 0], [`t/${index}`, 0]),
    unsubscribe(4, 2, `s/${index}/+`, `t/${index}`),
  ],
  ping: () => [pingreq()],
  crumbs: () => [pingreq()],
};
const CHUNK_BYTES = 64 * 1024;

for (let index = 0; index < connections; index++) open(index);
parentPort?.postMessage("open");

function open(index: number): void {
  const socket = connectTcp({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => Atomics.add(counts, index, chunk.length));
  socket.write(connect({ version: 4, clientId: `${storm}-${index}` }));
  if (storm === "firehose") socket.write(subscribe(4, 1, [`storm/${index}`, 0]));
  const packets = PACKETS[storm](index);
  const round = Buffer.concat(packets);
  if (storm === "crumbs") drip(socket, round);
  else pour(socket, Buffer.concat(new Array(Math.ceil(CHUNK_BYTES / round.length)).fill(round)));
}

function pour(socket: Socket, chunk: Buffer): void {
  const more = (): void => {
    while (socket.write(chunk));
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
