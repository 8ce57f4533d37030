/** Where the answer to a request goes, as its publisher said. @see MQTT 5.0 sections 3.3.2.3.5 and 3.3.2.3.6 */
import { PUBLISH } from "../wire/mqtt/codes.ts";
import { decodeProperties, PropertiesView } from "../wire/mqtt/properties.ts";

export interface ResponseTopic {
  readonly topic: string | null;
  /** Goes with the answer. A copy. */
  readonly correlation: Buffer | null;
}

const NOT_SAID: ResponseTopic = { topic: null, correlation: null };
const view = new PropertiesView();

/** Of a message whose MQTT 5 properties are `bytes[from..end)`. */
export function responseTopicOf(bytes: Buffer, from: number, end: number): ResponseTopic {
  if (from >= end || decodeProperties(bytes, from, end, PUBLISH, view) !== 0) return NOT_SAID;
  const { responseTopicAt, responseTopicLength, correlationDataAt, correlationDataLength } = view;
  const topic =
    responseTopicAt > 0 ? bytes.toString("utf8", responseTopicAt, responseTopicAt + responseTopicLength) : null;
  const correlation =
    correlationDataAt > 0
      ? Buffer.from(bytes.subarray(correlationDataAt, correlationDataAt + correlationDataLength))
      : null;
  return { topic, correlation };
}
