import type { Statement } from "../../statement.ts";

export const SECTION_3_6: readonly Statement[] = [
  { id: "MQTT311-3.6.1-1", words: "The flags of PUBREL are 0010; others are malformed and close." },
  { id: "MQTT5-3.6.1-1", words: "The flags of PUBREL are 0010; others are malformed and close." },
  { id: "MQTT5-3.6.2-1", words: "The reason of a PUBREL is one of those listed for it." },
  { id: "MQTT5-3.6.2-2", words: "A Reason String that would make PUBREL larger than the receiver takes is left out." },
  { id: "MQTT5-3.6.2-3", words: "User Properties that would make PUBREL larger than the receiver takes are left out." },
];
