/**
 * Password files as Mosquitto writes them, one user per line:
 *
 *     user:$6$salt$hash               SHA-512 of password and salt
 *     user:$7$iterations$salt$hash    PBKDF2-HMAC-SHA512, 64 bytes
 *
 * Salt and hash are base64. Empty lines and lines that begin with # are skipped; everything else must be a user.
 */
import { createHash, pbkdf2, randomBytes } from "node:crypto";
import type { Complaint } from "../config/complaint.ts";

export interface PasswordRecord {
  /** 0 = SHA-512 once ($6$). */
  readonly iterations: number;
  readonly salt: Buffer;
  /** 64 bytes. */
  readonly hash: Buffer;
}

export const PASSWORD_USERS_MAX = 10_000;
/** A million takes seconds on a small board, and one login waits for another. */
export const ITERATIONS_MAX = 1_000_000;
/** What `sluice passwd` writes: 0.4 ms on a desktop, about 5 ms on a small board, where a thousand devices may log in at once after a power cut. */
export const ITERATIONS_DEFAULT = 1000;

const HASH_BYTES = 64;
const SALT_BYTES_MAX = 256;
/** Mosquitto reads no other length. */
const NEW_SALT_BYTES = 12;

/** @param file  its name in complaints */
export function parsePasswordFile(text: string, file: string, complaints: Complaint[]): Map<string, PasswordRecord> {
  const users = new Map<string, PasswordRecord>();
  const complain = (line: number, problem: string, advice: string): void => {
    complaints.push({ file, path: "", line, problem, advice });
  };
  for (const [i, raw] of text.split("\n").entries()) {
    const entry = raw.trimEnd();
    if (entry === "" || entry.startsWith("#")) continue;
    const colon = entry.indexOf(":");
    const user = entry.slice(0, colon);
    const record = colon === -1 ? "has no colon after the user name" : parseRecord(entry.slice(colon + 1));
    if (typeof record === "string") complain(i + 1, record, "write it with: sluice passwd FILE USER");
    else if (user === "") complain(i + 1, "names no user", "write it with: sluice passwd FILE USER");
    else if (users.has(user)) complain(i + 1, `${user} is given twice`, "remove one of the lines");
    else if (users.size === PASSWORD_USERS_MAX) {
      complain(i + 1, `has more than ${PASSWORD_USERS_MAX} users`, "use client certificates for so many");
      break;
    } else users.set(user, record);
  }
  return users;
}

/** @returns what is wrong, when something is */
function parseRecord(text: string): PasswordRecord | string {
  if (text.includes(":")) return "has more than one colon";
  const parts = text.split("$");
  const [before, kind, ...fields] = parts;
  if (before !== "" || kind === undefined) return "holds a password that is not hashed";
  if (kind !== "6" && kind !== "7") return `has a hash of kind $${kind}$, which is not supported`;
  if (fields.length !== (kind === "6" ? 2 : 3)) return `is no complete $${kind}$ hash`;
  const iterations = kind === "6" ? 0 : parseIterations(fields.shift() ?? "");
  if (iterations === null) return `has iterations that are no number from 1 to ${ITERATIONS_MAX}`;
  const salt = decodeBase64(fields[0] ?? "");
  const hash = decodeBase64(fields[1] ?? "");
  if (salt === null || salt.length === 0 || salt.length > SALT_BYTES_MAX) return "has a salt that is no base64";
  if (hash === null || hash.length !== HASH_BYTES) return "has a hash that is not 64 bytes in base64";
  return { iterations, salt, hash };
}

function parseIterations(text: string): number | null {
  if (!/^[1-9]\d{0,6}$/.test(text)) return null;
  const iterations = Number(text);
  return iterations <= ITERATIONS_MAX ? iterations : null;
}

/** Buffer.from skips what is not base64; here that is a broken line. */
function decodeBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return bytes.toString("base64") === text ? bytes : null;
}

/** The hash of `password` by the recipe of `record`, in libuv's pool when it takes long. */
export function hashLike(record: PasswordRecord, password: Buffer): Promise<Buffer> {
  if (record.iterations > 0) return pbkdf2Of(password, record.salt, record.iterations);
  return Promise.resolve(createHash("sha512").update(password).update(record.salt).digest());
}

/** A line for the password file. @param user  without colon or control characters */
export async function passwordLine(user: string, password: Buffer, iterations = ITERATIONS_DEFAULT): Promise<string> {
  const salt = randomBytes(NEW_SALT_BYTES);
  const hash = await pbkdf2Of(password, salt, iterations);
  return `${user}:$7$${iterations}$${salt.toString("base64")}$${hash.toString("base64")}`;
}

function pbkdf2Of(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    pbkdf2(password, salt, iterations, HASH_BYTES, "sha512", (error, hash) => (error ? reject(error) : resolve(hash)));
  });
}
