/** CoAP listeners: port and conversation, loaded with the first of them; DTLS and groups with the first that has them. */
import type { ListenerConfig } from "../config/listeners.ts";
import { CoapServer } from "../protocol/coap/coap-server.ts";
import type { DtlsPort } from "../transport/dtls/dtls.ts";
import { type Listener, ListenerError, type ListenOptions } from "../transport/listener.ts";
import { type DatagramReceiver, listenUdp, type UdpPort } from "../transport/udp.ts";
import { ALL_COAP_NODES } from "../wire/coap/codes.ts";
import { coapPartsOf } from "./coap-shared.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** From here, so that the room is loaded in one piece (uplink-rooms.ts says why). */
export { budget as coapBudget } from "../protocol/coap/shared.ts";
export { budget as coapLinesBudget } from "../protocol/serial/slipmux-port.ts";
export { createCoapLine } from "./coap-lines.ts";

/** @throws when it cannot be bound, in words */
export async function openCoap(
  ground: Ground,
  rooms: Rooms,
  options: ListenOptions,
  config: ListenerConfig,
): Promise<Listener> {
  const { anonymous, coap } = config;
  if (coap === null) throw new ListenerError(`listeners[${options.index}]: not a CoAP listener`);
  const { dtls } = coap;
  let port: UdpPort | DtlsPort;
  let udp: UdpPort | null = null;
  if (dtls !== null) {
    port = await (await import("../transport/dtls/dtls.ts")).listenDtls({ ...options, dtls });
  } else {
    udp = await listenUdp({ ...options, groups: coap.multicast });
    port = udp;
  }
  const server = new CoapServer(port, coapPartsOf(ground, rooms), { ...coap, anonymous });
  if (udp !== null && coap.multicast) await joinGroups(ground, options, udp, server.endpoint.multicast);
  const { listener } = port;
  const close = (): Promise<void> => {
    server.close(); // says goodbye, so before the port
    return listener.close();
  };
  return { ...listener, close };
}

/** All-CoAP-Nodes, on the interfaces that the listener has. */
async function joinGroups(
  { stops }: Ground,
  { transport, host }: ListenOptions,
  port: UdpPort,
  receiver: DatagramReceiver,
): Promise<void> {
  const { UdpGroups } = await import("../transport/udp-groups.ts");
  const groups = new UdpGroups({ transport, port, host, groups: ALL_COAP_NODES, receiver });
  stops.push(() => groups.close());
  await groups.open();
}
