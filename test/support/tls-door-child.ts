// The process behind TlsDoor (tls-door.ts): tells its parent the port, and takes other certificates from it.
import { readFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { createServer, type TLSSocket } from "node:tls";

export interface DoorFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

const [targetPort, alpn, files] = process.argv.slice(2) as [string, string, string];

function read({ ca, cert, key }: DoorFiles): { ca: Buffer; cert: Buffer; key: Buffer } {
  return { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
}

function onConnection(secure: TLSSocket): void {
  secure.on("error", () => {}); // "close" follows
  secure.setNoDelay(true);
  if (secure.alpnProtocol !== alpn) {
    process.send?.({ nameless: true });
    secure.destroy();
    return;
  }
  const broker = connect({ port: Number(targetPort), host: "127.0.0.1", noDelay: true });
  broker.on("error", () => {});
  broker.on("close", () => secure.destroySoon());
  secure.on("close", () => broker.destroy());
  secure.pipe(broker).pipe(secure);
}

const server = createServer(
  { ...read(JSON.parse(files) as DoorFiles), requestCert: true, ALPNProtocols: [alpn] },
  onConnection,
);
server.on("tlsClientError", (_error, socket) => socket.destroy());
process.on("message", (show: DoorFiles) => {
  server.setSecureContext(read(show));
  process.send?.({ shown: true });
});
process.on("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
