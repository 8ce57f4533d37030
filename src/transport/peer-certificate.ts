import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

/** CN of the peer's certificate if there is one and it has been verified; null otherwise, and for plain sockets. */
export function certificateName(socket: Socket): string | null {
  if (!("authorized" in socket) || socket.authorized !== true) return null;
  const name: string | string[] | undefined = (socket as TLSSocket).getPeerCertificate().subject?.CN;
  return (Array.isArray(name) ? name[0] : name) ?? null;
}
