/**
 * Block1: payloads of requests that come in blocks (RFC 7959 section 2.5), strictly in order, put together in memory
 * that all listeners share. What a block belongs to is told by its peer and by the options of the request (RFC 9175
 * section 3.3), never by its token.
 *
 *      block                                         answer
 *      NUM 0, more follow                            2.31; what was begun under the same key is forgotten
 *      the next one, more follow                     2.31
 *      the last one received, again                  2.31, without effect
 *      the next one, the last                        handed over whole; final response with Block1
 *      the last one, again                           the final response again
 *      any other, or with another Content-Format     4.08
 *      beyond `max_packet_bytes`, or announced so    4.13 with Size1
 *      no memory                                     5.03 with Max-Age
 *
 * A block that does not fit leaves what is there as it is: it may be an old one that the network kept.
 */
import type { Clock } from "../../../base/clock.ts";
import type { Counter, Counters } from "../../../base/counters.ts";
import { crypto } from "../../../base/crypto.ts";
import { type Expirable, Timer, type TimerWheel } from "../../../base/timer-wheel.ts";
import type { Line } from "../../../config/budget.ts";
import {
  BLOCK1,
  CONTINUE,
  EXCHANGE_LIFETIME_MS,
  REQUEST_ENTITY_INCOMPLETE,
  REQUEST_ENTITY_TOO_LARGE,
  SIZE1,
} from "../../../wire/coap/codes.ts";
import { blockBytes, blockOption, uintOption } from "../../../wire/coap/options.ts";
import { NO_SIZE, type RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";
import { refuseBusy } from "../resources/refusal.ts";
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
/** Requests with the last block that wait for one answer: the first, and those of a client that asks again. */
const WAITING_MAX = 4;

export function uploadLimits(maxPacketBytes: number): UploadLimits {
  return {
    bodyBytesMax: maxPacketBytes,
    memoryBytes: Math.max(MEMORY_BYTES_MIN, maxPacketBytes) + BESIDE_BYTES,
    uploadsMax: UPLOADS_MAX,
    perAddressMax: PER_ADDRESS_MAX,
  };
}

export class Uploads implements Expirable, UploadKeeper {
  readonly #parts: UploadParts;
  readonly #limits: UploadLimits;
  readonly #memory: BlockMemory;
  /** By key, the one whose last block is oldest first. */
  readonly #uploads = new Map<string, Upload>();
  readonly #timer = new Timer(this, 0);

  readonly #completed: Counter;
  readonly #repeated: Counter;
  readonly #incomplete: Counter;
  readonly #tooLarge: Counter;
  readonly #refused: Counter;
  readonly #evicted: Counter;
  readonly #expired: Counter;

  constructor(parts: UploadParts, limits: UploadLimits, memory: BlockMemory) {
    const { counters } = parts;
    this.#parts = parts;
    this.#limits = limits;
    this.#memory = memory;
    this.#completed = counters.counter("coap.uploads");
    this.#repeated = counters.counter("coap.upload_blocks_repeated");
    this.#incomplete = counters.counter("coap.uploads_incomplete");
    this.#tooLarge = counters.counter("coap.uploads_too_large");
    this.#refused = counters.counter("coap.uploads_refused");
    this.#evicted = counters.counter("coap.uploads_evicted");
    this.#expired = counters.counter("coap.uploads_expired");
    counters.gauge("coap.uploads_bytes", () => this.#pages() * PAGE_BYTES);
    counters.gauge("coap.uploads_known", () => this.#uploads.size);
  }

  close(): void {
    this.#parts.wheel.cancel(this.#timer);
    this.#uploads.clear();
  }

  /**
   * Takes the block of a request with Block1, in which `blockProblem` found none.
   * @param key     from `operationKey`
   * @param szxMax  size of the blocks that are asked for, when the client's are larger
   * @returns the upload when this was its last block: its payload is to be read and published at once. null when the
   *   request has been answered, or will be
   */
  take(key: string, request: RequestView, reply: Reply, szxMax: number): Upload | null {
    const from = request.block1Num * blockBytes(request.block1Szx);
    const { length } = request.payload;
    const { bodyBytesMax } = this.#limits;
    const known = this.#uploads.get(key);
    if (from + length > bodyBytesMax || (request.size1 !== NO_SIZE && request.size1 > bodyBytesMax)) {
      if (known !== undefined) this.#drop(known);
      this.#tooLarge.value++;
      reply.refuse(REQUEST_ENTITY_TOO_LARGE, "the payload is too large", [uintOption(SIZE1, bodyBytesMax)]);
      return null;
    }
    let upload = known;
    if (from === 0) {
      if (known !== undefined) this.#drop(known);
      upload = this.#begin(key, request, reply);
      if (upload === undefined) return null;
    } else if (upload === undefined || upload.format !== request.contentFormat) {
      this.#refuseIncomplete(reply, upload === undefined ? "begin with block 0" : "another Content-Format than before");
      return null;
    } else if (upload.state !== RECEIVING) {
      this.#answerAgain(upload, request, reply);
      return null;
    } else if (from === upload.lastFrom && from + length === upload.length && request.block1More) {
      this.#repeat(upload, request, reply, szxMax);
      return null;
    } else if (from !== upload.length) {
      this.#refuseIncomplete(reply, `${upload.length} bytes received, and this block begins at ${from}`);
      return null;
    }
    return this.#append(upload, request, reply, szxMax);
  }

  /** Copies the payload of an upload that `take` returned into `into` at `at`, and gives its memory back. */
  read(upload: Upload, into: Buffer, at: number): void {
    this.#memory.read(upload.firstPage, 0, upload.length, into, at);
    this.#giveBack(upload);
  }

  onUploadRefused(upload: Upload): void {
    this.#drop(upload);
  }

  /** Gives up what is begun under `key`. */
  forget(key: string): void {
    const known = this.#uploads.get(key);
    if (known !== undefined) this.#drop(known);
  }

  #begin(key: string, request: RequestView, reply: Reply): Upload | undefined {
    if (!this.#mayBegin(reply.address)) {
      this.#refused.value++;
      refuseBusy(reply, "too many uploads under way");
      return undefined;
    }
    const upload = new Upload(this, key, reply.address, request.contentFormat);
    upload.pageMs = this.#parts.clock.nowMs();
    this.#uploads.set(key, upload);
    if (!this.#timer.armed) this.#parts.wheel.schedule(this.#timer, UPLOAD_LIFETIME_MS);
    return upload;
  }

  #append(upload: Upload, request: RequestView, reply: Reply, szxMax: number): Upload | null {
    const { payload } = request;
    const from = upload.length;
    if (!this.#copy(upload, payload)) {
      this.#drop(upload);
      this.#refused.value++;
      refuseBusy(reply, "no memory for uploads: others are under way");
      return null;
    }
    upload.lastFrom = from;
    this.#touch(upload);
    if (request.block1More) {
      this.#continue(request, reply, szxMax);
      return null;
    }
    upload.state = SETTLING;
    upload.lastNum = request.block1Num;
    upload.lastSzx = request.block1Szx;
    upload.lastDigest = digestOf(payload);
    this.#completed.value++;
    return upload;
  }

  /** RFC 7959 section 2.3: the response's SZX is what the client is to use from the next block on. */
  #continue(request: RequestView, reply: Reply, szxMax: number): void {
    reply.respond(CONTINUE, [blockOption(BLOCK1, request.block1Num, true, Math.min(request.block1Szx, szxMax))]);
  }

  /** The block before, by a new message: its client has not got the answer. */
  #repeat(upload: Upload, request: RequestView, reply: Reply, szxMax: number): void {
    if (!this.#memory.equals(upload.firstPage, upload.lastFrom, request.payload)) {
      this.#refuseIncomplete(reply, "another block than the one received for this number");
      return;
    }
    this.#repeated.value++;
    this.#touch(upload);
    this.#continue(request, reply, szxMax);
  }

  /** The last block, by a new message. */
  #answerAgain(upload: Upload, request: RequestView, reply: Reply): void {
    const { block1Num, block1Szx, block1More, payload } = request;
    const same = block1Num === upload.lastNum && block1Szx === upload.lastSzx && !block1More;
    if (!same || digestOf(payload) !== upload.lastDigest) {
      this.#refuseIncomplete(reply, "this upload is complete: begin another one with block 0");
      return;
    }
    if (upload.state !== SETTLED && upload.waiting === WAITING_MAX) {
      refuseBusy(reply, "asked too often");
      return;
    }
    this.#repeated.value++;
    upload.prepare(reply);
    if (upload.state === SETTLED) reply.respond(reply.settledCode, reply.settledOptions);
    else upload.await(reply);
  }

  #refuseIncomplete(reply: Reply, diagnostic: string): void {
    this.#incomplete.value++;
    reply.refuse(REQUEST_ENTITY_INCOMPLETE, diagnostic);
  }

  #pages(): number {
    let pages = 0;
    for (const upload of this.#uploads.values()) pages += upload.pages;
    return pages;
  }

  // ---- memory ------------------------------------------------------------------------------------------------

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
    if (page === NO_PAGE && this.#evictIdle(upload)) page = this.#memory.take();
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

  #mayBegin(address: string): boolean {
    let ofAddress = 0;
    for (const upload of this.#uploads.values()) {
      if (upload.address === address && upload.state !== SETTLED) ofAddress++;
    }
    if (ofAddress >= this.#limits.perAddressMax && !this.#evictIdle(null, address)) return false;
    if (this.#uploads.size < this.#limits.uploadsMax) return true;
    return this.#forgetSettled() || this.#evictIdle(null);
  }

  #forgetSettled(): boolean {
    for (const upload of this.#uploads.values()) {
      if (upload.state !== SETTLED) continue;
      this.#drop(upload);
      return true;
    }
    return false;
  }

  /** The one that is idle for longest gives way. @param address null = of any */
  #evictIdle(asking: Upload | null, address: string | null = null): boolean {
    const beforeMs = this.#parts.clock.nowMs() - IDLE_MS;
    let idle: Upload | null = null;
    for (const upload of this.#uploads.values()) {
      if (upload.state !== RECEIVING || upload === asking || upload.pageMs > beforeMs) continue;
      if (address !== null && upload.address !== address) continue;
      if (idle === null || upload.pageMs < idle.pageMs) idle = upload;
    }
    if (idle === null) return false;
    this.#evicted.value++;
    this.#drop(idle);
    return true;
  }

  #touch(upload: Upload): void {
    upload.blockMs = this.#parts.clock.nowMs();
    this.#uploads.delete(upload.key);
    this.#uploads.set(upload.key, upload);
  }

  #drop(upload: Upload): void {
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
        this.#touch(upload);
      } else {
        if (upload.state === RECEIVING) this.#expired.value++;
        this.#drop(upload);
      }
    }
  }
}

/** RFC 7959 section 2.2: all blocks but the last are full. @returns what is wrong in words, or null */
export function blockProblem(request: RequestView): string | null {
  const size = blockBytes(request.block1Szx);
  const { length } = request.payload;
  if (request.block1More ? length === size : length <= size) return null;
  return `a block of ${length} bytes, where its option says ${size}`;
}

function digestOf(payload: Buffer): string {
  return crypto().hash("sha1", payload, "base64");
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
