/**
 * SUBSCRIBE: each filter is granted or refused on its own, as many in a turn as it has work for. For a session that
 * outlives its connection SUBACK leaves once the subscriptions are stored.
 *
 * @see MQTT 3.1.1 section 3.8, MQTT 5.0 section 3.8
 */
import type { Session } from "../../core/session.ts";
import { plainFilterOf } from "../../core/shared-groups.ts";
import { levelCount } from "../../core/topic.ts";
import {
  NEED_MORE,
  NOT_AUTHORIZED,
  OK,
  PACKET_TOO_LARGE,
  QUOTA_EXCEEDED,
  SUBACK,
  SUCCESS,
  TOPIC_FILTER_INVALID,
} from "../../wire/mqtt/codes.ts";
import { frameBytes } from "../../wire/mqtt/frame.ts";
import { subackLength } from "../../wire/mqtt/suback.ts";
import { decodeSubscribeHead, nextSubscription, type SubscribeView } from "../../wire/mqtt/subscribe.ts";
import type { Connection } from "./connection.ts";
import { hasRoomForCodes, keepCodes } from "./filter-codes.ts";
import { FilterList } from "./filter-list.ts";
import { countOver } from "./over-limit.ts";
import { flushAcks } from "./send.ts";
import { PART } from "./states.ts";
import { SUBSCRIBE_PART_BYTES } from "./work.ts";

/** Retain Handling values (MQTT 5.0 section 3.8.3.1). */
const RETAIN_SEND_IF_NEW = 1;
const RETAIN_DO_NOT_SEND = 2;

export function onSubscribe(connection: Connection, bytes: Buffer, at: number, end: number): number {
  const view = connection.server.subscribeView;
  let list = connection.filters;
  if (list === null) {
    const code = decodeSubscribeHead(bytes, at, end, connection.version, view);
    if (code !== OK) return code;
    if (!hasRoomForCodes(connection) || !connection.acks.hasRoom()) return connection.waitForAcks();
    list = new FilterList(view.packetId, view.subscriptionIdentifier, end - view.cursor);
  } else {
    view.version = connection.version;
    view.subscriptionIdentifier = list.subscriptionIdentifier;
    view.cursor = end - list.left;
    view.end = end;
  }
  const session = connection.session as Session;
  const partEnd = view.cursor + SUBSCRIBE_PART_BYTES;
  for (;;) {
    const next = nextSubscription(bytes, view);
    if (next === NEED_MORE) break;
    // The rules of 4.7 are part of the packet's form ([MQTT311-4.7.1-2]): a filter that breaks them closes.
    if (next !== OK) return next;
    list.push(subscribe(connection, session, bytes, view));
    if (view.cursor >= partEnd && view.cursor < end) {
      list.left = end - view.cursor;
      connection.filters = list;
      return PART;
    }
  }
  connection.filters = null;
  // [MQTT5-3.1.2-24]: without an answer the client would wait for one.
  if (frameBytes(subackLength(connection.version, list.count)) > connection.peerPacketBytesMax) return PACKET_TOO_LARGE;
  const token = connection.acks.push(SUBACK, list.packetId);
  keepCodes(connection, token, list.codes);
  if (session.durable) connection.server.parts.store.barrier(connection, token);
  else connection.acks.resolve(token, SUCCESS);
  flushAcks(connection);
  session.pumpOthers();
  return OK;
}

/** @returns the reason code of one filter: granted QoS, or why not */
function subscribe(connection: Connection, session: Session, bytes: Buffer, view: SubscribeView): number {
  const { server } = connection;
  const { registry, authority } = server.parts;
  const filter = bytes.toString("utf8", view.filterAt, view.filterAt + view.filterLength);
  const plainFilter = view.shared ? plainFilterOf(filter) : filter;
  if (view.filterLength > server.limits.topicBytes) {
    countOver(server, "topic_bytes");
    return TOPIC_FILTER_INVALID;
  }
  if (levelCount(plainFilter) > server.limits.topicLevels) {
    countOver(server, "topic_levels");
    return TOPIC_FILTER_INVALID;
  }
  if (!authority.maySubscribe(session.principal, plainFilter)) return NOT_AUTHORIZED;
  const granted = Math.min(view.qos, connection.options.maxQos);
  const options =
    granted | (view.noLocal ? 0x04 : 0) | (view.retainAsPublished ? 0x08 : 0) | (view.retainHandling << 4);
  const entered = registry.subscribe(session, { filter, options, subscriptionId: view.subscriptionIdentifier });
  if (entered === null) return QUOTA_EXCEEDED;
  const sendsRetained =
    view.retainHandling === RETAIN_SEND_IF_NEW ? entered.isNew : view.retainHandling !== RETAIN_DO_NOT_SEND;
  // Section 3.8.3.1: no retained messages for a shared subscription.
  if (sendsRetained && !view.shared) session.feed.add(filter, granted, view.subscriptionIdentifier);
  return granted;
}
