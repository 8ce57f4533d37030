import type { Statement } from "../../statement.ts";

export const SECTION_2: readonly Statement[] = [
  { id: "MQTT311-2.2.2-1", words: "Reserved flags of the fixed header have the values that the table gives them." },
  { id: "MQTT311-2.2.2-2", words: "Who receives other flags closes the connection." },
  {
    id: "MQTT311-2.3.1-1",
    words: "SUBSCRIBE, UNSUBSCRIBE and a PUBLISH with QoS above 0 carry a packet identifier, and it is not 0.",
  },
  { id: "MQTT311-2.3.1-2", words: "A client gives each new packet of these types an identifier that is not in use." },
  {
    id: "MQTT311-2.3.1-3",
    words: "A client sends a packet again under its first identifier, which is free after the last acknowledgement.",
  },
  { id: "MQTT311-2.3.1-4", words: "A server's own PUBLISH packets with QoS above 0 follow the same rules." },
  { id: "MQTT311-2.3.1-5", words: "A PUBLISH with QoS 0 has no packet identifier." },
  { id: "MQTT311-2.3.1-6", words: "PUBACK, PUBREC and PUBREL repeat the identifier of their PUBLISH." },
  { id: "MQTT311-2.3.1-7", words: "SUBACK and UNSUBACK repeat the identifier of what they answer." },
  { id: "MQTT5-2.1.3-1", words: "Reserved flags of the fixed header have the values that the table gives them." },
  { id: "MQTT5-2.2.1-2", words: "A PUBLISH with QoS 0 has no packet identifier." },
  {
    id: "MQTT5-2.2.1-3",
    words:
      "A client's new SUBSCRIBE, UNSUBSCRIBE or PUBLISH with QoS above 0 has an identifier that is not 0 and not in use.",
  },
  {
    id: "MQTT5-2.2.1-4",
    words: "A server's new PUBLISH with QoS above 0 has an identifier that is not 0 and not in use.",
  },
  { id: "MQTT5-2.2.1-5", words: "PUBACK, PUBREC, PUBREL and PUBCOMP repeat the identifier of their PUBLISH." },
  { id: "MQTT5-2.2.1-6", words: "SUBACK and UNSUBACK repeat the identifier of what they answer." },
  { id: "MQTT5-2.2.2-1", words: "A packet without properties says so with a Property Length of 0." },
];
