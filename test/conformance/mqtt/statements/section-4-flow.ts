import type { Statement } from "../statement.ts";

/** 4.7 topics, 4.8 subscriptions (3.1.1: errors), 4.9 flow control, 4.12 enhanced authentication, 4.13 errors. */
export const SECTION_4_FLOW: readonly Statement[] = [
  { id: "MQTT311-4.7.1-1", words: "Wildcards stand in filters, never in topic names." },
  { id: "MQTT311-4.7.1-2", words: "# stands alone or after a separator, and is the last character." },
  { id: "MQTT311-4.7.1-3", words: "+ fills a whole level, whichever it is." },
  { id: "MQTT311-4.7.2-1", words: "A filter that begins with a wildcard does not match a topic that begins with $." },
  { id: "MQTT311-4.7.3-1", words: "Topics and filters have at least one character." },
  { id: "MQTT311-4.7.3-2", words: "Topics and filters hold no U+0000." },
  { id: "MQTT311-4.7.3-3", words: "Topics and filters take at most 65,535 bytes." },
  {
    id: "MQTT311-4.7.3-4",
    words: "Matching changes nothing in topics and filters: no normal forms, no other characters.",
  },
  { id: "MQTT311-4.8.0-1", words: "Who breaks the protocol has the connection closed on which it happened." },
  { id: "MQTT311-4.8.0-2", words: "A passing error while a packet is processed closes the connection it came on." },
  { id: "MQTT5-4.7.0-1", words: "Wildcards stand in filters, never in topic names." },
  { id: "MQTT5-4.7.1-1", words: "# stands alone or after a separator, and is the last character." },
  { id: "MQTT5-4.7.1-2", words: "+ fills a whole level, whichever it is." },
  { id: "MQTT5-4.7.2-1", words: "A filter that begins with a wildcard does not match a topic that begins with $." },
  { id: "MQTT5-4.7.3-1", words: "Topics and filters have at least one character." },
  { id: "MQTT5-4.7.3-2", words: "Topics and filters hold no U+0000." },
  { id: "MQTT5-4.7.3-3", words: "Topics and filters take at most 65,535 bytes." },
  {
    id: "MQTT5-4.7.3-4",
    words: "Matching changes nothing in topics and filters: no normal forms, no other characters.",
  },
  {
    id: "MQTT5-4.8.2-1",
    words: "The filter of a shared subscription is $share/, a share name of at least one character, and more.",
  },
  { id: "MQTT5-4.8.2-2", words: "A share name has no /, + or #, and is followed by / and a filter." },
  { id: "MQTT5-4.8.2-3", words: "Each member of a shared subscription gets its messages with the QoS granted to it." },
  {
    id: "MQTT5-4.8.2-4",
    words: "A QoS 2 message whose delivery to a member was interrupted is completed when that member is back.",
  },
  { id: "MQTT5-4.8.2-5", words: "If its session ends before that, nobody else gets the message." },
  {
    id: "MQTT5-4.8.2-6",
    words: "A message that a member refuses with 0x80 or above is discarded, not sent to another.",
  },
  { id: "MQTT5-4.9.0-1", words: "The first send quota is above 0 and at most the peer's Receive Maximum." },
  { id: "MQTT5-4.9.0-2", words: "Each PUBLISH with QoS above 0 takes one of the quota; at 0 no more of them leave." },
  { id: "MQTT5-4.9.0-3", words: "With the quota at 0 all other packets go on." },
  {
    id: "MQTT5-4.12.0-1",
    words: "An Authentication Method that the server does not support closes, maybe after CONNACK with 0x8C or 0x87.",
  },
  { id: "MQTT5-4.12.0-6", words: "A client without a method gets no AUTH, and no method in CONNACK." },
  { id: "MQTT5-4.12.0-7", words: "A client without a method sends no AUTH." },
  { id: "MQTT5-4.13.1-1", words: "A malformed packet or Protocol Error that has a reason code closes the connection." },
  { id: "MQTT5-4.13.2-1", words: "A CONNACK or DISCONNECT from 0x80, sent or not, is followed by the close." },
];
