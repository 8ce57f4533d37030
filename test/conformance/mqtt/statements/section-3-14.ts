import type { Statement } from "../../statement.ts";

export const SECTION_3_14: readonly Statement[] = [
  { id: "MQTT311-3.14.1-1", words: "A DISCONNECT whose reserved bits are not 0 makes the server disconnect." },
  { id: "MQTT311-3.14.4-1", words: "A client that sent DISCONNECT closes the connection." },
  { id: "MQTT311-3.14.4-2", words: "A client that sent DISCONNECT sends nothing more." },
  { id: "MQTT311-3.14.4-3", words: "A server that receives DISCONNECT throws the will away." },
  { id: "MQTT5-3.14.0-1", words: "A server sends DISCONNECT only after a CONNACK with a reason below 0x80." },
  { id: "MQTT5-3.14.1-1", words: "Reserved bits of DISCONNECT that are not 0 are answered with 0x81." },
  { id: "MQTT5-3.14.2-1", words: "The reason of a DISCONNECT is one of those listed for it." },
  { id: "MQTT5-3.14.2-2", words: "A server's DISCONNECT has no Session Expiry Interval." },
  {
    id: "MQTT5-3.14.2-3",
    words: "A Reason String that would make DISCONNECT larger than the receiver takes is left out.",
  },
  {
    id: "MQTT5-3.14.2-4",
    words: "User Properties that would make DISCONNECT larger than the receiver takes are left out.",
  },
  { id: "MQTT5-3.14.4-1", words: "Who sent DISCONNECT sends nothing more." },
  { id: "MQTT5-3.14.4-2", words: "Who sent DISCONNECT closes the connection." },
  { id: "MQTT5-3.14.4-3", words: "A server that receives DISCONNECT with reason 0 throws the will away." },
];
