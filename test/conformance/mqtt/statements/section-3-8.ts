import type { Statement } from "../../statement.ts";

export const SECTION_3_8: readonly Statement[] = [
  { id: "MQTT311-3.8.1-1", words: "The flags of SUBSCRIBE are 0010; others are malformed and close." },
  { id: "MQTT311-3.8.3-1", words: "Its filters are UTF-8 strings." },
  {
    id: "MQTT311-3.8.3-2",
    words: "A server without wildcards rejects the filters that have them.",
    untestable: "The gateway takes wildcards in every filter and has no switch for it, so there is nothing to reject.",
  },
  { id: "MQTT311-3.8.3-3", words: "It has at least one filter with its QoS." },
  { id: "MQTT311-3.8.3-4", words: "Reserved bits in its payload, or QoS 3, are malformed and close." },
  { id: "MQTT311-3.8.4-1", words: "A server answers SUBSCRIBE with SUBACK." },
  { id: "MQTT311-3.8.4-2", words: "SUBACK has the packet identifier of its SUBSCRIBE." },
  {
    id: "MQTT311-3.8.4-3",
    words:
      "The same filter again replaces the subscription: retained messages come again, and the flow is not interrupted.",
  },
  { id: "MQTT311-3.8.4-4", words: "Several filters are handled as if each had come alone, with one SUBACK." },
  { id: "MQTT311-3.8.4-5", words: "SUBACK says for each filter which QoS was granted, or that it failed." },
  { id: "MQTT311-3.8.4-6", words: "Messages come at the lower of their own QoS and the one granted." },
  { id: "MQTT5-3.8.1-1", words: "The flags of SUBSCRIBE are 0010; others are malformed and close." },
  { id: "MQTT5-3.8.3-1", words: "Its filters are UTF-8 strings." },
  { id: "MQTT5-3.8.3-2", words: "It has at least one filter with its options." },
  { id: "MQTT5-3.8.3-3", words: "With No Local a client does not get what was published under its own client id." },
  { id: "MQTT5-3.8.3-4", words: "No Local on a shared subscription is a Protocol Error." },
  { id: "MQTT5-3.8.3-5", words: "Reserved bits in its payload are malformed." },
  { id: "MQTT5-3.8.4-1", words: "A server answers SUBSCRIBE with SUBACK." },
  { id: "MQTT5-3.8.4-2", words: "SUBACK has the packet identifier of its SUBSCRIBE." },
  { id: "MQTT5-3.8.4-3", words: "The same filter again, if it is not shared, replaces the subscription." },
  { id: "MQTT5-3.8.4-4", words: "With Retain Handling 0 retained messages come again then, and no message is lost." },
  { id: "MQTT5-3.8.4-5", words: "Several filters are handled as if each had come alone, with one SUBACK." },
  { id: "MQTT5-3.8.4-6", words: "SUBACK has a reason code for each filter." },
  { id: "MQTT5-3.8.4-7", words: "The code is the QoS granted, or says that it failed." },
  { id: "MQTT5-3.8.4-8", words: "Messages come at the lower of their own QoS and the one granted." },
];
