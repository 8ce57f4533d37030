// Certificates for localhost whose days a test chooses, of an authority of their own.
import { generateKeyPairSync } from "node:crypto";
import forge from "node-forge";

export interface DatedCertificate {
  /** PEM. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

interface Days {
  /** "2024-01-01" */
  readonly from: string;
  readonly to: string;
}

/** @param issuer  the days of the authority's own certificate */
export function datedCertificate(
  days: Days,
  issuer: Days = { from: "2024-01-01", to: "2100-01-01" },
): DatedCertificate {
  const authority = keys();
  const own = keys();
  const issue = (subject: string, publicKey: forge.pki.PublicKey, { from, to }: Days, extensions: object[]): string => {
    const certificate = forge.pki.createCertificate();
    certificate.publicKey = publicKey;
    certificate.serialNumber = "01";
    certificate.validity.notBefore = new Date(from);
    certificate.validity.notAfter = new Date(to);
    certificate.setSubject([{ name: "commonName", value: subject }]);
    certificate.setIssuer([{ name: "commonName", value: "Dated CA" }]);
    certificate.setExtensions(extensions);
    certificate.sign(authority.privateKey, forge.md.sha256.create());
    return forge.pki.certificateToPem(certificate);
  };
  const localhost = { name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] };
  return {
    ca: issue("Dated CA", authority.publicKey, issuer, [{ name: "basicConstraints", cA: true }]),
    cert: issue("cloud", own.publicKey, days, [localhost]),
    key: own.pem,
  };
}

function keys(): { privateKey: forge.pki.rsa.PrivateKey; publicKey: forge.pki.rsa.PublicKey; pem: string } {
  const { privateKey: pem } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  const privateKey = forge.pki.privateKeyFromPem(pem);
  return { pem, privateKey, publicKey: forge.pki.setRsaPublicKey(privateKey.n, privateKey.e) };
}
