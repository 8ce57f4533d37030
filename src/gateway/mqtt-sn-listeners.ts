/** MQTT-SN listeners: port and conversation, loaded with the first of them. */
import type { ListenerConfig } from "../config/listeners.ts";
import { MqttSnServer } from "../protocol/mqtt-sn/server.ts";
import { randomTopicId } from "../protocol/mqtt-sn/topic-ids.ts";
import { type Listener, ListenerError, type ListenOptions } from "../transport/listener.ts";
import { listenUdp } from "../transport/udp.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** From here, so that the room is loaded in one piece (uplink-rooms.ts says why). */
export { budget as mqttSnBudget } from "../protocol/mqtt-sn/limits.ts";
export { budget as mqttSnLinesBudget } from "../protocol/mqtt-sn/serial-port.ts";
export { createMqttSnLine } from "./mqtt-sn-lines.ts";

/** @throws when it cannot be bound, in words */
export async function openMqttSn(
  { clock, counters, config: { limits }, stops }: Ground,
  { router, registry, authority, store, wheel, transport }: Rooms,
  options: ListenOptions,
  { anonymous, mqttSn }: ListenerConfig,
): Promise<Listener> {
  if (mqttSn === null) throw new ListenerError(`listeners[${options.index}]: not an MQTT-SN listener`);
  const { gatewayId, maxClients, rate, advertise, predefined } = mqttSn;
  const port = await listenUdp({ ...options, groups: advertise?.port === options.port });
  const parts = { router, registry, authority, store, time: clock, wheel, counters, limits };
  const server = new MqttSnServer(port, parts, {
    gatewayId,
    firstTopicId: randomTopicId(),
    clientsMax: maxClients,
    rate,
    predefined: new Map(predefined),
    advertise,
    anonymous,
  });
  stops.push(() => server.close());
  if (advertise !== null) {
    const { UdpGroups } = await import("../transport/udp-groups.ts");
    const { host } = options;
    const { address, port: groupPort } = advertise;
    const receiver = server.discovery.searches;
    const groups = new UdpGroups({ transport, port, groupPort, host, groups: [address], receiver });
    stops.push(() => groups.close());
    await groups.open();
    server.discovery.open({ send: (bytes, from, end, hops) => groups.send(address, bytes, from, end, hops) });
  }
  return port.listener;
}
