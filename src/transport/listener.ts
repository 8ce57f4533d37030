/**
 * What all stream listeners have in common: a bound server socket whose connections pass admission before anything
 * reads from them, and an error that says which listener could not be opened.
 */
import { chmodSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import type { TlsServerConfig } from "../config/listeners.ts";
import type { Gate } from "./admission.ts";
import { addressAndPort } from "./peer-address.ts";
import { describeError } from "./socket-error.ts";
import type { Transport } from "./transport.ts";

export interface Listener {
  readonly type: string;
  /** "listener 0 (mqtt 127.0.0.1:1883)", as configured. */
  readonly name: string;
  /** As bound: "127.0.0.1:1883" or "unix:/run/sluice/mqtt.sock". */
  readonly address: string;
  /**
   * Reads certificates and keys anew and judges them.
   * @returns puts them to use: it cannot fail  @throws ListenerError
   */
  reload?(tls: TlsServerConfig): () => void;
  /** The same where all files that it was opened with are read anew. @throws ListenerError */
  reread?(): Reread;
  /** Stops accepting, and drops those who have not become links yet. Links stay. */
  close(): Promise<void>;
}

/** Files that have been read anew and judged. */
export interface Reread {
  /** "keys and certificates" */
  readonly what: string;
  /** Puts them to use; cannot fail. */
  readonly apply: () => void;
}

/** What every listener is told. */
export interface ListenOptions {
  readonly transport: Transport;
  /** Its place in the configuration. */
  readonly index: number;
  /** "mqtt", "ws", "http", ...: for people. */
  readonly type: string;
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
}

/** Where to listen: TCP, or a unix socket with the permissions of its file. */
export type Bind = { readonly host: string; readonly port: number } | { readonly path: string; readonly mode: number };

/** A listener cannot be opened or reloaded, in words for who configured it. */
export class ListenerError extends Error {
  override readonly name: string = "ListenerError";
}

/** This machine or build lacks what the listener is made with: it alone is refused, the gateway runs. */
export class ListenerUnavailable extends ListenerError {
  override readonly name = "ListenerUnavailable";
}

/** Sends the first keep-alive probe to a silent peer after this. */
const KEEP_ALIVE_DELAY_MS = 120_000;
/**
 * Connections that the kernel completes ahead of us; who finds no place tries again after 1, 3 and 7 s. 10,000 clients
 * at once are in after 3.2 s, with 511 after 7.2 s. Linux has no more unless net.core.somaxconn says so.
 */
const BACKLOG = 4096;

export function tcpName(options: ListenOptions): string {
  return `listener ${options.index} (${options.type} ${addressAndPort(options.host, options.port)})`;
}

export class SocketListener implements Listener, Gate {
  readonly type: string;
  readonly name: string;
  readonly handshake: boolean;
  readonly #transport: Transport;
  readonly #server: Server;
  readonly #onSocket: (socket: Socket) => void;
  #address = "";

  /** @param onSocket  takes an admitted socket, paused and never read from */
  constructor(
    transport: Transport,
    type: string,
    name: string,
    handshake: boolean,
    onSocket: (socket: Socket) => void,
  ) {
    this.#transport = transport;
    this.type = type;
    this.name = name;
    this.handshake = handshake;
    this.#onSocket = onSocket;
    this.#server = createServer({
      pauseOnConnect: true,
      noDelay: true,
      allowHalfOpen: false,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY_MS,
    });
    this.#server.on("connection", (socket) => this.#transport.admission.arrive(socket, this));
  }

  get address(): string {
    return this.#address;
  }

  /** @throws ListenerError, naming the listener */
  open(bind: Bind): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = (error: Error) => reject(new ListenerError(`${this.name}: ${bindWords(error)}`));
      this.#server.once("error", refuse);
      this.#server.once("listening", () => {
        this.#server.off("error", refuse);
        this.#server.on("error", (error) => this.#onAcceptError(error));
        const bound = this.#server.address();
        if (bound !== null && typeof bound === "object") this.#address = addressAndPort(bound.address, bound.port);
        else this.#address = `unix:${bound}`;
        resolve();
      });
      if ("path" in bind) this.#listenOnPath(bind.path, bind.mode);
      else this.#server.listen({ host: bind.host, port: bind.port, backlog: BACKLOG });
    });
  }

  enter(socket: Socket): void {
    this.#onSocket(socket);
  }

  /** Links stay, so this does not wait for the server's own "close". */
  close(): Promise<void> {
    this.#server.close();
    this.#transport.admission.forget(this);
    return Promise.resolve();
  }

  /** The socket file is never open to more than `mode` says, not even between bind and chmod. */
  #listenOnPath(path: string, mode: number): void {
    const umask = process.umask(0o177);
    try {
      this.#server.listen({ path, backlog: BACKLOG });
    } finally {
      process.umask(umask);
    }
    if (this.#server.listening) chmodSync(path, mode);
  }

  /** Out of descriptors or memory: the kernel's queue keeps who wants in. */
  #onAcceptError(error: Error): void {
    this.#transport.refused("accept");
    this.#transport.log.error("accept-failed", { listener: this.name, error: describeError(error) });
  }
}

function bindWords(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code;
  return code === "EADDRINUSE" ? "address in use" : describeError(error);
}
