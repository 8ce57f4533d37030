/** Links over a unix socket. A socket file that a killed process left behind is replaced; one in use is not. */
import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import type { Accept } from "./link.ts";
import { type Listener, ListenerError, SocketListener } from "./listener.ts";
import { SocketLink } from "./socket-link.ts";
import type { Transport } from "./transport.ts";

export interface UnixListenOptions {
  readonly transport: Transport;
  /** Its place in the configuration. */
  readonly index: number;
  readonly type: string;
  readonly path: string;
  /** Permissions of the file, such as 0o660. */
  readonly mode: number;
}

/** @throws ListenerError */
export async function listenUnix(options: UnixListenOptions, accept: Accept): Promise<Listener> {
  const { transport, index, type, path, mode } = options;
  const name = `listener ${index} (${type} unix:${path})`;
  await removeStale(name, path);
  const listener = new SocketListener(transport, type, name, false, (socket) => {
    accept(new SocketLink(socket, transport, null));
  });
  await listener.open({ path, mode });
  return listener;
}

async function removeStale(name: string, path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new ListenerError(`${name}: ${path} is there and is not a socket`);
  if (!(await answers(path))) unlinkSync(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // Anything but a refusal (no permission, too busy) may well mean that somebody is there.
    socket.once("error", (error) => resolve((error as NodeJS.ErrnoException).code !== "ECONNREFUSED"));
  });
}
