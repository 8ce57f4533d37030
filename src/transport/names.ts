/**
 * Look-ups of names: one at a time in the process, since a dead resolver blocks one of libuv's four threads for seconds.
 * The addresses that a name led to last are kept for when the resolver does not answer: on a link that has just come back
 * it may go on asking in vain for ten seconds.
 */
import { type LookupAddress, lookup } from "node:dns";
import { Semaphore } from "../base/semaphore.ts";

/** Names whose addresses are kept: the servers that this process connects to. */
const KNOWN_MAX = 64;
/** What the resolver has before addresses of an earlier look-up are used. */
const PATIENCE_MS = 1000;

const lookups = new Semaphore(1);
const known = new Map<string, readonly LookupAddress[]>();

export interface Found {
  readonly addresses: readonly LookupAddress[];
  /** They are those of an earlier look-up, as nobody answers: in words why. */
  readonly stale: boolean;
}

/**
 * @param mayBeStale  whoever is there under an old address has to prove who it is (TLS)
 * @param wanted  asked when it is this look-up's turn
 * @param resolve  the system's resolver
 * @throws what the resolver said
 */
export async function addressesOf(
  name: string,
  mayBeStale: boolean,
  wanted: () => boolean = () => true,
  resolve: (name: string) => Promise<LookupAddress[]> = ask,
): Promise<Found> {
  const asked = lookups.run(() => (wanted() ? resolve(name) : Promise.resolve([])));
  const before = mayBeStale ? known.get(name) : undefined;
  if (before === undefined) return { addresses: await asked, stale: false };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((done) => {
    timer = setTimeout(() => done(null), PATIENCE_MS);
  });
  try {
    // The name is no more: that is an answer, too.
    const answer = asked.catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOTFOUND") throw error;
      return null;
    });
    const addresses = await Promise.race([answer, late]);
    return addresses === null ? { addresses: before, stale: true } : { addresses, stale: false };
  } finally {
    clearTimeout(timer);
  }
}

/** The server answered under one of these. */
export function keepAddresses(name: string, addresses: readonly LookupAddress[]): void {
  known.delete(name);
  known.set(name, addresses);
  const [oldest] = known.keys();
  if (known.size > KNOWN_MAX && oldest !== undefined) known.delete(oldest);
}

function ask(host: string): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) => {
    lookup(host, { all: true }, (error, addresses) => {
      if (error === null) resolve(addresses);
      else reject(error);
    });
  });
}
