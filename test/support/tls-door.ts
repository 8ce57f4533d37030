// A door in front of a plain MQTT broker: TLS with client certificates and an ALPN name that is demanded, as clouds have
// it on port 443. (Mosquitto's own listener, 2.0.11, looks at no ALPN name.) It accepts a connection only when the broker
// behind it does.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import {
  type AddressInfo,
  connect,
  createServer as createListener,
  type Server as Listener,
  type Socket,
} from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { CertificatePaths } from "../../scripts/demo/certificates.ts";
import type { Tap } from "./bad-link.ts";

/** What AWS IoT Core calls MQTT with client certificates on port 443. */
export const ALPN_NAME = "x-amzn-mqtt-ca";

export interface DoorOptions {
  readonly ca: string;
  readonly server: CertificatePaths;
  readonly targetPort: number;
  /** Sees what is inside. */
  readonly tap?: (() => Tap) | null;
}

export class TlsDoor {
  /** Connections that came without the name: they are closed. Another name is refused in the handshake. */
  nameless = 0;
  readonly #listener: Listener;
  readonly #tls: Server;
  readonly #sockets = new Set<Socket>();
  readonly #options: DoorOptions;
  /** By the port that the gateway's side came from. */
  readonly #brokers = new Map<number, Socket>();

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#tls = createServer(
      { ...filesOf(options.ca, options.server), requestCert: true, ALPNProtocols: [ALPN_NAME] },
      (secure) => this.#opened(secure),
    );
    this.#tls.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#listener = createListener({ pauseOnConnect: true }, (socket) => this.#onConnection(socket));
  }

  static async open(options: DoorOptions): Promise<TlsDoor> {
    const door = new TlsDoor(options);
    door.#listener.listen(0, "127.0.0.1");
    await once(door.#listener, "listening");
    return door;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** From the next connection on. */
  show(server: CertificatePaths): void {
    this.#tls.setSecureContext(filesOf(this.#options.ca, server));
  }

  /** Its broker first: a door whose broker is not there is closed. */
  #onConnection(socket: Socket): void {
    this.#keep(socket);
    socket.setNoDelay(true);
    const broker = connect({ port: this.#options.targetPort, host: "127.0.0.1", noDelay: true });
    this.#keep(broker);
    broker.once("error", () => socket.resetAndDestroy());
    broker.once("connect", () => {
      this.#brokers.set(socket.remotePort as number, broker);
      this.#tls.emit("connection", socket);
      socket.once("close", () => broker.destroy());
    });
  }

  #opened(secure: TLSSocket): void {
    const port = secure.remotePort as number;
    const broker = this.#brokers.get(port) as Socket;
    this.#brokers.delete(port);
    secure.on("error", () => {}); // "close" follows
    if (secure.alpnProtocol !== ALPN_NAME) {
      this.nameless++;
      secure.destroy();
      return;
    }
    const tap = this.#options.tap?.() ?? null;
    secure.on("close", () => broker.destroy());
    broker.on("close", () => secure.destroySoon());
    secure.on("data", (chunk: Buffer) => {
      tap?.up(chunk);
      if (!broker.write(chunk)) secure.pause();
    });
    broker.on("data", (chunk: Buffer) => {
      tap?.down(chunk);
      if (!secure.write(chunk)) broker.pause();
    });
    broker.on("drain", () => secure.resume());
    secure.on("drain", () => broker.resume());
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {}); // "close" follows
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#listener.close();
    await once(this.#listener, "close");
  }
}

function filesOf(ca: string, { cert, key }: CertificatePaths): { ca: Buffer; cert: Buffer; key: Buffer } {
  return { ca: readFileSync(ca), cert: readFileSync(cert), key: readFileSync(key) };
}
