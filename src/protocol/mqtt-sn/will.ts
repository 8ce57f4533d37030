/**
 * The will of a client, and how it changes while the client is connected.
 *
 * @see MQTT-SN 1.2 sections 6.2 to 6.4
 */
import { Publication } from "../../core/publication.ts";
import type { Session, Will } from "../../core/session.ts";
import { isTopicName, levelCount } from "../../core/topic.ts";
import {
  ACCEPTED,
  FLAG_RETAIN,
  REJECTED_CONGESTION,
  REJECTED_NOT_SUPPORTED,
  WILLMSGRESP,
  WILLTOPICRESP,
} from "../../wire/mqtt-sn/codes.ts";
import type { MessageView } from "../../wire/mqtt-sn/decode.ts";
import { writeReturnCode } from "../../wire/mqtt-sn/encode.ts";
import type { Client } from "./client.ts";
import type { MqttSnServer } from "./server.ts";

export interface WillParts {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: number;
  readonly retain: boolean;
}

/** @returns null when nobody may have such a will */
export function topicOfWill(server: MqttSnServer, bytes: Buffer, view: MessageView): WillParts | null {
  const topic = bytes.toString("utf8", view.restAt, view.restEnd);
  const { topicBytes, topicLevels } = server.parts.limits;
  const length = view.restEnd - view.restAt;
  if (!isTopicName(topic) || topic.startsWith("$SYS") || length > topicBytes || levelCount(topic) > topicLevels)
    return null;
  return { topic, payload: NOTHING, qos: view.qos, retain: (view.flags & FLAG_RETAIN) !== 0 };
}

export function willOf({ topic, payload, qos, retain }: WillParts): Will {
  const publication = new Publication();
  publication.setParts(topic, payload, qos, retain);
  // Kept for as long as the connection: a slice would hold all 8 KiB of Node's slab.
  const own = Buffer.allocUnsafeSlow(publication.bytes.length);
  publication.bytes.copy(own);
  publication.bytes = own;
  return { publication, delaySeconds: 0 };
}

export function partsOf({ publication }: Will): WillParts {
  const { topic, qos, retain, bytes, payloadFrom, payloadEnd } = publication;
  return { topic, qos, retain, payload: bytes.subarray(payloadFrom, payloadEnd) };
}

/** WILLTOPICUPD: another topic, or without one no will any more. */
export function onWillTopicUpd(client: Client, bytes: Buffer, view: MessageView): void {
  const session = client.session as Session;
  let parts: WillParts | null = null;
  if (view.restAt !== view.restEnd) {
    parts = topicOfWill(client.server, bytes, view);
    if (parts === null) {
      answer(client, WILLTOPICRESP, REJECTED_NOT_SUPPORTED);
      return;
    }
    parts = { ...parts, payload: session.will === null ? NOTHING : partsOf(session.will).payload };
  }
  answer(client, WILLTOPICRESP, change(client, session, parts));
}

/** WILLMSGUPD: the same topic, another message. */
export function onWillMsgUpd(client: Client, bytes: Buffer, view: MessageView): void {
  const session = client.session as Session;
  if (session.will === null) {
    answer(client, WILLMSGRESP, REJECTED_NOT_SUPPORTED);
    return;
  }
  const payload = Buffer.copyBytesFrom(bytes, view.restAt, view.restEnd - view.restAt);
  answer(client, WILLMSGRESP, change(client, session, { ...partsOf(session.will), payload }));
}

function change(client: Client, session: Session, parts: WillParts | null): number {
  const { wills } = client.server.parts.registry;
  const will = parts === null ? null : willOf(parts);
  if (!wills.admit(will)) {
    client.server.congestion.value++;
    return REJECTED_CONGESTION;
  }
  wills.cancel(session);
  wills.keep(session, will);
  return ACCEPTED;
}

function answer(client: Client, type: number, code: number): void {
  client.write(writeReturnCode(client.server.room(8), 0, type, code));
}

const NOTHING: Buffer = Buffer.alloc(0);
