/** From options and parts to a client that is connected. */
import type { Client, ConnectOptions } from "./api.ts";
import { type ClientParts, ReconnectingClient } from "./client.ts";
import { ClientError } from "./error.ts";

/** @param onEnd called when the client has ended, or could not begin */
export function connectWith(
  options: ConnectOptions,
  parts: ClientParts,
  onEnd: () => void = () => {},
): Promise<Client> {
  const { signal } = options;
  return new Promise<Client>((resolve, reject) => {
    if (signal?.aborted === true) throw new ClientError("aborted", "aborted");
    const onAbort = (): void => client.giveUp(new ClientError("aborted", "aborted"));
    const client = new ReconnectingClient(options, parts, (error) => {
      signal?.removeEventListener("abort", onAbort);
      if (error === null) resolve(client);
      else reject(error);
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    // A wheel sleeps on after its last timer was cancelled, and would keep the process for as long.
    void client.closed.then(onEnd);
    client.open();
  }).catch((error: unknown) => {
    onEnd();
    throw error;
  });
}
