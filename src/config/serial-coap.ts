/** `serial[].coap`: CoAP over a serial line (`protocol: coap`). */
import type { NotifyType } from "./coap-listener.ts";
import { NOTIFY_TYPES } from "./coap-listener.ts";
import type { Section } from "./section.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

export interface SerialCoapConfig {
  /** `slip`: a CoAP message is a frame, without slipmux's byte in front and check behind. */
  readonly framing: "slipmux" | "slip";
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

const FRAMINGS = ["slipmux", "slip"] as const;
/** A block of 64 bytes and its options. */
const MESSAGE_BYTES_MIN = 128;
/** RFC 7252 section 4.6: the size that every implementation may count on. */
const MESSAGE_BYTES = 1152;
/** A byte with its start and stop bit. */
const BITS_PER_BYTE = 10;
const DAY_MS = 86_400_000;

/** @param baud what it carries in a second is the longest message where nothing else is said */
export function readSerialCoap(section: Section, baud: number): SerialCoapConfig {
  const coap = section.sectionOrEmpty("coap");
  const secondBytes = Math.max(MESSAGE_BYTES_MIN, Math.min(MESSAGE_BYTES, Math.floor(baud / BITS_PER_BYTE)));
  const config: SerialCoapConfig = {
    framing: coap.oneOf("framing", FRAMINGS, "slipmux"),
    messageBytesMax: coap.bytes("max_message", secondBytes, MESSAGE_BYTES_MIN, MESSAGE_BYTES),
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
