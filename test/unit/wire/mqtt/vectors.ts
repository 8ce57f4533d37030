/**
 * The table that drives the codec's tests: packets that are right, with their fields; wrong-vectors.ts has the others.
 * bytes.ts explains the notation.
 */
import {
  AUTH,
  BAD_USER_NAME_OR_PASSWORD,
  CONNACK,
  CONNECT,
  CONTINUE_AUTHENTICATION,
  DISCONNECT,
  DISCONNECT_WITH_WILL,
  NO_MATCHING_SUBSCRIBERS,
  NO_SUBSCRIPTION_EXISTED,
  NOT_AUTHORIZED,
  PACKET_IDENTIFIER_NOT_FOUND,
  PINGREQ,
  PINGRESP,
  PUBACK,
  PUBCOMP,
  PUBLISH,
  PUBREC,
  PUBREL,
  QUOTA_EXCEEDED,
  SUBACK,
  SUBSCRIBE,
  UNSUBACK,
  UNSUBSCRIBE,
  UNSUPPORTED_PROTOCOL_VERSION,
} from "../../../../src/wire/mqtt/codes.ts";
import type { Packet } from "./packets.ts";

export type Vector = {
  title: string;
  version: number;
  bytes: string;
  packet: Packet;
  /** How many of its truncations are packets themselves, given a Remaining Length that fits. 0 if not said. */
  shorter?: number;
  /** A form that the writers do not choose. */
  decodeOnly?: boolean;
};

const NO_PUBLISH_FLAGS = { dup: false, qos: 0, retain: false, packetId: 0 } as const;
const PLAIN_OPTIONS = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
const PLAIN_CONNECT = {
  type: CONNECT,
  bridge: false,
  clientId: "p",
  cleanStart: true,
  keepAliveSeconds: 10,
  userName: null,
  password: null,
  will: null,
  properties: {},
} as const;

