import type { Statement } from "../../statement.ts";

/** RFC 6690, CoRE Link Format. */
export const RFC6690: readonly Statement[] = [
  { id: "RFC6690-3-1", words: "A URI in an attribute is not fetched by evaluating a link.", binds: "clients" },
  { id: "RFC6690-3-2", words: "Values of attributes are compared as strings." },
  { id: "RFC6690-3.1-1", words: "A link has one rt attribute at most." },
  { id: "RFC6690-3.2-1", words: "A link has one if attribute at most." },
  { id: "RFC6690-3.3-1", words: "A link has one sz attribute at most." },
  { id: "RFC6690-4-1", words: "/.well-known/core is there on the default port." },
  { id: "RFC6690-4-2", words: "It is represented in the CoRE Link Format." },
  { id: "RFC6690-4.1-1", words: "Each of several values of a relation type is matched by itself." },
  {
    id: "RFC6690-4.1-2",
    words: "Without filtering, a query is ignored and all is returned.",
    binds: "servers without filtering",
  },
];
