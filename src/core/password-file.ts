/**
 * Password files as Mosquitto writes them, one user per line, and a line of our own for SCRAM:
 *
 *     user:$6$salt$hash                                           SHA-512 of password and salt
 *     user:$7$iterations$salt$hash                                PBKDF2-HMAC-SHA512, 64 bytes
 *     user:$scram-sha-256$iterations$salt$storedKey$serverKey     RFC 5803's parts, for enhanced authentication
 *
 * A user has a line of either kind, or one of each. Mosquitto passes over the third kind with a message and takes the
 * second. Salt, hash and keys are base64. Empty lines and lines that begin with # are skipped; everything else must be
 * a user.
 */
import { crypto } from "../base/crypto.ts";
import type { Complaint } from "../config/complaint.ts";
import { SCRAM_ITERATIONS_MIN, type ScramRecord, scramRecordOf } from "./scram.ts";

export interface PasswordRecord {
  /** 0 = SHA-512 once ($6$). */
  readonly iterations: number;
  readonly salt: Buffer;
  /** 64 bytes. */
  readonly hash: Buffer;
}

/** What the file has of one user: at least one of the two. */
export interface UserRecord {
  readonly password: PasswordRecord | null;
  readonly scram: ScramRecord | null;
}

export const PASSWORD_USERS_MAX = 10_000;
/** A million takes seconds on a small board, and one login waits for another. */
export const ITERATIONS_MAX = 1_000_000;
/** What `sluice passwd` writes: 0.4 ms on a desktop, about 5 ms on a small board, where a thousand devices may log in at once after a power cut. */
export const ITERATIONS_DEFAULT = 1000;

const HASH_BYTES = 64;
const SCRAM_KEY_BYTES = 32;
const SALT_BYTES_MAX = 256;
/** Mosquitto reads no other length. */
const NEW_SALT_BYTES = 12;

/** @param file  its name in complaints */
export function parsePasswordFile(text: string, file: string, complaints: Complaint[]): Map<string, UserRecord> {
  const users = new Map<string, UserRecord>();
  const complain = (line: number, problem: string, advice: string): void => {
    complaints.push({ file, path: "", line, problem, advice });
  };
  for (const [i, raw] of text.split("\n").entries()) {
    const entry = raw.trimEnd();
    if (entry === "" || entry.startsWith("#")) continue;
    const colon = entry.indexOf(":");
    const user = entry.slice(0, colon);
    const record = colon === -1 ? "has no colon after the user name" : parseRecord(entry.slice(colon + 1));
    const known = users.get(user);
    if (typeof record === "string") complain(i + 1, record, "write it with: sluice passwd FILE USER");
    else if (user === "") complain(i + 1, "names no user", "write it with: sluice passwd FILE USER");
    else if (known === undefined && users.size === PASSWORD_USERS_MAX) {
      complain(i + 1, `has more than ${PASSWORD_USERS_MAX} users`, "use client certificates for so many");
      break;
    } else if (known === undefined) users.set(user, record);
    else if (isOneOfEach(known, record))
      users.set(user, { password: known.password ?? record.password, scram: known.scram ?? record.scram });
    else complain(i + 1, `${user} is given twice`, "remove one of the lines");
  }
  return users;
}

function isOneOfEach(known: UserRecord, record: UserRecord): boolean {
  return (known.password === null) !== (record.password === null) && (known.scram === null) !== (record.scram === null);
}

/** @returns what is wrong, when something is */
function parseRecord(text: string): UserRecord | string {
  if (text.includes(":")) return "has more than one colon";
  const parts = text.split("$");
  const [before, kind, ...fields] = parts;
  if (before !== "" || kind === undefined) return "holds a password that is not hashed";
  if (kind === "scram-sha-256") return parseScram(fields);
  if (kind !== "6" && kind !== "7") return `has a hash of kind $${kind}$, which is not supported`;
  if (fields.length !== (kind === "6" ? 2 : 3)) return `is no complete $${kind}$ hash`;
  const iterations = kind === "6" ? 0 : parseIterations(fields.shift() ?? "", 1);
  if (iterations === null) return `has iterations that are no number from 1 to ${ITERATIONS_MAX}`;
  const salt = decodeBase64(fields[0] ?? "");
  const hash = decodeBase64(fields[1] ?? "");
  if (salt === null || salt.length === 0 || salt.length > SALT_BYTES_MAX) return "has a salt that is no base64";
  if (hash === null || hash.length !== HASH_BYTES) return "has a hash that is not 64 bytes in base64";
  return { password: { iterations, salt, hash }, scram: null };
}

function parseScram(fields: readonly string[]): UserRecord | string {
  if (fields.length !== 4) return "is no complete $scram-sha-256$ entry";
  const iterations = parseIterations(fields[0] ?? "", SCRAM_ITERATIONS_MIN);
  if (iterations === null) return `has iterations that are no number from ${SCRAM_ITERATIONS_MIN} to ${ITERATIONS_MAX}`;
  const [salt = null, storedKey = null, serverKey = null] = fields.slice(1).map(decodeBase64);
  if (salt === null || salt.length === 0 || salt.length > SALT_BYTES_MAX) return "has a salt that is no base64";
  if (storedKey?.length !== SCRAM_KEY_BYTES || serverKey?.length !== SCRAM_KEY_BYTES)
    return `has a key that is not ${SCRAM_KEY_BYTES} bytes in base64`;
  return { password: null, scram: { iterations, salt, storedKey, serverKey } };
}

function parseIterations(text: string, min: number): number | null {
  if (!/^[1-9]\d{0,6}$/.test(text)) return null;
  const iterations = Number(text);
  return iterations >= min && iterations <= ITERATIONS_MAX ? iterations : null;
}

/** Buffer.from skips what is not base64; here that is a broken line. */
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : null;
}

/** The hash of `password` by the recipe of `record`, in libuv's pool when it takes long. */
export function hashLike(record: PasswordRecord, password: Buffer): Promise<Buffer> {
  if (record.iterations > 0) return pbkdf2Of(password, record.salt, record.iterations);
  return Promise.resolve(crypto().createHash("sha512").update(password).update(record.salt).digest());
}

/** A line for the password file. @param user  without colon or control characters */
export async function passwordLine(user: string, password: Buffer, iterations = ITERATIONS_DEFAULT): Promise<string> {
  const salt = crypto().randomBytes(NEW_SALT_BYTES);
  const hash = await pbkdf2Of(password, salt, iterations);
  return `${user}:$7$${iterations}$${salt.toString("base64")}$${hash.toString("base64")}`;
}

/** Its line for SCRAM: with as many iterations as the RFC asks for at least. */
export function scramLine(user: string, password: string, iterations: number = SCRAM_ITERATIONS_MIN): string {
  const salt = crypto().randomBytes(NEW_SALT_BYTES);
  const { storedKey, serverKey } = scramRecordOf(password, salt, Math.max(iterations, SCRAM_ITERATIONS_MIN));
  const parts = [salt, storedKey, serverKey].map((bytes) => bytes.toString("base64"));
  return `${user}:$scram-sha-256$${Math.max(iterations, SCRAM_ITERATIONS_MIN)}$${parts.join("$")}`;
}

function pbkdf2Of(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    crypto().pbkdf2(password, salt, iterations, HASH_BYTES, "sha512", (error, hash) =>
      error ? reject(error) : resolve(hash),
    );
  });
}
