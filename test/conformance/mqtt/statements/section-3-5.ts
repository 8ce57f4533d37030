import type { Statement } from "../../statement.ts";

export const SECTION_3_5: readonly Statement[] = [
  { id: "MQTT5-3.5.2-1", words: "The reason of a PUBREC is one of those listed for it." },
  { id: "MQTT5-3.5.2-2", words: "A Reason String that would make PUBREC larger than the receiver takes is left out." },
  { id: "MQTT5-3.5.2-3", words: "User Properties that would make PUBREC larger than the receiver takes are left out." },
];
