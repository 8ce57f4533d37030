/**
 * Frames that go as fast as the wire takes them:
 *
 *     batch (frames to go, up to 4 KiB) --> the one write under way --> onWritten: acknowledged
 */
import type { SerialCounters, SerialDevice } from "./parts.ts";
import { BATCH_BYTES, type Frame, type LaneOwner, type WriteLane } from "./write-lane.ts";

export class WriteBatch implements WriteLane {
  readonly #device: SerialDevice;
  readonly #owner: LaneOwner;
  readonly #counters: SerialCounters;
  /** Frames to go, and the packet ids of those among them that are acknowledged; then those of the write under way. */
  #batch: Buffer[] = [];
  #batchBytes = 0;
  #batchIds: number[] = [];
  #writingIds: number[] = [];
  /** Frames of the write under way; 0: there is none. */
  #writing = 0;

  constructor(device: SerialDevice, owner: LaneOwner, counters: SerialCounters) {
    this.#device = device;
    this.#owner = owner;
    this.#counters = counters;
  }

  get isFull(): boolean {
    return this.#batchBytes >= BATCH_BYTES;
  }

  get wantsMore(): boolean {
    return !this.isFull;
  }

  push({ bytes, packetId }: Frame): void {
    this.#batch.push(bytes);
    this.#batchBytes += bytes.length;
    if (packetId !== 0) this.#batchIds.push(packetId);
    if (this.#writing === 0) this.#flush();
  }

  onWritten(): void {
    const ids = this.#writingIds;
    this.#writing = 0;
    this.#writingIds = [];
    this.#flush();
    for (const packetId of ids) this.#owner.acknowledge(packetId);
    this.#owner.onRoom();
  }

  onAway(): number {
    const lost = this.#batch.length - this.#batchIds.length + this.#writing - this.#writingIds.length;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#batchIds = [];
    this.#writingIds = [];
    this.#writing = 0;
    return lost;
  }

  #flush(): void {
    if (this.#batch.length === 0) return;
    const bytes = this.#batch.length === 1 ? (this.#batch[0] as Buffer) : Buffer.concat(this.#batch);
    this.#counters.linesWritten.value += this.#batch.length;
    this.#writing = this.#batch.length;
    this.#writingIds = this.#batchIds;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#batchIds = [];
    this.#device.write(bytes);
  }
}
