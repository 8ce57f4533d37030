/** `serial[].mqtt_sn`: MQTT-SN over a serial line (`protocol: mqtt-sn`). */
import { readPredefined } from "./mqtt-sn-listener.ts";
import type { Section } from "./section.ts";

export interface SerialMqttSnConfig {
  /** Where messages end: SLIP (RFC 1055), or the Length that each begins with. */
  readonly framing: "slip" | "length";
  /** Says who it is in GWINFO. */
  readonly gatewayId: number;
  /** More than one behind a forwarder. */
  readonly maxClients: number;
  /** Most bytes of a message, either way. */
  readonly messageBytesMax: number;
  readonly predefined: readonly (readonly [id: number, topic: string])[];
}

const FRAMINGS = ["slip", "length"] as const;

export function readSerialMqttSn(section: Section): SerialMqttSnConfig {
  const mqttSn = section.sectionOrEmpty("mqtt_sn");
  const config: SerialMqttSnConfig = {
    framing: mqttSn.oneOf("framing", FRAMINGS, "slip"),
    gatewayId: mqttSn.count("gateway_id", 1, 0, 255),
    maxClients: mqttSn.count("max_clients", 1, 1, 10_000),
    messageBytesMax: mqttSn.bytes("max_message", 1024, 64, 8192),
    predefined: readPredefined(mqttSn),
  };
  mqttSn.finish();
  return config;
}