const CONNECT_VECTORS: Vector[] = [
  {
    title: "3.1 CONNECT",
    version: 3,
    bytes: "10 * s'MQIsdp' 03 02 000a s'p'",
    packet: { ...PLAIN_CONNECT, version: 3 },
  },
  {
    title: "3.1 CONNECT with everything; user name and password may be missing at the end despite their flags",
    version: 3,
    bytes: "10 * s'MQIsdp' 03 f6 ffff s'p' s'w/ll' s'bye' s'u' s'pw'",
    shorter: 2,
    packet: {
      ...PLAIN_CONNECT,
      version: 3,
      keepAliveSeconds: 65_535,
      userName: "u",
      password: "pw",
      will: { topic: "w/ll", payload: "bye", qos: 2, retain: true, properties: {} },
    },
  },
  {
    title: "3.1 CONNECT with the user name flag and no user name (section 3.1, Remaining Length takes precedence)",
    version: 3,
    bytes: "10 * s'MQIsdp' 03 c2 000a s'p'",
    decodeOnly: true,
    packet: { ...PLAIN_CONNECT, version: 3 },
  },
  {
    title: "3.1 CONNECT with bits set that 3.1 does not use, in both headers",
    version: 3,
    bytes: "14 * s'MQIsdp' 03 2b 000a s'p'",
    decodeOnly: true,
    packet: { ...PLAIN_CONNECT, version: 3 },
  },
  {
    title: "3.1 CONNECT of a Mosquitto bridge",
    version: 3,
    bytes: "10 * s'MQIsdp' 83 02 000a s'p'",
    packet: { ...PLAIN_CONNECT, version: 3, bridge: true },
  },
  {
    title: "3.1.1 CONNECT",
    version: 4,
    bytes: "10 * s'MQTT' 04 02 000a s'p'",
    packet: { ...PLAIN_CONNECT, version: 4 },
  },
  {
    title: "[MQTT311-3.1.3-6] 3.1.1 CONNECT with an empty client identifier and a clean session",
    version: 4,
    bytes: "10 * s'MQTT' 04 02 000a 0000",
    packet: { ...PLAIN_CONNECT, version: 4, clientId: "" },
  },
  {
    title: "3.1.1 CONNECT with user name, password of any bytes, and a will",
    version: 4,
    bytes: "10 * s'MQTT' 04 cc 0000 s'gw1' s'w' 0000 s'usr' 0003 00ff80",
    packet: {
      ...PLAIN_CONNECT,
      version: 4,
      clientId: "gw1",
      cleanStart: false,
      keepAliveSeconds: 0,
      userName: "usr",
      password: "\x00\xff\x80",
      will: { topic: "w", payload: "", qos: 1, retain: false, properties: {} },
    },
  },
  {
    title: "3.1.1 CONNECT with an empty user name",
    version: 4,
    bytes: "10 * s'MQTT' 04 82 000a s'p' 0000",
    packet: { ...PLAIN_CONNECT, version: 4, userName: "" },
  },
  {
    title: "3.1.1 CONNECT of a Mosquitto bridge",
    version: 4,
    bytes: "10 * s'MQTT' 84 00 003c s'br'",
    packet: {
      ...PLAIN_CONNECT,
      version: 4,
      bridge: true,
      clientId: "br",
      cleanStart: false,
      keepAliveSeconds: 60,
    },
  },
  {
    title: "5.0 CONNECT",
    version: 5,
    bytes: "10 * s'MQTT' 05 02 000a 00 s'p'",
    packet: { ...PLAIN_CONNECT, version: 5 },
  },
  {
    title: "[MQTT5-3.1.3-6] 5.0 CONNECT with an empty client identifier",
    version: 5,
    bytes: "10 * s'MQTT' 05 00 000a 00 0000",
    packet: { ...PLAIN_CONNECT, version: 5, cleanStart: false, clientId: "" },
  },
  {
    title: "5.0 CONNECT with a password and no user name",
    version: 5,
    bytes: "10 * s'MQTT' 05 42 000a 00 s'p' s'pw'",
    packet: { ...PLAIN_CONNECT, version: 5, password: "pw" },
  },
  {
    title: "5.0 CONNECT with every property",
    version: 5,
    bytes:
      "10 * s'MQTT' 05 02 000a { 11 ffffffff 21 0014 27 00010000 22 000a 19 01 17 00 " +
      "15 s'SCRAM' 16 0002 00ff 26 s'k' s'v' 26 s'k' 0000 } s'p'",
    packet: {
      ...PLAIN_CONNECT,
      version: 5,
      properties: {
        sessionExpirySeconds: 4_294_967_295,
        receiveMaximum: 20,
        maximumPacketSize: 65_536,
        topicAliasMaximum: 10,
        requestResponse: 1,
        requestProblem: 0,
        authMethod: "SCRAM",
        authData: "\x00\xff",
        userProperties: [
          ["k", "v"],
          ["k", ""],
        ],
      },
    },
  },
  {
    title: "5.0 CONNECT with a will and every Will Property",
    version: 5,
    bytes:
      "10 * s'MQTT' 05 2e 000a 00 s'p' { 18 0000003c 01 01 02 00000e10 03 s'text' 08 s're/p' 09 0002 cafe " +
      "26 s'k' s'v' } s'w/gone' s'gone'",
    packet: {
      ...PLAIN_CONNECT,
      version: 5,
      will: {
        topic: "w/gone",
        payload: "gone",
        qos: 1,
        retain: true,
        properties: {
          willDelaySeconds: 60,
          payloadFormat: 1,
          messageExpirySeconds: 3600,
          contentType: "text",
          responseTopic: "re/p",
          correlationData: "\xca\xfe",
          userProperties: [["k", "v"]],
        },
      },
    },
  },
];

