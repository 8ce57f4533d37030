import type { Statement } from "../../statement.ts";

/** 3.1.1 has no statement of its own for UNSUBACK. */
export const SECTION_3_11: readonly Statement[] = [
  { id: "MQTT5-3.11.2-1", words: "A Reason String that would make UNSUBACK larger than the client takes is left out." },
  {
    id: "MQTT5-3.11.2-2",
    words: "User Properties that would make UNSUBACK larger than the client takes are left out.",
  },
  { id: "MQTT5-3.11.3-1", words: "The reason codes stand in the order of the filters." },
  { id: "MQTT5-3.11.3-2", words: "They are among those listed for UNSUBACK." },
];
