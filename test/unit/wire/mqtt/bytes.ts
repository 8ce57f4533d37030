/**
 * Packets as text, for vectors that can be read: hex digits, 'quoted text', `s'text'` behind its two-byte length, `*`
 * for the Remaining Length of all that follows, `{ … }` for a property block behind its Property Length. Blanks
 * separate: "32 * s'topic' 1234 { 23 0001 } 'payload'".
 */
export function bytes(text: string): Buffer {
  return assemble([...text.matchAll(/s?'[^']*'|\S+/g)].map(([token]) => token));
}

/** Takes the tokens up to the end or the `}` that closes this level. */
function assemble(tokens: string[]): Buffer {
  const parts: Buffer[] = [];
  for (let token = tokens.shift(); token !== undefined && token !== "}"; token = tokens.shift()) {
    if (token === "*" || token === "{") {
      const inner = assemble(tokens);
      parts.push(varint(inner.length), inner);
    } else if (token.startsWith("s'")) {
      const inner = Buffer.from(token.slice(2, -1));
      parts.push(Buffer.from([inner.length >> 8, inner.length & 255]), inner);
    } else parts.push(token.startsWith("'") ? Buffer.from(token.slice(1, -1)) : hex(token));
  }
  return Buffer.concat(parts);
}

function hex(token: string): Buffer {
  if (!/^([0-9a-fA-F]{2})+$/.test(token)) throw new Error(`not hex: ${token}`);
  return Buffer.from(token, "hex");
}

/** A Variable Byte Integer written in the plainest way, to compare the codec's with. */
export function varint(value: number): Buffer {
  const digits: number[] = [];
  do {
    const rest = Math.floor(value / 128);
    digits.push((value % 128) + (rest > 0 ? 128 : 0));
    value = rest;
  } while (value > 0);
  return Buffer.from(digits);
}

/** A repeatable random number generator (mulberry32): the same seed, the same run. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** An integer from 0 to max - 1. */
  below(max: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % max;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  bytes(length: number): Buffer {
    const out = Buffer.alloc(length);
    for (let i = 0; i < length; i++) out[i] = this.below(256);
    return out;
  }
}

/**
 * The same bytes, but a read outside `[from..end)` is an error: proof that a decoder keeps within its packet. Much
 * slower than the buffer itself.
 */
export function guarded(buffer: Buffer, from: number, end: number): Buffer {
  return new Proxy(buffer, {
    get(target, key) {
      if (typeof key === "string" && /^-?\d+$/.test(key)) {
        const index = Number(key);
        if (index < from || index >= end) throw new RangeError(`read at ${index}, outside ${from}..${end}`);
        return target[index];
      }
      throw new RangeError(`a decoder has no business with .${String(key)}`);
    },
  });
}
