/**
 * SCRAM-SHA-256 without channel binding: proof of a password that never travels, in two messages each way. Pure: texts
 * in, texts out.
 *
 *     client-first   n,,n=user,r=nonce                    server-first   r=nonce+ours,s=salt,i=iterations
 *     client-final   c=biws,r=nonce+ours,p=proof          server-final   v=signature
 *
 * The client derives the key (PBKDF2); the server does a few HMACs, so a login costs it microseconds.
 *
 * @see RFC 5802, RFC 7677
 */
import { crypto } from "../base/crypto.ts";

export const SCRAM_SHA_256 = "SCRAM-SHA-256";
/** RFC 7677 section 4 asks for at least as many. */
export const SCRAM_ITERATIONS_MIN = 4096;
/** Of a client's message: a user name, a nonce and what there is around them. */
export const SCRAM_MESSAGE_BYTES_MAX = 512;
/** Of a nonce; RFC 5802 has no limit. */
const NONCE_CHARACTERS_MAX = 128;
const KEY_BYTES = 32;

/** What a server keeps of a password: it can check a proof, not make one. */
export interface ScramRecord {
  readonly iterations: number;
  readonly salt: Buffer;
  /** 32 bytes each. */
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

/** What a step of the server found. */
export const SCRAM_OK = 0;
/** No SCRAM message in its form, or one that asks for what is not there (channel binding, another identity). */
export const SCRAM_MALFORMED = 1;
export const SCRAM_UNKNOWN_USER = 2;
export const SCRAM_WRONG_PROOF = 3;

/** The server's side of one exchange. Holds less than 2 KiB. */
export class ScramServer {
  /** Who the client says it is; proven once `final` answered SCRAM_OK. */
  user = "";
  /** What is to be sent after a step that answered SCRAM_OK. */
  answer = "";
  #gs2Header = "";
  #nonce = "";
  #record: ScramRecord | null = null;
  /** client-first-bare and server-first, as the proof covers them. */
  #messages = "";

