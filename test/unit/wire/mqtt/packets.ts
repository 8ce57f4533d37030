/**
 * Packets as plain objects, to compare and to print: `decodePacket` drives the codec's decoders and reads their views,
 * `encodePacket` drives its writers. Everything a view says is in the object, and nothing else.
 */
import { AckView, decodeAck, writeAck } from "../../../../src/wire/mqtt/ack.ts";
import { AuthView, decodeAuth, writeAuth } from "../../../../src/wire/mqtt/auth.ts";
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  MALFORMED_PACKET,
  MQTT_5,
  NEED_MORE,
  OK,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../../../src/wire/mqtt/codes.ts";
import { ConnackView, decodeConnack, writeConnack } from "../../../../src/wire/mqtt/connack.ts";
import { ConnectView, decodeConnect, encodeConnect } from "../../../../src/wire/mqtt/connect.ts";
import { DisconnectView, decodeDisconnect, writeDisconnect } from "../../../../src/wire/mqtt/disconnect.ts";
import { areFlagsValid, FrameHeader, readFrameHeader } from "../../../../src/wire/mqtt/frame.ts";
import { decodePing, writePingreq, writePingresp } from "../../../../src/wire/mqtt/ping.ts";
import { decodeProperties, PropertiesView, PropertiesWriter } from "../../../../src/wire/mqtt/properties.ts";
import * as table from "../../../../src/wire/mqtt/property-table.ts";
import { decodePublish, PublishView, writePublish } from "../../../../src/wire/mqtt/publish.ts";
import { decodeSuback, SubackView, writeSuback } from "../../../../src/wire/mqtt/suback.ts";
import {
  decodeSubscribeHead,
  encodeSubscribe,
  nextSubscription,
  SubscribeView,
  type SubscriptionRequest,
} from "../../../../src/wire/mqtt/subscribe.ts";
import { decodeUnsuback, UnsubackView, writeUnsuback } from "../../../../src/wire/mqtt/unsuback.ts";
import {
  decodeUnsubscribeHead,
  encodeUnsubscribe,
  nextUnsubscription,
  UnsubscribeView,
} from "../../../../src/wire/mqtt/unsubscribe.ts";

/** Only what is present and differs from absence; text as text, binary data as latin1. */
export type Properties = { [name: string]: number | string | [string, string][] };

export type Packet =
  | {
      type: typeof CONNECT;
      version: number;
      bridge: boolean;
      clientId: string;
      cleanStart: boolean;
      keepAliveSeconds: number;
      userName: string | null;
      password: string | null;
      will: { topic: string; payload: string; qos: number; retain: boolean; properties: Properties } | null;
      properties: Properties;
    }
  | { type: typeof CONNACK; sessionPresent: boolean; reasonCode: number; olderVersion: boolean; properties: Properties }
  | {
      type: typeof PUBLISH;
      dup: boolean;
      qos: number;
      retain: boolean;
      packetId: number;
      topic: string;
      payload: string;
      properties: Properties;
    }
  | { type: AckType; packetId: number; reasonCode: number; properties: Properties }
  | { type: typeof SUBSCRIBE; packetId: number; subscriptions: SubscriptionRequest[]; properties: Properties }
  | { type: typeof SUBACK | typeof UNSUBACK; packetId: number; codes: number[]; properties: Properties }
  | { type: typeof UNSUBSCRIBE; packetId: number; filters: string[]; properties: Properties }
  | { type: typeof PINGREQ | typeof PINGRESP }
  | { type: typeof DISCONNECT | typeof AUTH; reasonCode: number; properties: Properties };

export type AckType = typeof PUBACK | typeof PUBREC | typeof PUBREL | typeof PUBCOMP;

type Kind = "flag" | "two" | "four" | "varint" | "text" | "binary";

