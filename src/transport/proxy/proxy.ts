/**
 * The way through a proxy: over a connection to it, one to the server. The proxy looks the server's name up. What speaks
 * to which kind of proxy is loaded when it is needed.
 */
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { ProxyConfig } from "../../config/uplink-urls.ts";
import { describeError } from "../socket-error.ts";
import { ProxyError } from "./request.ts";

/**
 * Whose socket it is watches for its errors and the time.
 * @param socket connected to the proxy, with nobody listening for data
 * @throws ProxyError
 */
export async function throughProxy(
  socket: Socket,
  proxy: ProxyConfig,
  server: { readonly host: string; readonly port: number; readonly timeoutMs: number },
): Promise<void> {
  const { kind, username, passwordFile } = proxy;
  const { host, port, timeoutMs } = server;
  const password = passwordFile === null ? "" : await readPassword(passwordFile);
  const request = { host, port, timeoutMs, username, password };
  if (kind === "http") await (await import("./http.ts")).connectThrough(socket, request);
  else await (await import("./socks.ts")).connectThrough(socket, request);
}

async function readPassword(path: string): Promise<string> {
  try {
    return (await readFile(path, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    throw new ProxyError(`proxy_password_file ${path}: ${describeError(error)}`);
  }
}
