/** What a serial port is made of while it is open: bytes both ways, over a device or a socket. */

export interface SerialStream {
  /** Nothing is heard before. */
  start(handler: SerialStreamHandler): void;
  pause(): void;
  resume(): void;
  /** One at a time; `bytes` must not change until `onSent`, which comes in a later turn. */
  write(bytes: Buffer): void;
  /** The handler hears nothing any more. Resolves when what was open is closed. */
  close(): Promise<void>;
  /** How the line is, as far as it tells. */
  facts(): LineFacts;
}

/** What a line that is open says of itself, as plain JSON; null = it does not. */
export interface LineFacts {
  /** Why what was written does not leave; asked only when it does not. */
  readonly heldBy: string | null;
  readonly driver: DriverFacts | null;
}

export interface DriverFacts {
  /** As the driver has really set it. */
  readonly baud: number | null;
  /** Who switches the transmitter: the gateway by RTS, or the driver; null = nobody here. */
  readonly rs485: "rts" | "driver" | null;
  /** What the driver cannot do of what it was asked for, in words. */
  readonly refused: readonly string[];
  /** Since the line was opened. */
  readonly errors: LineErrors | null;
}

export interface LineErrors {
  readonly framing: number;
  readonly parity: number;
  /** Bytes lost in the hardware, and in the driver's buffer. */
  readonly overrun: number;
  readonly bufferOverrun: number;
  readonly break: number;
}

export interface SerialStreamHandler {
  /** Silences of a few ms say something: bytes that come one by one are not gathered for a millisecond. */
  readonly prompt?: boolean;
  /** All that is written is answered: it counts as sent when the kernel has it, but where RTS switches. Absent: no. */
  readonly answered?: boolean;
  /** `chunk` is valid until return. Not called while the stream is paused. */
  onData(chunk: Buffer): void;
  /** What was written has left the machine. */
  onSent(): void;
  /** It is of no use any more: why. Once, and nothing after it; the caller closes. */
  onGone(words: string): void;
}

/**
 * @param givenUp nobody waits for it any more: what may take long ends soon
 * @throws Error whose words say why it cannot be opened now
 */
export type OpenSerialStream = (givenUp: AbortSignal) => Promise<SerialStream>;

/** The most that is read at once. */
export const READ_BYTES = 4096;

/** A start bit, eight bits and a stop bit, as most lines have it. */
const BITS_PER_BYTE = 10;

/** How long a line takes to send. */
export function transmitMs(bytes: number, baud: number): number {
  return (bytes * BITS_PER_BYTE * 1000) / baud;
}
