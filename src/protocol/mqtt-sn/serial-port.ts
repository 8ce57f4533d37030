/**
 * A serial line as a port for MQTT-SN messages: the one peer is the line, `serial:<name>`. A message that finds no room is
 * dropped and counted, as UDP would: who waits for an answer sends again.
 *
 *     slip     SLIP frames (RFC 1055), a message each
 *     length   messages one behind the other; each begins with its Length. Who lost the beginning finds it after a pause
 *
 *     send --> filling (up to SEND_BYTES) --> the one write under way --> onWritten: the two change places
 */
import { copyBytes } from "../../base/copy-bytes.ts";
import type { Counter, Counters } from "../../base/counters.ts";
import type { Line } from "../../config/budget.ts";
import type { DatagramHandler, DatagramPort, TimeSource } from "../../core/ports.ts";

/** transport/serial-port.ts, as far as it is used here. */
export interface SerialDevice {
  readonly isOpen: boolean;
  write(bytes: Buffer): void;
}

const END = 0xc0;
const ESC = 0xdb;
const ESC_END = 0xdc;
const ESC_ESC = 0xdd;
/** Without a byte for so long, what follows begins a message. */
const PAUSE_MS = 200;
/** Frames that wait for the write under way, and that write: each. */
const SEND_MESSAGES = 2;

export class MqttSnSerialPort implements DatagramPort {
  readonly address: string;
  readonly port = 0;
  readonly maxPayload: number;
  /** Nobody can pretend to be at the other end of a cable. */
  readonly peersVerified = true;
  handler: DatagramHandler | null = null;
  readonly #device: SerialDevice;
  readonly #slip: boolean;
  readonly #time: Pick<TimeSource, "nowMs">;
  readonly #message: Buffer;
  #length = 0;
  #escaped = false;
  /** Until the next END. */
  #discarding = false;
  #heardMs = 0;
  #filling: Buffer;
  #written: Buffer;
  #filled = 0;
  #writing = false;
  readonly #bad: Counter;
  readonly #dropped: Counter;

  constructor(
    name: string,
    device: SerialDevice,
    config: { readonly framing: "slip" | "length"; readonly messageBytesMax: number },
    time: Pick<TimeSource, "nowMs">,
    counters: Counters,
  ) {
    this.address = `serial:${name}`;
    this.maxPayload = config.messageBytesMax;
    this.#device = device;
    this.#slip = config.framing === "slip";
    this.#time = time;
    this.#message = Buffer.allocUnsafeSlow(config.messageBytesMax);
    this.#filling = Buffer.allocUnsafeSlow(sendBytesOf(config.messageBytesMax));
    this.#written = Buffer.allocUnsafeSlow(sendBytesOf(config.messageBytesMax));
    this.#bad = counters.counter("mqtt_sn.serial_bad_frames");
    this.#dropped = counters.counter("mqtt_sn.serial_sends_dropped");
  }

  send(bytes: Buffer, from: number, end: number): boolean {
    const length = end - from;
    const room = this.#slip ? 2 + 2 * length : length;
    if (length > this.maxPayload || this.#filled + room > this.#filling.length || !this.#device.isOpen) {
      this.#dropped.value++;
      return false;
    }
    if (this.#slip) this.#filled = writeSlip(bytes, from, end, this.#filling, this.#filled);
    else this.#filled = copyBytes(bytes, from, length, this.#filling, this.#filled);
    if (!this.#writing) this.#flush();
    return true;
  }

  /** The line is its owner's to close. */
  close(): void {
    this.handler = null;
  }

  // ---- the line ------------------------------------------------------------------------------------------------

  onOpen(): void {
    this.#reset();
  }

  onData(chunk: Buffer): void {
    const now = this.#time.nowMs();
    if (!this.#slip && this.#length > 0 && now - this.#heardMs > PAUSE_MS) {
      this.#bad.value++;
      this.#reset();
    }
    this.#heardMs = now;
    for (let i = 0; i < chunk.length; i++) {
      if (this.#slip) this.#takeSlip(chunk[i] as number);
      else this.#takeByte(chunk[i] as number);
    }
  }

  onWritten(): void {
    this.#writing = false;
    if (this.#filled > 0) this.#flush();
  }

  onAway(): void {
    this.#reset();
    this.#filled = 0;
    this.#writing = false;
  }

  #reset(): void {
    this.#length = 0;
    this.#escaped = false;
    this.#discarding = false;
  }

  #flush(): void {
    const bytes = this.#filling;
    const length = this.#filled;
    this.#filling = this.#written;
    this.#written = bytes;
    this.#filled = 0;
    this.#writing = true;
    this.#device.write(bytes.subarray(0, length));
  }

  #takeSlip(byte: number): void {
    if (byte === END) {
      const whole = !this.#discarding && !this.#escaped;
      const length = this.#length;
      if (!whole && !this.#discarding) this.#bad.value++;
      this.#reset();
      if (whole && length > 0) this.#deliver(length);
    } else if (this.#discarding) {
      return;
    } else if (byte === ESC && !this.#escaped) {
      this.#escaped = true;
    } else if ((this.#escaped && byte !== ESC_END && byte !== ESC_ESC) || this.#length === this.#message.length) {
      this.#bad.value++;
      this.#discarding = true;
    } else {
      this.#message[this.#length++] = !this.#escaped ? byte : byte === ESC_END ? END : ESC;
      this.#escaped = false;
    }
  }

  #takeByte(byte: number): void {
    if (this.#discarding) {
      // Nobody knows where a message begins: a pause will say.
      this.#length = 1;
      return;
    }
    const message = this.#message;
    message[this.#length++] = byte;
    const long = message[0] === 1;
    if (long && this.#length < 3) return;
    const due = long ? message.readUInt16BE(1) : (message[0] as number);
    if (due < (long ? 4 : 2) || due > message.length) {
      this.#bad.value++;
      this.#discarding = true;
    } else if (this.#length === due) {
      this.#length = 0;
      this.#deliver(due);
    }
  }

  #deliver(length: number): void {
    this.handler?.onDatagram(this.#message.subarray(0, length), this.address, this.port, null);
  }
}

function sendBytesOf(messageBytesMax: number): number {
  return SEND_MESSAGES * (2 + 2 * messageBytesMax);
}

function writeSlip(bytes: Buffer, from: number, end: number, out: Buffer, at: number): number {
  let next = at;
  out[next++] = END;
  for (let i = from; i < end; i++) {
    const byte = bytes[i] as number;
    if (byte === END || byte === ESC) {
      out[next++] = ESC;
      out[next++] = byte === END ? ESC_END : ESC_ESC;
    } else {
      out[next++] = byte;
    }
  }
  out[next++] = END;
  return next;
}

/** Bytes of the device's own buffer for what is read. */
const DEVICE_BYTES = 4096;

/** Worst case of serial lines with MQTT-SN, beside their clients. @param messageBytesMax of each */
export function budget(messageBytesMax: readonly number[]): Line[] {
  let bytes = 0;
  for (const max of messageBytesMax) bytes += DEVICE_BYTES + max + 2 * sendBytesOf(max);
  return [{ owner: "serial mqtt-sn", bytes, how: `${messageBytesMax.length} lines, their buffers for either way` }];
}
