import type { Statement } from "../../statement.ts";

/** RFC 7252 section 3, Message Format. */
export const RFC7252_3: readonly Statement[] = [
  { id: "RFC7252-3-1", words: "Every message sent has version 1." },
  { id: "RFC7252-3-2", words: "A message of another version is silently ignored." },
  { id: "RFC7252-3-3", words: "Token lengths of 9 to 15 are not sent." },
  { id: "RFC7252-3-4", words: "A token length of 9 to 15 is a message format error." },
  { id: "RFC7252-3-5", words: "A payload marker without payload is a message format error." },
  { id: "RFC7252-3.1-1", words: "Options stand in the order of their numbers." },
  {
    id: "RFC7252-3.1-2",
    words: "An Option Delta of 15 in a byte that is not the payload marker is a message format error.",
  },
  { id: "RFC7252-3.1-3", words: "An Option Length of 15 is a message format error." },
  { id: "RFC7252-3.2-1", should: true, words: "An integer is sent in as few bytes as it needs." },
  { id: "RFC7252-3.2-2", words: "An integer with leading zeros is taken for its value." },
];

/** RFC 7252 section 4, Message Transmission. */
export const RFC7252_4: readonly Statement[] = [
  { id: "RFC7252-4.1-1", words: "An Empty message is sent with a token length of 0." },
  { id: "RFC7252-4.1-2", words: "An Empty message is sent without a byte behind its Message ID." },
  { id: "RFC7252-4.1-3", words: "Bytes behind the Message ID of an Empty message are a message format error." },
  {
    id: "RFC7252-4.2-1",
    words: "A CON is acknowledged, or rejected when it cannot be processed: Empty, of a reserved class, or malformed.",
  },
  { id: "RFC7252-4.2-2", words: "An ACK repeats the Message ID of its CON." },
  { id: "RFC7252-4.2-3", words: "An ACK holds a response or is Empty." },
  { id: "RFC7252-4.2-4", words: "An RST repeats the Message ID of its CON." },
  { id: "RFC7252-4.2-5", words: "An RST is Empty." },
  { id: "RFC7252-4.2-6", words: "An ACK or RST is never answered by an ACK or RST." },
  {
    id: "RFC7252-4.2-7",
    words: "Each CON sent has a timeout and a count of its repetitions until it is acknowledged.",
  },
  { id: "RFC7252-4.2-8", words: "All transmissions of a CON lie within MAX_TRANSMIT_SPAN." },
  {
    id: "RFC7252-4.2-9",
    words: "A request can still be acknowledged when its separate response has been acknowledged already.",
  },
  { id: "RFC7252-4.3-1", words: "A NON is never Empty." },
  { id: "RFC7252-4.3-2", words: "A NON is never acknowledged." },
  {
    id: "RFC7252-4.3-3",
    words: "A NON that cannot be processed is rejected: Empty, of a reserved class, or malformed.",
  },
  { id: "RFC7252-4.3-4", words: "Apart from an RST, a rejected NON is silently ignored." },
  { id: "RFC7252-4.4-1", words: "ACK and RST repeat the Message ID of what they answer." },
  { id: "RFC7252-4.4-2", words: "A Message ID is not used twice for one endpoint within EXCHANGE_LIFETIME." },
  {
    id: "RFC7252-4.4-3",
    words: "An ACK or RST belongs to a message only by Message ID and endpoint together.",
  },
  {
    id: "RFC7252-4.5-1",
    should: true,
    words: "Each copy of a CON gets the same ACK or RST; what it asks for is done once.",
  },
  { id: "RFC7252-4.5-2", should: true, words: "A copy of a NON is silently ignored; what it asks for is done once." },
  {
    id: "RFC7252-4.6-1",
    should: true,
    words: "A message fits into one IP packet: 1,152 bytes with 1,024 of payload where nothing is known of the path.",
  },
  { id: "RFC7252-4.7-1", words: "At most NSTART requests are outstanding to one server.", binds: "clients" },
  {
    id: "RFC7252-4.7-2",
    words: "To a server that does not respond, no more than PROBING_RATE is sent on average.",
    binds: "clients",
  },
  { id: "RFC7252-4.7-3", should: true, words: "A server limits the rate of its responses." },
  {
    id: "RFC7252-4.8.1-1",
    words: "ACK_TIMEOUT is not decreased, nor NSTART increased, without another control of congestion.",
  },
  { id: "RFC7252-4.8.1-2", words: "ACK_RANDOM_FACTOR is not below 1.0." },
  {
    id: "RFC7252-4.8.1-3",
    words: "Whoever talks with changed parameters can learn of them.",
    untestable: "the parameters are the RFC's; no key changes them",
  },
];