/** Name in PropertiesView, identifier, type: written down from table 2-4 of the specification, not from the code. */
export const PROPERTIES: readonly (readonly [name: string, id: number, kind: Kind])[] = [
  ["payloadFormat", 0x01, "flag"],
  ["messageExpirySeconds", 0x02, "four"],
  ["contentType", 0x03, "text"],
  ["responseTopic", 0x08, "text"],
  ["correlationData", 0x09, "binary"],
  ["subscriptionIdentifier", 0x0b, "varint"],
  ["sessionExpirySeconds", 0x11, "four"],
  ["assignedClientId", 0x12, "text"],
  ["serverKeepAlive", 0x13, "two"],
  ["authMethod", 0x15, "text"],
  ["authData", 0x16, "binary"],
  ["requestProblem", 0x17, "flag"],
  ["willDelaySeconds", 0x18, "four"],
  ["requestResponse", 0x19, "flag"],
  ["responseInformation", 0x1a, "text"],
  ["serverReference", 0x1c, "text"],
  ["reasonString", 0x1f, "text"],
  ["receiveMaximum", 0x21, "two"],
  ["topicAliasMaximum", 0x22, "two"],
  ["topicAlias", 0x23, "two"],
  ["maximumQos", 0x24, "flag"],
  ["retainAvailable", 0x25, "flag"],
  ["maximumPacketSize", 0x27, "four"],
  ["wildcardAvailable", 0x28, "flag"],
  ["subscriptionIdsAvailable", 0x29, "flag"],
  ["sharedAvailable", 0x2a, "flag"],
];

const ABSENT = new PropertiesView() as unknown as Record<string, number>;

/** What a PropertiesView says that differs from absence, and the User Properties of its block. */
export function propertiesOf(view: PropertiesView, frame: Buffer, from: number, end: number): Properties {
  const fields = view as unknown as Record<string, number>;
  const found: Properties = {};
  for (const [name, , kind] of PROPERTIES) {
    if (kind === "text" || kind === "binary") {
      const at = fields[`${name}At`] as number;
      if (at === 0) continue;
      found[name] = frame.toString(kind === "text" ? "utf8" : "latin1", at, at + (fields[`${name}Length`] as number));
    } else if (fields[name] !== ABSENT[name]) found[name] = fields[name] as number;
  }
  const pairs: [string, string][] = [];
  const pair = new table.UserPropertyView();
  let at = from;
  while ((at = table.nextUserProperty(frame, at, end, pair)) >= 0) {
    pairs.push([text(frame, pair.keyAt, pair.keyLength), text(frame, pair.valueAt, pair.valueLength)]);
  }
  if (pairs.length > 0) found["userProperties"] = pairs;
  if (view.userPropertiesCount !== pairs.length) found["wrongCount"] = view.userPropertiesCount;
  if (view.subscriptionIdentifierCount > 1) found["subscriptionIdentifierCount"] = view.subscriptionIdentifierCount;
  return found;
}

/** Writes properties in the order of the object's keys. */
export function propertiesWriter(properties: Properties): PropertiesWriter | null {
  if (Object.keys(properties).length === 0) return null;
  const writer = new PropertiesWriter(70_000);
  for (const [name, value] of Object.entries(properties)) {
    if (Array.isArray(value)) {
      for (const [key, text] of value) writer.pair(key, text);
      continue;
    }
    const row = PROPERTIES.find((candidate) => candidate[0] === name);
    if (row === undefined) throw new Error(`no property ${name}`);
    const [, id, kind] = row;
    if (typeof value === "string") {
      if (kind === "binary") writer.binary(id, Buffer.from(value, "latin1"));
      else writer.string(id, value);
    } else if (kind === "flag") writer.byte(id, value);
    else if (kind === "two") writer.two(id, value);
    else if (kind === "four") writer.four(id, value);
    else writer.varint(id, value);
  }
  if (writer.overflow) throw new Error("test properties too large");
  return writer;
}

function text(frame: Buffer, at: number, length: number): string {
  return frame.toString("utf8", at, at + length);
}

function latin1(frame: Buffer, at: number, length: number): string {
  return frame.toString("latin1", at, at + length);
}

