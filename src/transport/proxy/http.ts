/**
 * CONNECT to an HTTP proxy. Loading this file loads node:http, whose parser reads the answer: it bounds the header (16 KiB)
 * and takes nothing that is no HTTP.
 * @see RFC 9110 section 9.3.6
 */
import { type IncomingMessage, request } from "node:http";
import type { Socket } from "node:net";
import { addressAndPort } from "../peer-address.ts";
import { ProxyError, type ProxyRequest } from "./request.ts";

/** The server is not there, or its name; tinyproxy says 500. */
const UNREACHED = [500, 502, 503, 504];
/** A proxy's own words are cut here. */
const STATUS_CHARACTERS_MAX = 100;

/** @throws ProxyError */
export function connectThrough(socket: Socket, { host, port, username, password }: ProxyRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = addressAndPort(host, port);
    const headers: Record<string, string> = { host: server };
    if (username !== null) {
      headers["proxy-authorization"] = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
    }
    const asked = request({ method: "CONNECT", path: server, headers, createConnection: () => socket });
    asked.once("connect", (answer, _socket, head) => {
      const refusal = refusalOf(answer, username !== null);
      if (refusal !== null) {
        reject(new ProxyError(refusal, UNREACHED.includes(answer.statusCode ?? 0)));
        return;
      }
      if (head.length > 0) socket.unshift(head);
      resolve();
    });
    asked.once("error", (error) => reject(new ProxyError(errorWords(error))));
    asked.end();
  });
}

function refusalOf({ statusCode = 0, statusMessage = "" }: IncomingMessage, withUser: boolean): string | null {
  if (statusCode >= 200 && statusCode < 300) return null;
  const said = `${statusCode} ${statusMessage}`.trim().slice(0, STATUS_CHARACTERS_MAX);
  if (UNREACHED.includes(statusCode)) return `it does not reach the server (${said})`;
  switch (statusCode) {
    case 401: // tinyproxy
    case 407:
      return withUser
        ? `it refuses the user name or password (${said})`
        : `it wants a user name and password (${said})`;
    case 403:
    case 405:
      return `it does not allow connections to this server or port (${said})`;
    default:
      return `it refuses the connection (${said})`;
  }
}

function errorWords(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "HPE_HEADER_OVERFLOW") return "its answer is too long";
  if (code?.startsWith("HPE_")) return `it does not answer as HTTP proxies do (${code})`;
  return code === "ECONNRESET" ? "closed the connection without an answer" : error.message;
}
