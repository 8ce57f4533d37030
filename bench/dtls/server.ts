/**
 * An echo server of the addon on node:dgram, and nothing else: server.ts OPTIONS, JSON of the paths of cert, key, ca and of
 * requireClientCert. Prints its port as a line of JSON. On loopback nothing is lost: it has no timers.
 */
import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import {
  CLOSED,
  DATA,
  type DtlsSession,
  FAILED,
  loadDtls,
  OUTPUT,
  RECORD_BYTES_MAX,
} from "../../src/native/dtls/binding.ts";

const { cert, key, ca, requireClientCert } = JSON.parse(process.argv[2] ?? "{}") as {
  cert: string;
  key: string;
  ca: string;
  requireClientCert: boolean;
};
const addon = loadDtls();
if (typeof addon === "string") throw new Error(addon);
const context = new addon.DtlsContext({
  role: "server",
  cert: readFileSync(cert),
  key: readFileSync(key),
  ca: readFileSync(ca),
  requireClientCert,
  psk: [{ identity: Buffer.from("bench"), key: Buffer.from("0123456789abcdef") }],
});
/** By port: all clients are on 127.0.0.1. */
const sessions = new Map<number, DtlsSession>();
const into = Buffer.alloc(RECORD_BYTES_MAX);
const peer = Buffer.alloc(6);

const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
socket.on("message", (datagram, { port }) => {
  const session = sessions.get(port);
  if (session === undefined) {
    peer.writeUInt16BE(port, 4);
    const answer = context.hello(datagram, peer);
    if (answer instanceof Uint8Array) socket.send(answer, port, "127.0.0.1");
    else if (answer !== null) {
      sessions.set(port, answer);
      flush(answer, port);
    }
    return;
  }
  let bits = session.receive(datagram);
  if ((bits & DATA) !== 0) {
    let count = session.read(into);
    for (; count > 0; count = session.read(into)) bits |= session.send(into, 0, count);
    bits |= -count;
  }
  if ((bits & OUTPUT) !== 0) flush(session, port);
  if ((bits & (CLOSED | FAILED)) === 0) return;
  session.close();
  flush(session, port);
  session.free();
  sessions.delete(port);
});
socket.bind(0, "127.0.0.1", () => console.log(JSON.stringify({ port: socket.address().port })));

function flush(session: DtlsSession, port: number): void {
  for (let datagram = session.takeOutput(); datagram !== null; datagram = session.takeOutput())
    socket.send(datagram, port, "127.0.0.1");
}
