/** The files that a configuration names: can they be read, and are they what they should be? */
import type { KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { crypto } from "../base/crypto.ts";
import type { Config } from "./config.ts";

type Complain = (path: string, problem: string, advice: string) => void;

/** Certificates, keys and password files are small; a device or a log given by mistake is not read to its end. */
export const FILE_BYTES_MAX = 4 * 2 ** 20;

export function checkFiles(config: Config, complain: Complain): void {
  for (const [i, { tls, coap }] of config.listeners.entries()) {
    if (tls !== null) checkServerFiles(`listeners[${i}].tls`, tls, complain);
    const dtls = coap?.dtls ?? null;
    if (dtls === null) continue;
    const path = `listeners[${i}].dtls`;
    if (dtls.pskFile !== null) readText(`${path}.psk_file`, dtls.pskFile, complain);
    checkServerFiles(path, dtls, complain);
  }
  for (const [i, { tls, passwordFile, proxy }] of config.uplinks.entries()) {
    if (passwordFile !== null) readText(`uplinks[${i}].password_file`, passwordFile, complain);
    const proxyPasswordFile = proxy?.passwordFile ?? null;
    if (proxyPasswordFile !== null) readText(`uplinks[${i}].proxy_password_file`, proxyPasswordFile, complain);
    if (tls === null) continue;
    const path = `uplinks[${i}].tls`;
    if (tls.ca !== null) readCertificate(`${path}.ca`, tls.ca, complain);
    if (tls.cert !== null && tls.key !== null) checkPair(`${path}.cert`, tls.cert, `${path}.key`, tls.key, complain);
  }
  const { passwordFile, aclFile } = config.auth;
  if (passwordFile !== null) readText("auth.password_file", passwordFile, complain);
  if (aclFile !== null) readText("auth.acl_file", aclFile, complain);
}

interface ServerFiles {
  readonly cert: string | null;
  readonly key: string | null;
  readonly clientCa: string | null;
}

function checkServerFiles(path: string, { cert, key, clientCa }: ServerFiles, complain: Complain): void {
  if (cert !== null && key !== null) checkPair(`${path}.cert`, cert, `${path}.key`, key, complain);
  if (clientCa !== null) readCertificate(`${path}.client_ca`, clientCa, complain);
}

/** @throws Error with a message for people */
export function readSmallFile(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > FILE_BYTES_MAX) throw new Error(`it is larger than ${FILE_BYTES_MAX / 2 ** 20} MiB`);
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new Error(`cannot read ${file}: ${reasonOf(error)}`);
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "no such file",
  EACCES: "permission denied",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is no folder",
};

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ""] ?? message;
}

function readText(path: string, file: string, complain: Complain): string | null {
  try {
    return readSmallFile(file);
  } catch (error) {
    complain(path, (error as Error).message, "give a file that the gateway's user may read");
    return null;
  }
}

function readCertificate(path: string, file: string, complain: Complain): X509Certificate | null {
  const text = readText(path, file, complain);
  if (text === null) return null;
  try {
    return new (crypto().X509Certificate)(text);
  } catch {
    complain(path, `${file} holds no certificate in PEM`, 'it must begin with "-----BEGIN CERTIFICATE-----"');
    return null;
  }
}

function readKey(path: string, file: string, complain: Complain): KeyObject | null {
  const text = readText(path, file, complain);
  if (text === null) return null;
  try {
    return crypto().createPrivateKey(text);
  } catch {
    if (text.includes("ENCRYPTED"))
      complain(path, `${file} is encrypted`, "give a key without passphrase; its file mode protects it");
    else complain(path, `${file} holds no private key in PEM`, 'it must begin with "-----BEGIN PRIVATE KEY-----"');
    return null;
  }
}

function checkPair(certPath: string, certFile: string, keyPath: string, keyFile: string, complain: Complain): void {
  const cert = readCertificate(certPath, certFile, complain);
  const key = readKey(keyPath, keyFile, complain);
  if (cert !== null && key !== null && !cert.checkPrivateKey(key)) {
    complain(keyPath, `${keyFile} does not belong to the certificate ${certFile}`, "give the key it was made with");
  }
}
