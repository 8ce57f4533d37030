/**
 * Messages on their way to somebody who takes them one at a time. When many wait the socket is paused, so that nothing
 * is thrown away; the server then keeps what follows.
 */
import { RingBuffer } from "../base/ring-buffer.ts";

/** Above it reading stops; below half of it, it goes on. */
export const INBOX_MESSAGES_MAX = 1000;
export const INBOX_BYTES_MAX = 4 * 1024 * 1024;
/** One chunk of the socket may bring so many more. */
const OVERSHOOT = 32_768;

export interface ReceivedMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
  /** The server sends it for the second time. */
  readonly dup: boolean;
  /** MQTT 5 property block without its length. */
  readonly properties: Buffer;
  /** QoS 1 and 2: tells the server that it is done with. Asking the iterator for the next message does so, too. */
  acknowledge(): void;
}

export interface InboxOwner {
  setReading(on: boolean): void;
}

interface Taker {
  readonly resolve: (result: IteratorResult<ReceivedMessage, undefined>) => void;
  readonly reject: (error: Error) => void;
}

const DONE: IteratorResult<ReceivedMessage, undefined> = { value: undefined, done: true };

export class Inbox implements AsyncIterableIterator<ReceivedMessage, undefined> {
  readonly #owner: InboxOwner;
  readonly #waiting = new RingBuffer<ReceivedMessage>(INBOX_MESSAGES_MAX + OVERSHOOT);
  #bytes = 0;
  #paused = false;
  #taker: Taker | null = null;
  /** Handed out last. */
  #taken: ReceivedMessage | null = null;
  #closed = false;
  #error: Error | null = null;

  constructor(owner: InboxOwner) {
    this.#owner = owner;
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
    if (this.#paused || (this.#waiting.length <= INBOX_MESSAGES_MAX && this.#bytes <= INBOX_BYTES_MAX)) return;
    this.#paused = true;
    this.#owner.setReading(false);
  }

  /** One taker at a time. Acknowledges the message before. */
  next(): Promise<IteratorResult<ReceivedMessage, undefined>> {
    this.#taken?.acknowledge();
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

  /** Nothing more comes. @param error why, when it was not wanted: told after the last message */
  close(error: Error | null): void {
    this.#closed = true;
    this.#error = error;
    const taker = this.#taker;
    this.#taker = null;
    if (error === null) taker?.resolve(DONE);
    else taker?.reject(error);
  }
}
