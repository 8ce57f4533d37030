/** Links over WebSocket, plain or over TLS, both sides: the one door to the `ws` package. */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import type { TlsServerConfig } from "../config/listeners.ts";
import { listenHttp } from "./http.ts";
import type { Accept, Link } from "./link.ts";
import type { Listener, ListenOptions } from "./listener.ts";
import type { Transport } from "./transport.ts";
import { WsLink } from "./ws-link.ts";

/** What a link is made over. */
export type { WebSocket };

export interface WsListenOptions extends ListenOptions {
  /** Of the URL, "/mqtt". */
  readonly path: string;
  /** Pages that may connect, by their Origin; null = any. Clients that are no browsers send none, and may. */
  readonly origins: readonly string[] | null;
  /** Largest message taken; a larger one closes with 1009. */
  readonly messageBytesMax: number;
  readonly tls: TlsServerConfig | null;
}

/** [MQTT311-6.0.0-3] [MQTT5-6.0.0-3] */
const SUBPROTOCOL = "mqtt";

/**
 * Frames that one message may come in, and chunks of the stream in which one frame may: ws keeps an object for each, and
 * a fragment of one byte the whole chunk it came in. Beyond them it closes with 1008.
 */
const FRAGMENTS_MAX = 64;
const CHUNKS_MAX = 4096;

/** @throws ListenerError */
export function listenWs(options: WsListenOptions, accept: Accept): Promise<Listener> {
  const { transport } = options;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.messageBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: CHUNKS_MAX,
    handleProtocols: () => SUBPROTOCOL,
  });
  return listenHttp(
    { ...options, onTimeout: () => transport.refused("ws_timeout") },
    (_request, response) => {
      response.writeHead(426, { connection: "close", upgrade: "websocket", "content-type": "text/plain" });
      response.end("MQTT over WebSocket only\n");
    },
    (request, socket, head) => {
      const refusal = refusalOf(request, options);
      if (refusal !== null) {
        transport.refused(refusal.reason);
        refuse(socket, refusal.status);
        return;
      }
      server.handleUpgrade(request, socket, head, (ws) => accept(new WsLink(ws, socket as Socket, transport)));
    },
  );
}

interface Refusal {
  /** For the counter. */
  readonly reason: string;
  readonly status: string;
}

function refusalOf(request: IncomingMessage, options: WsListenOptions): Refusal | null {
  const [path] = (request.url ?? "").split("?", 1);
  if (path !== options.path) return { reason: "ws_path", status: "404 Not Found" };
  const { origin } = request.headers;
  if (options.origins !== null && origin !== undefined && !options.origins.includes(origin)) {
    return { reason: "ws_origin", status: "403 Forbidden" };
  }
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (!offered.includes(SUBPROTOCOL)) return { reason: "ws_subprotocol", status: "400 Bad Request" };
  return null;
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy());
}

/** Largest message taken from a server: one of MQTT's largest packets; a client's own limit holds for each packet. */
const SERVER_MESSAGE_BYTES_MAX = 268_435_460;

/** Exactly one is called, later. */
export interface WsOpening {
  onLink(link: Link): void;
  /** The socket is gone then. */
  onError(error: Error): void;
}

/** The client's side. @param socket connected, encrypted where wanted; the link's from here on  @param url host and path of the request */
export function connectWs(url: string, socket: Socket, transport: Transport, opening: WsOpening): void {
  const ws = new WebSocket(url, SUBPROTOCOL, {
    createConnection: () => socket,
    perMessageDeflate: false,
    followRedirects: false,
    maxPayload: SERVER_MESSAGE_BYTES_MAX,
  });
  const onError = (error: Error): void => {
    socket.destroy();
    opening.onError(new Error(handshakeWords(error.message)));
  };
  ws.once("error", onError);
  ws.once("open", () => {
    ws.off("error", onError);
    opening.onLink(new WsLink(ws, socket, transport));
  });
}

/** What `ws` says of a server that does not answer as it should. */
function handshakeWords(message: string): string {
  const status = /^Unexpected server response: (\d+)$/.exec(message)?.[1];
  if (status === "404") return "the server has no WebSocket under this path (404)";
  if (status === "401" || status === "403") return `the server does not allow the WebSocket (${status})`;
  if (status !== undefined) return `the server answers the WebSocket's request with ${status}`;
  if (/subprotocol/.test(message)) return "the server speaks WebSocket, but not MQTT over it";
  if (/Sec-WebSocket|Upgrade header/.test(message)) return `the server does not speak WebSocket (${message})`;
  return message;
}
