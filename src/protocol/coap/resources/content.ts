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
import { BLOCK_NUM_MAX, blockBytes, blockOption, type CoapOption, uintOption } from "../../../wire/coap/options.ts";
import type { RequestView } from "../../../wire/coap/request.ts";
import type { Reply } from "../message/reply.ts";

/** What a client may assume when Max-Age is absent (RFC 7252 section 5.10.5). */
const DEFAULT_MAX_AGE_SECONDS = 60;

export interface Representation {
  /** NO_FORMAT when its publisher did not say. */
  readonly format: number;
  readonly entityTag: Buffer;
  /** Infinity when it does not run out. */
  readonly maxAgeSeconds: number;
  readonly payload: Buffer;
}

/**
 * Answers a GET. A payload above one block goes as Block2 slices (RFC 7959 section 2.4): each request names its
 * block, nothing is kept between them, and the ETag tells the client when the value changed in between.
 */
export function respondContent(reply: Reply, request: RequestView, content: Representation): void {
  // A value that its publisher gave no format is bytes.
  const format = content.format === NO_FORMAT ? OCTET_STREAM : content.format;
  if (request.accept !== NO_FORMAT && request.accept !== format) {
    reply.refuse(NOT_ACCEPTABLE, `the value's Content-Format is ${format}`);
    return;
  }
  const etag = content.entityTag;
  const options: CoapOption[] = [{ name: ETAG, value: etag }];
  if (content.maxAgeSeconds < DEFAULT_MAX_AGE_SECONDS) options.push(uintOption(MAX_AGE, content.maxAgeSeconds));
  if (request.etags.some((known) => etag.equals(known))) {
    reply.respond(VALID, options);
    return;
  }
  if (content.format !== NO_FORMAT) options.push(uintOption(CONTENT_FORMAT, content.format));
  respondBlock(reply, request, content.payload, options);
}

function respondBlock(reply: Reply, request: RequestView, payload: Buffer, options: CoapOption[]): void {
  const size = blockBytes(request.block2Szx);
  if (!request.hasBlock2 && payload.length <= size) {
    reply.respond(CONTENT, options, payload);
    return;
  }
  const from = request.block2Num * size;
  if (from > 0 && from >= payload.length) {
    reply.refuse(BAD_REQUEST, `block ${request.block2Num} lies behind the end of ${payload.length} bytes`);
    return;
  }
  const end = Math.min(from + size, payload.length);
  if (request.block2Num === BLOCK_NUM_MAX && end < payload.length) {
    reply.refuse(BAD_REQUEST, "the value has too many blocks of this size");
    return;
  }
  options.push(blockOption(BLOCK2, request.block2Num, end < payload.length, request.block2Szx));
  if (request.block2Num === 0) options.push(uintOption(SIZE2, payload.length));
  reply.respond(CONTENT, options, payload.subarray(from, end));
}
