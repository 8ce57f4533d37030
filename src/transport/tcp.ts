/** Links over plain TCP. */
import type { Accept } from "./link.ts";
import { type Listener, type ListenOptions, SocketListener, tcpName } from "./listener.ts";
import { SocketLink } from "./socket-link.ts";

/** @throws ListenerError */
export async function listenTcp(options: ListenOptions, accept: Accept): Promise<Listener> {
  const { transport, type, host, port } = options;
  const listener = new SocketListener(transport, type, tcpName(options), false, (socket) => {
    accept(new SocketLink(socket, transport, null));
  });
  await listener.open({ host, port });
  return listener;
}
