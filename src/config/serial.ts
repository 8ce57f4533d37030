/** `serial`: frames in, frames out. */
import type { Section } from "./section.ts";
import { readSerialCoap, type SerialCoapConfig } from "./serial-coap.ts";
import { type CheckConfig, type FramingConfig, LINES, readCheck, readFraming } from "./serial-framing.ts";
import { type ModbusConfig, readModbus } from "./serial-modbus.ts";
import { readSerialMqttSn, type SerialMqttSnConfig } from "./serial-mqtt-sn.ts";
import { type LineSettings, placeName, placeText, readLine, readPlace, type SerialPlace } from "./serial-port.ts";
import { MAPPED_FRAME_BYTES_MAX, readPublish, type SerialMapping } from "./serial-publish.ts";
import { readWrites, type SerialWriteConfig } from "./serial-write.ts";
import { isOwnTopic, topicProblem } from "./topics.ts";

export interface SerialConfig extends LineSettings {
  readonly name: string;
  readonly place: SerialPlace;
  /** The place in words. */
  readonly port: string;
  /** What is spoken on the line: frames that are messages by themselves, or a protocol with a conversation. */
  readonly protocol: SerialProtocol;
  readonly framing: FramingConfig;
  readonly check: CheckConfig | null;
  /** Where what the device says goes; null = nowhere. */
  readonly publish: SerialTopic | null;
  /** In place of `publish`, where more is asked for than each frame as it is to one topic. */
  readonly mapping: SerialMapping | null;
  /** What is written to the device: the first entry that matches a topic holds. */
  readonly write: readonly SerialWriteConfig[];
  /** null = another protocol. */
  readonly coap: SerialCoapConfig | null;
  /** null = another protocol. */
  readonly mqttSn: SerialMqttSnConfig | null;
  /** null = another protocol. */
  readonly modbus: ModbusConfig | null;
  /** Where frames go that are none; null = nowhere. */
  readonly errors: SerialTopic | null;
}

export type SerialProtocol = "frames" | "coap" | "mqtt-sn" | "modbus";

export interface SerialTopic {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

export function readSerial(root: Section): SerialConfig[] {
  const sections = root.sections("serial") ?? [];
  const serial = sections.map(readPort);
  for (const [i, { name, port }] of serial.entries()) {
    const earlier = serial.slice(0, i);
    if (earlier.some((other) => other.name === name)) {
      root.complain(`serial[${i}].name`, `${name} is the name of another port`, "give each its own");
    }
    if (port !== "" && earlier.some((other) => other.port === port)) {
      root.complain(`serial[${i}].port`, `${port} is opened by another entry`, "remove one of them");
    }
  }
  return serial;
}

function readPort(section: Section): SerialConfig {
  const place = readPlace(section);
  const name = section.name("name", placeName(place));
  const protocol = readProtocol(section);
  const isFrames = protocol === "frames";
  const framing = isFrames ? readFraming(section) : LINES;
  const serial: SerialConfig = {
    name,
    place,
    port: placeText(place),
    ...readLine(section, place),
    protocol,
    framing,
    check: isFrames ? readCheck(section) : null,
    ...(isFrames ? readPublish(section, `serial/${name}`) : { publish: null, mapping: null }),
    write: isFrames ? readWrites(section, name, framing.type === "line") : [],
    errors: isFrames ? readErrors(section, `serial/${name}/errors`) : null,
    coap: readSerialCoap(section, protocol === "coap"),
    mqttSn: readSerialMqttSn(section, protocol === "mqtt-sn"),
    modbus: protocol === "modbus" ? readModbus(section, name) : null,
  };
  const { mapping, publish, errors } = serial;
  const frameBytes = framing.type === "fixed" ? framing.bytes : framing.frameBytesMax;
  if (mapping !== null && frameBytes > MAPPED_FRAME_BYTES_MAX) {
    section.complain("framing", "has frames above 8KiB, which publish does not look into", "lower max_frame");
  }
  if (errors !== null && publish === null && mapping === null)
    section.complain("errors", "means nothing with publish: off", "nothing is read; remove it");
  section.finish();
  return serial;
}

function readProtocol(section: Section): SerialProtocol {
  const protocol = section.oneOf("protocol", ["frames", "coap", "mqtt-sn", "modbus"] as const, "frames");
  if (protocol === "modbus") {
    for (const key of ["framing", "check", "publish", "write", "errors"])
      if (section.has(key)) section.complain(key, "means nothing to modbus", "remove it");
  }
  return protocol;
}

/** `off` turns it off. */
function readErrors(section: Section, topic: string): SerialTopic | null {
  if (section.source("errors") === "off") return null;
  const inner = section.section("errors");
  if (inner === null) return null;
  const result: SerialTopic = { topic: inner.text("topic", topic), qos: inner.oneOf("qos", [0, 1, 2], 1) };
  const problem = topicProblem(result.topic);
  if (problem !== null) inner.complain("topic", `${JSON.stringify(result.topic)} ${problem}`, "give one topic");
  if (isOwnTopic(result.topic))
    inner.complain("topic", `${JSON.stringify(result.topic)} is under $SYS`, "only the gateway itself publishes there");
  inner.finish();
  return result;
}
