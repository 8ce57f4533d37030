/** Serial lines with MQTT-SN: their room, loaded in one piece with the first of them. */
import type { MqttSnLineConfig } from "../config/serial.ts";
import { MqttSnSerialPort } from "../protocol/mqtt-sn/serial-port.ts";
import { MqttSnServer } from "../protocol/mqtt-sn/server.ts";
import { randomTopicId } from "../protocol/mqtt-sn/topic-ids.ts";
import type { SerialDoor } from "../protocol/serial/serial-line.ts";
import type { Ground, Rooms } from "./rooms.ts";
import type { RunningLine } from "./running-line.ts";

/** The line is kept for so long, for what is on its way. */
const GOODBYE_MS = 1000;

/** Serves MQTT-SN on the line. */
export function createMqttSnLine(
  { clock, counters, config: { limits } }: Ground,
  { router, registry, authority, store, wheel }: Rooms,
  device: SerialDoor,
  { name, mqttSn }: MqttSnLineConfig,
): RunningLine {
  const port = new MqttSnSerialPort(name, device, mqttSn, clock, counters);
  const parts = { router, registry, authority, store, time: clock, wheel, counters, limits };
  const { gatewayId, maxClients, predefined } = mqttSn;
  const server = new MqttSnServer(port, parts, {
    gatewayId,
    firstTopicId: randomTopicId(),
    clientsMax: maxClients,
    rate: null,
    predefined: new Map(predefined),
    advertise: null,
    anonymous: null,
    user: `serial:${name}`,
  });
  device.handler = port;
  return {
    start: () => device.start(),
    stop: async () => {
      server.close(); // says goodbye
      await port.written(GOODBYE_MS);
      await device.close();
    },
    leave: () => {},
  };
}
