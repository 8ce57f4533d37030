/** Answers that a client gets once the store has said its word. Their order is free: each names its message. */
import { OWED_MAX } from "./limits.ts";

export interface Owed {
  /** Message type of the answer: PUBACK, PUBREC, PUBCOMP, SUBACK or UNSUBACK. */
  readonly type: number;
  readonly msgId: number;
  readonly topicId: number;
  /** Of SUBACK. */
  readonly flags: number;
  /** PUBREC for an id that was taken before: the store's word does not take it back. */
  readonly repeated: boolean;
}

export class OwedAcks {
  /** At most OWED_MAX, so they are looked through. */
  readonly #owed: Owed[] = [];
  /** Of each, in the same place. */
  readonly #tokens: number[] = [];
  #next = 0;

  get full(): boolean {
    return this.#owed.length >= OWED_MAX;
  }

  /** Whether an answer of this type to this message is on its way. */
  has(type: number, msgId: number): boolean {
    for (const owed of this.#owed) if (owed.type === type && owed.msgId === msgId) return true;
    return false;
  }

  /** @returns the token that `take` knows it by */
  push(owed: Owed): number {
    const token = this.#next++;
    this.#owed.push(owed);
    this.#tokens.push(token);
    return token;
  }

  take(token: number): Owed | null {
    const at = this.#tokens.indexOf(token);
    if (at < 0) return null;
    this.#tokens.splice(at, 1);
    return this.#owed.splice(at, 1)[0] ?? null;
  }
}
