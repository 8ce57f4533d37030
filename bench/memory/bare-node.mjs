// What Node costs before it does anything: a server of TCP, TLS or WebSocket (ws, as in its documentation) that answers
// the first bytes of a connection with CONNACK; "sqlite" is TCP and an empty database in memory, for what the store's
// engine takes. bare-node.mjs tcp|sqlite|tls|ws [CERT KEY]; prints its port.
// Plain JavaScript: the type stripper would add 18 MB to what is measured.
import { createServer } from "node:net";

const [kind, cert, key] = process.argv.slice(2);
const CONNACK = Buffer.from([0x20, 2, 0, 0]);

if (kind === "ws") {
  const { WebSocketServer } = await import("ws");
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => {
    socket.on("error", () => {});
    socket.on("message", () => socket.send(CONNACK));
  });
  server.on("listening", () => process.stdout.write(`port ${server.address().port}\n`));
} else {
  const serve = (socket) => {
    socket.on("error", () => {});
    socket.on("data", () => socket.write(CONNACK));
  };
  let server;
  if (kind === "sqlite") {
    const { default: Database } = await import("better-sqlite3");
    new Database(":memory:").exec("CREATE TABLE message (seq INTEGER PRIMARY KEY, payload BLOB)");
  }
  if (kind === "tls") {
    // By require: an ES import of these would load what nobody uses.
    const { readFileSync } = process.getBuiltinModule("node:fs");
    const tls = process.getBuiltinModule("node:tls");
    server = tls.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, serve);
    server.on("tlsClientError", () => {});
  } else {
    server = createServer(serve);
  }
  server.listen(0, "127.0.0.1", () => process.stdout.write(`port ${server.address().port}\n`));
}
