/**
 * A SOCKS 5 proxy: the one door to the `socks` package. The server's name goes to the proxy as it is.
 * @see RFC 1928, RFC 1929
 */
import type { Socket } from "node:net";
import { SocksClient } from "socks";
import { ProxyError, type ProxyRequest } from "./request.ts";

/** Length of user name and password is one byte on the wire. */
const CREDENTIAL_BYTES_MAX = 255;

/** What the package calls the proxy's reply codes, at the end of its message. */
const REPLIES: Readonly<Record<string, string>> = {
  Failure: "it failed (general failure)",
  NotAllowed: "it does not allow connections to this server or port",
  NetworkUnreachable: "it does not reach the server: network unreachable",
  HostUnreachable: "it does not reach the server: host unreachable, or its name not found",
  ConnectionRefused: "the server refused its connection",
  TTLExpired: "it does not reach the server: too many hops",
  CommandNotSupported: "it does not know how to connect",
  AddressNotSupported: "it does not take names or addresses of this kind",
};

/** The server is not there, or its name. */
const UNREACHED = ["Failure", "NetworkUnreachable", "HostUnreachable", "ConnectionRefused", "TTLExpired"];

/** @throws ProxyError */
export async function connectThrough(socket: Socket, request: ProxyRequest): Promise<void> {
  const { host, port, username, password, timeoutMs } = request;
  for (const text of [username ?? "", password]) {
    if (Buffer.byteLength(text) > CREDENTIAL_BYTES_MAX)
      throw new ProxyError(`the user name or password is longer than ${CREDENTIAL_BYTES_MAX} bytes`);
  }
  try {
    await SocksClient.createConnection({
      command: "connect",
      destination: { host, port },
      // Host and port of the proxy are those of the socket, but the package wants to be told.
      proxy: {
        host: socket.remoteAddress ?? "",
        port: socket.remotePort ?? 0,
        type: 5,
        ...(username === null ? {} : { userId: username, password }),
      },
      existing_socket: socket,
      timeout: timeoutMs,
    });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ProxyError(
      errorWords(message, username !== null),
      UNREACHED.some((code) => message.endsWith(` ${code}`)),
    );
  }
}

function errorWords(message: string, withUser: boolean): string {
  const reply = REPLIES[message.slice(message.lastIndexOf(" ") + 1)];
  if (reply !== undefined) return reply;
  if (/Authentication failed/i.test(message)) return "it refuses the user name or password";
  if (/no accepted auth/i.test(message))
    return withUser ? "it takes no user name and password" : "it wants a user name and password";
  if (/unknown auth|invalid socks version|InvalidSocks/i.test(message)) return "it does not answer as SOCKS 5 does";
  if (/Socket closed/i.test(message)) return "closed the connection without an answer";
  return /rejected connection/i.test(message) ? "it refuses the connection" : message;
}
