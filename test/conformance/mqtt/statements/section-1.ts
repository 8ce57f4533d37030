import type { Statement } from "../../statement.ts";

export const SECTION_1: readonly Statement[] = [
  {
    id: "MQTT311-1.5.3-1",
    words: "A string that is not well-formed UTF-8, one with surrogates among them, makes the receiver close.",
  },
  { id: "MQTT311-1.5.3-2", words: "A string holds no U+0000; the receiver of one closes." },
  {
    id: "MQTT311-1.5.3-3",
    words: "The bytes EF BB BF are the character U+FEFF wherever they stand, and are never stripped.",
  },
  { id: "MQTT5-1.5.4-1", words: "Strings are well-formed UTF-8 and hold no surrogates." },
  { id: "MQTT5-1.5.4-2", words: "A string holds no U+0000." },
  {
    id: "MQTT5-1.5.4-3",
    words: "The bytes EF BB BF are the character U+FEFF wherever they stand, and are never stripped.",
  },
  { id: "MQTT5-1.5.5-1", words: "A Variable Byte Integer takes as few bytes as its value allows." },
  { id: "MQTT5-1.5.7-1", words: "Both strings of a pair follow the rules for strings." },
];
