/** What lies between the gateway and its cloud: a relay that is cut, or lets nobody through for a while. */
import { createConnection, createServer, type Socket } from "node:net";

export class Relay {
  readonly port: number;
  cuts = 0;
  readonly #close: () => void;
  readonly #sockets: Set<Socket>;
  readonly #gate: { open: boolean };

  private constructor(port: number, close: () => void, sockets: Set<Socket>, gate: { open: boolean }) {
    this.port = port;
    this.#close = close;
    this.#sockets = sockets;
    this.#gate = gate;
  }

  static async start(targetPort: number): Promise<Relay> {
    const sockets = new Set<Socket>();
    const gate = { open: true };
    const server = createServer((near) => {
      if (!gate.open) {
        near.resetAndDestroy();
        return;
      }
      const far = createConnection(targetPort, "127.0.0.1");
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        from.on("error", () => {});
        from.on("close", () => {
          sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    });
    server.listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as { port: number };
    return new Relay(port, () => server.close(), sockets, gate);
  }

  /** Cuts what is there, and lets nobody through until `open`. */
  cut(): void {
    this.cuts++;
    this.#gate.open = false;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  open(): void {
    this.#gate.open = true;
  }

  close(): void {
    this.#close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
