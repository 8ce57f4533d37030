/** CONNACK: MQTT 3.1.1 section 3.2, MQTT 5.0 section 3.2. */
import {
  CONNACK,
  fromConnackV3,
  MALFORMED_PACKET,
  MQTT_3_1,
  MQTT_5,
  OK,
  PROTOCOL_ERROR,
  SUCCESS,
  toConnackV3,
  UNSPECIFIED_ERROR,
  V3_NO_RETURN_CODE,
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

/** Decoded CONNACK. Reused for every packet. */
export class ConnackView {
  sessionPresent = false;
  /** Of MQTT 5 in all versions, see `fromConnackV3`. */
  reasonCode = 0;
  /** The byte on the wire. */
  returnCode = 0;
  /** The server answered in the form of 3.1.1 although asked for 5.0: it does not know 5.0. */
  olderVersion = false;
  readonly properties = new PropertiesView();
}

/**
 * Decodes the CONNACK whose body is `frame[from..end)` into `view`. A server without 5.0 answers a 5.0 CONNECT with
 * the two bytes of 3.1.1, which are no 5.0 CONNACK, and are understood.
 * @returns OK, MALFORMED_PACKET or PROTOCOL_ERROR; on all but OK the content of `view` is undefined
 */
export function decodeConnack(
  frame: Uint8Array,
  from: number,
  end: number,
  version: number,
  view: ConnackView,
): number {
  const length = end - from;
  view.properties.reset();
  if (length < 2) return MALFORMED_PACKET;
  const flags = frame[from]!;
  if (flags > 1 && version !== MQTT_3_1) return MALFORMED_PACKET; // [MQTT5-3.2.2-1]
  view.returnCode = frame[from + 1]!;
  view.olderVersion = version === MQTT_5 && length === 2;
  const isV3 = version !== MQTT_5 || view.olderVersion;
  view.reasonCode = isV3 ? fromConnackV3(view.returnCode) : view.returnCode;
  // [MQTT311-3.2.2-4] [MQTT5-3.2.2-6]; a server that breaks it refused us all the same
  view.sessionPresent = version !== MQTT_3_1 && flags === 1 && view.reasonCode === SUCCESS;
  if (isV3) return length === 2 ? OK : MALFORMED_PACKET;
  if (view.reasonCode !== SUCCESS && view.reasonCode < UNSPECIFIED_ERROR) return PROTOCOL_ERROR; // [MQTT5-3.2.2-8]
  const propertiesLength = readPropertiesLength(frame, from + 2, end);
  if (propertiesLength < 0) return MALFORMED_PACKET;
  const blockAt = from + 2 + varintBytes(propertiesLength);
  if (blockAt + propertiesLength !== end) return MALFORMED_PACKET;
  return decodeProperties(frame, blockAt, end, CONNACK, view.properties);
}

/**
 * Writes a CONNACK. Session Present is 0 with every refusal [MQTT311-3.2.2-4] [MQTT5-3.2.2-6] and in 3.1.
 * @param reasonCode  of MQTT 5; before 5.0 it becomes a return code, or nothing is written when there is none for it
 * @param properties  null for none; left out before 5.0
 * @param out  has room for 5 + 2 + propertiesBlockBytes(properties) bytes at `at`
 * @returns the index after it; `at` when the connection is to be closed without CONNACK [MQTT311-3.2.2-6]
 */
export function writeConnack(
  out: Buffer,
  at: number,
  version: number,
  sessionPresent: boolean,
  reasonCode: number,
  properties: PropertiesWriter | null,
): number {
  const code = version === MQTT_5 ? reasonCode : toConnackV3(reasonCode);
  if (code === V3_NO_RETURN_CODE) return at;
  const remaining = version === MQTT_5 ? 2 + propertiesBlockBytes(properties) : 2;
  const next = writeFrameHeader(out, at, CONNACK << 4, remaining);
  out[next] = sessionPresent && reasonCode === SUCCESS && version !== MQTT_3_1 ? 1 : 0;
  out[next + 1] = code;
  return version === MQTT_5 ? writePropertiesBlock(out, next + 2, properties) : next + 2;
}
