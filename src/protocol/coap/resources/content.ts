/** A representation as a 2.05: Accept and ETag honoured, cut into blocks where it is large or the client wants them. */
import {
  BAD_REQUEST,
  BLOCK2,
  CONTENT,
  CONTENT_FORMAT,
  ETAG,
  MAX_AGE,
  NOT_ACCEPTABLE,
  SIZE2,
  VALID,
} from "../../../wire/coap/codes.ts";
import { NO_FORMAT, OCTET_STREAM } from "../../../wire/coap/content-format.ts";
import {
  BLOCK_NUM_MAX,
  BLOCK_SZX_MAX,
  blockBytes,
  blockOption,
  type CoapOption,
  uintOption,
} from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import { responseBytes } from "../../../wire/coap/response.ts";
import type { Reply } from "../message/reply.ts";

/** What a client may assume when Max-Age is absent (RFC 7252 section 5.10.5). */
const DEFAULT_MAX_AGE_SECONDS = 60;

/** A Buffer, or what gives parts of it as Buffers. */
export interface Payload {
  readonly length: number;
  subarray(from: number, end: number): Buffer;
}

export interface Representation {
  /** NO_FORMAT when its publisher did not say. */
  readonly format: number;
  readonly entityTag: Buffer;
  /** Infinity when it does not run out. */
  readonly maxAgeSeconds: number;
  readonly payload: Payload;
}

/**
 * Answers a GET or FETCH. A payload above one block goes as Block2 slices (RFC 7959 section 2.4): each request names its
 * block, nothing is kept between them, and the ETag tells the client when the value changed in between.
 */
export function respondContent(reply: Reply, request: RequestView, content: Representation): void {
  if (!isAcceptable(reply, request, content.format)) return;
  const options = headOptions(content);
  const etag = content.entityTag;
  if (request.etags.some((known) => etag.equals(known))) {
    reply.respond(VALID, options);
    return;
  }
  if (content.format !== NO_FORMAT) options.push(uintOption(CONTENT_FORMAT, content.format));
  respondBlock(reply, request, content.payload, options);
}

/** RFC 7252 section 5.10.4; a value that its publisher gave no format is bytes. @returns false when that was answered */
export function isAcceptable(reply: Reply, request: RequestView, format: number): boolean {
  const given = format === NO_FORMAT ? OCTET_STREAM : format;
  if (request.accept === NO_FORMAT || request.accept === given) return true;
  reply.refuse(NOT_ACCEPTABLE, `the value's Content-Format is ${given}`);
  return false;
}

function headOptions({ entityTag, maxAgeSeconds }: Representation): CoapOption[] {
  const options: CoapOption[] = [{ name: ETAG, value: entityTag }];
  if (maxAgeSeconds < DEFAULT_MAX_AGE_SECONDS) options.push(uintOption(MAX_AGE, maxAgeSeconds));
  return options;
}

function respondBlock(reply: Reply, request: RequestView, payload: Payload, options: CoapOption[]): void {
  const whole = responseBytes(reply.token.length, options, payload.length);
  if (!request.hasBlock2 && payload.length <= blockBytes(BLOCK_SZX_MAX) && whole <= reply.responseBytesMax) {
    reply.respond(CONTENT, options, payload.subarray(0, payload.length));
    return;
  }
  const from = request.block2Num * blockBytes(request.block2Szx);
  if (from > 0 && from >= payload.length) {
    reply.refuse(BAD_REQUEST, `block ${request.block2Num} lies behind the end of ${payload.length} bytes`);
    return;
  }
  const szx = fittingSzx(reply, request.block2Szx, options);
  if (szx < request.block2Szx && payload.length - from > blockBytes(szx) && reply.askProof()) return;
  const size = blockBytes(szx);
  const end = Math.min(from + size, payload.length);
  if (from / size > BLOCK_NUM_MAX || (from / size === BLOCK_NUM_MAX && end < payload.length)) {
    reply.refuse(BAD_REQUEST, "the value has too many blocks of this size");
    return;
  }
  options.push(blockOption(BLOCK2, from / size, end < payload.length, szx));
  // An indication that may be left out where bytes are few; who asks for it gets it with each block (RFC 7959 section 4).
  const size2 = uintOption(SIZE2, payload.length);
  const wanted = from === 0 || request.size2 === 0;
  const bytes = responseBytes(reply.token.length, options, end - from);
  if (wanted && bytes + 2 + size2.value.length <= reply.responseBytesMax) options.push(size2);
  reply.respond(CONTENT, options, payload.subarray(from, end));
}

/** Most bytes of Block2 with its header: NUM of 20 bits. */
const BLOCK2_BYTES_MAX = 4;

/** The largest blocks, up to those the client takes, that fit in the datagram that may be sent. */
export function fittingSzx(reply: Reply, szxMax: number, options: CoapOption[]): number {
  const head = responseBytes(reply.token.length, options, 0) + BLOCK2_BYTES_MAX + 1;
  let szx = szxMax;
  while (szx > 0 && head + blockBytes(szx) > reply.responseBytesMax) szx--;
  return szx;
}
