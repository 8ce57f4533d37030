/** Keys and certificates of a DTLS listener: read from files, judged as a whole before anything uses them. */
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
  /** One character for each byte. */
  readonly key: string;
}

export interface DtlsFiles {
  /** For the addon, which copies them. */
  readonly credentials: DtlsCredentials;
  /** By `identityKey`. */
  readonly identities: ReadonlyMap<string, KnownIdentity>;
  /** Text of `client_ca`; "" without. */
  readonly authorities: string;
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
    identities: new Map(
      psk.map((entry) => {
        const identity = identityKey(entry.identity);
        return [identity, { identity, name: entry.name, key: identityKey(entry.key) }];
      }),
    ),
    authorities,
  };
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
