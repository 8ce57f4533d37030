/**
 * Frames on their way to a serial port, which takes one write at a time: what is laid down during a write goes with the next.
 *
 *     placeFor, placed --> filling --> the one write under way --> onWritten: the two change places
 */

/** `serial-port.ts`, as far as it is used here. */
export interface FrameDevice {
  readonly isOpen: boolean;
  /** One at a time; `bytes` must not change until the device says that they are written. */
  write(bytes: Buffer): void;
}

export class FrameWriter {
  readonly #device: FrameDevice;
  #filling: Buffer;
  #written: Buffer;
  #filled = 0;
  #writing = false;
  #onIdle: (() => void) | null = null;

  /** @param bytesMax of the frames that wait, and of those under way: it takes twice that */
  constructor(device: FrameDevice, bytesMax: number) {
    this.#device = device;
    this.#filling = Buffer.allocUnsafeSlow(bytesMax);
    this.#written = Buffer.allocUnsafeSlow(bytesMax);
  }

  /** Where the next frame is laid down. */
  get bytes(): Buffer {
    return this.#filling;
  }

  /** @returns the index in `bytes` from which `length` bytes are free; -1: no room now, or nobody is there */
  placeFor(length: number): number {
    return this.#device.isOpen && this.#filled + length <= this.#filling.length ? this.#filled : -1;
  }

  /** A frame lies there, up to `end`. */
  placed(end: number): void {
    this.#filled = end;
    if (!this.#writing) this.#flush();
  }

  onWritten(): void {
    this.#writing = false;
    if (this.#filled > 0) this.#flush();
    else this.#onIdle?.();
  }

  /** The device is gone, with what was for it. */
  onAway(): void {
    this.#filled = 0;
    this.#writing = false;
    this.#onIdle?.();
  }

  /** Resolves when all has been written, or the device is away; at the latest after `ms`. */
  written(ms: number): Promise<void> {
    if (!this.#writing) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
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
}
