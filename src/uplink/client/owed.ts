/**
 * The acknowledgements a client owes for PUBLISH packets of QoS 1 and 2, in order of arrival: one leaves when it and
 * all before it are due ([MQTT311-4.6.0-2], [MQTT5-4.6.0-2]).
 *
 * Some servers send more than the Receive Maximum they were told (Mosquitto 2.0 its whole queue when a session is
 * resumed). To close at once would bring the same again for ever, so whatever fits here is taken. Beyond it nothing
 * more is, and the connection ends when all that was taken is acknowledged: each gets further than the one before.
 */
import { RingBuffer } from "../../base/ring-buffer.ts";

/** Messages received and not acknowledged, whatever the server was told. */
export const OWED_MAX = 1024;

export class Owed {
  readonly packetId: number;
  /** PUBACK or PUBREC. */
  readonly type: number;
  due = false;
  /** False: nothing is sent for it, the server is to send the message again. */
  taken = true;

  constructor(packetId: number, type: number) {
    this.packetId = packetId;
    this.type = type;
  }
}

export class OwedAcks {
  readonly #ring = new RingBuffer<Owed>(OWED_MAX);
  #closed = false;

  /** @returns null when the message is not taken */
  owe(packetId: number, type: number): Owed | null {
    const owed = new Owed(packetId, type);
    if (!this.#closed && this.#ring.push(owed)) return owed;
    this.#closed = true;
    return null;
  }

  /** The newest is not taken after all, and nothing after it. */
  refuse(owed: Owed): void {
    this.#closed = true;
    owed.taken = false;
  }

  /** The next that may leave, taken out; undefined when none may. */
  shiftDue(): Owed | undefined {
    return this.#ring.peek()?.due === true ? this.#ring.shift() : undefined;
  }

  /** Nothing more is taken, and all that was is acknowledged. */
  get finished(): boolean {
    return this.#closed && this.#ring.length === 0;
  }

  clear(): void {
    this.#ring.clear();
    this.#closed = false;
  }
}
