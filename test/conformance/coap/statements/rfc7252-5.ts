import type { Statement } from "../../statement.ts";

const CACHES = "caches";
const PROXIES = "proxies";

/** RFC 7252 sections 5.1 to 5.4: requests, responses, matching, options in general. */
export const RFC7252_5_1: readonly Statement[] = [
  { id: "RFC7252-5.1-1", words: "A GET does nothing but retrieve." },
  { id: "RFC7252-5.1-2", words: "GET, PUT and DELETE are idempotent." },
  { id: "RFC7252-5.2.1-1", words: "A client takes piggybacked and separate responses alike.", binds: "clients" },
  { id: "RFC7252-5.2.2-1", words: "After an Empty ACK the response does not come in another ACK." },
  {
    id: "RFC7252-5.2.2-2",
    words: "A request repeated after an Empty ACK gets the Empty ACK again, and a separate response.",
  },
  { id: "RFC7252-5.2.2-3", words: "The ACK of a separate response is Empty.", binds: "clients" },
  {
    id: "RFC7252-5.2.2-4",
    words: "Any matching ACK, whatever is in it, or RST ends the repetition of a separate response.",
  },
  { id: "RFC7252-5.2.3-1", should: true, words: "A NON is answered by a NON." },
  {
    id: "RFC7252-5.2.3-2",
    words: "A CON may be answered by a NON, and a NON by a CON: both are taken.",
    binds: "clients",
  },
  { id: "RFC7252-5.3.1-1", words: "Every response has the token of its request, unchanged." },
  { id: "RFC7252-5.3.1-2", words: "A token of others is opaque." },
  { id: "RFC7252-5.3.2-1", words: "A response comes from the endpoint that the request went to." },
  { id: "RFC7252-5.3.2-2", words: "In a piggybacked response Message ID and token are the request's." },
  { id: "RFC7252-5.3.2-3", words: "In a separate response the token is the request's." },
  { id: "RFC7252-5.4-1", words: "An option that is not defined for a method or response code is not sent with it." },
  { id: "RFC7252-5.4-2", words: "One that comes all the same is like an unknown one." },
  { id: "RFC7252-5.4.1-1", words: "An unknown elective option is silently ignored." },
  { id: "RFC7252-5.4.1-2", words: "An unknown critical option in a CON request is answered by 4.02." },
  { id: "RFC7252-5.4.1-3", should: true, words: "That 4.02 says which option." },
  { id: "RFC7252-5.4.1-4", words: "An unknown critical option in a response rejects it.", binds: "clients" },
  { id: "RFC7252-5.4.1-5", words: "An unknown critical option in a NON rejects the message." },
  { id: "RFC7252-5.4.3-1", words: "An option of a length outside of its range is like an unknown one." },
  { id: "RFC7252-5.4.4-1", words: "An option that is absent has its default value." },
  { id: "RFC7252-5.4.5-1", words: "An option that is not repeatable is sent once at most." },
  { id: "RFC7252-5.4.5-2", words: "Each occurrence of an option beyond those allowed is like an unknown option." },
];

