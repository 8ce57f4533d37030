import type { Statement } from "../statement.ts";

export const SECTION_3_15: readonly Statement[] = [
  { id: "MQTT5-3.15.1-1", words: "The flags of AUTH are 0; others are malformed and close." },
  { id: "MQTT5-3.15.2-1", words: "The reason of an AUTH is one of those listed for it." },
];
