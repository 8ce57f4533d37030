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
  ECHO,
  ETAG,
  IF_MATCH,
  IF_NONE_MATCH,
  LOCATION_PATH,
  LOCATION_QUERY,
  NO_RESPONSE,
  OBSERVE,
  PROXY_SCHEME,
  PROXY_URI,
  PROXYING_NOT_SUPPORTED,
  REQUEST_TAG,
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

/** `RequestView.observe` without the option; otherwise its value. */
export const NOT_OBSERVING = -1;
/** `RequestView.size1` and `size2` without the option. */
export const NO_SIZE = -1;

/** Decoded request. Reused for every request; its bytes point into the datagram. */
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
  /** Entity tags of If-Match, of which one is to be that of the resource; an empty one is met by any (RFC 7252 section 5.10.8.1). */
  readonly ifMatch: Uint8Array[] = [];
  /** The resource is not to exist (RFC 7252 section 5.10.8.2). */
  ifNoneMatch = false;
  /** NOT_OBSERVING, 0 = register, 1 = deregister, or another value, which means neither (RFC 7641 section 2). */
  observe = NOT_OBSERVING;
  /** Block1 was there; its NUM, M and SZX (RFC 7959 section 2.2). */
  hasBlock1 = false;
  block1Num = 0;
  block1More = false;
  block1Szx = BLOCK_SZX_MAX;
  /** Bytes of the whole request payload as the client announces it; NO_SIZE when absent (RFC 7959 section 4). */
  size1 = NO_SIZE;
  /** The same of the response; 0 = the client asks for it. */
  size2 = NO_SIZE;
  /** Request-Tag options in order, 0 to 8 bytes each (RFC 9175 section 3.2). */
  readonly requestTags: Uint8Array[] = [];
  /** Value of Echo, 1 to 40 bytes; null when absent (RFC 9175 section 2.2.1). */
  echo: Uint8Array | null = null;
  /** Response classes that are not wanted, bit c-1 for class c.xx (2 for 2.xx, 8 for 4.xx, 16 for 5.xx); 0 = all are (RFC 7967 section 2). */
  noResponse = 0;
  /** Block2 was there; its NUM and SZX. */
  hasBlock2 = false;
  block2Num = 0;
  block2Szx = BLOCK_SZX_MAX;
  payload: Buffer = EMPTY_BYTES;
  /** A Location-Path or Location-Query was there. They are for responses, so nothing else is done with them. */
  hasLocation = false;
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
  view.ifMatch.length = 0;
  view.ifNoneMatch = false;
  view.observe = NOT_OBSERVING;
  view.hasBlock1 = false;
  view.block1Num = 0;
  view.block1More = false;
  view.block1Szx = BLOCK_SZX_MAX;
  view.size1 = NO_SIZE;
  view.size2 = NO_SIZE;
  view.requestTags.length = 0;
  view.echo = null;
  view.noResponse = 0;
  view.contentFormat = NO_FORMAT;
  view.accept = NO_FORMAT;
  view.hasBlock2 = false;
  view.block2Num = 0;
  view.block2Szx = BLOCK_SZX_MAX;
  view.hasLocation = false;
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
  let answer = REQUEST_OK;
  for (const option of packet.options) {
    const number = numberOf(option.name);
    const problem = takeOption(view, number, number === previous, option.value);
    previous = number;
    if (problem === REQUEST_OK) continue;
    if (answer === REQUEST_OK || problem === BAD_OPTION) view.refusedOption = number;
    // It goes before what else is wrong: a NON with such an option gets no answer at all (RFC 7252 section 5.4.1).
    if (problem === BAD_OPTION) return BAD_OPTION;
    if (answer === REQUEST_OK) answer = problem;
  }
  return answer;
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
    case BLOCK1:
      return !repeated && value.length <= 3 ? takeBlock1(view, readUint(value)) : BAD_OPTION;
    case IF_MATCH:
      if (value.length > 8) return BAD_OPTION;
      view.ifMatch.push(value);
      return REQUEST_OK;
    case IF_NONE_MATCH:
      if (repeated || value.length > 0) return BAD_OPTION;
      view.ifNoneMatch = true;
      return REQUEST_OK;
    case PROXY_URI:
    case PROXY_SCHEME: {
      const lengthMax = number === PROXY_URI ? 1034 : 255;
      return repeated || value.length === 0 || value.length > lengthMax ? BAD_OPTION : PROXYING_NOT_SUPPORTED;
    }
    case CONTENT_FORMAT:
      if (!repeated && value.length <= 2) view.contentFormat = readUint(value);
      return REQUEST_OK;
    case ETAG:
      if (value.length >= 1 && value.length <= 8) view.etags.push(value);
      return REQUEST_OK;
    case OBSERVE:
      if (!repeated && value.length <= 3) view.observe = readUint(value);
      return REQUEST_OK;
    case SIZE1:
      if (!repeated && value.length <= 4) view.size1 = readUint(value);
      return REQUEST_OK;
    case SIZE2:
      if (!repeated && value.length <= 4) view.size2 = readUint(value);
      return REQUEST_OK;
    case REQUEST_TAG:
      if (value.length <= 8) view.requestTags.push(value);
      return REQUEST_OK;
    case ECHO:
      if (!repeated && value.length >= 1 && value.length <= 40) view.echo = value;
      return REQUEST_OK;
    case NO_RESPONSE:
      if (!repeated && value.length <= 1) view.noResponse = readUint(value);
      return REQUEST_OK;
    case LOCATION_PATH:
    case LOCATION_QUERY:
      view.hasLocation = true;
      return REQUEST_OK;
    case RESERVED_LOCATION_1:
    case RESERVED_LOCATION_2:
    case RESERVED_LOCATION_3:
    case RESERVED_LOCATION_4:
      return view.hasLocation ? BAD_OPTION : REQUEST_OK; // RFC 7252 section 5.10.7
    default:
      return number % 2 === 1 ? BAD_OPTION : REQUEST_OK;
  }
}

