/**
 * Node's HTTP server looks at its deadlines once a second, whether anybody could miss one or not: of 1.6 times a second
 * that a gateway with an HTTP listener woke up at rest, that was one. Here it looks only while a connection is open that
 * was not upgraded.
 */
import type { Server } from "node:http";
import type { Duplex } from "node:stream";

/** What is used of the server: "listening" makes it begin to look, `close` makes it stop; it never listens itself. */
export type Watched = Pick<Server, "emit" | "close">;

export class DeadlineWatch {
  readonly #server: Watched;
  #open = 0;

  constructor(server: Watched) {
    this.#server = server;
    server.emit("listening"); // connections from before the first time would not be looked at
    server.close();
  }

  /** A connection whose bytes are HTTP. */
  enter(socket: Duplex): void {
    if (this.#open++ === 0) this.#server.emit("listening");
    socket.once("close", this.#leave);
  }

  /** It speaks something else from here on. */
  upgraded(socket: Duplex): void {
    socket.off("close", this.#leave);
    this.#leave();
  }

  readonly #leave = (): void => {
    if (--this.#open === 0) this.#server.close();
  };
}
