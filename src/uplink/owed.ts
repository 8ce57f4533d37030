/**
 * The acknowledgements a client owes for PUBLISH packets of QoS 1 and 2, in order of arrival: one leaves when it and
 * all before it are due ([MQTT311-4.6.0-2], [MQTT5-4.6.0-2]).
 */
import { RingBuffer } from "../base/ring-buffer.ts";

/** Messages received and not acknowledged, whatever the server was told. */
export const OWED_MAX = 1024;

export class Owed {
  readonly packetId: number;
  /** PUBACK or PUBREC. */
  readonly type: number;
  due = false;

  constructor(packetId: number, type: number) {
    this.packetId = packetId;
    this.type = type;
  }
}

export class OwedAcks {
  readonly #ring = new RingBuffer<Owed>(OWED_MAX);

  /** @returns null when more than `max` would be owed */
  owe(packetId: number, type: number, max: number): Owed | null {
    const owed = new Owed(packetId, type);
    return this.#ring.length < max && this.#ring.push(owed) ? owed : null;
  }

  /** The next that may leave, taken out; undefined when none may. */
  shiftDue(): Owed | undefined {
    return this.#ring.peek()?.due === true ? this.#ring.shift() : undefined;
  }

  clear(): void {
    this.#ring.clear();
  }
}
