/** Opens the listeners that the configuration names; what a type needs is loaded with the first of it. */
import type { Config } from "../config/config.ts";
import type { ListenerConfig } from "../config/listeners.ts";
import type { CoapShared } from "../protocol/coap/shared.ts";
import type { DtlsPort } from "../transport/dtls.ts";
import type { Accept } from "../transport/link.ts";
import { type Listener, ListenerError, type ListenOptions } from "../transport/listener.ts";
import { listenTcp } from "../transport/tcp.ts";
import type { DatagramReceiver, UdpPort } from "../transport/udp.ts";
import type { Ground, Rooms } from "./rooms.ts";

/** @param index place of the listener in the configuration, for its name  @throws when it cannot be bound, in words */
export async function openListener(
  ground: Ground,
  rooms: Rooms,
  index: number,
  config: ListenerConfig,
): Promise<Listener> {
  const { transport, mqtt } = rooms;
  const options: ListenOptions = { transport, index, type: config.type, host: config.host, port: config.port };
  const accept: Accept = (link) => mqtt.accept(link, config);
  switch (config.type) {
    case "mqtt":
      if (config.unix !== null) {
        const { listenUnix } = await import("../transport/unix.ts");
        return listenUnix({ transport, index, type: config.type, path: config.unix, mode: config.unixMode }, accept);
      }
      if (config.tls === null) return listenTcp(options, accept);
      return (await import("../transport/tls.ts")).listenTls({ ...options, tls: config.tls }, accept);
    case "ws": {
      const { listenWs } = await import("../transport/ws.ts");
      const messageBytesMax = ground.config.limits.maxPacketBytes;
      return listenWs(
        { ...options, path: config.path, origins: config.origins, messageBytesMax, tls: config.tls },
        accept,
      );
    }
    case "http":
      return openHttp(ground, rooms, options, config);
    case "coap":
      return openCoap(ground, rooms, options, config);
  }
}

async function openHttp(
  ground: Ground,
  rooms: Rooms,
  options: ListenOptions,
  config: ListenerConfig,
): Promise<Listener> {
  const [{ listenHttp }, { HttpApi }] = await Promise.all([
    import("../transport/http.ts"),
    import("../protocol/http/http-api.ts"),
  ]);
  const api = new HttpApi(requestParts(ground, rooms), config);
  return listenHttp({ ...options, tls: config.tls }, api.onRequest);
}

/** What the CoAP listeners of a gateway share, from the first of them on. */
const coapShared = new WeakMap<Rooms, CoapShared>();

async function openCoap(
  ground: Ground,
  rooms: Rooms,
  options: ListenOptions,
  config: ListenerConfig,
): Promise<Listener> {
  const [{ CoapServer }, { CoapShared }] = await Promise.all([
    import("../protocol/coap/coap-server.ts"),
    import("../protocol/coap/shared.ts"),
  ]);
  const { anonymous, coap } = config;
  if (coap === null) throw new ListenerError(`listeners[${options.index}]: not a CoAP listener`);
  const { dtls } = coap;
  let port: UdpPort | DtlsPort;
  let udp: UdpPort | null = null;
  if (dtls !== null) {
    port = await (await import("../transport/dtls.ts")).listenDtls({ ...options, dtls });
  } else {
    udp = await (await import("../transport/udp.ts")).listenUdp({ ...options, groups: coap.multicast });
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
  const [{ UdpGroups }, { ALL_COAP_NODES }] = await Promise.all([
    import("../transport/udp-groups.ts"),
    import("../wire/coap/codes.ts"),
  ]);
  const groups = new UdpGroups({ transport, port, host, groups: ALL_COAP_NODES, receiver });
  stops.push(() => groups.close());
  await groups.open();
}

/** What conversations of requests and answers need. */
function requestParts({ config, clock, counters }: Ground, { router, retained, authority, store, transport }: Rooms) {
  const limits: Config["limits"] = config.limits;
  const admitLogin = () => transport.admission.login();
  return { router, retained, authority, health: () => store.health, clock, counters, limits, admitLogin };
}
