/** Who a client certificate speaks for. */
import { crypto } from "../../base/crypto.ts";

/** In `subjectAltName`'s text; what holds a comma or a quote is written as a JSON string. */
const ALT_NAME = /(?:^|, )(?:DNS|URI|email):("(?:[^"\\]|\\.)*"|[^,]*)/;
const PRINTABLE = /^[^\u0000-\u001f\u007f-\u009f]+$/;

/**
 * CN of the subject, else the first name of the subjectAltName that is a host name, a URI or a mail address.
 * @param der a certificate that has been verified  @returns null = it has none that is printable
 */
export function nameInCertificate(der: Uint8Array): string | null {
  const certificate = new (crypto().X509Certificate)(der);
  const subject = certificate.toLegacyObject().subject as Record<string, string | string[] | undefined> | undefined;
  const common = subject?.["CN"];
  const name = (Array.isArray(common) ? common[0] : common) ?? altNameOf(certificate.subjectAltName);
  return name !== null && PRINTABLE.test(name) ? name : null;
}

function altNameOf(names: string | undefined): string | null {
  const name = ALT_NAME.exec(names ?? "")?.[1];
  if (name === undefined) return null;
  return name.startsWith('"') ? (JSON.parse(name) as string) : name;
}
