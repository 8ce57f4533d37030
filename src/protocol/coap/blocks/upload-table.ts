/**
 * The uploads under way, and those that were not long ago: how many there may be, what they hold, who gives way.
 *
 *     by key, oldest last block first     A ── B ── C ── D      expire from the front
 *     their bytes                         pages of `block-memory.ts`
 */

import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import type { TimerWheel } from "../../../base/timer-wheel.ts";
import { type Expirable, Timer } from "../../../base/timer-wheel.ts";
import type { Line } from "../../../config/budget.ts";
import { EXCHANGE_LIFETIME_MS } from "../../../wire/coap/codes.ts";
import { type BlockMemory, NO_PAGE, PAGE_BYTES } from "./block-memory.ts";
import { GONE, RECEIVING, SETTLED, SETTLING, Upload, type UploadKeeper } from "./upload.ts";

export interface UploadParts {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly counters: Counters;
}

export interface UploadLimits {
  /** Of one payload. */
  readonly bodyBytesMax: number;
  /** Of all that are being received, of all listeners. */
  readonly memoryBytes: number;
  /** Being received, or remembered after they were. */
  readonly uploadsMax: number;
  /** Of these, from one address. */
  readonly perAddressMax: number;
}

/** Room beside the largest payload, so that small ones go on meanwhile. */
const BESIDE_BYTES = 16 * 1024;
const MEMORY_BYTES_MIN = 256 * 1024;
const UPLOADS_MAX = 96;
const PER_ADDRESS_MAX = 24;
/** Measured bytes of an upload: record, key, digest, place in the map. */
const UPLOAD_BYTES = 448;

/** How long one is remembered after its last block: as long as that may be repeated. */
export const UPLOAD_LIFETIME_MS = EXCHANGE_LIFETIME_MS;
/** When memory is wanted, one that has not filled a page for so long may give way. */
export const IDLE_MS = 10_000;
export function uploadLimits(maxPacketBytes: number): UploadLimits {
  return {
    bodyBytesMax: maxPacketBytes,
    memoryBytes: Math.max(MEMORY_BYTES_MIN, maxPacketBytes) + BESIDE_BYTES,
    uploadsMax: UPLOADS_MAX,
    perAddressMax: PER_ADDRESS_MAX,
  };
}

export class UploadTable implements Expirable, UploadKeeper {
  readonly #parts: UploadParts;
  readonly #limits: UploadLimits;
  readonly #memory: BlockMemory;
  /** By key, the one whose last block is oldest first. */
  readonly #uploads = new Map<string, Upload>();
  readonly #timer = new Timer(this, 0);
  readonly #evicted: Counter;
  readonly #expired: Counter;

