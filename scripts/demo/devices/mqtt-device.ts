import { connectAsync } from "mqtt";
import type { Address, Device } from "./device.ts";

/** A device with MQTT.js, the client most JavaScript devices have. */
export async function mqttDevice(
  source: string,
  gateway: Address,
  version: 4 | 5,
  qos: 1 | 2,
  messagesPerSecond: number,
): Promise<Device> {
  const client = await connectAsync({ ...gateway, protocolVersion: version, clientId: source, reconnectPeriod: 200 });
  client.on("error", () => {}); // it connects again; what was refused is told to `done`
  return {
    source,
    speaks: `MQTT ${version === 4 ? "3.1.1" : "5.0"}, QoS ${qos}`,
    acknowledges: true,
    messagesPerSecond,
    windowMax: 64,
    publish: (payload, done) => {
      client.publish(`sensors/${source}`, payload, { qos }, (error) => done(error?.message ?? null));
    },
    close: () => client.endAsync(),
  };
}
