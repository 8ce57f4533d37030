/** `serial[].coap`: CoAP over a serial line (`protocol: coap`). */
import type { NotifyType } from "./coap-listener.ts";
import { NOTIFY_TYPES } from "./coap-listener.ts";
import type { Section } from "./section.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

export interface SerialCoapConfig {
  /** Most bytes of a CoAP message, either way. */
  readonly messageBytesMax: number;
  /** Requests a second. */
  readonly rate: number;
  /** How often a client of the connection mode shows that it is there. */
  readonly heartbeatMs: number;
  readonly notify: NotifyType;
  /** Topic of the device's diagnostic text; null = it is logged at `debug`. */
  readonly diagnostics: string | null;
}

/** A block of 64 bytes and its options. */
const MESSAGE_BYTES_MIN = 128;
/** RFC 7252 section 4.6: the size that every implementation may count on. */
const MESSAGE_BYTES = 1152;
const DAY_MS = 86_400_000;

export function readSerialCoap(section: Section): SerialCoapConfig {
  const coap = section.sectionOrEmpty("coap");
  const config: SerialCoapConfig = {
    messageBytesMax: coap.bytes("max_message", MESSAGE_BYTES, MESSAGE_BYTES_MIN, MESSAGE_BYTES),
    rate: coap.count("rate", 200, 1, 1_000_000),
    heartbeatMs: coap.duration("heartbeat", 30_000, 1000, DAY_MS),
    notify: coap.oneOf("notify", NOTIFY_TYPES, "qos"),
    diagnostics: coap.text("diagnostics", null),
  };
  complainAboutTopic(coap, config.diagnostics);
  coap.finish();
  return config;
}

function complainAboutTopic(coap: Section, topic: string | null): void {
  if (topic === null) return;
  const problem = topicProblem(topic);
  const quoted = JSON.stringify(topic);
  if (problem !== null) coap.complain("diagnostics", `${quoted} ${problem}`, "give one topic");
  if (isOwnTopic(topic))
    coap.complain("diagnostics", `${quoted} is under $SYS`, "only the gateway itself publishes there");
}
