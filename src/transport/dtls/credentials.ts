/** Keys and certificates of a DTLS listener: read from files, judged as a whole before anything uses them. */
import { crypto } from "../../base/crypto.ts";
import type { DtlsServerConfig } from "../../config/coap-listener.ts";
import { type Complaint, complaintText } from "../../config/complaint.ts";
import { readSmallFile } from "../../config/files.ts";
import { type PskEntry, parsePskFile } from "../../config/psk-file.ts";
import type { DtlsCredentials } from "../../native/dtls/binding.ts";
import { ListenerError } from "../listener.ts";
import { DtlsIdentities } from "./identities.ts";

/** Who may come, as far as it is needed after handshakes. */
export interface Known {
  readonly identities: DtlsIdentities;
  /** Tells whether a reload has changed `client_ca`. */
  readonly authorities: string;
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
    known: { identities: new DtlsIdentities(psk), authorities: digestOf(authorities) },
  };
}

function digestOf(text: string): string {
  return crypto().createHash("sha256").update(text).digest("base64");
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
