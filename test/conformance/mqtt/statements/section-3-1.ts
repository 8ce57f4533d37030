import type { Statement } from "../../statement.ts";
import { SECTION_3_1_V5 } from "./section-3-1-v5.ts";

const V311: readonly Statement[] = [
  { id: "MQTT311-3.1.0-1", words: "The first packet of a client is CONNECT." },
  { id: "MQTT311-3.1.0-2", words: "A second CONNECT on a connection is a violation, and the server disconnects." },
  {
    id: "MQTT311-3.1.2-1",
    words: "A CONNECT with another protocol name is not processed as 3.1.1; the server may just disconnect.",
  },
  {
    id: "MQTT311-3.1.2-2",
    words: "A protocol level that the server does not speak gets return code 1, then the connection is closed.",
  },
  { id: "MQTT311-3.1.2-3", words: "A CONNECT whose reserved flag is set is disconnected." },
  {
    id: "MQTT311-3.1.2-4",
    words: "Without Clean Session the server goes on with the client's session, or makes one, and keeps it afterwards.",
  },
  {
    id: "MQTT311-3.1.2-5",
    words: "While such a client is away, QoS 1 and 2 messages for its subscriptions are kept in its session.",
  },
  {
    id: "MQTT311-3.1.2-6",
    words:
      "With Clean Session the old session is thrown away, and the new one ends with its connection and is never used again.",
  },
  { id: "MQTT311-3.1.2-7", words: "Retained messages are not part of a session and stay when it ends." },
  {
    id: "MQTT311-3.1.2-8",
    words: "The will of an accepted CONNECT is kept, and published when the connection ends without DISCONNECT.",
  },
  { id: "MQTT311-3.1.2-9", words: "With the Will Flag, the will's topic and message are in the payload." },
  { id: "MQTT311-3.1.2-10", words: "A will is gone once it was published or the client sent DISCONNECT." },
  {
    id: "MQTT311-3.1.2-11",
    words: "Without the Will Flag, Will QoS and Will Retain are 0 and the payload has no will.",
  },
  { id: "MQTT311-3.1.2-12", words: "Without the Will Flag, nothing is published when the connection ends." },
  { id: "MQTT311-3.1.2-13", words: "Without the Will Flag, Will QoS is 0." },
  { id: "MQTT311-3.1.2-14", words: "Will QoS is never 3." },
  { id: "MQTT311-3.1.2-15", words: "Without the Will Flag, Will Retain is 0." },
  { id: "MQTT311-3.1.2-16", words: "Without Will Retain the will is published as a message that is not retained." },
  { id: "MQTT311-3.1.2-17", words: "With Will Retain the will is published as a retained message." },
  { id: "MQTT311-3.1.2-18", words: "Without the User Name Flag the payload has no user name." },
  { id: "MQTT311-3.1.2-19", words: "With the User Name Flag the payload has a user name." },
  { id: "MQTT311-3.1.2-20", words: "Without the Password Flag the payload has no password." },
  { id: "MQTT311-3.1.2-21", words: "With the Password Flag the payload has a password." },
  { id: "MQTT311-3.1.2-22", words: "Without the User Name Flag there is no Password Flag." },
  { id: "MQTT311-3.1.2-23", words: "A client that has nothing else to send sends PINGREQ within its keep alive." },
  {
    id: "MQTT311-3.1.2-24",
    words:
      "A client from which nothing came for one and a half keep alives is disconnected as if the network had failed.",
  },
  {
    id: "MQTT311-3.1.3-1",
    words: "The payload is, as far as present: client id, will topic, will message, user name, password.",
  },
  { id: "MQTT311-3.1.3-2", words: "Client and server know the session's state by the client id." },
  { id: "MQTT311-3.1.3-3", words: "The client id is there and comes first in the payload." },
  { id: "MQTT311-3.1.3-4", words: "The client id is a UTF-8 string." },
  { id: "MQTT311-3.1.3-5", words: "Client ids of 1 to 23 letters and digits are taken." },
  {
    id: "MQTT311-3.1.3-6",
    words:
      "A client with an empty client id, if it is taken at all, gets one of its own and goes on as if it had sent it.",
  },
  { id: "MQTT311-3.1.3-7", words: "A client that sends an empty client id sets Clean Session." },
  { id: "MQTT311-3.1.3-8", words: "An empty client id without Clean Session gets return code 2 and is closed." },
  { id: "MQTT311-3.1.3-9", words: "A client id that the server does not take gets return code 2 and is closed." },
  { id: "MQTT311-3.1.3-10", words: "The will topic is a UTF-8 string." },
  { id: "MQTT311-3.1.3-11", words: "The user name is a UTF-8 string." },
  { id: "MQTT311-3.1.4-1", words: "A CONNECT that breaks the rules of its format is closed without a CONNACK." },
  { id: "MQTT311-3.1.4-2", words: "A connected client whose client id comes again is disconnected." },
  { id: "MQTT311-3.1.4-3", words: "A valid CONNECT has its Clean Session flag done as described." },
  { id: "MQTT311-3.1.4-4", words: "A valid CONNECT is answered by a CONNACK with return code 0." },
  { id: "MQTT311-3.1.4-5", words: "Nothing that follows a refused CONNECT is processed." },
];

export const SECTION_3_1: readonly Statement[] = [...V311, ...SECTION_3_1_V5];
