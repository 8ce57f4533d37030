/** Opens the listeners that the configuration names; what a type needs is loaded with the first of it. */
import type { ListenerConfig } from "../config/listeners.ts";
import type { Accept } from "../transport/link.ts";
import type { Listener, ListenOptions } from "../transport/listener.ts";
import { listenTcp } from "../transport/tcp.ts";
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
      return (await import("./http-listeners.ts")).openHttp(ground, rooms, options, config);
    case "coap":
      return (await import("./coap-listeners.ts")).openCoap(ground, rooms, options, config);
    case "mqtt-sn":
      return (await import("./mqtt-sn-listeners.ts")).openMqttSn(ground, rooms, options, config);
  }
}
