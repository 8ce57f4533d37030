/** AUTH: MQTT 5.0 section 3.15. */
import {
  AUTH,
  CONTINUE_AUTHENTICATION,
  MALFORMED_PACKET,
  OK,
  PROTOCOL_ERROR,
  RE_AUTHENTICATE,
  SUCCESS,
} from "./codes.ts";
import { writeFrameHeader } from "./frame.ts";
import { varintBytes } from "./primitives.ts";
import {
  decodeProperties,
  PropertiesView,
  type PropertiesWriter,
  propertiesBlockBytes,
  readPropertiesLength,
  writePropertiesBlock,
} from "./properties.ts";

/** Decoded AUTH. Reused for every packet. */
export class AuthView {
  /** SUCCESS, CONTINUE_AUTHENTICATION or RE_AUTHENTICATE. */
  reasonCode = 0;
  readonly properties = new PropertiesView();
}

/**
 * Decodes the AUTH whose body is `frame[from..end)` into `view`. An empty body is success without properties, as
 * section 3.15.2.1 says; in every other form the Authentication Method has to be there (section 3.15.2.2.2).
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeAuth(frame: Uint8Array, from: number, end: number, view: AuthView): number {
  view.reasonCode = SUCCESS;
  view.properties.reset();
  if (from === end) return OK;
  view.reasonCode = frame[from]!;
  if (
    view.reasonCode !== SUCCESS &&
    view.reasonCode !== CONTINUE_AUTHENTICATION &&
    view.reasonCode !== RE_AUTHENTICATE
  ) {
    return PROTOCOL_ERROR; // [MQTT5-3.15.2-1]
  }
  const length = readPropertiesLength(frame, from + 1, end);
  if (length < 0) return MALFORMED_PACKET;
  const blockAt = from + 1 + varintBytes(length);
  if (blockAt + length !== end) return MALFORMED_PACKET;
  const code = decodeProperties(frame, blockAt, end, AUTH, view.properties);
  if (code !== OK) return code;
  return view.properties.authMethodAt === 0 ? PROTOCOL_ERROR : OK;
}

/**
 * Writes an AUTH.
 * @param properties  with the Authentication Method; null only with SUCCESS
 * @param out  has room for 5 + 1 + propertiesBlockBytes(properties) bytes at `at`
 * @returns the index after it
 */
export function writeAuth(out: Buffer, at: number, reasonCode: number, properties: PropertiesWriter | null): number {
  if (properties === null && reasonCode === SUCCESS) return writeFrameHeader(out, at, AUTH << 4, 0);
  const next = writeFrameHeader(out, at, AUTH << 4, 1 + propertiesBlockBytes(properties));
  out[next] = reasonCode;
  return writePropertiesBlock(out, next + 1, properties);
}
