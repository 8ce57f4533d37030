import type { Statement } from "../../statement.ts";

const CROSS = "proxies between CoAP and HTTP";
const CACHES = "caching proxies";

/** RFC 7252 sections 10 and 11: cross-protocol proxying, security. Section 12 binds IANA. */
export const RFC7252_10: readonly Statement[] = [
  { id: "RFC7252-10-1", words: "Whether messages are confirmable does not reach the other protocol.", binds: CROSS },
  { id: "RFC7252-10.1.1-1", words: "The payload of a 2.05 is a representation of the HTTP resource.", binds: CROSS },
  { id: "RFC7252-10.1.1-2", words: "Content-Format says what that payload is.", binds: CROSS },
  { id: "RFC7252-10.1.1-3", words: "Max-Age is no longer than HTTP's freshness.", binds: CROSS },
  { id: "RFC7252-10.1.2-1", words: "A PUT that made an HTTP resource is 2.01.", binds: CROSS },
  { id: "RFC7252-10.1.2-2", words: "A PUT that changed an HTTP resource is 2.04.", binds: CROSS },
  { id: "RFC7252-10.1.3-1", words: "A DELETE is 2.02, also where there was nothing.", binds: CROSS },
  { id: "RFC7252-10.1.4-1", words: "A POST without a result that has a URI is 2.04.", binds: CROSS },
  { id: "RFC7252-10.1.4-2", words: "A POST that made an HTTP resource is 2.01.", binds: CROSS },
  { id: "RFC7252-10.2.1-1", words: "OPTIONS and TRACE are 501.", binds: CROSS },
  { id: "RFC7252-10.2.2-1", words: "The body of a 200 is a representation of the CoAP resource.", binds: CROSS },
  { id: "RFC7252-10.2.2-2", words: "Content-Type and Content-Encoding say what that body is.", binds: CROSS },
  { id: "RFC7252-10.2.2-3", words: "max-age is no longer than CoAP's freshness.", binds: CROSS },
  { id: "RFC7252-10.2.3-1", words: "HEAD has no body.", binds: CROSS },
  { id: "RFC7252-10.2.4-1", words: "A POST without a result that has a URI is 200 or 204.", binds: CROSS },
  { id: "RFC7252-10.2.4-2", words: "A POST that made a CoAP resource is 201.", binds: CROSS },
  {
    id: "RFC7252-11.2-1",
    words: "What was cached under better security is not given to who asks under less.",
    binds: CACHES,
  },
  { id: "RFC7252-11.2-2", words: "Responses to coaps requests are not cached for others.", binds: CACHES },
  {
    id: "RFC7252-11.3-1",
    should: true,
    words: "Requests that are not authenticated get no answer that is much larger than they are.",
  },
  { id: "RFC7252-11.3-2", should: true, words: "Multicasts are not taken from anywhere." },
  { id: "RFC7252-11.3-3", should: true, words: "Multicasts are taken for those resources only that need it." },
  {
    id: "RFC7252-11.6-1",
    words: "A node without a good source of entropy does nothing that needs one, such as making keys.",
    untestable: "the gateway makes no keys for others, and its random numbers come from the kernel",
  },
];
