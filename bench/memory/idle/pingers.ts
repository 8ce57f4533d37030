/** Clients that are there and say so from time to time, each at a moment of its own. */
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { connect, pingreq } from "../../../test/support/mqtt-packets.ts";

const KEEP_ALIVE_SECONDS = 60;

export class Pingers {
  /** A little less than the Keep Alive, as clients do. */
  static readonly INTERVAL_SECONDS = 54;
  readonly #sockets: Socket[] = [];
  readonly #timers: NodeJS.Timeout[] = [];

  static async connect(port: number, count: number): Promise<Pingers> {
    const pingers = new Pingers();
    for (let i = 0; i < count; i++) await pingers.#add(port, i);
    const intervalMs = Pingers.INTERVAL_SECONDS * 1_000;
    for (const [i, socket] of pingers.#sockets.entries()) {
      const ping = (): void => {
        socket.write(pingreq());
        pingers.#timers[i] = setTimeout(ping, intervalMs);
      };
      pingers.#timers[i] = setTimeout(ping, (i / count) * intervalMs);
    }
    return pingers;
  }

  leave(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
  }

  async #add(port: number, i: number): Promise<void> {
    const socket = createConnection(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(connect({ version: 4, clientId: `idle-${i}`, keepAliveSeconds: KEEP_ALIVE_SECONDS }));
    await once(socket, "data"); // CONNACK
    socket.resume();
    this.#sockets.push(socket);
  }
}
