/** CoAP listeners: port and conversation, loaded with the first of them; DTLS and groups with the first that has them. */
import type { ListenerConfig } from "../config/listeners.ts";
import { CoapServer } from "../protocol/coap/coap-server.ts";
import { CoapShared } from "../protocol/coap/shared.ts";
import type { DtlsPort } from "../transport/dtls.ts";
import { type Listener, ListenerError, type ListenOptions } from "../transport/listener.ts";
import { type DatagramReceiver, listenUdp, type UdpPort } from "../transport/udp.ts";
import { ALL_COAP_NODES } from "../wire/coap/codes.ts";
import { requestParts } from "./request-parts.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** From here, so that the room is loaded in one piece (uplink-rooms.ts says why). */
export { budget as coapBudget } from "../protocol/coap/shared.ts";

/** What the CoAP listeners of a gateway share, from the first of them on. */
const coapShared = new WeakMap<Rooms, CoapShared>();

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
    port = await (await import("../transport/dtls.ts")).listenDtls({ ...options, dtls });
  } else {
    udp = await listenUdp({ ...options, groups: coap.multicast });
    port = udp;
  }
  const { wheel, queueHost, store } = rooms;
  const { schedule } = queueHost;
  const parts = { ...requestParts(ground, rooms), store, wheel, random: Math.random, schedule };
  let shared = coapShared.get(rooms);
  if (shared === undefined) {
    const made = new CoapShared(parts);
    coapShared.set(rooms, made);
    ground.stops.push(() => made.stop());
    shared = made;
  }
  const server = new CoapServer(port, { ...parts, shared }, { ...coap, anonymous });
  ground.stops.push(() => server.close());
  if (udp !== null && coap.multicast) await joinGroups(ground, options, udp, server.endpoint.multicast);
  return port.listener;
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
