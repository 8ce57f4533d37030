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
 * Says what a handshake failed of, with the days that the server's certificate is valid: node has let go of it when it
 * reports the error, so it is looked at before.
 */
export function handshakeErrors(socket: TLSSocket): (error: Error) => string {
  let from = Number.NaN;
  let to = Number.NaN;
  socket.prependOnceListener("secure", () => {
    const { valid_from, valid_to } = socket.getPeerCertificate();
    from = Date.parse(valid_from ?? "");
    to = Date.parse(valid_to ?? "");
  });
  return (error) => datesWords((error as { code?: unknown }).code, from, to, Date.now()) ?? describeError(error);
}

/** @returns null when the error is not about dates */
function datesWords(code: unknown, from: number, to: number, nowMs: number): string | null {
  const today = dayOf(nowMs);
  if (code === "CERT_HAS_EXPIRED" && to < nowMs) return `the certificate expired on ${dayOf(to)} (${code})`;
  // The server's own is good.
  if (code === "CERT_HAS_EXPIRED" && to >= nowMs) return `a certificate of the server's issuer has expired (${code})`;
  if (code === "CERT_NOT_YET_VALID" && from > nowMs)
    return `the certificate is not valid yet: it begins on ${dayOf(from)}, and the clock here says ${today} (${code})`;
  return null;
}

function dayOf(wallMs: number): string {
  return new Date(wallMs).toISOString().slice(0, 10);
}
