/** Who a request says it is: HTTP Basic, or FluxMQ's user name header with a token. */
import type { IncomingMessage } from "node:http";
import type { LoginRequest } from "../../core/ports.ts";
import { addressAndPort, isLoopback, plainAddress } from "../../transport/peer-address.ts";
import { certificateName } from "../../transport/peer-certificate.ts";

export function loginOf(
  request: IncomingMessage,
  anonymous: LoginRequest["anonymous"],
  admit: () => boolean,
): LoginRequest {
  const { remoteAddress, remotePort } = request.socket;
  const address = plainAddress(remoteAddress ?? "");
  const login: LoginRequest = {
    clientId: headerOf(request, "x-fluxmq-client-id") ?? `http:${addressAndPort(address, remotePort ?? 0)}`,
    userName: headerOf(request, "x-fluxmq-username"),
    password: null,
    certificateName: certificateName(request.socket),
    loopback: isLoopback(address),
    anonymous,
    admit,
  };
  const authorization = request.headers.authorization;
  if (authorization !== undefined) takeAuthorization(login, authorization);
  return login;
}

/** RFC 7617 section 2: the user name ends at the first colon. Something else gives no name, and so no login. */
function takeAuthorization(login: LoginRequest, authorization: string): void {
  const blank = authorization.indexOf(" ");
  const scheme = authorization.slice(0, blank).toLowerCase();
  const value = authorization.slice(blank + 1).trim();
  if (scheme === "basic") {
    const pair = Buffer.from(value, "base64");
    const colon = pair.indexOf(":");
    login.userName = pair.toString("utf8", 0, colon < 0 ? pair.length : colon);
    login.password = colon < 0 ? Buffer.alloc(0) : pair.subarray(colon + 1);
  } else {
    login.userName ??= "";
    login.password = Buffer.from(value);
  }
}

function headerOf(request: IncomingMessage, name: string): string | null {
  const value = request.headers[name];
  return typeof value === "string" ? value : null;
}
