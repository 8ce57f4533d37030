import type { Statement } from "../../statement.ts";

export const SECTION_3_1_V5: readonly Statement[] = [
  { id: "MQTT5-3.1.0-1", words: "The first packet of a client is CONNECT." },
  { id: "MQTT5-3.1.0-2", words: "A second CONNECT on a connection is a Protocol Error that closes it." },
  {
    id: "MQTT5-3.1.2-1",
    words: "The protocol name is MQTT; a CONNECT with another one is closed, maybe after a CONNACK with 0x84.",
  },
  {
    id: "MQTT5-3.1.2-2",
    words: "A protocol version that the server does not want is closed, maybe after a CONNACK with 0x84.",
  },
  { id: "MQTT5-3.1.2-3", words: "The server looks whether the reserved flag of CONNECT is 0." },
  { id: "MQTT5-3.1.2-4", words: "With Clean Start both sides throw an old session away and begin a new one." },
  { id: "MQTT5-3.1.2-5", words: "Without Clean Start the server goes on with the session of the client id." },
  { id: "MQTT5-3.1.2-6", words: "Without Clean Start and without such a session the server makes one." },
  { id: "MQTT5-3.1.2-7", words: "With the Will Flag the server keeps the will with the session." },
  {
    id: "MQTT5-3.1.2-8",
    words:
      "The will is published once the connection is closed and its delay or the session is over, unless DISCONNECT with 0 or a new connection came before.",
  },
  { id: "MQTT5-3.1.2-9", words: "With the Will Flag, the will's properties, topic and payload are in the payload." },
  { id: "MQTT5-3.1.2-10", words: "A will is gone once it was published or the client sent DISCONNECT with 0." },
  { id: "MQTT5-3.1.2-11", words: "Without the Will Flag, Will QoS is 0." },
  { id: "MQTT5-3.1.2-12", words: "Will QoS is 0, 1 or 2; 3 is malformed." },
  { id: "MQTT5-3.1.2-13", words: "Without the Will Flag, Will Retain is 0." },
  { id: "MQTT5-3.1.2-14", words: "Without Will Retain the will is published as a message that is not retained." },
  { id: "MQTT5-3.1.2-15", words: "With Will Retain the will is published as a retained message." },
  { id: "MQTT5-3.1.2-16", words: "Without the User Name Flag the payload has no user name." },
  { id: "MQTT5-3.1.2-17", words: "With the User Name Flag the payload has a user name." },
  { id: "MQTT5-3.1.2-18", words: "Without the Password Flag the payload has no password." },
  { id: "MQTT5-3.1.2-19", words: "With the Password Flag the payload has a password." },
  { id: "MQTT5-3.1.2-20", words: "A client that has nothing else to send sends PINGREQ within its keep alive." },
  { id: "MQTT5-3.1.2-21", words: "A client uses the Server Keep Alive of the CONNACK in the place of its own." },
  {
    id: "MQTT5-3.1.2-22",
    words:
      "A client from which nothing came for one and a half keep alives is disconnected as if the network had failed.",
  },
  {
    id: "MQTT5-3.1.2-23",
    words: "With a Session Expiry Interval above 0 both sides keep the session after the connection.",
  },
  { id: "MQTT5-3.1.2-24", words: "The server sends no packet larger than the client's Maximum Packet Size." },
  { id: "MQTT5-3.1.2-25", words: "A message too large for the client is dropped, and counts as sent to it." },
  { id: "MQTT5-3.1.2-26", words: "The server sends no Topic Alias above the client's Topic Alias Maximum." },
  { id: "MQTT5-3.1.2-27", words: "Without Topic Alias Maximum, or with 0, the server sends no Topic Alias." },
  { id: "MQTT5-3.1.2-28", words: "With Request Response Information 0 the CONNACK has no Response Information." },
  {
    id: "MQTT5-3.1.2-29",
    words:
      "With Request Problem Information 0, only PUBLISH, CONNACK and DISCONNECT may have Reason String or User Properties.",
  },
  {
    id: "MQTT5-3.1.2-30",
    words: "A client that named an Authentication Method sends nothing but AUTH and DISCONNECT until it has CONNACK.",
  },
  {
    id: "MQTT5-3.1.3-1",
    words:
      "The payload is, as far as present: client id, will properties, will topic, will payload, user name, password.",
  },
  { id: "MQTT5-3.1.3-2", words: "Client and server know the session's state by the client id." },
  { id: "MQTT5-3.1.3-3", words: "The client id is there and comes first in the payload." },
  { id: "MQTT5-3.1.3-4", words: "The client id is a UTF-8 string." },
  { id: "MQTT5-3.1.3-5", words: "Client ids of 1 to 23 letters and digits are taken." },
  { id: "MQTT5-3.1.3-6", words: "A client with an empty client id, if it is taken at all, gets one of its own." },
  {
    id: "MQTT5-3.1.3-7",
    words: "The CONNECT goes on as if the client had sent the assigned id, and CONNACK tells it.",
  },
  {
    id: "MQTT5-3.1.3-8",
    words: "A client id that the server does not take is closed, maybe after a CONNACK with 0x85.",
  },
  {
    id: "MQTT5-3.1.3-9",
    words: "A new connection to the session before the Will Delay is over keeps the will from being sent.",
  },
  { id: "MQTT5-3.1.3-10", words: "The will's User Properties are published in their order." },
  { id: "MQTT5-3.1.3-11", words: "The will topic is a UTF-8 string." },
  { id: "MQTT5-3.1.3-12", words: "The user name is a UTF-8 string." },
  { id: "MQTT5-3.1.4-1", words: "A CONNECT that breaks the rules of its format closes the connection." },
  {
    id: "MQTT5-3.1.4-2",
    words: "A CONNECT that fails the server's other checks (login, rights, limits) closes the connection.",
  },
  {
    id: "MQTT5-3.1.4-3",
    words: "A connected client whose client id comes again gets DISCONNECT with 0x8E and is closed.",
  },
  { id: "MQTT5-3.1.4-4", words: "A valid CONNECT has its Clean Start flag done as described." },
  { id: "MQTT5-3.1.4-5", words: "A valid CONNECT is answered by a CONNACK with reason 0." },
  { id: "MQTT5-3.1.4-6", words: "Nothing but AUTH that follows a refused CONNECT is processed." },
];
