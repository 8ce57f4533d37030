/**
 * HTTP servers: admission, header and request deadlines, limits; what a request means is the caller's. Loading this
 * file loads node:http, and node:https where TLS is asked for. Bodies are not read here: their limit is the caller's.
 */

import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TlsServerConfig } from "../config/listeners.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import { type Listener, type ListenOptions, SocketListener, tcpName } from "./listener.ts";
import type { Transport } from "./transport.ts";

export interface HttpDeadlines {
  /** From the connection, or the end of the previous request, to the end of the headers. */
  readonly headersMs: number;
  /** For the whole request. */
  readonly requestMs: number;
  /** That a connection without a request stays open. */
  readonly keepAliveMs: number;
}

export interface HttpListenOptions extends ListenOptions {
  readonly tls: TlsServerConfig | null;
  readonly deadlines?: HttpDeadlines;
  /** The headers did not come in time; the connection is closed. */
  readonly onTimeout?: () => void;
}

export type OnRequest = (request: IncomingMessage, response: ServerResponse) => void;
/** The socket's to the callee, headers read; `head` is what came behind them. */
export type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

const REQUEST_MS = 30_000;
const KEEP_ALIVE_MS = 15_000;
const HEADER_BYTES_MAX = 8 * 1024;
const HEADERS_MAX = 64;
/** Requests under way when the listener closes have this long. */
const CLOSE_DEADLINE_MS = 2000;

/** @throws ListenerError */
export async function listenHttp(
  options: HttpListenOptions,
  onRequest: OnRequest,
  onUpgrade?: OnUpgrade,
): Promise<Listener> {
  const { transport, type, index, host, port, tls } = options;
  const deadlines = options.deadlines ?? deadlinesOf(transport.connectTimeoutMs);
  const serverOptions: ServerOptions = {
    headersTimeout: deadlines.headersMs,
    requestTimeout: deadlines.requestMs,
    keepAliveTimeout: deadlines.keepAliveMs,
    connectionsCheckingInterval: Math.min(1000, deadlines.headersMs),
    maxHeaderSize: HEADER_BYTES_MAX,
  };
  if (tls === null) {
    const server = createServer(serverOptions);
    if (options.onTimeout !== undefined) watchTimeouts(server, options.onTimeout);
    return open(transport, type, tcpName(options), host, port, server, false, onRequest, onUpgrade);
  }
  const [https, ours] = await Promise.all([import("node:https"), import("./tls.ts")]);
  const server = https.createServer({
    ...serverOptions,
    ...ours.tlsServerOptions(`listener ${index}`, tls, transport),
  });
  if (options.onTimeout !== undefined) watchTimeouts(server, options.onTimeout);
  ours.reportHandshakeErrors(server, transport, tcpName(options));
  const listener = await open(transport, type, tcpName(options), host, port, server, true, onRequest, onUpgrade);
  return new ours.TlsListener(listener, server, `listener ${index}`, tls.clientCa !== null);
}

/** The whole request has at least as long as its headers. */
function deadlinesOf(headersMs: number): HttpDeadlines {
  return { headersMs, requestMs: Math.max(REQUEST_MS, headersMs), keepAliveMs: KEEP_ALIVE_MS };
}

/** Answers as node does, and tells of deadlines. For servers whose connections have one request. */
function watchTimeouts(server: Server, onTimeout: () => void): void {
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const late = error.code === "ERR_HTTP_REQUEST_TIMEOUT";
    if (late) onTimeout();
    const status = late ? "408 Request Timeout" : "400 Bad Request";
    if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
    else socket.destroy();
  });
}

async function open(
  transport: Transport,
  type: string,
  name: string,
  host: string,
  port: number,
  server: Server,
  handshake: boolean,
  onRequest: OnRequest,
  onUpgrade: OnUpgrade | undefined,
): Promise<Listener> {
  server.maxHeadersCount = HEADERS_MAX;
  server.on("request", onRequest);
  const deadlines = new DeadlineWatch(server);
  server.on(handshake ? "secureConnection" : "connection", (socket: Duplex) => deadlines.enter(socket));
  if (onUpgrade !== undefined) {
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      deadlines.upgraded(socket);
      onUpgrade(request, socket, head);
    });
  }
  const listener = new SocketListener(transport, type, name, handshake, (socket: Socket) => {
    server.emit("connection", socket);
    if (!handshake) socket.resume(); // TLS reads from the handle below
  });
  await listener.open({ host, port });
  return new HttpListener(listener, server);
}

class HttpListener implements Listener {
  readonly type: string;
  readonly name: string;
  readonly address: string;
  readonly #listener: Listener;
  readonly #server: Server;

  constructor(listener: Listener, server: Server) {
    this.type = listener.type;
    this.name = listener.name;
    this.address = listener.address;
    this.#listener = listener;
    this.#server = server;
  }

  /** Requests under way are answered first, for 2 s at most. Upgraded connections stay. */
  async close(): Promise<void> {
    await this.#listener.close();
    this.#server.removeAllListeners("upgrade");
    this.#server.close();
    this.#server.closeIdleConnections();
    setTimeout(() => this.#server.closeAllConnections(), CLOSE_DEADLINE_MS).unref();
  }
}
