/** When a password expires that is a token: a JSON Web Token (RFC 7519, `exp`) or a shared access signature (Azure, `se`). */

/** Longer ones are no tokens. */
const TOKEN_BYTES_MAX = 16 * 1024;
/** Seconds since 1970; what lies beyond the year 9999 is no date. */
const SECONDS_MAX = 253_402_300_799;

/** The signature is not looked at: the server does that. @returns Unix ms; null = it is no token, or does not expire */
export function expiryOf(password: Buffer): number | null {
  if (password.length > TOKEN_BYTES_MAX) return null;
  const text = password.toString("latin1");
  const seconds = text.startsWith("SharedAccessSignature ") ? signatureExpiry(text) : webTokenExpiry(text);
  return seconds !== null && seconds > 0 && seconds <= SECONDS_MAX ? seconds * 1000 : null;
}

function signatureExpiry(text: string): number | null {
  const [, seconds] = /[ &]se=(\d{1,12})(?:&|$)/.exec(text) ?? [];
  return seconds === undefined ? null : Number(seconds);
}

function webTokenExpiry(text: string): number | null {
  const [, payload] = /^[\w-]+\.([\w-]+)\.[\w-]*$/.exec(text) ?? [];
  if (payload === undefined) return null;
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString());
    const { exp } = claims as { exp?: unknown };
    return typeof exp === "number" ? exp : null;
  } catch {
    return null;
  }
}
