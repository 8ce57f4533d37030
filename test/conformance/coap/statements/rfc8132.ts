import type { Statement } from "../../statement.ts";

const PATCH = "servers with PATCH or iPATCH, which are 4.05 here: a message is published whole";

/** RFC 8132: FETCH, PATCH and iPATCH. */
export const RFC8132: readonly Statement[] = [
  { id: "RFC8132-2.2.1-1", words: "A FETCH says the Content-Format of its payload.", binds: "clients" },
  { id: "RFC8132-3-1", words: "The changes of a PATCH are applied all at once.", binds: PATCH },
  { id: "RFC8132-3-2", words: "No change is applied when one fails.", binds: PATCH },
  { id: "RFC8132-3-3", words: "A PATCH fits the type of the resource.", binds: PATCH },
];

/** RFC 7967: No-Response. It is Informational; these are what its option means. */
export const RFC7967: readonly Statement[] = [
  { id: "RFC7967-2-1", should: true, words: "Responses of the classes that the option names are not sent." },
  { id: "RFC7967-2-2", should: true, words: "Responses of the other classes are." },
  { id: "RFC7967-2-3", should: true, words: "Without the option, and with 0, all are." },
  { id: "RFC7967-2-4", should: true, words: "A CON is acknowledged all the same." },
];