/** The views of the whole suite: used again for every packet, as in the gateway, so that a field left over shows. */
export const views = {
  header: new FrameHeader(),
  connect: new ConnectView(),
  connack: new ConnackView(),
  publish: new PublishView(),
  ack: new AckView(),
  subscribe: new SubscribeView(),
  suback: new SubackView(),
  unsubscribe: new UnsubscribeView(),
  unsuback: new UnsubackView(),
  disconnect: new DisconnectView(),
  auth: new AuthView(),
  properties: new PropertiesView(),
};

/**
 * Runs the decoder of `type` over the body `frame[from..end)`; SUBSCRIBE and UNSUBSCRIBE to their last filter.
 * @returns OK or the code it answered
 */
export function decodeBody(
  frame: Uint8Array,
  type: number,
  flags: number,
  from: number,
  end: number,
  version: number,
): number {
  switch (type) {
    case CONNECT:
      return decodeConnect(frame, from, end, views.connect);
    case CONNACK:
      return decodeConnack(frame, from, end, version, views.connack);
    case PUBLISH:
      return decodePublish(frame, flags, from, end, version, views.publish);
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP:
      return decodeAck(frame, type, flags, from, end, version, views.ack);
    case SUBSCRIBE: {
      let code = decodeSubscribeHead(frame, from, end, version, views.subscribe);
      while (code === OK) code = nextSubscription(frame, views.subscribe);
      return code === NEED_MORE ? OK : code;
    }
    case SUBACK:
      return decodeSuback(frame, from, end, version, views.suback);
    case UNSUBSCRIBE: {
      let code = decodeUnsubscribeHead(frame, from, end, version, views.unsubscribe);
      while (code === OK) code = nextUnsubscription(frame, views.unsubscribe);
      return code === NEED_MORE ? OK : code;
    }
    case UNSUBACK:
      return decodeUnsuback(frame, from, end, version, views.unsuback);
    case PINGREQ:
    case PINGRESP:
      return decodePing(from, end);
    case DISCONNECT:
      return decodeDisconnect(frame, from, end, version, views.disconnect);
    case AUTH:
      return decodeAuth(frame, from, end, views.auth);
    default:
      return MALFORMED_PACKET;
  }
}

/**
 * Decodes the whole packet `frame[from..end)` as a connection would.
 * @returns its code, and the packet when that is OK
 */
export function decodePacket(
  frame: Buffer,
  from: number,
  end: number,
  version: number,
): { code: number; packet: Packet | null } {
  const { header } = views;
  const code = readFrameHeader(frame, from, end, header);
  if (code !== OK) return { code, packet: null };
  if (header.end !== end) return { code: NEED_MORE, packet: null };
  const { type, flags, bodyAt } = header;
  if (!areFlagsValid(version, type, flags)) return { code: MALFORMED_PACKET, packet: null };
  const answer = decodeBody(frame, type, flags, bodyAt, end, version);
  return { code: answer, packet: answer === OK ? read(frame, type, bodyAt, end, version) : null };
}

