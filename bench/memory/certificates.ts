import { type CertificatePaths, makeCertificates } from "../../scripts/demo/certificates.ts";

/** Of the brokers that speak TLS, and the authority that vouches for them. */
export interface Certificates {
  readonly broker: CertificatePaths;
  /** Its path. */
  readonly ca: string;
}

export async function benchCertificates(directory: string): Promise<Certificates> {
  const { ca, issued } = await makeCertificates(directory, [{ name: "broker", usage: "server" }]);
  return { broker: issued[0]!, ca };
}
