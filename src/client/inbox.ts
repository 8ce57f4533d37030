/**
 * Messages on their way to somebody who takes them one at a time. When many wait the socket is paused, so that nothing
 * is thrown away; the server then keeps what follows.
 */
import { RingBuffer } from "../base/ring-buffer.ts";
import type { ReceivedMessage } from "./api.ts";
import type { ClientError } from "./error.ts";

/** Above it reading stops; below half of it, it goes on. */
export const INBOX_MESSAGES_MAX = 1000;
export const INBOX_BYTES_MAX = 4 * 1024 * 1024;
/** One chunk of the socket may bring so many more. */
const OVERSHOOT = 32_768;

export interface InboxOwner {
  setReading(on: boolean): void;
}

interface Taker {
  readonly resolve: (result: IteratorResult<ReceivedMessage, undefined>) => void;
  readonly reject: (error: ClientError) => void;
}

const DONE: IteratorResult<ReceivedMessage, undefined> = { value: undefined, done: true };

export class Inbox implements AsyncIterableIterator<ReceivedMessage, undefined> {
  readonly #owner: InboxOwner;
  readonly #manual: boolean;
  readonly #waiting = new RingBuffer<ReceivedMessage>(INBOX_MESSAGES_MAX + OVERSHOOT);
  #bytes = 0;
  #paused = false;
  #taker: Taker | null = null;
  /** Handed out last. */
  #taken: ReceivedMessage | null = null;
  #closed = false;
  #error: ClientError | null = null;

  /** @param manual nothing is acknowledged here */
  constructor(owner: InboxOwner, manual: boolean) {
    this.#owner = owner;
    this.#manual = manual;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  push(message: ReceivedMessage): void {
    if (this.#taker !== null) {
      const { resolve } = this.#taker;
      this.#taker = null;
      this.#taken = message;
      resolve({ value: message, done: false });
      return;
    }
    if (!this.#waiting.push(message)) return;
    this.#bytes += message.payload.length;
    if (this.#paused || !this.#full) return;
    this.#paused = true;
    this.#owner.setReading(false);
  }

  get #full(): boolean {
    return this.#waiting.length > INBOX_MESSAGES_MAX || this.#bytes > INBOX_BYTES_MAX;
  }

  /** One taker at a time. Acknowledges the message before. */
  next(): Promise<IteratorResult<ReceivedMessage, undefined>> {
    if (!this.#manual) this.#taken?.acknowledge();
    this.#taken = null;
    const message = this.#waiting.shift();
    if (message !== undefined) {
      this.#shifted(message);
      this.#taken = message;
      return Promise.resolve({ value: message, done: false });
    }
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#closed) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => {
      this.#taker?.resolve(DONE);
      this.#taker = { resolve, reject };
    });
  }

  #shifted(message: ReceivedMessage): void {
    this.#bytes -= message.payload.length;
    if (!this.#paused || this.#waiting.length > INBOX_MESSAGES_MAX / 2 || this.#bytes > INBOX_BYTES_MAX / 2) return;
    this.#paused = false;
    this.#owner.setReading(true);
  }

  /** A loop over it was left: the message of its last round is not acknowledged by that. */
  return(): Promise<IteratorResult<ReceivedMessage, undefined>> {
    this.#taken = null;
    return Promise.resolve(DONE);
  }

  /** A new connection reads, unless as much waits as may: then it is paused, too. */
  onConnected(): void {
    this.#paused = this.#full;
    if (this.#paused) this.#owner.setReading(false);
  }

  /** Takes out what `comesAgain`: the server will send it anew. */
  dropWaiting(comesAgain: (message: ReceivedMessage) => boolean): void {
    for (let left = this.#waiting.length; left > 0; left--) {
      const message = this.#waiting.shift() as ReceivedMessage;
      if (comesAgain(message)) this.#bytes -= message.payload.length;
      else this.#waiting.push(message);
    }
  }

  /** Nothing more comes. @param error why, when it was not wanted: told after the last message */
  close(error: ClientError | null): void {
    this.#closed = true;
    this.#error = error;
    const taker = this.#taker;
    this.#taker = null;
    if (error === null) taker?.resolve(DONE);
    else taker?.reject(error);
  }
}
