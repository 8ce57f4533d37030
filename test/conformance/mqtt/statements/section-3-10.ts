import type { Statement } from "../../statement.ts";

export const SECTION_3_10: readonly Statement[] = [
  { id: "MQTT311-3.10.1-1", words: "The flags of UNSUBSCRIBE are 0010; others are malformed and close." },
  { id: "MQTT311-3.10.3-1", words: "Its filters are UTF-8 strings, one behind the other." },
  { id: "MQTT311-3.10.3-2", words: "It has at least one filter." },
  {
    id: "MQTT311-3.10.4-1",
    words: "A filter ends the subscription that is the same character by character, and no other.",
  },
  { id: "MQTT311-3.10.4-2", words: "No new messages for it are added for the client." },
  { id: "MQTT311-3.10.4-3", words: "The delivery of QoS 1 and 2 messages that has begun is completed." },
  { id: "MQTT311-3.10.4-4", words: "UNSUBACK answers, with the same packet identifier." },
  { id: "MQTT311-3.10.4-5", words: "It answers also when nothing was deleted." },
  { id: "MQTT311-3.10.4-6", words: "Several filters are handled as if each had come alone, with one UNSUBACK." },
  { id: "MQTT5-3.10.1-1", words: "The flags of UNSUBSCRIBE are 0010; others are malformed and close." },
  { id: "MQTT5-3.10.3-1", words: "Its filters are UTF-8 strings." },
  { id: "MQTT5-3.10.3-2", words: "It has at least one filter." },
  { id: "MQTT5-3.10.4-1", words: "A filter ends the subscription that is the same character by character." },
  { id: "MQTT5-3.10.4-2", words: "No new messages for it are added for the client." },
  { id: "MQTT5-3.10.4-3", words: "The delivery of QoS 1 and 2 messages that has begun is completed." },
  { id: "MQTT5-3.10.4-4", words: "A server answers with UNSUBACK." },
  { id: "MQTT5-3.10.4-5", words: "It has the same packet identifier, and comes also when nothing was deleted." },
  { id: "MQTT5-3.10.4-6", words: "Several filters are handled as if each had come alone, with one UNSUBACK." },
];
