// npm's aedes as the broker at the other end of an uplink: MQTT 3.1.1, sessions in memory, a plain listener.
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Aedes } from "aedes";

export class AedesBroker {
  readonly port: number;
  readonly #broker: Aedes;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;

  constructor(broker: Aedes, server: Server, sockets: ReadonlySet<Socket>) {
    this.#broker = broker;
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
  }

  static async start(): Promise<AedesBroker> {
    const broker = await Aedes.createBroker();
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      broker.handle(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new AedesBroker(broker, server, sockets);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await new Promise<void>((resolve) => this.#broker.close(() => resolve()));
  }
}
