/**
 * The numbers of CoAP: message types, codes, option numbers, transmission parameters. A code is one byte, three bits
 * of class and five of detail, written `c.dd`: 2.05 is 0x45.
 *
 * @see RFC 7252 sections 3, 4.8 and 12
 */

/** The only version there is; messages of another are silently ignored (RFC 7252 section 3). */
export const COAP_VERSION = 1;

/** All CoAP nodes, over IPv4, and over IPv6 link-local and site-local (RFC 7252 section 12.8). */
export const ALL_COAP_NODES: readonly string[] = ["224.0.1.187", "ff02::fd", "ff05::fd"];

// Types, RFC 7252 section 3
export const CON = 0;
export const NON = 1;
export const ACK = 2;
export const RST = 3;

// Methods, RFC 7252 section 12.1.1
export const EMPTY = 0x00;
export const GET = 0x01;
export const POST = 0x02;
export const PUT = 0x03;
export const DELETE = 0x04;
// RFC 8132 section 6.1
export const FETCH = 0x05;
export const PATCH = 0x06;
export const IPATCH = 0x07;

// Response codes, RFC 7252 section 12.1.2, RFC 7959 section 6, RFC 8132 section 6.2, RFC 8516 section 6
export const CREATED = 0x41;
export const DELETED = 0x42;
export const VALID = 0x43;
export const CHANGED = 0x44;
export const CONTENT = 0x45;
export const CONTINUE = 0x5f;
export const BAD_REQUEST = 0x80;
export const UNAUTHORIZED = 0x81;
export const BAD_OPTION = 0x82;
export const FORBIDDEN = 0x83;
export const NOT_FOUND = 0x84;
export const METHOD_NOT_ALLOWED = 0x85;
export const NOT_ACCEPTABLE = 0x86;
export const REQUEST_ENTITY_INCOMPLETE = 0x88;
export const CONFLICT = 0x89;
export const PRECONDITION_FAILED = 0x8c;
export const REQUEST_ENTITY_TOO_LARGE = 0x8d;
export const UNSUPPORTED_CONTENT_FORMAT = 0x8f;
export const UNPROCESSABLE_ENTITY = 0x96;
export const TOO_MANY_REQUESTS = 0x9d;
export const INTERNAL_SERVER_ERROR = 0xa0;
export const SERVICE_UNAVAILABLE = 0xa3;
export const PROXYING_NOT_SUPPORTED = 0xa5;

// Options, RFC 7252 section 12.2, RFC 7641 section 8, RFC 7959 section 6, RFC 7967 section 5, RFC 9175 section 6
export const IF_MATCH = 1;
export const URI_HOST = 3;
export const ETAG = 4;
export const IF_NONE_MATCH = 5;
export const OBSERVE = 6;
export const URI_PORT = 7;
export const LOCATION_PATH = 8;
export const URI_PATH = 11;
export const CONTENT_FORMAT = 12;
export const MAX_AGE = 14;
export const URI_QUERY = 15;
export const ACCEPT = 17;
export const LOCATION_QUERY = 20;
export const BLOCK2 = 23;
export const BLOCK1 = 27;
export const SIZE2 = 28;
export const PROXY_URI = 35;
export const PROXY_SCHEME = 39;
export const SIZE1 = 60;
export const ECHO = 252;
export const NO_RESPONSE = 258;
export const REQUEST_TAG = 292;

// Transmission parameters, RFC 7252 section 4.8
export const ACK_TIMEOUT_MS = 2_000;
export const ACK_RANDOM_FACTOR = 1.5;
export const MAX_RETRANSMIT = 4;
/** Until then a peer may repeat a CON, and may not use its Message ID for another one. */
export const EXCHANGE_LIFETIME_MS = 247_000;
/** The same for a NON. */
export const NON_LIFETIME_MS = 145_000;
/** Answers to a multicast are spread over so long (RFC 7252 section 8.2). */
export const DEFAULT_LEISURE_MS = 5_000;

/** `c.dd`, as the RFC writes codes and as the codec wants them. */
export function codeText(code: number): string {
  return CODE_TEXTS[code & 0xff] as string;
}

const CODE_TEXTS: readonly string[] = Array.from(
  { length: 256 },
  (_, code) => `${code >> 5}.${String(code & 0x1f).padStart(2, "0")}`,
);

/** Class 0 with a detail: a method, known or not. */
export function isRequest(code: number): boolean {
  return code > EMPTY && code < 0x20;
}

/** Classes 2, 4 and 5. */
export function isResponse(code: number): boolean {
  const codeClass = code >> 5;
  return codeClass === 2 || codeClass === 4 || codeClass === 5;
}

export function isSuccess(code: number): boolean {
  return code >> 5 === 2;
}
