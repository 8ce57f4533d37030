import type { Statement } from "../../statement.ts";

export const SECTION_3_4: readonly Statement[] = [
  { id: "MQTT5-3.4.2-1", words: "The reason of a PUBACK is one of those listed for it." },
  { id: "MQTT5-3.4.2-2", words: "A Reason String that would make PUBACK larger than the receiver takes is left out." },
  { id: "MQTT5-3.4.2-3", words: "User Properties that would make PUBACK larger than the receiver takes are left out." },
];
