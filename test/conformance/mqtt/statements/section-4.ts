import type { Statement } from "../../statement.ts";

/** 4.1 to 4.6: state, network, QoS, delivery again, receipt, order. */
export const SECTION_4: readonly Statement[] = [
  { id: "MQTT311-4.1.0-1", words: "Client and server keep the session's state for as long as the session lasts." },
  { id: "MQTT311-4.1.0-2", words: "A session lasts at least as long as its connection." },
  { id: "MQTT311-4.3.1-1", words: "A QoS 0 PUBLISH leaves with QoS 0 and DUP 0." },
  {
    id: "MQTT311-4.3.2-1",
    words:
      "A QoS 1 sender takes an unused identifier, sends with QoS 1 and DUP 0, and counts it as unacknowledged until PUBACK.",
  },
  {
    id: "MQTT311-4.3.2-2",
    words:
      "A QoS 1 receiver answers PUBACK with the identifier, and takes the same identifier afterwards as a new message.",
  },
  {
    id: "MQTT311-4.3.3-1",
    words:
      "A QoS 2 sender takes an unused identifier, sends with QoS 2 and DUP 0, answers PUBREC with PUBREL, waits for PUBCOMP, and sends no PUBLISH after PUBREL.",
  },
  {
    id: "MQTT311-4.3.3-2",
    words:
      "A QoS 2 receiver answers PUBREC, again until PUBREL without delivering twice, PUBREL with PUBCOMP, and takes the identifier as new after it.",
  },
  {
    id: "MQTT311-4.4.0-1",
    words:
      "On a reconnect without Clean Session both sides send again what is unacknowledged, PUBLISH and PUBREL, under the same identifiers.",
  },
  {
    id: "MQTT311-4.5.0-1",
    words: "A message that the server took is in the session of each client with a matching subscription.",
  },
  {
    id: "MQTT311-4.5.0-2",
    words: "A client acknowledges every PUBLISH by its QoS, whether it wants the message or not.",
  },
  { id: "MQTT311-4.6.0-1", words: "What a client sends again goes in the order of the first time." },
  { id: "MQTT311-4.6.0-2", words: "A client's PUBACKs leave in the order in which the PUBLISHes came." },
  { id: "MQTT311-4.6.0-3", words: "A client's PUBRECs leave in the order in which the PUBLISHes came." },
  { id: "MQTT311-4.6.0-4", words: "A client's PUBRELs leave in the order in which the PUBRECs came." },
  { id: "MQTT311-4.6.0-5", words: "Every topic is an ordered one unless it was configured otherwise." },
  {
    id: "MQTT311-4.6.0-6",
    words:
      "To its receivers a server keeps these rules too, and the order in which each client published on a topic and QoS.",
  },
  { id: "MQTT5-4.1.0-1", words: "Neither side throws the session's state away while the connection is open." },
  { id: "MQTT5-4.1.0-2", words: "The server throws it away once the connection is closed and the expiry has passed." },
  {
    id: "MQTT5-4.2.0-1",
    words: "Client and server speak over a transport that gives an ordered stream of bytes without losses.",
  },
  { id: "MQTT5-4.3.1-1", words: "A QoS 0 PUBLISH leaves with QoS 0 and DUP 0." },
  { id: "MQTT5-4.3.2-1", words: "A QoS 1 sender takes an unused identifier for each new message." },
  { id: "MQTT5-4.3.2-2", words: "It sends the PUBLISH with that identifier, QoS 1 and DUP 0." },
  { id: "MQTT5-4.3.2-3", words: "It counts the PUBLISH as unacknowledged until the PUBACK." },
  { id: "MQTT5-4.3.2-4", words: "A QoS 1 receiver that took the message answers PUBACK with its identifier." },
  { id: "MQTT5-4.3.2-5", words: "After the PUBACK the same identifier is a new message, whatever its DUP flag says." },
  { id: "MQTT5-4.3.3-1", words: "A QoS 2 sender takes an unused identifier for each new message." },
  { id: "MQTT5-4.3.3-2", words: "It sends the PUBLISH with that identifier, QoS 2 and DUP 0." },
  { id: "MQTT5-4.3.3-3", words: "It counts the PUBLISH as unacknowledged until the PUBREC." },
  { id: "MQTT5-4.3.3-4", words: "It answers a PUBREC below 0x80 with a PUBREL of the same identifier." },
  { id: "MQTT5-4.3.3-5", words: "It counts the PUBREL as unacknowledged until the PUBCOMP." },
  { id: "MQTT5-4.3.3-6", words: "It does not send the PUBLISH again once it has sent the PUBREL." },
  { id: "MQTT5-4.3.3-7", words: "It does not let a message expire once the PUBLISH was sent." },
  { id: "MQTT5-4.3.3-8", words: "A QoS 2 receiver that took the message answers PUBREC with its identifier." },
  { id: "MQTT5-4.3.3-9", words: "After a PUBREC from 0x80 the same identifier is a new message." },
  {
    id: "MQTT5-4.3.3-10",
    words: "Until the PUBREL a PUBLISH with the same identifier gets PUBREC, and is not delivered again.",
  },
  { id: "MQTT5-4.3.3-11", words: "It answers a PUBREL with a PUBCOMP of the same identifier." },
  { id: "MQTT5-4.3.3-12", words: "After the PUBCOMP the same identifier is a new message." },
  { id: "MQTT5-4.3.3-13", words: "It goes on with the handshake even when the message has expired." },
  {
    id: "MQTT5-4.4.0-1",
    words:
      "On a reconnect with the session present both sides send again what is unacknowledged under the same identifiers, and at no other time.",
  },
  { id: "MQTT5-4.4.0-2", words: "What was answered by PUBACK or PUBREC from 0x80 is not sent again." },
  {
    id: "MQTT5-4.5.0-1",
    words: "A message that the server took is in the session of each client with a matching subscription.",
  },
  {
    id: "MQTT5-4.5.0-2",
    words: "A client acknowledges every PUBLISH by its QoS, whether it wants the message or not.",
  },
  { id: "MQTT5-4.6.0-1", words: "What a client sends again goes in the order of the first time." },
  { id: "MQTT5-4.6.0-2", words: "A client's PUBACKs leave in the order in which the PUBLISHes came." },
  { id: "MQTT5-4.6.0-3", words: "A client's PUBRECs leave in the order in which the PUBLISHes came." },
  { id: "MQTT5-4.6.0-4", words: "A client's PUBRELs leave in the order in which the PUBRECs came." },
  { id: "MQTT5-4.6.0-5", words: "A server keeps the order in which each client published on a topic and QoS." },
  {
    id: "MQTT5-4.6.0-6",
    words: "For subscriptions that are not shared, every topic is an ordered one unless configured otherwise.",
  },
];
