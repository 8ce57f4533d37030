/**
 * The file of identities and keys that DTLS clients share with us, one client per line:
 *
 *     identity:key                        both as text
 *     identity:key:name                   who the client is to the access list; without it, the identity
 *     hex:00ff12:hex:a1b2c3d4:boiler-7    bytes; also for a text with a colon in it
 *
 * Empty lines and lines that begin with # are skipped; everything else must be a client. Spaces at the end of a line do
 * not count, all others do.
 */
import type { Complaint } from "./complaint.ts";

/** A client that shares a key with us. */
export interface PskEntry {
  readonly identity: Buffer;
  readonly key: Buffer;
  /** The principal's name: not empty, without control characters. */
  readonly name: string;
}

export const PSK_IDENTITIES_MAX = 10_000;
/** What OpenSSL takes: PSK_MAX_IDENTITY_LEN (128 until 3.1) and half of PSK_MAX_PSK_LEN, for the peers' sake. */
export const PSK_IDENTITY_BYTES_MAX = 128;
export const PSK_KEY_BYTES_MAX = 256;
const NAME_BYTES_MAX = 256;
const HEX = "hex:";
const FORM = "write it like identity:key or identity:key:name, with hex: before what is not text";

/**
 * @param file  its name in complaints
 * @returns by identity, as `identityKey` writes it
 */
export function parsePskFile(text: string, file: string, complaints: Complaint[]): Map<string, PskEntry> {
  const entries = new Map<string, PskEntry>();
  const complain = (line: number, problem: string, advice: string): void => {
    complaints.push({ file, path: "", line, problem, advice });
  };
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.trimEnd();
    if (line === "" || line.startsWith("#")) continue;
    const entry = parseLine(line);
    if (typeof entry === "string") complain(i + 1, entry, FORM);
    else if (entries.has(identityKey(entry.identity))) {
      complain(i + 1, `${entry.name} has an identity that is given before`, "remove one of the lines");
    } else if (entries.size === PSK_IDENTITIES_MAX) {
      complain(i + 1, `has more than ${PSK_IDENTITIES_MAX} identities`, "use client certificates for so many");
      break;
    } else entries.set(identityKey(entry.identity), entry);
  }
  if (entries.size === 0 && complaints.every((complaint) => complaint.file !== file))
    complain(0, "holds no identity", FORM);
  return entries;
}

/** An identity as the key of a map: one character for each byte. */
export function identityKey(identity: Uint8Array): string {
  return Buffer.from(identity.buffer, identity.byteOffset, identity.length).toString("latin1");
}

/** @returns what is wrong, when something is. Never with the key in it: complaints are logged */
function parseLine(line: string): PskEntry | string {
  if (line.includes("\ufffd")) return "is no UTF-8";
  const identity = takeField(line);
  if (identity === null) return "has hex: before what is no hexadecimal";
  if (identity.end === line.length) return "has no colon after the identity";
  if (identity.bytes.length === 0) return "has an empty identity";
  if (identity.bytes.length > PSK_IDENTITY_BYTES_MAX)
    return `has an identity of more than ${PSK_IDENTITY_BYTES_MAX} bytes`;
  const rest = line.slice(identity.end + 1);
  const key = takeField(rest);
  if (key === null) return "has a key with hex: before what is no hexadecimal";
  if (key.bytes.length === 0) return "has an empty key";
  if (key.bytes.length > PSK_KEY_BYTES_MAX) return `has a key of more than ${PSK_KEY_BYTES_MAX} bytes`;
  const name = key.end === rest.length ? pskName(identity.bytes) : rest.slice(key.end + 1);
  const problem = nameProblem(name);
  return problem ?? { identity: identity.bytes, key: key.bytes, name };
}

/** The field that `text` begins with, and where it ends. null = bad hexadecimal */
function takeField(text: string): { bytes: Buffer; end: number } | null {
  const hex = text.startsWith(HEX);
  const from = hex ? HEX.length : 0;
  const colon = text.indexOf(":", from);
  const end = colon === -1 ? text.length : colon;
  const field = text.slice(from, end);
  if (!hex) return { bytes: Buffer.from(field), end };
  return /^([0-9a-fA-F]{2})*$/.test(field) ? { bytes: Buffer.from(field, "hex"), end } : null;
}

/** Who a client is whose line has no name: the identity, where it is text; else its bytes in hexadecimal, as the file has them. */
export function pskName(bytes: Uint8Array): string {
  const identity = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = identity.toString("utf8");
  return Buffer.from(text).equals(identity) && nameProblem(text) === null ? text : HEX + identity.toString("hex");
}

function nameProblem(name: string): string | null {
  if (name === "") return "has an empty name";
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) return `has a name of more than ${NAME_BYTES_MAX} bytes`;
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) return "has a name that is no printable text";
  return name.startsWith("serial:") ? "has a name that belongs to serial lines" : null;
}
