/**
 * REGISTER, SUBSCRIBE and UNSUBSCRIBE from a client. For a session that outlives its connection the answer leaves when the
 * store has it.
 *
 * @see MQTT-SN 1.2 sections 6.5, 6.7 and 6.9
 */
import type { Session } from "../../core/session.ts";
import { isShared } from "../../core/shared-groups.ts";
import { hasWildcard, isTopicFilter, isTopicName, levelCount } from "../../core/topic.ts";
import {
  ACCEPTED,
  REGACK,
  REJECTED_CONGESTION,
  REJECTED_INVALID_TOPIC_ID,
  REJECTED_NOT_SUPPORTED,
  SUBACK,
  TOPIC_NORMAL,
  TOPIC_PREDEFINED,
  UNSUBACK,
} from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import { flagsOf, writeSuback, writeTopicAck } from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";
import { answer, NO_FLAGS } from "./on-stored.ts";

export function onRegister(client: Client, bytes: Buffer, view: MessageView): void {
  const name = bytes.toString("utf8", view.restAt, view.restEnd);
  let id = 0;
  let code = REJECTED_NOT_SUPPORTED;
  if (isTopicName(name) && isWithin(client, name)) {
    id = client.topics.register(name);
    code = id === 0 ? REJECTED_CONGESTION : ACCEPTED;
  }
  if (code === REJECTED_CONGESTION) client.server.topicIdsFull.value++;
  client.write(writeTopicAck(client.server.room(16), 0, REGACK, id, view.msgId, code));
}

export function onSubscribe(client: Client, bytes: Buffer, view: MessageView): void {
  const { server } = client;
  const session = client.session as Session;
  const { msgId, qos } = view;
  if (client.owed.has(SUBACK, msgId)) return;
  const filter = filterOf(client, bytes, view);
  const code = filter === null ? REJECTED_INVALID_TOPIC_ID : refusalOf(client, session, filter, view.topicType);
  const topicId = code === ACCEPTED && filter !== null ? topicIdOf(client, filter, view) : 0;
  if (filter === null || code !== ACCEPTED || topicId < 0) {
    refuse(client, view, topicId < 0 ? REJECTED_CONGESTION : code);
    return;
  }
  if (
    client.owed.full ||
    server.parts.registry.subscribe(session, { filter, options: qos, subscriptionId: 0 }) === null
  ) {
    refuse(client, view, REJECTED_CONGESTION);
    return;
  }
  const owed = { type: SUBACK, msgId, topicId, flags: flagsOf(qos, 0), repeated: false };
  session.feed.add(filter, qos, 0);
  if (session.durable) {
    client.subacksOwed++;
    server.parts.store.barrier(client, client.owe(owed));
  } else {
    answer(client, owed, true);
    session.pumpOthers();
  }
}

export function onUnsubscribe(client: Client, bytes: Buffer, view: MessageView): void {
  const session = client.session as Session;
  const { msgId } = view;
  if (client.owed.has(UNSUBACK, msgId) || client.owed.full) return;
  const filter = filterOf(client, bytes, view);
  // There is no negative UNSUBACK: an id that stands for nothing had no subscription.
  if (filter !== null) client.server.parts.registry.unsubscribe(session, filter);
  const owed = { ...NO_FLAGS, type: UNSUBACK, msgId };
  if (session.durable) client.server.parts.store.barrier(client, client.owe(owed));
  else answer(client, owed, true);
}

function filterOf(client: Client, bytes: Buffer, view: MessageView): string | null {
  if (view.topicType === TOPIC_NORMAL) return bytes.toString("utf8", view.restAt, view.restEnd);
  return client.topics.find(view.topicType, view.topicId);
}

function refusalOf(client: Client, session: Session, filter: string, topicType: number): number {
  // A shared subscription would lend its members several messages at once; here one at a time is under way.
  if (topicType === TOPIC_NORMAL && (!isTopicFilter(filter) || isShared(filter))) return REJECTED_NOT_SUPPORTED;
  if (!isWithin(client, filter)) return REJECTED_NOT_SUPPORTED;
  const { authority } = client.server.parts;
  return authority.maySubscribe(session.principal, filter) ? ACCEPTED : REJECTED_NOT_SUPPORTED;
}

/** What PUBLISHes to the client will say; 0 for wildcards and short names, -1 without room for one more. */
function topicIdOf(client: Client, filter: string, view: MessageView): number {
  const { topics, server } = client;
  let id = 0;
  if (view.topicType === TOPIC_PREDEFINED) id = topics.knowsPredefined(view.topicId, filter) ? view.topicId : -1;
  else if (view.topicType === TOPIC_NORMAL && !hasWildcard(filter)) id = topics.register(filter) || -1;
  if (id < 0) server.topicIdsFull.value++;
  return id;
}

function isWithin({ server }: Client, filter: string): boolean {
  const { topicBytes, topicLevels } = server.parts.limits;
  return Buffer.byteLength(filter) <= topicBytes && levelCount(filter) <= topicLevels;
}

function refuse(client: Client, { msgId, qos }: MessageView, code: number): void {
  if (code === REJECTED_CONGESTION) client.server.congestion.value++;
  client.write(writeSuback(client.server.room(16), 0, flagsOf(qos, 0), 0, msgId, code));
}
