/** Certificates and keys of a listener: read from files, checked as a whole before anything uses them. */

import { readFileSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { TlsServerConfig } from "../config/listeners.ts";
import { ListenerError } from "./listener.ts";

export const TLS_VERSION_MIN = "TLSv1.2";

/**
 * @param owner for the message, "listener 1"
 * @throws ListenerError: "listener 1: key gw.key: cannot be read: EACCES"
 */
export function readTlsFiles(owner: string, files: TlsServerConfig): SecureContextOptions {
  const cert = readPem(owner, "cert", files.cert);
  const key = readPem(owner, "key", files.key);
  const ca = files.clientCa === null ? undefined : readPem(owner, "client_ca", files.clientCa);
  check(owner, "cert", files.cert, { cert });
  check(owner, "key", files.key, { key });
  if (ca !== undefined) check(owner, "client_ca", files.clientCa ?? "", { ca });
  const options: SecureContextOptions = { cert, key, minVersion: TLS_VERSION_MIN };
  if (ca !== undefined) options.ca = ca;
  check(owner, "key", `${files.key} does not belong to cert ${files.cert}`, options);
  return options;
}

/** @throws ListenerError */
export function readPem(owner: string, what: string, path: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new ListenerError(`${owner}: ${what} ${path}: cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (!bytes.includes("-----BEGIN ")) throw new ListenerError(`${owner}: ${what} ${path}: is not in PEM format`);
  return bytes;
}

function check(owner: string, what: string, path: string, options: SecureContextOptions): void {
  try {
    createSecureContext(options);
  } catch (error) {
    const { code, reason, message } = error as { code?: string; reason?: string; message: string };
    throw new ListenerError(`${owner}: ${what} ${path}: ${reason ?? message} (${code ?? "no code"})`);
  }
}
