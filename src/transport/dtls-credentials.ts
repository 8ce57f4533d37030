/** Keys and certificates of a DTLS listener: read from files, judged as a whole before anything uses them. */
import { crypto } from "../base/crypto.ts";
import type { DtlsServerConfig } from "../config/coap-listener.ts";
import { type Complaint, complaintText } from "../config/complaint.ts";
import { readSmallFile } from "../config/files.ts";
import { identityKey, type PskEntry, parsePskFile } from "../config/psk-file.ts";
import type { DtlsCredentials } from "../native/dtls/binding.ts";
import { ListenerError } from "./listener.ts";

/** A client that shares a key with us, as far as it is needed after the handshake. */
export interface KnownIdentity {
  /** `identityKey` of it. */
  readonly identity: string;
  /** The principal's name. */
  readonly name: string;
  /** Tells whether a reload has changed the key, which itself is not kept. */
  readonly keyMark: number;
}

/** Who may come, as far as it is needed after handshakes: no keys. */
export interface Known {
  /** By `identityKey`. */
  readonly identities: ReadonlyMap<string, KnownIdentity>;
  /** Tells whether a reload has changed `client_ca`. */
  readonly authoritiesMark: number;
}

export interface DtlsFiles {
  /** For the addon, which copies them. */
  readonly credentials: DtlsCredentials;
  readonly known: Known;
}

/**
 * @param owner for the message, "listener 4"
 * @throws ListenerError about a file; whether key and certificate go together the addon says
 */
export function readDtlsFiles(owner: string, files: DtlsServerConfig): DtlsFiles {
  const { pskFile, cert, key, clientCa } = files;
  const psk = pskFile === null ? [] : readKeys(owner, pskFile);
  const authorities = clientCa === null ? "" : read(owner, "client_ca", clientCa);
  return {
    credentials: {
      cert: cert === null ? null : Buffer.from(read(owner, "cert", cert)),
      key: key === null ? null : Buffer.from(read(owner, "key", key)),
      ca: clientCa === null ? null : Buffer.from(authorities),
      requireClientCert: clientCa !== null,
      psk,
    },
    known: { identities: identitiesOf(psk), authoritiesMark: markOf(Buffer.from(authorities)) },
  };
}

function identitiesOf(entries: readonly PskEntry[]): Map<string, KnownIdentity> {
  const identities = new Map<string, KnownIdentity>();
  for (const entry of entries) {
    const identity = identityKey(entry.identity);
    // One text where they are the same, as they mostly are.
    const name = entry.name === identity ? identity : entry.name;
    identities.set(identity, { identity, name, keyMark: markOf(entry.key) });
  }
  return identities;
}

/** 30 bits of its digest: a small integer, which takes no memory of its own. */
function markOf(bytes: Buffer): number {
  return crypto().createHash("sha256").update(bytes).digest().readUInt32BE() >>> 2;
}

function readKeys(owner: string, file: string): PskEntry[] {
  const complaints: Complaint[] = [];
  const entries = parsePskFile(read(owner, "psk_file", file), file, complaints);
  if (complaints.length > 0) {
    const words = complaints.map((complaint) => complaintText(complaint, file)).join("\n");
    throw new ListenerError(`${owner}: psk_file ${words}`);
  }
  return [...entries.values()];
}

function read(owner: string, what: string, file: string): string {
  try {
    return readSmallFile(file);
  } catch (error) {
    throw new ListenerError(`${owner}: ${what}: ${(error as Error).message}`);
  }
}
