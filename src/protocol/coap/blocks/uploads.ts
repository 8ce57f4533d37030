/**
 * Block1: payloads of requests that come in blocks (RFC 7959 section 2.5), strictly in order, put together in memory
 * that all listeners share. What a block belongs to is told by its peer and by the options of the request (RFC 9175
 * section 3.3), never by its token.
 *
 *      block                                         answer
 *      NUM 0, more follow                            2.31; what was begun under the same key is forgotten
 *      the next one, more follow                     2.31
 *      one received before, again                    2.31, without effect: libcoap sends the next block once more for
 *                                                    each copy of a 2.31 that the network makes
 *      the next one, the last                        handed over whole; final response with Block1
 *      the last one, again                           the final response again
 *      any other, or with another Content-Format     4.08
 *      beyond `max_packet_bytes`, or announced so    4.13 with Size1
 *      no memory                                     5.03 with Max-Age
 *
 * A block that does not fit leaves what is there as it is: it may be an old one that the network kept.
 */
import type { Counter } from "../../../base/counters.ts";
import { crypto } from "../../../base/crypto.ts";
import {
  BLOCK1,
  CONTINUE,
  REQUEST_ENTITY_INCOMPLETE,
  REQUEST_ENTITY_TOO_LARGE,
  SIZE1,
} from "../../../wire/coap/codes.ts";
import { blockBytes, blockOption, uintOption } from "../../../wire/coap/options.ts";
import { NO_SIZE, type RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";
import { refuseBusy } from "../resources/refusal.ts";
import type { BlockMemory } from "./block-memory.ts";
import { RECEIVING, SETTLED, SETTLING, type Upload } from "./upload.ts";
import { type UploadLimits, type UploadParts, UploadTable } from "./upload-table.ts";

/** Requests with the last block that wait for one answer: the first, and those of a client that asks again. */
const WAITING_MAX = 4;

export class Uploads {
  readonly #table: UploadTable;
  readonly #bodyBytesMax: number;

  readonly #completed: Counter;
  readonly #repeated: Counter;
  readonly #incomplete: Counter;
  readonly #tooLarge: Counter;
  readonly #refused: Counter;

  constructor(parts: UploadParts, limits: UploadLimits, memory: BlockMemory) {
    const { counters } = parts;
    this.#table = new UploadTable(parts, limits, memory);
    this.#bodyBytesMax = limits.bodyBytesMax;
    this.#completed = counters.counter("coap.uploads");
    this.#repeated = counters.counter("coap.upload_blocks_repeated");
    this.#incomplete = counters.counter("coap.uploads_incomplete");
    this.#tooLarge = counters.counter("coap.uploads_too_large");
    this.#refused = counters.counter("coap.uploads_refused");
  }

  close(): void {
    this.#table.close();
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
    const bodyBytesMax = this.#bodyBytesMax;
    const known = this.#table.find(key);
    if (from + length > bodyBytesMax || (request.size1 !== NO_SIZE && request.size1 > bodyBytesMax)) {
      if (known !== undefined) this.#table.drop(known);
      this.#tooLarge.value++;
      reply.refuse(REQUEST_ENTITY_TOO_LARGE, "the payload is too large", [uintOption(SIZE1, bodyBytesMax)]);
      return null;
    }
    let upload = known;
    if (from === 0) {
      if (known !== undefined) this.#table.drop(known);
      upload = this.#begin(key, request, reply);
      if (upload === undefined) return null;
    } else if (upload === undefined || upload.format !== request.contentFormat) {
      this.#refuseIncomplete(reply, upload === undefined ? "begin with block 0" : "another Content-Format than before");
      return null;
    } else if (upload.state !== RECEIVING) {
      this.#answerAgain(upload, request, reply);
      return null;
    } else if (from < upload.length && from + length <= upload.length && request.block1More) {
      this.#repeat(upload, from, request, reply, szxMax);
      return null;
    } else if (from !== upload.length) {
      this.#refuseIncomplete(reply, `${upload.length} bytes received, and this block begins at ${from}`);
      return null;
    }
    return this.#append(upload, request, reply, szxMax);
  }

  /** Copies the payload of an upload that `take` returned into `into` at `at`, and gives its memory back. */
  read(upload: Upload, into: Buffer, at: number): void {
    this.#table.take(upload, into, at);
  }

  /** Gives up what is begun under `key`. */
  forget(key: string): void {
    const known = this.#table.find(key);
    if (known !== undefined) this.#table.drop(known);
  }

  #begin(key: string, request: RequestView, reply: Reply): Upload | undefined {
    const upload = this.#table.begin(key, reply.address, request.contentFormat, reply.peer.verified);
    if (upload !== null) return upload;
    this.#refused.value++;
    refuseBusy(reply, "too many uploads under way");
    return undefined;
  }

  #append(upload: Upload, request: RequestView, reply: Reply, szxMax: number): Upload | null {
    const { payload } = request;
    if (!this.#table.append(upload, payload)) {
      this.#table.drop(upload);
      this.#refused.value++;
      refuseBusy(reply, "no memory for uploads: others are under way");
      return null;
    }
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

  /** A block from before, by a new message: its client has not got the answer, or has got one more often than once. */
  #repeat(upload: Upload, from: number, request: RequestView, reply: Reply, szxMax: number): void {
    if (!this.#table.holds(upload, from, request.payload)) {
      this.#refuseIncomplete(reply, "another block than the one received for this number");
      return;
    }
    this.#repeated.value++;
    this.#table.touch(upload);
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
