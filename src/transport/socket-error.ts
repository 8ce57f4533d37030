/** Trouble with sockets in words that a person can act on; the code stays in brackets for those who search for it. */
const WORDS: Record<string, string> = {
  EADDRINUSE: "address in use",
  EADDRNOTAVAIL: "no such address on this machine",
  EACCES: "permission denied",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by peer",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ENETDOWN: "network down",
  ENOENT: "no such file or directory",
  ENOTFOUND: "name not found",
  EAI_AGAIN: "name server does not answer",
  EPIPE: "peer closed",
  ETIMEDOUT: "timed out",
  CERT_HAS_EXPIRED: "the certificate has expired",
  CERT_SIGNATURE_FAILURE: "the certificate's issuer is not trusted",
  CERT_NOT_YET_VALID: "the certificate is not valid yet (is the clock right?)",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the certificate is self-signed and not trusted",
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate's issuer is not trusted",
  UNABLE_TO_GET_ISSUER_CERT: "the certificate's issuer is not trusted",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the certificate's issuer is not trusted",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the certificate's issuer is not trusted",
};

/** Error texts come from peers, too: no longer than this. */
const CHARACTERS_MAX = 300;

export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error).slice(0, CHARACTERS_MAX);
  const { code, reason, errors } = error as { code?: unknown; reason?: unknown; errors?: unknown };
  // net's "happy eyeballs" collects one error per address.
  if (Array.isArray(errors) && errors.length > 0) return describeError(errors[0]);
  if (typeof code !== "string") return error.message.slice(0, CHARACTERS_MAX);
  const words = WORDS[code];
  if (words !== undefined) return `${words} (${code})`;
  const text = typeof reason === "string" ? reason : error.message;
  return `${text.slice(0, CHARACTERS_MAX)} (${code})`;
}
