import type { Statement } from "../../statement.ts";

/** RFC 7252 sections 6 to 8: URIs, discovery, multicast. */
export const RFC7252_6: readonly Statement[] = [
  { id: "RFC7252-6.1-1", words: "The host of a coap URI is not empty.", binds: "who makes URIs" },
  { id: "RFC7252-6.1-2", words: "A coap URI without a host is invalid.", binds: "who reads URIs: clients and proxies" },
  { id: "RFC7252-6.2-1", words: "Datagrams of the coaps scheme are secured by DTLS." },
  { id: "RFC7252-6.5-1", words: "Percent-encoding in a URI has capital letters.", binds: "who makes URIs" },
  { id: "RFC7252-7.1-1", words: "A server with discovery supports port 5683." },
  { id: "RFC7252-7.2-1", should: true, words: "Resources can be discovered in the CoRE Link Format." },
  { id: "RFC7252-7.2.1-1", words: "The ct attribute is a number from 0 to 65535." },
  { id: "RFC7252-8-1", words: "Who can be reached by multicast is prepared for it." },
  { id: "RFC7252-8.1-1", words: "A multicast request is a NON.", binds: "clients" },
  { id: "RFC7252-8.1-2", words: "A multicast NON gets no RST." },
  {
    id: "RFC7252-8.1-3",
    words: "A multicast request does not use a Message ID that is active with one of its receivers.",
    binds: "clients",
  },
  { id: "RFC7252-8.2-1", should: true, words: "It is answered at a random time within the leisure." },
  { id: "RFC7252-8.2-2", words: "Responses to a multicast request match by token alone.", binds: "clients" },
  { id: "RFC7252-8.2.1-1", words: "A multicast GET has no ETag.", binds: "clients" },
];
