/**
 * The same packets through `mqtt-packet`, the codec under MQTT.js and Aedes: its bytes are ours, its bytes give our
 * fields, and its parser reads the short forms that it does not write itself.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { generate, type Packet as OtherPacket, parser } from "mqtt-packet";
import {
  CONNACK,
  CONNECT,
  DISCONNECT,
  MQTT_3_1,
  MQTT_5,
  OK,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  SUBACK,
  SUBSCRIBE,
  toConnackV3,
  UNSUBACK,
  UNSUBSCRIBE,
} from "../../../../src/wire/mqtt/codes.ts";
import { Random } from "./bytes.ts";
import { decodePacket, encodePacket, type Packet, type Properties } from "./packets.ts";
import { randomPacket } from "./random-packets.ts";

const NAMES = [
  "", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe", "suback", "unsubscribe",
  "unsuback", "pingreq", "pingresp", "disconnect", "auth",
]; // biome-ignore format: a table

/** Our names of properties to theirs, and whether they want a boolean. */
const THEIRS: { [name: string]: [name: string, isBoolean: boolean] } = {
  payloadFormat: ["payloadFormatIndicator", true],
  messageExpirySeconds: ["messageExpiryInterval", false],
  subscriptionIdentifier: ["subscriptionIdentifier", false],
  sessionExpirySeconds: ["sessionExpiryInterval", false],
  assignedClientId: ["assignedClientIdentifier", false],
  authMethod: ["authenticationMethod", false],
  authData: ["authenticationData", false],
  requestProblem: ["requestProblemInformation", true],
  willDelaySeconds: ["willDelayInterval", false],
  requestResponse: ["requestResponseInformation", true],
  maximumQos: ["maximumQoS", false],
  retainAvailable: ["retainAvailable", true],
  wildcardAvailable: ["wildcardSubscriptionAvailable", true],
  subscriptionIdsAvailable: ["subscriptionIdentifiersAvailable", true],
  sharedAvailable: ["sharedSubscriptionAvailable", true],
};

function theirProperties(properties: Properties): Record<string, unknown> | undefined {
  if (Object.keys(properties).length === 0) return undefined;
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(properties)) {
    const [theirName, isBoolean] = THEIRS[name] ?? [name, false];
    if (Array.isArray(value)) found[theirName] = Object.fromEntries(value);
    else if (name === "authData" || name === "correlationData") found[theirName] = Buffer.from(`${value}`, "latin1");
    else found[theirName] = isBoolean ? value === 1 : value;
  }
  return found;
}

function theirPacket(packet: Packet, version: number): OtherPacket {
  const cmd = NAMES[packet.type];
  const properties = "properties" in packet ? theirProperties(packet.properties) : undefined;
  const messageId = "packetId" in packet ? packet.packetId : undefined;
  return { cmd, messageId, properties, ...theirFields(packet, version) } as OtherPacket;
}

function theirFields(packet: Packet, version: number): object {
  switch (packet.type) {
    case CONNECT: {
      const { will } = packet;
      return {
        protocolId: version === MQTT_3_1 ? "MQIsdp" : "MQTT",
        protocolVersion: version,
        bridgeMode: packet.bridge,
        clientId: packet.clientId,
        clean: packet.cleanStart,
        keepalive: packet.keepAliveSeconds,
        username: packet.userName ?? undefined,
        password: packet.password === null ? undefined : Buffer.from(packet.password, "latin1"),
        will: will && {
          ...will,
          payload: Buffer.from(will.payload, "latin1"),
          properties: theirProperties(will.properties),
        },
      };
    }
    case CONNACK:
      return {
        sessionPresent: packet.sessionPresent,
        ...(version === MQTT_5 ? { reasonCode: packet.reasonCode } : { returnCode: toConnackV3(packet.reasonCode) }),
      };
    case PUBLISH:
      return {
        ...packet,
        messageId: packet.packetId,
        payload: Buffer.from(packet.payload, "latin1"),
        properties: theirProperties(packet.properties),
      };
    case SUBSCRIBE:
      return {
        subscriptions: packet.subscriptions.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) => ({
          topic: filter,
          qos,
          nl: noLocal,
          rap: retainAsPublished,
          rh: retainHandling,
        })),
      };
    case UNSUBSCRIBE:
      return { unsubscriptions: packet.filters };
    case SUBACK:
    case UNSUBACK:
      return { granted: packet.codes };
    default:
      return "reasonCode" in packet ? { reasonCode: packet.reasonCode } : {};
  }
}

/** Whether our writer takes this packet and chooses the same form: it has no properties in acknowledgements, and shorter ones. */
function isSameForm(packet: Packet, version: number): boolean {
  if (version !== MQTT_5 || !("properties" in packet)) return true;
  const isBare = Object.keys(packet.properties).length === 0;
  if (packet.type === SUBACK || packet.type === UNSUBACK) return isBare;
  if (packet.type === DISCONNECT) return !isBare;
  return packet.type < PUBACK || packet.type > PUBCOMP || (isBare && "reasonCode" in packet && packet.reasonCode === 0);
}

function parsed(frame: Buffer, version: number): OtherPacket {
  const theirs = parser({ protocolVersion: version } as Parameters<typeof parser>[0]);
  const packets: OtherPacket[] = [];
  theirs.on("packet", (packet: OtherPacket) => packets.push(packet));
  theirs.on("error", (error: Error) => {
    throw error;
  });
  theirs.parse(frame);
  assert.equal(packets.length, 1);
  return packets[0] as OtherPacket;
}

describe("mqtt-packet and we agree", () => {
  for (const version of [3, 4, 5]) {
    it(`on 6,000 random packets of version ${version}`, () => {
      const random = new Random(version);
      const out = Buffer.alloc(100_000);
      const types = new Set<number>();
      for (let i = 0; i < 6000; i++) {
        const packet = randomPacket(random, version);
        types.add(packet.type);
        const options = { protocolVersion: version } as Parameters<typeof generate>[1];
        const theirs = generate(theirPacket(packet, version), options);
        const say = `packet ${i} of version ${version}: ${JSON.stringify(packet)}`;
        assert.deepEqual(decodePacket(theirs, 0, theirs.length, version), { code: OK, packet }, say);
        if (isSameForm(packet, version)) {
          const next = encodePacket(packet, version, out, 0);
          assert.equal(out.toString("hex", 0, next), theirs.toString("hex"), say);
        }
      }
      assert.equal(types.size, version === MQTT_5 ? 15 : 14);
    });
  }

  it("on the short forms of 5.0 that only we write", () => {
    const random = new Random(7);
    const out = Buffer.alloc(100);
    for (let i = 0; i < 2000; i++) {
      const packet = randomPacket(random, 5);
      if (!("reasonCode" in packet) || packet.type === CONNACK || packet.type > DISCONNECT) continue;
      const next = encodePacket({ ...packet, properties: {} }, 5, out, 0);
      const theirs = parsed(Buffer.from(out.subarray(0, next)), 5) as { reasonCode?: number; messageId?: number };
      assert.equal(theirs.reasonCode, packet.reasonCode);
      if ("packetId" in packet) assert.equal(theirs.messageId, packet.packetId);
    }
  });
});
