/** Random packets that are right in their version, for the comparison with another codec. */
import {
  AUTH,
  CONNACK,
  CONNECT,
  DISCONNECT,
  fromConnackV3,
  MQTT_3_1,
  MQTT_5,
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
import type { Random } from "./bytes.ts";
import type { Packet, Properties } from "./packets.ts";
import { PROPERTIES } from "./packets.ts";

const LETTERS = ["a", "b", "Z", "0", " ", "-", "_", "$", "é", "ß", "€", "中", "😀", "\u{10fffd}"];
const ACK_CODES = [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASE_CODES = [0, 0x92];
const SUBACK_CODES = [0, 1, 2, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
const UNSUBACK_CODES = [0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];

function word(random: Random, max = 8): string {
  let text = "";
  for (let length = random.below(max); length > 0; length--) text += random.pick(LETTERS);
  return text;
}

function binary(random: Random, max: number): string {
  return random.bytes(random.below(max)).toString("latin1");
}

function topic(random: Random): string {
  const levels = Array.from({ length: 1 + random.below(5) }, () => word(random));
  return levels.join("/") || "t";
}

function filter(random: Random): string {
  const levels = Array.from({ length: 1 + random.below(4) }, () => (random.chance(25) ? "+" : word(random)));
  if (random.chance(20)) levels.push("#");
  if (random.chance(20)) levels.unshift("$share", `g${word(random)}`);
  return levels.join("/").replace(/^(\$share\/[^/]*)\/?$/, "$1/x") || "f";
}

/** Properties that may stand in a packet, each with a value that absence does not mean, in random order. */
function properties(random: Random, version: number, names: readonly string[]): Properties {
  const chosen: Properties = {};
  if (version !== MQTT_5 || random.chance(30)) return chosen;
  const order = [...names, "userProperties"];
  for (let i = order.length - 1; i > 0; i--) {
    const other = random.below(i + 1);
    [order[i], order[other]] = [order[other] as string, order[i] as string];
  }
  for (const name of order) {
    if (random.chance(50)) continue;
    if (name === "userProperties") {
      chosen[name] = Array.from({ length: 1 + random.below(4) }, (_, i) => [`k${i}${word(random)}`, word(random, 40)]);
    } else chosen[name] = propertyValue(random, name);
  }
  if ("authData" in chosen && !("authMethod" in chosen)) delete chosen["authData"];
  return chosen;
}

function propertyValue(random: Random, name: string): number | string {
  const kind = PROPERTIES.find((row) => row[0] === name)?.[2];
  if (name === "responseTopic") return topic(random);
  if (kind === "text") return word(random, 30);
  if (kind === "binary") return binary(random, 30);
  if (kind === "two") return 1 + random.below(65_535);
  if (kind === "four") return 1 + random.below(4_294_967_295);
  if (kind === "varint") return 1 + random.below(1 << random.below(28));
  return name === "payloadFormat" || name === "requestResponse" ? 1 : 0;
}

const WILL_NAMES = ["payloadFormat", "messageExpirySeconds", "contentType", "responseTopic", "correlationData"];
const CONNECT_NAMES = [
  "sessionExpirySeconds",
  "receiveMaximum",
  "maximumPacketSize",
  "topicAliasMaximum",
  "requestResponse",
  "requestProblem",
  "authMethod",
  "authData",
];
const CONNACK_NAMES = [
  "sessionExpirySeconds",
  "receiveMaximum",
  "maximumQos",
  "retainAvailable",
  "maximumPacketSize",
  "assignedClientId",
  "topicAliasMaximum",
  "reasonString",
  "wildcardAvailable",
  "subscriptionIdsAvailable",
  "sharedAvailable",
  "serverKeepAlive",
  "responseInformation",
  "serverReference",
  "authMethod",
  "authData",
];

function connect(random: Random, version: number): Packet {
  const userName = random.chance(50) ? word(random) : null;
  const cleanStart = random.chance(50);
  return {
    type: CONNECT,
    version,
    bridge: version !== MQTT_5 && random.chance(20),
    clientId: cleanStart && version !== MQTT_3_1 ? word(random, 30) : `c${word(random, 30)}`,
    cleanStart,
    keepAliveSeconds: random.below(65_536),
    userName,
    password: userName !== null && random.chance(50) ? binary(random, 40) : null,
    will: random.chance(50)
      ? {
          topic: topic(random),
          payload: binary(random, 200),
          qos: random.below(3),
          retain: random.chance(50),
          properties: properties(random, version, [...WILL_NAMES, "willDelaySeconds"]),
        }
      : null,
    properties: properties(random, version, CONNECT_NAMES),
  };
}

function connack(random: Random, version: number): Packet {
  const refused = random.chance(30);
  const refusal = version === MQTT_5 ? 0x80 + random.below(30) : fromConnackV3(1 + random.below(5));
  return {
    type: CONNACK,
    sessionPresent: !refused && version !== MQTT_3_1 && random.chance(50),
    reasonCode: refused ? refusal : 0,
    olderVersion: false,
    properties: properties(random, version, CONNACK_NAMES),
  };
}

function publish(random: Random, version: number): Packet {
  const qos = random.below(3);
  const found = properties(random, version, [...WILL_NAMES, "topicAlias", "subscriptionIdentifier"]);
  return {
    type: PUBLISH,
    dup: qos > 0 && random.chance(30),
    qos,
    retain: random.chance(30),
    packetId: qos > 0 ? 1 + random.below(65_535) : 0,
    topic: "topicAlias" in found && random.chance(50) ? "" : topic(random),
    payload: binary(random, random.chance(5) ? 40_000 : 200),
    properties: found,
  };
}

/** A packet of a type that exists in this version, by chance. */
export function randomPacket(random: Random, version: number): Packet {
  const packetId = 1 + random.below(65_535);
  const type = 1 + random.below(version === MQTT_5 ? 15 : 14);
  const isV5 = version === MQTT_5;
  switch (type) {
    case CONNECT:
      return connect(random, version);
    case CONNACK:
      return connack(random, version);
    case PUBLISH:
      return publish(random, version);
    case PUBACK:
    case PUBREC:
    case PUBREL:
    case PUBCOMP: {
      const codes = type === PUBACK || type === PUBREC ? ACK_CODES : RELEASE_CODES;
      const reasonCode = isV5 ? random.pick(codes) : 0;
      return { type, packetId, reasonCode, properties: properties(random, version, ["reasonString"]) };
    }
    case SUBSCRIBE: {
      const subscriptions = Array.from({ length: 1 + random.below(4) }, () => {
        const topicFilter = filter(random);
        return {
          filter: topicFilter,
          qos: random.below(3),
          noLocal: isV5 && !topicFilter.startsWith("$share/") && random.chance(50),
          retainAsPublished: isV5 && random.chance(50),
          retainHandling: isV5 ? random.below(3) : 0,
        };
      });
      return { type, packetId, subscriptions, properties: properties(random, version, ["subscriptionIdentifier"]) };
    }
    case SUBACK: {
      const codes = Array.from({ length: 1 + random.below(5) }, () =>
        isV5 ? random.pick(SUBACK_CODES) : random.pick([0, 1, 2, 0x80]),
      );
      return { type, packetId, codes, properties: properties(random, version, ["reasonString"]) };
    }
    case UNSUBSCRIBE: {
      const filters = Array.from({ length: 1 + random.below(4) }, () => filter(random));
      return { type, packetId, filters, properties: properties(random, version, []) };
    }
    case UNSUBACK: {
      const codes = isV5 ? Array.from({ length: 1 + random.below(5) }, () => random.pick(UNSUBACK_CODES)) : [];
      return { type, packetId, codes, properties: properties(random, version, ["reasonString"]) };
    }
    case PINGREQ:
    case PINGRESP:
      return { type };
    case DISCONNECT: {
      const names = ["sessionExpirySeconds", "reasonString", "serverReference"];
      const reasonCode = isV5 ? random.pick([0, 4, 0x80, 0x8e, 0x9d, 0xa2]) : 0;
      return { type, reasonCode, properties: properties(random, version, names) };
    }
    default: {
      const found = properties(random, version, ["authData", "reasonString"]);
      return {
        type: AUTH,
        reasonCode: random.pick([0, 0x18, 0x19]),
        properties: { authMethod: word(random), ...found },
      };
    }
  }
}
