/** Encodes responses with the codec `coap-packet`. */
import { generate } from "coap-packet";
import { ACK, CON, codeText, RST } from "./codes.ts";
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
