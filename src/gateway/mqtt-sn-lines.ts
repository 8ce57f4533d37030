/** Serial lines with MQTT-SN: their room, loaded in one piece with the first of them. */
import type { SerialMqttSnConfig } from "../config/serial-mqtt-sn.ts";
import { MqttSnSerialPort } from "../protocol/mqtt-sn/serial-port.ts";
import { MqttSnServer } from "../protocol/mqtt-sn/server.ts";
import type { SerialDoor } from "../protocol/serial/serial-line.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** Serves MQTT-SN on the line, whose device is opened for ever. */
export function startMqttSnLine(
  { clock, counters, config: { limits }, stops }: Ground,
  { router, registry, authority, store, wheel }: Rooms,
  device: SerialDoor,
  name: string,
  config: SerialMqttSnConfig,
): void {
  const port = new MqttSnSerialPort(name, device, config, clock, counters);
  const parts = { router, registry, authority, store, time: clock, wheel, counters, limits };
  const { gatewayId, predefined } = config;
  const server = new MqttSnServer(port, parts, {
    gatewayId,
    clientsMax: 1,
    predefined: new Map(predefined),
    advertise: null,
    anonymous: null,
    user: `serial:${name}`,
  });
  device.handler = port;
  device.start();
  stops.push(async () => {
    server.close();
    await device.close();
  });
}