/** Kept for more parts of a location (RFC 7252 section 5.10.7). */
const RESERVED_LOCATION_1 = 128;
const RESERVED_LOCATION_2 = 132;
const RESERVED_LOCATION_3 = 136;
const RESERVED_LOCATION_4 = 140;

function takeText(list: string[], value: Buffer): number {
  if (!isUtf8(value)) return BAD_REQUEST;
  list.push(value.toString());
  return REQUEST_OK;
}

/** RFC 7959 section 2.2: SZX 7 is reserved. */
function takeBlock1(view: RequestView, block: number): number {
  if ((block & 7) > BLOCK_SZX_MAX) return BAD_REQUEST;
  view.hasBlock1 = true;
  view.block1Num = block >>> 4;
  view.block1More = (block & 8) !== 0;
  view.block1Szx = block & 7;
  return REQUEST_OK;
}

/** The same for a response. */
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
  ["If-Match", IF_MATCH],
  ["Uri-Host", URI_HOST],
  ["ETag", ETAG],
  ["If-None-Match", IF_NONE_MATCH],
  ["Observe", OBSERVE],
  ["Uri-Port", URI_PORT],
  ["Location-Path", LOCATION_PATH],
  ["OSCORE", 9],
  ["Uri-Path", URI_PATH],
  ["Content-Format", CONTENT_FORMAT],
  ["Max-Age", 14],
  ["Uri-Query", URI_QUERY],
  ["Hop-Limit", 16],
  ["Accept", ACCEPT],
  ["Q-Block1", 19],
  ["Location-Query", LOCATION_QUERY],
  ["Block2", BLOCK2],
  ["Block1", BLOCK1],
  ["Size2", SIZE2],
  ["Q-Block2", 31],
  ["Proxy-Uri", PROXY_URI],
  ["Proxy-Scheme", PROXY_SCHEME],
  ["Size1", SIZE1],
  ["No-Response", NO_RESPONSE],
  ["OCF-Accept-Content-Format-Version", 2049],
  ["OCF-Content-Format-Version", 2053],
]);