  /**
   * @param message     client-first, at most SCRAM_MESSAGE_BYTES_MAX bytes are looked at
   * @param serverNonce printable, without a comma; new for each exchange
   * @param recordOf    the user's record, null when there is none
   */
  first(message: Buffer, serverNonce: string, recordOf: (user: string) => ScramRecord | null): number {
    const text = textOf(message);
    // A client that could bind the channel but thinks that we cannot ("y") is right.
    const header = /^[ny],(?:a=([^,]*))?,/.exec(text);
    if (header === null) return SCRAM_MALFORMED;
    const bare = text.slice(header[0].length);
    const fields = /^n=([^,]+),r=([^,]+)(?:,[a-z]=.*)?$/i.exec(bare);
    if (fields === null) return SCRAM_MALFORMED;
    const user = unescapeName(fields[1] as string);
    const clientNonce = fields[2] as string;
    if (user === null || !isNonce(clientNonce)) return SCRAM_MALFORMED;
    // Nobody acts for somebody else here.
    if (header[1] !== undefined && unescapeName(header[1]) !== user) return SCRAM_MALFORMED;
    this.user = user;
    this.#record = recordOf(user);
    if (this.#record === null) return SCRAM_UNKNOWN_USER;
    this.#gs2Header = header[0];
    this.#nonce = clientNonce + serverNonce;
    const { salt, iterations } = this.#record;
    this.answer = `r=${this.#nonce},s=${salt.toString("base64")},i=${iterations}`;
    this.#messages = `${bare},${this.answer}`;
    return SCRAM_OK;
  }

  /** @param message client-final; only after `first` answered SCRAM_OK */
  final(message: Buffer): number {
    const text = textOf(message);
    const fields = /^c=([A-Za-z0-9+/=]+),r=([^,]+)(?:,[a-z]=[^,]*)*,p=([A-Za-z0-9+/=]+)$/i.exec(text);
    const record = this.#record;
    if (fields === null || record === null) return SCRAM_MALFORMED;
    const [, binding = "", nonce = "", proofText = ""] = fields;
    if (Buffer.from(binding, "base64").toString() !== this.#gs2Header) return SCRAM_MALFORMED;
    if (nonce !== this.#nonce) return SCRAM_MALFORMED;
    const proof = Buffer.from(proofText, "base64");
    if (proof.length !== KEY_BYTES) return SCRAM_WRONG_PROOF;
    const covered = `${this.#messages},${text.slice(0, text.lastIndexOf(",p="))}`;
    const clientKey = xor(proof, hmac(record.storedKey, covered));
    if (!crypto().timingSafeEqual(sha256(clientKey), record.storedKey)) return SCRAM_WRONG_PROOF;
    this.answer = `v=${hmac(record.serverKey, covered).toString("base64")}`;
    return SCRAM_OK;
  }

  /** Whether the proof was of the password of `now`, the user's record by now. */
  isOf(now: ScramRecord | null): boolean {
    return now !== null && this.#record !== null && now.storedKey.equals(this.#record.storedKey);
  }
}

/** The client's side of one exchange. */
export class ScramClient {
  /** client-first. */
  readonly first: string;
  readonly #bare: string;
  readonly #nonce: string;
  readonly #password: string;
  #serverSignature = "";

  /** @param nonce printable, without a comma; new for each exchange */
  constructor(user: string, password: string, nonce: string) {
    this.#bare = `n=${user.replaceAll("=", "=3D").replaceAll(",", "=2C")},r=${nonce}`;
    this.first = `n,,${this.#bare}`;
    this.#nonce = nonce;
    this.#password = password;
  }

  /**
   * Derives the key: some milliseconds on the calling thread.
   * @param iterationsMax a server that asks for more would keep us busy
   * @returns client-final, or null when the server's message is not one to be answered
   */
  final(serverFirst: string, iterationsMax: number): string | null {
    const fields = /^r=([^,]+),s=([A-Za-z0-9+/=]+),i=([1-9]\d{0,8})(?:,|$)/.exec(serverFirst);
    if (fields === null) return null;
    const [, nonce = "", salt = "", iterations = ""] = fields;
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce || Number(iterations) > iterationsMax) return null;
    // RFC 7677 section 4. A proof over one iteration would give the password away to whoever asked for it.
    if (Number(iterations) < SCRAM_ITERATIONS_MIN) return null;
    const salted = saltedPassword(this.#password, Buffer.from(salt, "base64"), Number(iterations));
    const clientKey = hmac(salted, "Client Key");
    const unproven = `c=${Buffer.from("n,,").toString("base64")},r=${nonce}`;
    const covered = `${this.#bare},${serverFirst},${unproven}`;
    const proof = xor(clientKey, hmac(sha256(clientKey), covered));
    this.#serverSignature = hmac(hmac(salted, "Server Key"), covered).toString("base64");
    return `${unproven},p=${proof.toString("base64")}`;
  }

  /** Whether the server has proven that it knows the password, too. */
  verifies(serverFinal: string): boolean {
    return this.#serverSignature !== "" && serverFinal === `v=${this.#serverSignature}`;
  }
}

/** The record to keep of a password. Derives a key: some milliseconds on the calling thread. */
export function scramRecordOf(password: string, salt: Buffer, iterations: number): ScramRecord {
  const salted = saltedPassword(password, salt, iterations);
  return { iterations, salt, storedKey: sha256(hmac(salted, "Client Key")), serverKey: hmac(salted, "Server Key") };
}

/** RFC 4013 asks for NFKC and no control characters; those are refused where passwords are set. */
function saltedPassword(password: string, salt: Buffer, iterations: number): Buffer {
  return crypto().pbkdf2Sync(password.normalize("NFKC"), salt, iterations, KEY_BYTES, "sha256");
}

/** "" when it is too long or no text, which is no SCRAM message either. */
function textOf(message: Buffer): string {
  if (message.length > SCRAM_MESSAGE_BYTES_MAX) return "";
  const text = message.toString();
  return text.includes("\uFFFD") || text.includes("\0") ? "" : text;
}

/** RFC 5802 section 5.1: "=2C" is a comma and "=3D" is "="; null when there is another "=". */
function unescapeName(name: string): string | null {
  if (/=(?!2C|3D)/.test(name)) return null;
  return name.replaceAll("=2C", ",").replaceAll("=3D", "=");
}

function isNonce(text: string): boolean {
  return text.length <= NONCE_CHARACTERS_MAX && /^[\x21-\x2b\x2d-\x7e]+$/.test(text);
}

function hmac(key: Buffer, text: string): Buffer {
  return crypto().createHmac("sha256", key).update(text).digest();
}

function sha256(bytes: Buffer): Buffer {
  return crypto().createHash("sha256").update(bytes).digest();
}

function xor(a: Buffer, b: Buffer): Buffer {
  const out = Buffer.allocUnsafe(a.length);
  for (let i = 0; i < a.length; i++) out[i] = (a[i] as number) ^ (b[i] as number);
  return out;
}
