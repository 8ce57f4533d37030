/** DISCONNECT: MQTT 3.1.1 section 3.14, MQTT 5.0 section 3.14. */
import {
  DISCONNECT,
  DISCONNECT_WITH_WILL,
  MALFORMED_PACKET,
  MQTT_5,
  NORMAL_DISCONNECTION,
  OK,
  PROTOCOL_ERROR,
  UNSPECIFIED_ERROR,
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

/** Decoded DISCONNECT. Reused for every packet. */
export class DisconnectView {
  reasonCode = 0;
  /** -1 when absent: the interval of CONNECT stands. */
  sessionExpirySeconds = -1;
  /** 0 when absent. */
  reasonStringAt = 0;
  reasonStringLength = 0;
  /** 0 when absent. */
  serverReferenceAt = 0;
  serverReferenceLength = 0;
  /** The block without its Property Length; 0 and 0 when there is none. */
  propertiesAt = 0;
  propertiesLength = 0;
}

const blockView = new PropertiesView();

/**
 * Decodes the DISCONNECT whose body is `frame[from..end)` into `view`. Either side's reasons pass, and any of 0x80 and
 * above: the connection ends in any case.
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeDisconnect(
  frame: Uint8Array,
  from: number,
  end: number,
  version: number,
  view: DisconnectView,
): number {
  view.reasonCode = NORMAL_DISCONNECTION;
  view.sessionExpirySeconds = -1;
  view.reasonStringAt = 0;
  view.reasonStringLength = 0;
  view.serverReferenceAt = 0;
  view.serverReferenceLength = 0;
  view.propertiesAt = 0;
  view.propertiesLength = 0;
  if (from === end) return OK;
  if (version !== MQTT_5) return MALFORMED_PACKET;
  view.reasonCode = frame[from]!;
  if (!isReasonAllowed(view.reasonCode)) return PROTOCOL_ERROR; // [MQTT5-3.14.2-1]
  if (from + 1 === end) return OK;
  const length = readPropertiesLength(frame, from + 1, end);
  if (length < 0) return MALFORMED_PACKET;
  const blockAt = from + 1 + varintBytes(length);
  if (blockAt + length !== end) return MALFORMED_PACKET;
  view.propertiesAt = blockAt;
  view.propertiesLength = length;
  const code = decodeProperties(frame, blockAt, end, DISCONNECT, blockView);
  view.sessionExpirySeconds = blockView.sessionExpirySeconds;
  view.reasonStringAt = blockView.reasonStringAt;
  view.reasonStringLength = blockView.reasonStringLength;
  view.serverReferenceAt = blockView.serverReferenceAt;
  view.serverReferenceLength = blockView.serverReferenceLength;
  return code;
}

function isReasonAllowed(code: number): boolean {
  return code === NORMAL_DISCONNECTION || code === DISCONNECT_WITH_WILL || code >= UNSPECIFIED_ERROR;
}

/**
 * Writes a DISCONNECT. Before 5.0 it is two bytes, and a client's to send only: a server closes.
 * @param properties  null for none; left out before 5.0
 * @param out  has room for 5 + 1 + propertiesBlockBytes(properties) bytes at `at`
 * @returns the index after it
 */
export function writeDisconnect(
  out: Buffer,
  at: number,
  version: number,
  reasonCode: number,
  properties: PropertiesWriter | null,
): number {
  const withProperties = version === MQTT_5 && properties !== null && properties.length > 0;
  if (version !== MQTT_5 || (reasonCode === NORMAL_DISCONNECTION && !withProperties)) {
    return writeFrameHeader(out, at, DISCONNECT << 4, 0);
  }
  const remaining = withProperties ? 1 + propertiesBlockBytes(properties) : 1;
  const next = writeFrameHeader(out, at, DISCONNECT << 4, remaining);
  out[next] = reasonCode;
  return withProperties ? writePropertiesBlock(out, next + 1, properties) : next + 1;
}
