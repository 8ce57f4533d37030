/**
 * PINGREQ and DISCONNECT: who is there, who sleeps, who leaves.
 *
 * @see MQTT-SN 1.2 sections 6.11, 6.12 and 6.14
 */
import { DISCONNECT, PINGRESP } from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import type { Client } from "./client.ts";
import { ASLEEP, AWAKE } from "./states.ts";

export function onPingreq(client: Client, bytes: Buffer, view: MessageView): void {
  const { server, session } = client;
  const named = view.restAt !== view.restEnd;
  if (named && bytes.toString("utf8", view.restAt, view.restEnd) !== session?.clientId) {
    server.sendEmpty(client, DISCONNECT);
    return;
  }
  if (named && (client.state === ASLEEP || client.state === AWAKE)) client.wake();
  else server.sendEmpty(client, PINGRESP);
}

export function onDisconnect(client: Client, { duration }: MessageView): void {
  if (duration > 0) {
    client.sleep(duration);
    client.server.sendEmpty(client, DISCONNECT);
    return;
  }
  client.server.sendEmpty(client, DISCONNECT);
  client.dispose(false);
}
