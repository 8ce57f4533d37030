import type { Statement } from "../statement.ts";

export const SECTION_6: readonly Statement[] = [
  { id: "MQTT5-6.0.0-1", words: "Packets travel in binary frames; a frame of another type closes the connection." },
];
