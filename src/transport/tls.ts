/** Links over TLS. Loading this file loads node:tls. */

import type { Socket } from "node:net";
import { createServer, type Server, type TlsOptions } from "node:tls";
import type { TlsServerConfig } from "../config/listeners.ts";
import type { Accept } from "./link.ts";
import { type Listener, ListenerError, type ListenOptions, SocketListener, tcpName } from "./listener.ts";
import { certificateName } from "./peer-certificate.ts";
import { describeError } from "./socket-error.ts";
import { SocketLink } from "./socket-link.ts";
import { readTlsFiles } from "./tls-files.ts";
import type { Transport } from "./transport.ts";

export interface TlsListenOptions extends ListenOptions {
  readonly tls: TlsServerConfig;
}

/** @throws ListenerError */
export async function listenTls(options: TlsListenOptions, accept: Accept): Promise<Listener> {
  const { transport, index, type, host, port, tls } = options;
  const owner = `listener ${index}`;
  const server = createServer(tlsServerOptions(owner, tls, transport));
  server.on("secureConnection", (socket) => accept(new SocketLink(socket, transport, certificateName(socket))));
  reportHandshakeErrors(server, transport, tcpName(options));
  const listener = new SocketListener(transport, type, tcpName(options), true, (socket: Socket) => {
    server.emit("connection", socket);
  });
  await listener.open({ host, port });
  return new TlsListener(listener, server, owner, tls.clientCa !== null);
}

/** A listener whose certificates can be exchanged; ws and http over TLS use it too. */
export class TlsListener implements Listener {
  readonly type: string;
  readonly name: string;
  readonly address: string;
  readonly #listener: Listener;
  readonly #server: Server;
  readonly #owner: string;
  readonly #asksClients: boolean;

  constructor(listener: Listener, server: Server, owner: string, asksClients: boolean) {
    this.type = listener.type;
    this.name = listener.name;
    this.address = listener.address;
    this.#listener = listener;
    this.#server = server;
    this.#owner = owner;
    this.#asksClients = asksClients;
  }

  reload(tls: TlsServerConfig): () => void {
    if ((tls.clientCa !== null) !== this.#asksClients) {
      throw new ListenerError(`${this.#owner}: client_ca: adding or removing it needs a restart`);
    }
    const files = readTlsFiles(this.#owner, tls);
    return () => this.#server.setSecureContext(files);
  }

  /** Handshakes under way lead nowhere. */
  close(): Promise<void> {
    this.#server.removeAllListeners("secureConnection");
    this.#server.on("secureConnection", (socket) => socket.destroy());
    return this.#listener.close();
  }
}

/** @throws ListenerError about a file */
export function tlsServerOptions(owner: string, tls: TlsServerConfig, transport: Transport): TlsOptions {
  return {
    ...readTlsFiles(owner, tls),
    requestCert: tls.clientCa !== null,
    rejectUnauthorized: tls.clientCa !== null,
    handshakeTimeout: transport.connectTimeoutMs,
  };
}

/** Clients without a certificate, port scanners, old TLS versions: counted, told only to who debugs. */
export function reportHandshakeErrors(server: Server, transport: Transport, name: string): void {
  server.on("tlsClientError", (error, socket) => {
    const late = (error as NodeJS.ErrnoException).code === "ERR_TLS_HANDSHAKE_TIMEOUT";
    transport.refused(late ? "tls_timeout" : "tls_handshake");
    transport.log.debug("tls-handshake-failed", {
      listener: name,
      remote: socket.remoteAddress ?? "",
      error: describeError(error),
    });
    socket.destroy();
  });
}
