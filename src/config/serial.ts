/** `serial`: frames in, frames out. */
import type { Section } from "./section.ts";
import { type CheckConfig, readCheck } from "./serial-check.ts";
import { readSerialCoap, type SerialCoapConfig } from "./serial-coap.ts";
import { readErrors, type SerialErrors } from "./serial-errors.ts";
import { type FramingConfig, readFraming } from "./serial-framing.ts";
import { type ModbusConfig, readModbus } from "./serial-modbus.ts";
import { readSerialMqttSn, type SerialMqttSnConfig } from "./serial-mqtt-sn.ts";
import { type LineSettings, placeName, placeText, readLine, readPlace, type SerialPlace } from "./serial-port.ts";
import { MAPPED_FRAME_BYTES_MAX, readPublish, type SerialMapping } from "./serial-publish.ts";
import { readWrites, type SerialWriteConfig } from "./serial-write.ts";

interface LineConfig extends LineSettings {
  readonly name: string;
  readonly place: SerialPlace;
  /** The place in words. */
  readonly port: string;
}

/** Frames that are messages by themselves. */
export interface FramesLineConfig extends LineConfig {
  readonly protocol: "frames";
  readonly framing: FramingConfig;
  readonly check: CheckConfig | null;
  /** Where what the device says goes; null = nowhere. */
  readonly publish: SerialTopic | null;
  /** In place of `publish`, where more is asked for than each frame as it is to one topic. */
  readonly mapping: SerialMapping | null;
  /** What is written to the device: the first entry that matches a topic holds. */
  readonly write: readonly SerialWriteConfig[];
  /** Where frames go that are none; null = nowhere. */
  readonly errors: SerialErrors | null;
}

export interface CoapLineConfig extends LineConfig {
  readonly protocol: "coap";
  readonly coap: SerialCoapConfig;
}

export interface MqttSnLineConfig extends LineConfig {
  readonly protocol: "mqtt-sn";
  readonly mqttSn: SerialMqttSnConfig;
}

export interface ModbusLineConfig extends LineConfig {
  readonly protocol: "modbus";
  readonly modbus: ModbusConfig;
}

/** What is spoken on the line: frames that are messages by themselves, or a protocol with a conversation. */
export type SerialConfig = FramesLineConfig | CoapLineConfig | MqttSnLineConfig | ModbusLineConfig;

/** Keys that are about one protocol's lines. */
const KEYS_OF = {
  frames: ["framing", "check", "publish", "ignore", "write", "errors"],
  coap: ["coap"],
  "mqtt-sn": ["mqtt_sn"],
  modbus: ["modbus"],
} as const;
const PROTOCOLS = Object.keys(KEYS_OF) as (keyof typeof KEYS_OF)[];

/** Of those whose lines speak `protocol`. */
export function linesOf<P extends SerialConfig["protocol"]>(
  serial: readonly SerialConfig[],
  protocol: P,
): Extract<SerialConfig, { protocol: P }>[] {
  return serial.filter((line): line is Extract<SerialConfig, { protocol: P }> => line.protocol === protocol);
}

export interface SerialTopic {
  readonly topic: string;
  readonly qos: 0 | 1 | 2;
}

export function readSerial(root: Section): SerialConfig[] {
  const sections = root.sections("serial") ?? [];
  const serial = sections.map(readPort);
  for (const [i, { name, port, protocol }] of serial.entries()) {
    const earlier = serial.slice(0, i);
    // The values of a bus and of its slaves are told under its name and a dot.
    if (protocol === "modbus" && linesOf(serial, "modbus").some((other) => name.startsWith(`${other.name}.`))) {
      root.complain(`serial[${i}].name`, `${name} begins with another bus's name and a dot`, "give it another one");
    }
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
  const line: LineConfig = { name, place, port: placeText(place), ...readLine(section, place) };
  const serial = readProtocol(section, line);
  section.finish();
  return serial;
}

function readProtocol(section: Section, line: LineConfig): SerialConfig {
  const protocol = section.oneOf("protocol", PROTOCOLS, "frames");
  for (const other of PROTOCOLS) {
    if (other === protocol) continue;
    for (const key of KEYS_OF[other]) {
      if (!section.has(key)) continue;
      const hasOwn = key === "framing" && (protocol === "coap" || protocol === "mqtt-sn");
      const advice = hasOwn ? `say it in ${KEYS_OF[protocol][0]}: {framing: ...}` : "remove it";
      if (other === "frames") section.complain(key, `means nothing to protocol: ${protocol}`, advice);
      else section.complain(key, `means nothing without protocol: ${other}`, "add it, or remove this");
    }
  }
  switch (protocol) {
    case "frames":
      return readFrames(section, line);
    case "coap":
      return { ...line, protocol, coap: readSerialCoap(section, line.baud) };
    case "mqtt-sn":
      return { ...line, protocol, mqttSn: readSerialMqttSn(section) };
    case "modbus":
      return { ...line, protocol, modbus: readModbus(section, line.name) };
  }
}

function readFrames(section: Section, line: LineConfig): FramesLineConfig {
  const { name } = line;
  const framing = readFraming(section);
  const serial: FramesLineConfig = {
    ...line,
    protocol: "frames",
    framing,
    check: readCheck(section, framing),
    ...readPublish(section, name),
    write: readWrites(section, name, framing.type === "line"),
    errors: readErrors(section, `serial/${name}/errors`),
  };
  const { mapping, publish, errors, write } = serial;
  const frameBytes = framing.type === "fixed" ? framing.bytes : framing.frameBytesMax;
  if (mapping !== null && frameBytes > MAPPED_FRAME_BYTES_MAX) {
    section.complain("framing", "has frames above 8KiB, which publish does not look into", "lower max_frame");
  }
  if (errors !== null && publish === null && mapping === null && write.every(({ request }) => request === null))
    section.complain("errors", "means nothing with publish: off", "nothing is read; remove it");
  return serial;
}
