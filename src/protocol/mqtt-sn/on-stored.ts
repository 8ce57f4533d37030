/** What the store says of what a client is owed: an acknowledgement leaves, or turns into a refusal. */
import { ACCEPTED, PUBACK, PUBCOMP, PUBREC, REJECTED_CONGESTION, SUBACK } from "../../wire/mqtt-sn/codes.ts";
import { writeMsgId, writeSuback, writeTopicAck } from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";
import type { Owed } from "./owed-acks.ts";

const ANSWER_BYTES = 16;

/** @param reason 0, or why the store has not taken it */
export function onStored(client: Client, token: number, reason: number): void {
  const owed = client.owed.take(token);
  if (owed === null) return;
  if (reason !== 0 && !owed.repeated) takeBack(client, owed);
  if (owed.type === SUBACK) client.subacksOwed--;
  if (client.session === null) return;
  answer(client, owed, reason === 0);
  if (owed.type !== SUBACK) return;
  client.deliveries.flush();
  client.session.pump();
}

/** @param stored false: refused, and the client may try again later */
export function answer(client: Client, owed: Owed, stored: boolean): void {
  const { server } = client;
  const { type, msgId, topicId, flags } = owed;
  const code = stored ? ACCEPTED : REJECTED_CONGESTION;
  if (!stored) server.congestion.value++;
  const out = server.room(ANSWER_BYTES);
  if (type === PUBACK) client.write(writeTopicAck(out, 0, PUBACK, topicId, msgId, code));
  else if (type === SUBACK) client.write(writeSuback(out, 0, flags, stored ? topicId : 0, msgId, code));
  else if (stored) client.write(writeMsgId(out, 0, type, msgId));
  else if (type === PUBREC) client.write(writeTopicAck(out, 0, PUBACK, topicId, msgId, code));
  // PUBCOMP and UNSUBACK have no negative form: the client asks again.
}

/** The store does not have a packet id that came, or has one that went. */
function takeBack(client: Client, { type, msgId }: Owed): void {
  const session = client.session ?? client.left;
  const { store } = client.server.parts;
  if (session === null || session.slot < 0) return;
  if (type === PUBCOMP) {
    session.inbound.add(msgId);
  } else if (type === PUBREC && store.health !== "failed" && session.inbound.delete(msgId)) {
    if (session.durable) store.deleteInbound(session.queue.id, msgId);
  }
}

export const NO_FLAGS = { topicId: 0, flags: 0, repeated: false } as const;