const CONNACK_VECTORS: Vector[] = [
  {
    title: "3.1 CONNACK",
    version: 3,
    bytes: "20 02 00 00",
    packet: { type: CONNACK, sessionPresent: false, reasonCode: 0, olderVersion: false, properties: {} },
  },
  {
    title: "3.1.1 CONNACK with Session Present",
    version: 4,
    bytes: "20 02 01 00",
    packet: { type: CONNACK, sessionPresent: true, reasonCode: 0, olderVersion: false, properties: {} },
  },
  {
    title: "3.1.1 CONNACK that refuses the password",
    version: 4,
    bytes: "20 02 00 04",
    packet: {
      type: CONNACK,
      sessionPresent: false,
      reasonCode: BAD_USER_NAME_OR_PASSWORD,
      olderVersion: false,
      properties: {},
    },
  },
  {
    title: "[MQTT311-3.2.2-4] 3.1.1 CONNACK that refuses with Session Present is a refusal without it",
    version: 4,
    bytes: "20 02 01 05",
    decodeOnly: true,
    packet: {
      type: CONNACK,
      sessionPresent: false,
      reasonCode: NOT_AUTHORIZED,
      olderVersion: false,
      properties: {},
    },
  },
  {
    title: "5.0 CONNACK",
    version: 5,
    bytes: "20 03 01 00 00",
    shorter: 1,
    packet: { type: CONNACK, sessionPresent: true, reasonCode: 0, olderVersion: false, properties: {} },
  },
  {
    title: "5.0 CONNACK with the lowest of the refusals",
    version: 5,
    bytes: "20 03 00 80 00",
    shorter: 1,
    packet: { type: CONNACK, sessionPresent: false, reasonCode: 0x80, olderVersion: false, properties: {} },
  },
  {
    title: "3.1.1 CONNACK to a 5.0 CONNECT: the server does not know 5.0",
    version: 5,
    bytes: "20 02 00 01",
    decodeOnly: true,
    packet: {
      type: CONNACK,
      sessionPresent: false,
      reasonCode: UNSUPPORTED_PROTOCOL_VERSION,
      olderVersion: true,
      properties: {},
    },
  },
  {
    title: "5.0 CONNACK with every property",
    version: 5,
    bytes:
      "20 * 00 00 { 11 00000e10 21 0040 24 01 25 00 27 00040000 12 s'id-7' 22 000a 1f s'ok' " +
      "28 00 29 00 2a 00 13 001e 1a s'inf' 1c s'ref' 15 s'm' 16 s'd' 26 s'k' s'v' 26 s'ä€😀' s'w' }",
    shorter: 1,
    packet: {
      type: CONNACK,
      sessionPresent: false,
      reasonCode: 0,
      olderVersion: false,
      properties: {
        sessionExpirySeconds: 3600,
        receiveMaximum: 64,
        maximumQos: 1,
        retainAvailable: 0,
        maximumPacketSize: 262_144,
        assignedClientId: "id-7",
        topicAliasMaximum: 10,
        reasonString: "ok",
        wildcardAvailable: 0,
        subscriptionIdsAvailable: 0,
        sharedAvailable: 0,
        serverKeepAlive: 30,
        responseInformation: "inf",
        serverReference: "ref",
        authMethod: "m",
        authData: "d",
        userProperties: [
          ["k", "v"],
          ["ä€😀", "w"],
        ],
      },
    },
  },
];