  constructor(parts: UploadParts, limits: UploadLimits, memory: BlockMemory) {
    const { counters } = parts;
    this.#parts = parts;
    this.#limits = limits;
    this.#memory = memory;
    this.#evicted = counters.counter("coap.uploads_evicted");
    this.#expired = counters.counter("coap.uploads_expired");
    counters.gauge("coap.uploads_bytes", () => this.#pages() * PAGE_BYTES);
    counters.gauge("coap.uploads_known", () => this.#uploads.size);
  }

  close(): void {
    this.#parts.wheel.cancel(this.#timer);
    this.#uploads.clear();
  }

  find(key: string): Upload | undefined {
    return this.#uploads.get(key);
  }

  /** @param proven  its address is @returns null when there is no room for one more */
  begin(key: string, address: string, format: number, proven: boolean): Upload | null {
    if (!this.#mayBegin(address, proven)) return null;
    const upload = new Upload(this, key, address, format, proven);
    upload.blockMs = this.#parts.clock.nowMs();
    upload.pageMs = upload.blockMs;
    this.#uploads.set(key, upload);
    if (!this.#timer.armed) this.#parts.wheel.schedule(this.#timer, UPLOAD_LIFETIME_MS);
    return upload;
  }

  /** Adds a block. @returns false when there is no memory for it: then the upload is not whole any more */
  append(upload: Upload, payload: Buffer): boolean {
    if (!this.#copy(upload, payload)) return false;
    this.touch(upload);
    return true;
  }

  /** Whether `payload` is what was received from byte `from` on; its end is not behind what was received. */
  holds(upload: Upload, from: number, payload: Buffer): boolean {
    return this.#memory.equals(upload.firstPage, from, payload);
  }

  /** Copies all of it into `into` at `at`, and gives its memory back. */
  take(upload: Upload, into: Buffer, at: number): void {
    this.#memory.read(upload.firstPage, 0, upload.length, into, at);
    this.#giveBack(upload);
  }

  onUploadRefused(upload: Upload): void {
    this.drop(upload);
  }

  #pages(): number {
    let pages = 0;
    for (const upload of this.#uploads.values()) pages += upload.pages;
    return pages;
  }

  #copy(upload: Upload, payload: Buffer): boolean {
    for (let done = 0; done < payload.length; ) {
      const offset = upload.length % PAGE_BYTES;
      if (offset === 0 && !this.#addPage(upload)) return false;
      const part = Math.min(PAGE_BYTES - offset, payload.length - done);
      this.#memory.write(upload.lastPage, offset, payload, done, done + part);
      upload.length += part;
      done += part;
    }
    return true;
  }

  #addPage(upload: Upload): boolean {
    if (!this.#mayGrow(upload)) return false;
    let page = this.#memory.take();
    if (page === NO_PAGE && this.#evict(upload.proven, upload)) page = this.#memory.take();
    if (page === NO_PAGE) return false;
    if (upload.lastPage === NO_PAGE) upload.firstPage = page;
    else this.#memory.chain(upload.lastPage, page);
    upload.lastPage = page;
    upload.pages++;
    upload.pageMs = this.#parts.clock.nowMs();
    return true;
  }

  /** An address may fill all memory by one upload, and half of it by several. */
  #mayGrow(upload: Upload): boolean {
    let others = 0;
    for (const other of this.#uploads.values()) {
      if (other !== upload && other.address === upload.address) others += other.pages;
    }
    return others === 0 || others + upload.pages < this.#memory.pages / 2;
  }

  #mayBegin(address: string, proven: boolean): boolean {
    let ofAddress = 0;
    for (const upload of this.#uploads.values()) {
      if (upload.address === address && upload.state !== SETTLED) ofAddress++;
    }
    if (ofAddress >= this.#limits.perAddressMax && !this.#evict(proven, null, address)) return false;
    if (this.#uploads.size < this.#limits.uploadsMax) return true;
    return this.#forgetSettled() || this.#evict(proven, null);
  }

  #forgetSettled(): boolean {
    for (const upload of this.#uploads.values()) {
      if (upload.state !== SETTLED) continue;
      this.drop(upload);
      return true;
    }
    return false;
  }

  /**
   * The one that is idle for longest gives way. An address that is not proven may be forged, and thousands may be at once:
   * its upload gives way to one whose is, idle or not, and none of these gives way to it.
   * @param proven  of who asks  @param address  null = of any
   */
  #evict(proven: boolean, asking: Upload | null, address: string | null = null): boolean {
    const beforeMs = this.#parts.clock.nowMs() - IDLE_MS;
    let idle: Upload | null = null;
    for (const upload of this.#uploads.values()) {
      if (upload.state !== RECEIVING || upload === asking) continue;
      if (address !== null && upload.address !== address) continue;
      if (upload.proven ? !proven || upload.pageMs > beforeMs : !proven && upload.pageMs > beforeMs) continue;
      if (idle === null || isBefore(upload, idle)) idle = upload;
    }
    if (idle === null) return false;
    this.#evicted.value++;
    this.drop(idle);
    return true;
  }

  /** A block of it has come. */
  touch(upload: Upload): void {
    upload.blockMs = this.#parts.clock.nowMs();
    this.#uploads.delete(upload.key);
    this.#uploads.set(upload.key, upload);
  }

  drop(upload: Upload): void {
    upload.state = GONE;
    if (this.#uploads.get(upload.key) === upload) this.#uploads.delete(upload.key);
    this.#giveBack(upload);
  }

  #giveBack(upload: Upload): void {
    this.#memory.give(upload.firstPage);
    upload.firstPage = NO_PAGE;
    upload.lastPage = NO_PAGE;
    upload.pages = 0;
  }

  /** Those whose last block is too old are at the front. */
  onTimer(): void {
    const nowMs = this.#parts.clock.nowMs();
    for (const upload of this.#uploads.values()) {
      const leftMs = upload.blockMs + UPLOAD_LIFETIME_MS - nowMs;
      if (leftMs > 0) {
        this.#parts.wheel.schedule(this.#timer, leftMs);
        return;
      }
      if (upload.state === SETTLING) {
        this.touch(upload);
      } else {
        if (upload.state === RECEIVING) this.#expired.value++;
        this.drop(upload);
      }
    }
  }
}

function isBefore(a: Upload, b: Upload): boolean {
  return a.proven === b.proven ? a.pageMs < b.pageMs : b.proven;
}

/** Worst case of all CoAP listeners together. */
export function budget(maxPacketBytes: number): Line {
  const { memoryBytes, uploadsMax } = uploadLimits(maxPacketBytes);
  return {
    owner: "coap uploads",
    bytes: memoryBytes + uploadsMax * UPLOAD_BYTES,
    how: `${memoryBytes} B of blocks + ${uploadsMax} x ${UPLOAD_BYTES} B`,
  };
}
