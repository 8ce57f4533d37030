import type { Statement } from "../../statement.ts";

export const SECTION_7: readonly Statement[] = [
  { id: "MQTT311-7.0.0-1", words: "A server that also connects to other servers conforms as a client too." },
  { id: "MQTT311-7.0.0-2", words: "Nobody needs an extension to work with another conforming implementation." },
  {
    id: "MQTT311-7.1.1-1",
    words: "A server speaks over a transport that gives an ordered stream of bytes without losses.",
  },
  {
    id: "MQTT311-7.1.2-1",
    words: "A client speaks over a transport that gives an ordered stream of bytes without losses.",
  },
];