const PUBLISH_VECTORS: Vector[] = [
  {
    title: "3.1 PUBLISH QoS 0",
    version: 3,
    bytes: "30 * s'topic' 'payload'",
    shorter: 7,
    packet: { type: PUBLISH, ...NO_PUBLISH_FLAGS, topic: "topic", payload: "payload", properties: {} },
  },
  {
    title: "3.1.1 PUBLISH QoS 0 with RETAIN and without payload",
    version: 4,
    bytes: "31 * s'topic'",
    packet: { type: PUBLISH, ...NO_PUBLISH_FLAGS, retain: true, topic: "topic", payload: "", properties: {} },
  },
  {
    title: "3.1.1 PUBLISH QoS 1",
    version: 4,
    bytes: "32 * s'topic' 1234 00ff",
    shorter: 2,
    packet: {
      type: PUBLISH,
      dup: false,
      qos: 1,
      retain: false,
      packetId: 0x1234,
      topic: "topic",
      payload: "\x00\xff",
      properties: {},
    },
  },
  {
    title: "3.1.1 PUBLISH QoS 2 with DUP and RETAIN, packet id 65535",
    version: 4,
    bytes: "3d * s'a/b' ffff 'x'",
    shorter: 1,
    packet: {
      type: PUBLISH,
      dup: true,
      qos: 2,
      retain: true,
      packetId: 65_535,
      topic: "a/b",
      payload: "x",
      properties: {},
    },
  },
  {
    title: "[MQTT311-1.5.3] 3.1.1 PUBLISH to the topic A and U+2A6D4",
    version: 4,
    bytes: "30 * 0005 41f0aa9b94",
    packet: { type: PUBLISH, ...NO_PUBLISH_FLAGS, topic: "A\u{2a6d4}", payload: "", properties: {} },
  },
  {
    title: "[MQTT5-1.5.4-3] 5.0 PUBLISH keeps U+FEFF at the beginning of the topic",
    version: 5,
    bytes: "30 * 0004 efbbbf 'a' 00",
    packet: { type: PUBLISH, ...NO_PUBLISH_FLAGS, topic: "\ufeffa", payload: "", properties: {} },
  },
  {
    title: "5.0 PUBLISH QoS 0 without properties",
    version: 5,
    bytes: "30 * s'topic' 00 'payload'",
    shorter: 7,
    packet: { type: PUBLISH, ...NO_PUBLISH_FLAGS, topic: "topic", payload: "payload", properties: {} },
  },
  {
    title: "5.0 PUBLISH by topic alias alone",
    version: 5,
    bytes: "32 * 0000 0001 { 23 ffff }",
    packet: {
      type: PUBLISH,
      dup: false,
      qos: 1,
      retain: false,
      packetId: 1,
      topic: "",
      payload: "",
      properties: { topicAlias: 65_535 },
    },
  },
  {
    title: "5.0 PUBLISH with every property",
    version: 5,
    bytes:
      "34 * s't' 0007 { 01 01 02 ffffffff 03 s'text' 08 s'r/' 09 0001 00 0b ffffff7f 23 0001 " +
      "26 s'k' s'€' 26 0000 0000 } 'pay'",
    shorter: 3,
    packet: {
      type: PUBLISH,
      dup: false,
      qos: 2,
      retain: false,
      packetId: 7,
      topic: "t",
      payload: "pay",
      properties: {
        payloadFormat: 1,
        messageExpirySeconds: 4_294_967_295,
        contentType: "text",
        responseTopic: "r/",
        correlationData: "\x00",
        subscriptionIdentifier: 268_435_455,
        topicAlias: 1,
        userProperties: [
          ["k", "€"],
          ["", ""],
        ],
      },
    },
  },
  {
    title: "5.0 PUBLISH that matched three subscriptions, and expires at once",
    version: 5,
    bytes: "30 * s't' { 0b 01 02 00000000 0b 8001 0b 7f } 'p'",
    shorter: 1,
    decodeOnly: true,
    packet: {
      type: PUBLISH,
      ...NO_PUBLISH_FLAGS,
      topic: "t",
      payload: "p",
      properties: { messageExpirySeconds: 0, subscriptionIdentifier: 127, subscriptionIdentifierCount: 3 },
    },
  },
];

const ACK_VECTORS: Vector[] = [
  ...([PUBACK, PUBREC, PUBREL, PUBCOMP] as const).flatMap((type): Vector[] => {
    const first = ((type << 4) | (type === PUBREL ? 2 : 0)).toString(16);
    const name = ["PUBACK", "PUBREC", "PUBREL", "PUBCOMP"][type - PUBACK];
    const refusal = type === PUBACK || type === PUBREC ? QUOTA_EXCEEDED : PACKET_IDENTIFIER_NOT_FOUND;
    const code = refusal.toString(16);
    const plain: Packet = { type, packetId: 0x1234, reasonCode: 0, properties: {} };
    return [
      { title: `3.1 ${name}`, version: 3, bytes: `${first} 02 1234`, packet: plain },
      { title: `3.1.1 ${name}`, version: 4, bytes: `${first} 02 1234`, packet: plain },
      { title: `5.0 ${name} in two bytes`, version: 5, bytes: `${first} 02 1234`, packet: plain },
      {
        title: `5.0 ${name} in three bytes`,
        version: 5,
        bytes: `${first} 03 ffff ${code}`,
        shorter: 1,
        packet: { type, packetId: 65_535, reasonCode: refusal, properties: {} },
      },
      {
        title: `5.0 ${name} in four bytes`,
        version: 5,
        bytes: `${first} 04 1234 00 00`,
        shorter: 2,
        decodeOnly: true,
        packet: plain,
      },
      {
        title: `5.0 ${name} with properties`,
        version: 5,
        bytes: `${first} * 0001 ${code} { 26 s'k' s'v' 1f s'why' }`,
        shorter: 2,
        decodeOnly: true,
        packet: {
          type,
          packetId: 1,
          reasonCode: refusal,
          properties: { reasonString: "why", userProperties: [["k", "v"]] },
        },
      },
    ];
  }),
  {
    title: "5.0 PUBACK of a message that nobody wanted",
    version: 5,
    bytes: "40 03 0001 10",
    shorter: 1,
    packet: { type: PUBACK, packetId: 1, reasonCode: NO_MATCHING_SUBSCRIBERS, properties: {} },
  },
  {
    title: "3.1 PUBREL sent again with DUP",
    version: 3,
    bytes: "6a 02 0001",
    decodeOnly: true,
    packet: { type: PUBREL, packetId: 1, reasonCode: 0, properties: {} },
  },
];

