/** PUBREC and PUBCOMP from a client: answers to a message of QoS 2. @see MQTT-SN 1.2 section 5.4.14 */
import { PUBREL } from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import { writeMsgId } from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";

export function onPubrec(client: Client, { msgId }: MessageView): void {
  const { session, server, deliveries } = client;
  if (deliveries.onPubrec(msgId) && session?.queue.onPubrec(msgId, 0)) return;
  // An id that we do not know is released all the same, so that the client can forget it.
  client.write(writeMsgId(server.room(8), 0, PUBREL, msgId));
}

export function onPubcomp(client: Client, { msgId }: MessageView): void {
  if (!client.deliveries.onPubcomp(msgId)) return;
  client.session?.queue.onPubcomp(msgId);
  client.deliveries.flush();
}
