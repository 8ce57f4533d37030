import type { Statement } from "../../statement.ts";

export const SECTION_3_15: readonly Statement[] = [
  { id: "MQTT5-3.15.1-1", words: "The flags of AUTH are 0; others are malformed and close." },
  { id: "MQTT5-3.15.2-1", words: "The reason of an AUTH is one of those listed for it." },
  { id: "MQTT5-3.15.2-2", words: "A Reason String that would make AUTH larger than the receiver takes is left out." },
  { id: "MQTT5-3.15.2-3", words: "User Properties that would make AUTH larger than the receiver takes are left out." },
];
