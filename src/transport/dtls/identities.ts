/**
 * Who of the file of keys may come, as far as that is needed after handshakes: no keys and hardly any texts, 16 bytes an
 * identity, so that a file of thousands costs little.
 *
 *     ids      digest of the identity, ascending      |  12 |  57 | 103 | ...
 *     entries  digest of identity, key and name       | 901 |  33 | 240 | ...     same place
 *     names    of those whose name is not the identity
 *
 * A digest is 52 bits of SHA-256: of 10,000 identities two meet with a probability of one in 90 million.
 */
import { crypto } from "../../base/crypto.ts";
import { identityKey, type PskEntry, pskName } from "../../config/psk-file.ts";

/** No entry of the file. */
export const NO_ENTRY = -1;

export class DtlsIdentities {
  readonly #ids: Float64Array;
  readonly #entries: Float64Array;
  readonly #names = new Map<string, string>();

  constructor(entries: readonly PskEntry[]) {
    const rows = entries.map((entry) => [digestOf(entry.identity), entryDigest(entry)] as const);
    rows.sort(([a], [b]) => a - b);
    this.#ids = Float64Array.from(rows, ([id]) => id);
    this.#entries = Float64Array.from(rows, ([, entry]) => entry);
    for (const { identity, name } of entries)
      if (name !== pskName(identity)) this.#names.set(identityKey(identity), name);
  }

  /** Names the line of the file that an identity has: another key or name is another line. NO_ENTRY = it has none. */
  entryOf(identity: Uint8Array): number {
    const id = digestOf(identity);
    let from = 0;
    let end = this.#ids.length;
    while (from < end) {
      const middle = (from + end) >>> 1;
      if ((this.#ids[middle] as number) < id) from = middle + 1;
      else end = middle;
    }
    return this.#ids[from] === id ? (this.#entries[from] as number) : NO_ENTRY;
  }

  /** The principal's name. @param identity that has an entry */
  nameOf(identity: Uint8Array): string {
    return this.#names.get(identityKey(identity)) ?? pskName(identity);
  }

  /** All entries. */
  entries(): Set<number> {
    return new Set(this.#entries);
  }
}

function entryDigest({ identity, key, name }: PskEntry): number {
  const lengths = Buffer.of(identity.length, key.length >> 8, key.length & 0xff);
  return digestOf(lengths, identity, key, Buffer.from(name));
}

function digestOf(...parts: readonly Uint8Array[]): number {
  const hash = crypto().createHash("sha256");
  for (const part of parts) hash.update(part);
  const digest = hash.digest();
  return digest.readUInt32BE() * 2 ** 20 + (digest.readUInt32BE(4) >>> 12);
}
