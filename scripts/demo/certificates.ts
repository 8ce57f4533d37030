/**
 * A certificate authority and the certificates it issued, made on the spot: node itself makes keys but no
 * certificates, and a fresh machine need not have openssl. For demo and tests; they are valid for 30 days.
 */
import { generateKeyPair, randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import forge from "node-forge";

const DAY_MS = 86_400_000;
const KEY_BITS = 2048;

export interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateRequest {
  /** File name without ending, and Common Name. */
  readonly name: string;
  /** With `server`, the certificate is valid for localhost, 127.0.0.1 and ::1. */
  readonly usage: "server" | "client";
  /** Its end; in 30 days unless given. */
  readonly notAfter?: Date;
}

interface Issuer {
  readonly subject: forge.pki.CertificateField[];
  readonly key: forge.pki.rsa.PrivateKey;
}

/**
 * Writes `ca.pem` and, for each request, `<name>.pem` and `<name>.key` (0600) into `directory`.
 * @returns the path of the CA's certificate and those of each request, in order
 */
export async function makeCertificates(
  directory: string,
  requests: readonly CertificateRequest[],
): Promise<{ ca: string; issued: CertificatePaths[] }> {
  mkdirSync(directory, { recursive: true });
  const [caKeys, ...keys] = await Promise.all([rsaKeys(), ...requests.map(rsaKeys)]);
  const authority: Issuer = { subject: [{ name: "commonName", value: "Demo CA" }], key: caKeys!.privateKey };
  const ca = `${directory}/ca.pem`;
  writeFileSync(ca, issue(authority, authority.subject, caKeys!.publicKey, caExtensions()));
  const issued = requests.map(({ name, usage, notAfter }, i) => {
    const paths = { cert: `${directory}/${name}.pem`, key: `${directory}/${name}.key` };
    const subject = [{ name: "commonName", value: name }];
    writeFileSync(paths.cert, issue(authority, subject, keys[i]!.publicKey, extensionsFor(usage), notAfter));
    writeFileSync(paths.key, keys[i]!.pem, { mode: 0o600 });
    return paths;
  });
  return { ca, issued };
}

/** From node: forge would take seconds to find the primes. */
async function rsaKeys(): Promise<forge.pki.rsa.KeyPair & { pem: string }> {
  const { privateKey: pem } = await promisify(generateKeyPair)("rsa", {
    modulusLength: KEY_BITS,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  const privateKey = forge.pki.privateKeyFromPem(pem);
  return { pem, privateKey, publicKey: forge.pki.setRsaPublicKey(privateKey.n, privateKey.e) };
}

function issue(
  issuer: Issuer,
  subject: forge.pki.CertificateField[],
  publicKey: forge.pki.rsa.PublicKey,
  extensions: object[],
  notAfter = new Date(Date.now() + 30 * DAY_MS),
): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  certificate.serialNumber = `01${randomBytes(15).toString("hex")}`; // positive, as RFC 5280 section 4.1.2.2 asks
  certificate.validity.notBefore = new Date(Math.min(Date.now(), notAfter.getTime()) - DAY_MS);
  certificate.validity.notAfter = notAfter;
  certificate.setSubject(subject);
  certificate.setIssuer(issuer.subject);
  certificate.setExtensions(extensions);
  certificate.sign(issuer.key, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate);
}

function caExtensions(): object[] {
  return [
    { name: "basicConstraints", cA: true, critical: true },
    { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    { name: "subjectKeyIdentifier" },
  ];
}

function extensionsFor(usage: CertificateRequest["usage"]): object[] {
  const DNS = 2;
  const IP = 7;
  const altNames = [
    { type: DNS, value: "localhost" },
    { type: IP, ip: "127.0.0.1" },
    { type: IP, ip: "::1" },
  ];
  return [
    { name: "basicConstraints", cA: false },
    { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
    { name: "extKeyUsage", serverAuth: usage === "server", clientAuth: usage === "client" },
    ...(usage === "server" ? [{ name: "subjectAltName", altNames }] : []),
  ];
}
