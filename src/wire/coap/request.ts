/**
 * A request's options and payload as fields, by the codec `coap-packet`, and the rules that no resource has to know:
 * which options are understood, how long they may be, which may repeat.
 *
 * The codec is lenient (it takes a token of 200 bytes, and an option cut off by the datagram's end for a shorter one),
 * so it gets only what `readHeader` found well-formed.
 */
import { isUtf8 } from "node:buffer";
import { parse } from "coap-packet";
import {
  ACCEPT,
  BAD_OPTION,
  BAD_REQUEST,
  BLOCK1,
  BLOCK2,
  CONTENT_FORMAT,
  ETAG,
  PROXY_SCHEME,
  PROXY_URI,
  PROXYING_NOT_SUPPORTED,
  SIZE1,
  SIZE2,
  URI_HOST,
  URI_PATH,
  URI_PORT,
  URI_QUERY,
} from "./codes.ts";
import { NO_FORMAT } from "./content-format.ts";
import { BLOCK_SZX_MAX, readUint } from "./options.ts";

/** Most options looked at; a datagram of 64 KiB holds as many empty ones. */
export const OPTIONS_MAX = 256;

/** What `decodeRequest` answers when the view is filled; otherwise it is the response code. */
export const REQUEST_OK = 0;

/** Decoded request. Reused for every request; `payload` and `etags` point into the datagram. */
export class RequestView {
  code = 0;
  /** Uri-Path, a segment each, percent-decoded by the client. */
  readonly path: string[] = [];
  /** Uri-Query, an argument each. */
  readonly query: string[] = [];
  /** NO_FORMAT when absent. */
  contentFormat = NO_FORMAT;
  accept = NO_FORMAT;
  readonly etags: Uint8Array[] = [];
  /** Block2 was there; its NUM and SZX. */
  hasBlock2 = false;
  block2Num = 0;
  block2Szx = BLOCK_SZX_MAX;
  payload: Buffer = EMPTY_BYTES;
  /** Number of the option that made `decodeRequest` answer other than REQUEST_OK; 0 when it was none. */
  refusedOption = 0;
}

const EMPTY_BYTES: Buffer = Buffer.alloc(0);

/**
 * Decodes the request in `datagram`, which `readHeader` found OK, into `view`.
 * @returns REQUEST_OK, or the response code: BAD_OPTION for an unknown critical option (RFC 7252 section 5.4.1) or one
 *   of the wrong length or number (5.4.3, 5.4.5), BAD_REQUEST, or PROXYING_NOT_SUPPORTED (5.10.2)
 */
export function decodeRequest(datagram: Buffer, view: RequestView): number {
  view.path.length = 0;
  view.query.length = 0;
  view.etags.length = 0;
  view.contentFormat = NO_FORMAT;
  view.accept = NO_FORMAT;
  view.hasBlock2 = false;
  view.block2Num = 0;
  view.block2Szx = BLOCK_SZX_MAX;
  view.refusedOption = 0;
  view.code = datagram[1] as number;
  let packet: ReturnType<typeof parse>;
  try {
    packet = parse(datagram);
  } catch {
    return BAD_REQUEST; // readHeader leaves it nothing to throw on; the codec's opinion still counts
  }
  view.payload = packet.payload;
  if (packet.options.length > OPTIONS_MAX) return BAD_REQUEST;
  let previous = 0;
  for (const option of packet.options) {
    const number = numberOf(option.name);
    const problem = takeOption(view, number, number === previous, option.value);
    if (problem !== REQUEST_OK) {
      view.refusedOption = number;
      return problem;
    }
    previous = number;
  }
  return REQUEST_OK;
}

/** Elective options (even numbers) that do not fit are ignored, critical ones (odd) refused. */
function takeOption(view: RequestView, number: number, repeated: boolean, value: Buffer): number {
  switch (number) {
    case URI_PATH:
      return value.length <= 255 ? takeText(view.path, value) : BAD_OPTION;
    case URI_QUERY:
      return value.length <= 255 ? takeText(view.query, value) : BAD_OPTION;
    case URI_HOST:
      return !repeated && value.length >= 1 && value.length <= 255 ? REQUEST_OK : BAD_OPTION;
    case URI_PORT:
      return !repeated && value.length <= 2 ? REQUEST_OK : BAD_OPTION;
    case ACCEPT:
      if (repeated || value.length > 2) return BAD_OPTION;
      view.accept = readUint(value);
      return REQUEST_OK;
    case BLOCK2:
      return !repeated && value.length <= 3 ? takeBlock2(view, readUint(value)) : BAD_OPTION;
    case PROXY_URI:
    case PROXY_SCHEME:
      return PROXYING_NOT_SUPPORTED;
    case CONTENT_FORMAT:
      if (!repeated && value.length <= 2) view.contentFormat = readUint(value);
      return REQUEST_OK;
    case ETAG:
      if (value.length >= 1 && value.length <= 8) view.etags.push(value);
      return REQUEST_OK;
    default:
      return number % 2 === 1 ? BAD_OPTION : REQUEST_OK;
  }
}

function takeText(list: string[], value: Buffer): number {
  if (!isUtf8(value)) return BAD_REQUEST;
  list.push(value.toString());
  return REQUEST_OK;
}

/** RFC 7959 section 2.2: SZX 7 is reserved. */
function takeBlock2(view: RequestView, block: number): number {
  if ((block & 7) > BLOCK_SZX_MAX) return BAD_REQUEST;
  view.hasBlock2 = true;
  view.block2Num = block >>> 4;
  view.block2Szx = block & 7;
  return REQUEST_OK;
}

/** The codec names the options it knows and writes the others' numbers as text. */
function numberOf(name: string | number): number {
  return NUMBERS.get(name) ?? Number(name);
}

const NUMBERS: ReadonlyMap<string | number, number> = new Map([
  ["If-Match", 1],
  ["Uri-Host", URI_HOST],
  ["ETag", ETAG],
  ["If-None-Match", 5],
  ["Observe", 6],
  ["Uri-Port", URI_PORT],
  ["Location-Path", 8],
  ["OSCORE", 9],
  ["Uri-Path", URI_PATH],
  ["Content-Format", CONTENT_FORMAT],
  ["Max-Age", 14],
  ["Uri-Query", URI_QUERY],
  ["Hop-Limit", 16],
  ["Accept", ACCEPT],
  ["Q-Block1", 19],
  ["Location-Query", 20],
  ["Block2", BLOCK2],
  ["Block1", BLOCK1],
  ["Size2", SIZE2],
  ["Q-Block2", 31],
  ["Proxy-Uri", PROXY_URI],
  ["Proxy-Scheme", PROXY_SCHEME],
  ["Size1", SIZE1],
  ["No-Response", 258],
  ["OCF-Accept-Content-Format-Version", 2049],
  ["OCF-Content-Format-Version", 2053],
]);
