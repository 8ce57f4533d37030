/** The client's side of TLS. Loading this file loads node:tls. */
import { isIP, type Socket } from "node:net";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import type { TlsClientConfig } from "../config/uplinks.ts";
import { describeError } from "./socket-error.ts";
import { readAuthorities, readPem, TLS_VERSION_MIN } from "./tls-files.ts";

/**
 * The peer's certificate is always verified.
 * @param socket connected; a TLS socket that connects by itself would not tell the bytes on the link
 * @param host of the server, for SNI and its certificate
 * @throws ListenerError about a file
 */
export function connectTls(socket: Socket, host: string, tls: TlsClientConfig): TLSSocket {
  const options: ConnectionOptions = { socket, host, minVersion: TLS_VERSION_MIN };
  const servername = tls.servername ?? (isIP(host) === 0 ? host : null);
  if (servername !== null) options.servername = servername;
  if (tls.alpn.length > 0) options.ALPNProtocols = [...tls.alpn];
  if (tls.ca !== null) options.ca = readAuthorities("tls", "ca", tls.ca);
  if (tls.cert !== null) options.cert = readPem("tls", "cert", tls.cert);
  if (tls.key !== null) options.key = readPem("tls", "key", tls.key);
  return connect(options);
}

/**
 * Says what a handshake failed of, with the day if the server's certificate has expired: node has let go of the
 * certificate when it reports the error, so it is looked at before.
 */
export function handshakeErrors(socket: TLSSocket): (error: Error) => string {
  let validTo = Number.NaN;
  socket.prependOnceListener("secure", () => {
    validTo = Date.parse(socket.getPeerCertificate().valid_to ?? "");
  });
  return (error) => {
    const words = describeError(error);
    if ((error as { code?: unknown }).code !== "CERT_HAS_EXPIRED" || Number.isNaN(validTo)) return words;
    return words.replace("has expired", `expired on ${new Date(validTo).toISOString().slice(0, 10)}`);
  };
}