function read(frame: Buffer, type: number, from: number, end: number, version: number): Packet {
  switch (type) {
    case CONNECT:
      return readConnect(frame);
    case CONNACK: {
      const { sessionPresent, reasonCode, olderVersion, properties } = views.connack;
      const block = version === MQTT_5 && !olderVersion ? blockIn(frame, from + 2, end) : [0, 0];
      const found = propertiesOf(properties, frame, block[0] as number, block[1] as number);
      return { type: CONNACK, sessionPresent, reasonCode, olderVersion, properties: found };
    }
    case PUBLISH: {
      const { dup, qos, retain, packetId, topicAt, topicLength, payloadAt, payloadLength } = views.publish;
      return {
        type: PUBLISH,
        dup,
        qos,
        retain,
        packetId,
        topic: text(frame, topicAt, topicLength),
        payload: latin1(frame, payloadAt, payloadLength),
        properties: readBlock(frame, views.publish, PUBLISH),
      };
    }
    case SUBSCRIBE:
      return readSubscribe(frame, from, end, version);
    case UNSUBSCRIBE: {
      const view = views.unsubscribe;
      decodeUnsubscribeHead(frame, from, end, version, view);
      const filters: string[] = [];
      while (nextUnsubscription(frame, view) === OK) filters.push(text(frame, view.filterAt, view.filterLength));
      return { type, packetId: view.packetId, filters, properties: readBlock(frame, view, UNSUBSCRIBE) };
    }
    case SUBACK:
    case UNSUBACK: {
      const view = type === SUBACK ? views.suback : views.unsuback;
      const codes = [...frame.subarray(view.codesAt, view.codesAt + view.codesCount)];
      return { type, packetId: view.packetId, codes, properties: readBlock(frame, view, type) };
    }
    case PINGREQ:
    case PINGRESP:
      return { type };
    case DISCONNECT:
      return {
        type,
        reasonCode: views.disconnect.reasonCode,
        properties: readBlock(frame, views.disconnect, DISCONNECT),
      };
    case AUTH: {
      const block = from === end ? [0, 0] : blockIn(frame, from + 1, end);
      const found = propertiesOf(views.auth.properties, frame, block[0] as number, block[1] as number);
      return { type, reasonCode: views.auth.reasonCode, properties: found };
    }
    default: {
      const { packetId, reasonCode } = views.ack;
      return { type: type as AckType, packetId, reasonCode, properties: readBlock(frame, views.ack, type) };
    }
  }
}

function readConnect(frame: Buffer): Packet {
  const view = views.connect;
  const willBlockEnd = view.willPropertiesAt + view.willPropertiesLength;
  return {
    type: CONNECT,
    version: view.version,
    bridge: view.bridge,
    clientId: text(frame, view.clientIdAt, view.clientIdLength),
    cleanStart: view.cleanStart,
    keepAliveSeconds: view.keepAliveSeconds,
    userName: view.hasUserName ? text(frame, view.userNameAt, view.userNameLength) : null,
    password: view.hasPassword ? latin1(frame, view.passwordAt, view.passwordLength) : null,
    will: view.hasWill
      ? {
          topic: text(frame, view.willTopicAt, view.willTopicLength),
          payload: latin1(frame, view.willPayloadAt, view.willPayloadLength),
          qos: view.willQos,
          retain: view.willRetain,
          properties: propertiesOf(view.willProperties, frame, view.willPropertiesAt, willBlockEnd),
        }
      : null,
    properties: propertiesOf(view.properties, frame, view.propertiesAt, view.propertiesAt + view.propertiesLength),
  };
}

function readSubscribe(frame: Buffer, from: number, end: number, version: number): Packet {
  const view = views.subscribe;
  decodeSubscribeHead(frame, from, end, version, view);
  const properties = readBlock(frame, view, SUBSCRIBE);
  const { packetId, subscriptionIdentifier } = view;
  if ((properties["subscriptionIdentifier"] ?? 0) !== subscriptionIdentifier) properties["wrongIdentifier"] = 1;
  const subscriptions: SubscriptionRequest[] = [];
  while (nextSubscription(frame, view) === OK) {
    const { qos, noLocal, retainAsPublished, retainHandling } = view;
    const filter = text(frame, view.filterAt, view.filterLength);
    subscriptions.push({ filter, qos, noLocal, retainAsPublished, retainHandling });
  }
  return { type: SUBSCRIBE, packetId, subscriptions, properties };
}

/** The properties of a block a view points at, and whether the view's own fields say the same. */
function readBlock(
  frame: Buffer,
  view: { propertiesAt: number; propertiesLength: number },
  packetType: number,
): Properties {
  const { propertiesAt, propertiesLength } = view;
  const end = propertiesAt + propertiesLength;
  const code = decodeProperties(frame, propertiesAt, end, packetType, views.properties);
  if (code !== OK) return { blockCode: code };
  const found = propertiesOf(views.properties, frame, propertiesAt, end);
  const own = view as unknown as Record<string, number>;
  const all = views.properties as unknown as Record<string, number>;
  for (const name of Object.keys(own)) {
    if (name in all && own[name] !== all[name]) found[`${name} differs`] = own[name] as number;
  }
  return found;
}