const SUBSCRIBE_VECTORS: Vector[] = [
  {
    title: "3.1 SUBSCRIBE with DUP and unused bits in the QoS byte",
    version: 3,
    bytes: "8a * 0001 s'p' fd",
    decodeOnly: true,
    packet: {
      type: SUBSCRIBE,
      packetId: 1,
      subscriptions: [{ filter: "p", qos: 1, ...PLAIN_OPTIONS }],
      properties: {},
    },
  },
  {
    title: "3.1.1 SUBSCRIBE to two filters",
    version: 4,
    bytes: "82 * 1234 s'a/#' 00 s'+/b' 02",
    shorter: 1,
    packet: {
      type: SUBSCRIBE,
      packetId: 0x1234,
      subscriptions: [
        { filter: "a/#", qos: 0, ...PLAIN_OPTIONS },
        { filter: "+/b", qos: 2, ...PLAIN_OPTIONS },
      ],
      properties: {},
    },
  },
  {
    title: "3.1.1 SUBSCRIBE to a shared subscription",
    version: 4,
    bytes: "82 * 0001 s'$share/g/a/' 01",
    packet: {
      type: SUBSCRIBE,
      packetId: 1,
      subscriptions: [{ filter: "$share/g/a/", qos: 1, ...PLAIN_OPTIONS }],
      properties: {},
    },
  },
  {
    title: "5.0 SUBSCRIBE",
    version: 5,
    bytes: "82 * 0001 00 s'#' 02",
    packet: {
      type: SUBSCRIBE,
      packetId: 1,
      subscriptions: [{ filter: "#", qos: 2, ...PLAIN_OPTIONS }],
      properties: {},
    },
  },
  {
    title: "5.0 SUBSCRIBE with every option, an identifier and a user property",
    version: 5,
    bytes: "82 * ffff { 0b 8001 26 s'k' s'v' } s'p' 2d s'/+' 10",
    shorter: 1,
    packet: {
      type: SUBSCRIBE,
      packetId: 65_535,
      subscriptions: [
        { filter: "p", qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
        { filter: "/+", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 1 },
      ],
      properties: { subscriptionIdentifier: 128, userProperties: [["k", "v"]] },
    },
  },
];

const SUBACK_VECTORS: Vector[] = [
  {
    title: "3.1.1 SUBACK",
    version: 4,
    bytes: "90 * 1234 00 01 02 80",
    shorter: 3,
    packet: { type: SUBACK, packetId: 0x1234, codes: [0, 1, 2, 0x80], properties: {} },
  },
  {
    title: "5.0 SUBACK",
    version: 5,
    bytes: "90 * 0001 00 00 01 02 80 8f a2",
    shorter: 5,
    packet: { type: SUBACK, packetId: 1, codes: [0, 1, 2, 0x80, 0x8f, 0xa2], properties: {} },
  },
  {
    title: "5.0 SUBACK with properties",
    version: 5,
    bytes: "90 * 0001 { 1f s'no' 26 s'k' s'v' } 87",
    decodeOnly: true,
    packet: {
      type: SUBACK,
      packetId: 1,
      codes: [0x87],
      properties: { reasonString: "no", userProperties: [["k", "v"]] },
    },
  },
];

const UNSUBSCRIBE_VECTORS: Vector[] = [
  {
    title: "3.1.1 UNSUBSCRIBE from two filters",
    version: 4,
    bytes: "a2 * 1234 s'a/#' s'+/b'",
    shorter: 1,
    packet: { type: UNSUBSCRIBE, packetId: 0x1234, filters: ["a/#", "+/b"], properties: {} },
  },
  {
    title: "5.0 UNSUBSCRIBE with a user property",
    version: 5,
    bytes: "a2 * 0001 { 26 s'k' s'v' } s'$share/g/+'",
    packet: { type: UNSUBSCRIBE, packetId: 1, filters: ["$share/g/+"], properties: { userProperties: [["k", "v"]] } },
  },
  {
    title: "3.1.1 UNSUBACK",
    version: 4,
    bytes: "b0 02 1234",
    packet: { type: UNSUBACK, packetId: 0x1234, codes: [], properties: {} },
  },
  {
    title: "5.0 UNSUBACK",
    version: 5,
    bytes: "b0 * 0001 00 00 11 87",
    shorter: 2,
    packet: { type: UNSUBACK, packetId: 1, codes: [0, NO_SUBSCRIPTION_EXISTED, 0x87], properties: {} },
  },
  {
    title: "5.0 UNSUBACK with a reason string",
    version: 5,
    bytes: "b0 * 0001 { 1f s'ok' } 00",
    decodeOnly: true,
    packet: { type: UNSUBACK, packetId: 1, codes: [0], properties: { reasonString: "ok" } },
  },
];

const OTHER_VECTORS: Vector[] = [
  { title: "3.1 PINGREQ", version: 3, bytes: "c0 00", packet: { type: PINGREQ } },
  { title: "5.0 PINGRESP", version: 5, bytes: "d0 00", packet: { type: PINGRESP } },
  {
    title: "3.1.1 DISCONNECT",
    version: 4,
    bytes: "e0 00",
    packet: { type: DISCONNECT, reasonCode: 0, properties: {} },
  },
  {
    title: "5.0 DISCONNECT without a body",
    version: 5,
    bytes: "e0 00",
    packet: { type: DISCONNECT, reasonCode: 0, properties: {} },
  },
  {
    title: "5.0 DISCONNECT with will",
    version: 5,
    bytes: "e0 01 04",
    shorter: 1,
    packet: { type: DISCONNECT, reasonCode: DISCONNECT_WITH_WILL, properties: {} },
  },
  {
    title: "5.0 DISCONNECT with every property",
    version: 5,
    bytes: "e0 * 9d { 11 00000000 1f s'go' 1c s'b:1' 26 s'k' s'v' }",
    shorter: 2,
    packet: {
      type: DISCONNECT,
      reasonCode: 0x9d,
      properties: {
        sessionExpirySeconds: 0,
        reasonString: "go",
        serverReference: "b:1",
        userProperties: [["k", "v"]],
      },
    },
  },
  {
    title: "5.0 AUTH without a body",
    version: 5,
    bytes: "f0 00",
    packet: { type: AUTH, reasonCode: 0, properties: {} },
  },
  {
    title: "5.0 AUTH that continues",
    version: 5,
    bytes: "f0 * 18 { 15 s'm' 16 0001 00 1f s'r' 26 s'k' 0000 }",
    shorter: 1,
    packet: {
      type: AUTH,
      reasonCode: CONTINUE_AUTHENTICATION,
      properties: { authMethod: "m", authData: "\x00", reasonString: "r", userProperties: [["k", ""]] },
    },
  },
];

export const VECTORS: readonly Vector[] = [
  ...CONNECT_VECTORS,
  ...CONNACK_VECTORS,
  ...PUBLISH_VECTORS,
  ...ACK_VECTORS,
  ...SUBSCRIBE_VECTORS,
  ...SUBACK_VECTORS,
  ...UNSUBSCRIBE_VECTORS,
  ...OTHER_VECTORS,
];