/** RFC 7252 sections 5.5 to 5.9: payloads, caching, proxying, methods and response codes. */
export const RFC7252_5_5: readonly Statement[] = [
  { id: "RFC7252-5.5-1", words: "Where no payload is defined, none is sent." },
  { id: "RFC7252-5.5-2", words: "Where no payload is defined, one that comes is ignored." },
  { id: "RFC7252-5.5.2-1", words: "A diagnostic payload is UTF-8." },
  { id: "RFC7252-5.6-1", words: "An unknown code of success is not cached.", binds: CACHES },
  {
    id: "RFC7252-5.6-2",
    words: "A stored response is used only for the same method and options, while it is fresh or validated.",
    binds: CACHES,
  },
  { id: "RFC7252-5.6.1-1", words: "Who does not want a response cached sends Max-Age 0 with it." },
  { id: "RFC7252-5.7.1-1", words: "A request that times out behind a proxy is 5.04.", binds: PROXIES },
  { id: "RFC7252-5.7.1-2", words: "A response that a proxy cannot process is 5.02.", binds: PROXIES },
  { id: "RFC7252-5.7.1-3", words: "A response from a cache does not live longer than it was to.", binds: PROXIES },
  { id: "RFC7252-5.7.1-4", words: "A proxy processes all options of a proxy request.", binds: PROXIES },
  { id: "RFC7252-5.7.1-5", words: "An unknown Unsafe option in a request is 4.02 from a proxy.", binds: PROXIES },
  { id: "RFC7252-5.7.1-6", words: "Unknown Safe-to-Forward options of a request are forwarded.", binds: PROXIES },
  { id: "RFC7252-5.7.1-7", words: "An unknown Unsafe option in a response is 5.02 from a proxy.", binds: PROXIES },
  { id: "RFC7252-5.7.1-8", words: "Unknown Safe-to-Forward options of a response are forwarded.", binds: PROXIES },
  { id: "RFC7252-5.7.2-1", words: "A proxy request to who is no proxy is 5.05." },
  {
    id: "RFC7252-5.7.2-2",
    words: "A proxy request whose authority the proxy recognizes as itself is a local request.",
    binds: "proxies: who is none recognizes no authority",
  },
  { id: "RFC7252-5.7.2-3", words: "A proxy translates the request's URI into options.", binds: PROXIES },
  { id: "RFC7252-5.8-1", words: "An unknown or unsupported method is a piggybacked 4.05." },
  { id: "RFC7252-5.8.1-1", should: true, words: "A GET that succeeds is 2.05 or 2.03." },
  {
    id: "RFC7252-5.8.2-1",
    should: true,
    words: "A POST that made a resource is 2.01, with its location where that is not the request's.",
  },
  { id: "RFC7252-5.8.2-2", should: true, words: "A POST that made no resource is 2.04." },
  { id: "RFC7252-5.8.3-1", should: true, words: "A PUT on an existing resource modifies it and is 2.04." },
  { id: "RFC7252-5.8.3-2", should: true, words: "A PUT that could not be done is an error." },
  { id: "RFC7252-5.8.4-1", should: true, words: "A DELETE is 2.02, also where there was nothing." },
  { id: "RFC7252-5.9.1.1-1", words: "2.01 makes stored responses of what was made not fresh.", binds: CACHES },
  { id: "RFC7252-5.9.1.2-1", words: "2.02 makes stored responses of what was deleted not fresh.", binds: CACHES },
  { id: "RFC7252-5.9.1.3-1", words: "A 2.03 has an ETag." },
  { id: "RFC7252-5.9.1.3-2", words: "A 2.03 has no payload." },
  { id: "RFC7252-5.9.1.3-3", words: "A 2.03 gives the stored response its Max-Age.", binds: CACHES },
  { id: "RFC7252-5.9.1.3-4", words: "A 2.03 gives the stored response its Safe-to-Forward options.", binds: CACHES },
  { id: "RFC7252-5.9.1.4-1", words: "2.04 makes stored responses of what was changed not fresh.", binds: CACHES },
  { id: "RFC7252-5.9.2-1", should: true, words: "An error of the client's comes with a diagnostic payload." },
  { id: "RFC7252-5.9.2.9-1", should: true, words: "A 4.13 says in Size1 how much would be taken." },
  { id: "RFC7252-5.9.3-1", should: true, words: "An error of the server's comes with a diagnostic payload." },
];

/** RFC 7252 section 5.10: the options. */
export const RFC7252_5_10: readonly Statement[] = [
  {
    id: "RFC7252-5.10.1-1",
    words: 'Uri-Path is never "." or "..".',
    binds: "clients, who resolve URIs; to this gateway they are levels of a topic like others",
  },
  { id: "RFC7252-5.10.2-1", words: "A proxy knows all its names, so that requests do not loop.", binds: PROXIES },
  { id: "RFC7252-5.10.2-2", words: "Proxy-Uri is 5.05 from who is no proxy for it." },
  { id: "RFC7252-5.10.2-3", words: "Proxy-Uri takes precedence over the Uri options." },
  { id: "RFC7252-5.10.2-4", words: "The Uri options do not stand beside Proxy-Uri.", binds: "clients" },
  { id: "RFC7252-5.10.4-1", words: "A format that Accept asks for and there is not is 4.06." },
  { id: "RFC7252-5.10.6-1", words: "An ETag of others is opaque." },
  { id: "RFC7252-5.10.6.1-1", words: "A response has one ETag at most." },
  { id: "RFC7252-5.10.7-1", words: "A location in a response makes what is stored for it not fresh.", binds: CACHES },
  { id: "RFC7252-5.10.7-2", words: 'Location-Path is never "." or "..".' },
  {
    id: "RFC7252-5.10.7-3",
    words: "A reserved Location option (128, 132, 136, 140) beside Location-Path or Location-Query is 4.02.",
  },
  { id: "RFC7252-5.10.8-1", words: "When a condition is not fulfilled, the method is not performed." },
  { id: "RFC7252-5.10.8-2", words: "It is answered by 4.12." },
];
