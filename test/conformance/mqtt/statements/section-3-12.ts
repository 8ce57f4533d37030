import type { Statement } from "../../statement.ts";

/** PINGREQ, and 3.13 PINGRESP, which has no statement of its own. */
export const SECTION_3_12: readonly Statement[] = [
  { id: "MQTT311-3.12.4-1", words: "A server answers each PINGREQ with a PINGRESP." },
  { id: "MQTT5-3.12.4-1", words: "A server answers each PINGREQ with a PINGRESP." },
];
