/**
 * Node's `crypto`, loaded by the first who needs it: it takes 2.3 MB, and a gateway without users, TLS and names to give
 * needs none of it.
 */
type Crypto = typeof import("node:crypto");

let loaded: Crypto | null = null;

export function crypto(): Crypto {
  loaded ??= process.getBuiltinModule("node:crypto");
  return loaded;
}
