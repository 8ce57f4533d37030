/** Certificates and keys of a listener: read from files, checked as a whole before anything uses them. */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import type { TlsServerConfig } from "../config/listeners.ts";
import { ListenerError } from "./listener.ts";
import { describeError } from "./socket-error.ts";

export const TLS_VERSION_MIN = "TLSv1.2";
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * @param owner for the message, "listener 1"
 * @throws ListenerError: "listener 1: key gw.key: cannot be read: EACCES"
 */
export function readTlsFiles(owner: string, files: TlsServerConfig): SecureContextOptions {
  const cert = readPem(owner, "cert", files.cert);
  const key = readPem(owner, "key", files.key);
  check(owner, "cert", files.cert, { cert });
  check(owner, "key", files.key, { key });
  const options: SecureContextOptions = { cert, key, minVersion: TLS_VERSION_MIN };
  if (files.clientCa !== null) options.ca = readAuthorities(owner, "client_ca", files.clientCa);
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

/**
 * The certificates of authorities. OpenSSL would pass over one that it cannot read, and then trust nobody.
 * @throws ListenerError
 */
export function readAuthorities(owner: string, what: string, path: string): string[] {
  const certificates = readPem(owner, what, path).toString("latin1").match(CERTIFICATE) ?? [];
  if (certificates.length === 0) throw new ListenerError(`${owner}: ${what} ${path}: holds no certificate`);
  try {
    for (const certificate of certificates) new X509Certificate(certificate);
  } catch (error) {
    throw new ListenerError(`${owner}: ${what} ${path}: ${describeError(error)}`);
  }
  return certificates;
}

function check(owner: string, what: string, path: string, options: SecureContextOptions): void {
  try {
    createSecureContext(options);
  } catch (error) {
    throw new ListenerError(`${owner}: ${what} ${path}: ${describeError(error)}`);
  }
}
