/**
 * Why a handshake came to nothing, for the technician who stands before the device: a cause for the counters, and
 * words for the log, once for each cause and address in ten minutes.
 */
import type { Clock } from "../../base/clock.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import type { Log } from "../../base/log.ts";
import { TokenBucket } from "../../base/token-bucket.ts";

export const CAUSES = {
  "unknown-identity": "psk_file has no such identity",
  "wrong-key": "the client's key for this identity is probably another one than in psk_file",
  "no-common-cipher":
    "the client offers no cipher suite that fits: a key of psk_file or a certificate of our kind is missing on one of the sides",
  "no-certificate": "client_ca is set, and the client showed no certificate",
  "certificate-not-trusted": "the client's certificate does not lead to client_ca, or its time is over",
  "certificate-without-name": "the client's certificate has neither a CN nor another name",
  "our-certificate-refused": "the client does not trust our certificate: it needs the authority that issued it",
  "refused-by-client": "the client broke the handshake off",
  version: "the client does not speak DTLS 1.2",
  silent: "the client did not go on before handshake_timeout",
  protocol: "the client does not keep to the protocol",
} as const satisfies Readonly<Record<string, string>>;

export type Cause = keyof typeof CAUSES;

/** Words of the addon, lower case, in the order in which they are looked for: what the peer says of us comes first. */
const WORDS: readonly (readonly [words: RegExp, cause: Cause])[] = [
  [/received alert (unknown ca|bad certificate|unsupported certificate|certificate )/, "our-certificate-refused"],
  [/received alert (handshake failure|insufficient security)/, "no-common-cipher"],
  [/received alert protocol version/, "version"],
  [/received alert/, "refused-by-client"],
  [/identity not found|unknown psk identity/, "unknown-identity"],
  [/no shared cipher|no suitable signature algorithm|no suitable key share/, "no-common-cipher"],
  [/did not return a certificate/, "no-certificate"],
  [/^certificate: |certificate verify failed/, "certificate-not-trusted"],
  [/unsupported protocol|version too low|version too high|wrong version/, "version"],
  [/bad record mac|digest check failed|decryption failed/, "wrong-key"],
];

/** @param error as the session says it */
export function causeOf(error: string): Cause {
  const text = error.toLowerCase();
  return WORDS.find(([words]) => words.test(text))?.[1] ?? "protocol";
}

/** Causes and addresses that are remembered so as not to be logged again at once. */
export const REMEMBERED_MAX = 16;
const QUIET_MS = 600_000;
/** Lines a second, and at once, for whatever cause and address. */
const LINES_PER_SECOND = 1;
const LINES_AT_ONCE = 20;
const IDENTITY_CHARACTERS_MAX = 128;

export interface FailureLogParts {
  readonly clock: Pick<Clock, "nowMs">;
  readonly counters: Counters;
  readonly log: Log;
}

interface Told {
  readonly atMs: number;
  /** The same since then. */
  more: number;
}

export class FailureLog {
  readonly #name: string;
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #counters: Counters;
  readonly #log: Log;
  readonly #failed: Counter;
  readonly #lines: TokenBucket;
  /** By cause and address, the first told first. */
  readonly #told = new Map<string, Told>();

  /** @param name of the listener */
  constructor(name: string, { clock, counters, log }: FailureLogParts) {
    this.#name = name;
    this.#clock = clock;
    this.#counters = counters;
    this.#log = log;
    this.#failed = counters.counter("dtls.failed");
    this.#lines = new TokenBucket(LINES_PER_SECOND, LINES_AT_ONCE, clock);
  }

  /**
   * Counts, and tells if that has not been told lately.
   * @param identity that the client gave, proven or not; null = none
   * @param error OpenSSL's words; "" = it had none
   */
  failed(cause: Cause, address: string, identity: Uint8Array | null, error: string): void {
    this.#failed.value++;
    this.#counters.counter(`dtls.failed.${cause}`).value++;
    const nowMs = this.#clock.nowMs();
    const key = `${cause} ${address}`;
    const told = this.#told.get(key);
    if (told !== undefined && nowMs - told.atMs < QUIET_MS) {
      told.more++;
      return;
    }
    if (!this.#lines.take()) return;
    this.#remember(key, nowMs);
    this.#log.warn("dtls-handshake-failed", {
      listener: this.#name,
      address,
      cause,
      meaning: CAUSES[cause],
      ...(identity === null ? {} : { identity: identityText(identity) }),
      ...(error === "" ? {} : { error }),
      ...(told === undefined || told.more === 0 ? {} : { more: told.more }),
    });
  }

  #remember(key: string, nowMs: number): void {
    this.#told.delete(key);
    const oldest = this.#told.keys().next();
    if (this.#told.size >= REMEMBERED_MAX && oldest.done !== true) this.#told.delete(oldest.value);
    this.#told.set(key, { atMs: nowMs, more: 0 });
  }
}

/** As it would stand in psk_file. */
function identityText(identity: Uint8Array): string {
  const bytes = Buffer.from(identity);
  const text = bytes.toString("utf8");
  const plain = Buffer.from(text).equals(bytes) && /^[^\u0000-\u001f\u007f-\u009f\ufffd:]*$/.test(text);
  return (plain ? text : `hex:${bytes.toString("hex")}`).slice(0, IDENTITY_CHARACTERS_MAX);
}
