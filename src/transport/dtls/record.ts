/**
 * The little of a DTLS record that shows in the clear, to find whom a datagram is for before OpenSSL sees it.
 *
 *     0       type (20 change_cipher_spec, 21 alert, 22 handshake, 23 application_data)
 *     1..2    version       3..4 epoch       5..10 sequence number       11..12 length
 *     13      of a handshake: message type (1 ClientHello)        14..24 length, message_seq, fragment
 *     25..26  of a ClientHello: version    27..58 random    59 length of the session id, the id, length of the cookie
 *
 * @see RFC 6347 sections 4.1 and 4.2.2
 */
export const ALERT = 21;
export const HANDSHAKE = 22;
const CLIENT_HELLO = 1;
const RECORD_HEADER_BYTES = 13;
const RANDOM_AT = 27;
const SESSION_ID_LENGTH_AT = 59;
/** What the smallest record has besides its header: nothing. */
export const RECORD_BYTES_MIN = RECORD_HEADER_BYTES;

/** Of the first record. @param datagram at least RECORD_BYTES_MIN bytes */
export function recordType(datagram: Uint8Array): number {
  return datagram[0] as number;
}

/** 0 = in the clear. */
export function recordEpoch(datagram: Uint8Array): number {
  return ((datagram[3] as number) << 8) | (datagram[4] as number);
}

/** Whether the datagram begins with a ClientHello in the clear: of a client that wants a session, or wants it again. */
export function isClientHello(datagram: Uint8Array): boolean {
  return (
    datagram.length > SESSION_ID_LENGTH_AT &&
    datagram[0] === HANDSHAKE &&
    recordEpoch(datagram) === 0 &&
    datagram[RECORD_HEADER_BYTES] === CLIENT_HELLO
  );
}

/** The cookie that a ClientHello brings, right or not; null = none. */
export function cookieIn(hello: Uint8Array): Uint8Array | null {
  const at = SESSION_ID_LENGTH_AT + 1 + (hello[SESSION_ID_LENGTH_AT] as number);
  const length = hello[at] ?? 0;
  return length === 0 || at + 1 + length > hello.length ? null : hello.subarray(at + 1, at + 1 + length);
}

/** Bits of a ClientHello's random, from behind those that may be a time: two hellos of one handshake have the same. */
export function helloMark(hello: Uint8Array): number {
  let mark = 0;
  for (let i = RANDOM_AT + 4; i < RANDOM_AT + 8; i++) mark = (mark << 8) | (hello[i] as number);
  return mark >>> 2; // a small integer takes no memory of its own
}
