/** The client's side of TLS. Loading this file loads node:tls. */
import { isIP, type Socket, type TcpNetConnectOpts } from "node:net";
import { type ConnectionOptions, connect } from "node:tls";
import type { TlsClientConfig } from "../config/uplinks.ts";
import { readAuthorities, readPem, TLS_VERSION_MIN } from "./tls-files.ts";

/** The peer's certificate is always verified. @throws ListenerError about a file */
export function connectTls(tcp: TcpNetConnectOpts, tls: TlsClientConfig): Socket {
  const options: ConnectionOptions = { ...(tcp as ConnectionOptions), minVersion: TLS_VERSION_MIN };
  const host = tcp.host ?? "";
  const servername = tls.servername ?? (isIP(host) === 0 ? host : null);
  if (servername !== null) options.servername = servername;
  if (tls.alpn.length > 0) options.ALPNProtocols = [...tls.alpn];
  if (tls.ca !== null) options.ca = readAuthorities("tls", "ca", tls.ca);
  if (tls.cert !== null) options.cert = readPem("tls", "cert", tls.cert);
  if (tls.key !== null) options.key = readPem("tls", "key", tls.key);
  return connect(options);
}
