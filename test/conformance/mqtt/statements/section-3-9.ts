import type { Statement } from "../../statement.ts";

export const SECTION_3_9: readonly Statement[] = [
  { id: "MQTT311-3.9.3-1", words: "The return codes stand in the order of the filters." },
  { id: "MQTT311-3.9.3-2", words: "They are 0, 1, 2 or 0x80." },
  { id: "MQTT5-3.9.2-1", words: "A Reason String that would make SUBACK larger than the client takes is left out." },
  { id: "MQTT5-3.9.2-2", words: "User Properties that would make SUBACK larger than the client takes are left out." },
  { id: "MQTT5-3.9.3-1", words: "The reason codes stand in the order of the filters." },
  { id: "MQTT5-3.9.3-2", words: "They are among those listed for SUBACK." },
];
