/**
 * PINGREQ and DISCONNECT: who is there, who sleeps, who leaves.
 *
 * @see MQTT-SN 1.2 sections 6.11, 6.12 and 6.14
 */
import { isLoopback } from "../../transport/peer-address.ts";
import { DISCONNECT, PINGRESP } from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import type { Client } from "./client.ts";
import type { Peer } from "./peer.ts";
import type { MqttSnServer } from "./server.ts";

/** With its client id or without: a client that sleeps wakes up. */
export function onPingreq(client: Client, bytes: Buffer, view: MessageView): void {
  const { server, session, peer } = client;
  if (view.restAt !== view.restEnd && bytes.toString("utf8", view.restAt, view.restEnd) !== session?.clientId) {
    if (!onPingreqFromElsewhere(server, peer, bytes, view)) server.sendEmpty(peer, DISCONNECT);
    return;
  }
  if (client.sleeps) client.wake();
  else server.sendEmpty(peer, PINGRESP);
}

/**
 * A PINGREQ with the id of a client that is connected from somewhere else: it has slept, and has another address now (a NAT
 * forgets in minutes). As a CONNECT it needs the id and nothing else; what was decided of its login by its address holds.
 * @returns false when there is no such client
 */
export function onPingreqFromElsewhere(server: MqttSnServer, peer: Peer, bytes: Buffer, view: MessageView): boolean {
  const { clients } = server;
  const client = clients.named(bytes.toString("utf8", view.restAt, view.restEnd));
  if (client === null || !clients.isCurrent(client)) return false;
  if (isLoopback(client.peer.address) !== isLoopback(peer.address)) return false;
  clients.at(peer.key)?.dispose(true);
  clients.move(client, peer);
  server.count("moved");
  client.heard();
  onPingreq(client, bytes, view);
  return true;
}

export function onDisconnect(client: Client, { duration }: MessageView): void {
  if (duration > 0) {
    client.sleep(duration);
    client.server.sendEmpty(client.peer, DISCONNECT);
    return;
  }
  client.server.sendEmpty(client.peer, DISCONNECT);
  client.dispose(false);
}
