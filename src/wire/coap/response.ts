/** Encodes responses with the codec `coap-packet`. */
import { generate } from "coap-packet";
import { ACK, CON, codeText, RST } from "./codes.ts";
import { HEADER_BYTES } from "./header.ts";
import type { CoapOption } from "./options.ts";

/** Largest UDP payload over IPv4. */
const DATAGRAM_BYTES_MAX = 65_507;

/**
 * @param type  CON, NON, ACK or RST
 * @param token  at most 8 bytes
 * @param options  in any order; sorted in place
 * @returns the datagram, which is the caller's
 */
export function encodeResponse(
  type: number,
  code: number,
  messageId: number,
  token: Buffer,
  options: CoapOption[],
  payload: Buffer,
): Buffer {
  return generate(
    {
      code: codeText(code),
      messageId,
      token,
      options,
      payload,
      confirmable: type === CON,
      ack: type === ACK,
      reset: type === RST,
    },
    DATAGRAM_BYTES_MAX,
  );
}

/** Bytes of a response. @param options  in any order; sorted in place */
export function responseBytes(tokenLength: number, options: CoapOption[], payloadLength: number): number {
  options.sort((a, b) => a.name - b.name);
  let bytes = HEADER_BYTES + tokenLength + (payloadLength === 0 ? 0 : 1 + payloadLength);
  let previous = 0;
  for (const { name, value } of options) {
    bytes += 1 + extendedBytes(name - previous) + extendedBytes(value.length) + value.length;
    previous = name;
  }
  return bytes;
}

/** RFC 7252 section 3.1: from 13 on a byte more, from 269 on two. */
function extendedBytes(number: number): number {
  return number < 13 ? 0 : number < 269 ? 1 : 2;
}