/** First and last index of the block whose Property Length is at `at`, read in the plainest way. */
function blockIn(frame: Buffer, at: number, end: number): [number, number] {
  let next = at;
  while ((frame[next++] as number) > 127);
  return [next, end];
}

const EMPTY = Buffer.alloc(0);

/** Writes a packet. @returns the index after it, -1 when the encoder says that it does not fit */
export function encodePacket(packet: Packet, version: number, out: Buffer, at: number): number {
  switch (packet.type) {
    case CONNECT: {
      const { will, password } = packet;
      return encodeConnect(out, at, {
        ...packet,
        password: password === null ? null : Buffer.from(password, "latin1"),
        properties: propertiesWriter(packet.properties),
        will: will && {
          ...will,
          payload: Buffer.from(will.payload, "latin1"),
          properties: propertiesWriter(will.properties),
        },
      });
    }
    case CONNACK:
      return writeConnack(
        out,
        at,
        version,
        packet.sessionPresent,
        packet.reasonCode,
        propertiesWriter(packet.properties),
      );
    case PUBLISH: {
      const topic = Buffer.from(packet.topic);
      const payload = Buffer.from(packet.payload, "latin1");
      const { dup, qos, retain, packetId } = packet;
      const writer = propertiesWriter(packet.properties);
      const block = writer?.buffer ?? EMPTY;
      const blockLength = writer?.length ?? 0;
      // prettier-ignore
      return writePublish(
        out,
        at,
        version,
        dup,
        qos,
        retain,
        packetId,
        topic,
        0,
        topic.length,
        block,
        0,
        blockLength,
        payload,
        0,
        payload.length,
      );
    }
    case SUBSCRIBE:
      return encodeSubscribe(
        out,
        at,
        version,
        packet.packetId,
        packet.subscriptions,
        propertiesWriter(packet.properties),
      );
    case UNSUBSCRIBE:
      return encodeUnsubscribe(out, at, version, packet.packetId, packet.filters, propertiesWriter(packet.properties));
    case SUBACK:
      return writeSuback(out, at, version, packet.packetId, Buffer.from(packet.codes), packet.codes.length);
    case UNSUBACK:
      return writeUnsuback(out, at, version, packet.packetId, Buffer.from(packet.codes), packet.codes.length);
    case PINGREQ:
      return writePingreq(out, at);
    case PINGRESP:
      return writePingresp(out, at);
    case DISCONNECT:
      return writeDisconnect(out, at, version, packet.reasonCode, propertiesWriter(packet.properties));
    case AUTH:
      return writeAuth(out, at, packet.reasonCode, propertiesWriter(packet.properties));
    default:
      return writeAck(out, at, version, packet.type, packet.packetId, packet.reasonCode);
  }
}

/**
 * Whether every range a view names lies in `[from..end)`. A range is a pair of fields `nameAt` and `nameLength`, or
 * `nameAt` and `nameSeconds` for the four bytes of an interval; 0 and -1 are absent.
 */
export function rangesInside(view: object, from: number, end: number): boolean {
  const fields = view as Record<string, unknown>;
  return Object.entries(fields).every(([name, value]) => {
    if (value !== null && typeof value === "object") return rangesInside(value, from, end);
    if (!name.endsWith("At") || typeof value !== "number" || value <= 0) return true;
    const stem = name.slice(0, -2);
    const length = fields[`${stem}Length`] ?? fields[`${stem}Count`] ?? (`${stem}Seconds` in fields ? 4 : -1);
    return typeof length === "number" && length >= 0 && value >= from && value + length <= end;
  });
}

/** The view the decoder of a type fills. */
export function viewOf(type: number): object {
  const all: { [type: number]: object } = {
    [CONNECT]: views.connect,
    [CONNACK]: views.connack,
    [PUBLISH]: views.publish,
    [SUBSCRIBE]: views.subscribe,
    [SUBACK]: views.suback,
    [UNSUBSCRIBE]: views.unsubscribe,
    [UNSUBACK]: views.unsuback,
    [DISCONNECT]: views.disconnect,
    [AUTH]: views.auth,
  };
  return all[type] ?? views.ack;
}
