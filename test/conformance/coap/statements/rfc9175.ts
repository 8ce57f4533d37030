import type { Statement } from "../../statement.ts";

const OSCORE = "servers with OSCORE";
const PROXIES = "proxies";
const CLIENTS = "clients";

/** RFC 9175 sections 2, 5 and 6: Echo. */
export const RFC9175_ECHO: readonly Statement[] = [
  { id: "RFC9175-2.2.1-1", words: "An Echo value is opaque to clients and intermediaries.", binds: CLIENTS },
  { id: "RFC9175-2.2.1-2", words: "A server can tell that an Echo value is its own, and fresh enough." },
  { id: "RFC9175-2.2.1-3", words: "Echo is an Inner option, but for reachability.", binds: OSCORE },
  { id: "RFC9175-2.3-1", words: "A request that has to be fresh and is not is not processed further." },
  { id: "RFC9175-2.3-2", should: true, words: "It is answered by 4.01 with an Echo option." },
  { id: "RFC9175-2.3-3", words: "An Echo value goes only to the endpoint that it came from.", binds: CLIENTS },
  { id: "RFC9175-2.3-4", words: "Where freshness is required, it is the Echo value that shows it." },
  {
    id: "RFC9175-2.3-5",
    words: "Values of different events differ.",
    binds: "servers whose freshness is one of events; here it is one of time",
  },
  {
    id: "RFC9175-2.3-6",
    words: "For the freshness of what is asked, Echo is protected in its integrity.",
    binds: "servers that use it for more than reachability",
  },
  { id: "RFC9175-2.3-7", words: "A proxy takes its own Echo options away.", binds: PROXIES },
  {
    id: "RFC9175-2.3-8",
    words: "A proxy that answers Echo itself has a fresh request of its client's.",
    binds: PROXIES,
  },
  {
    id: "RFC9175-2.3-9",
    words: "A proxy from HTTP answers Echo itself when it knows the request fresh.",
    binds: PROXIES,
  },
  { id: "RFC9175-2.3-10", words: "Else it does not repeat an unsafe request.", binds: PROXIES },
  {
    id: "RFC9175-2.4-1",
    words: "A property is synchronized only with its authority.",
    untestable: "the gateway synchronizes nothing by Echo",
  },
  {
    id: "RFC9175-2.4-2",
    words: "Time is synchronized only with its authority.",
    untestable: "the gateway synchronizes nothing by Echo",
  },
  { id: "RFC9175-2.4-3", words: "Echo against amplification comes piggybacked or in a NON, never separately." },
  {
    id: "RFC9175-2.6-1",
    should: true,
    words: "Amplification is mitigated by 4.01 with Echo to clients whose address is not proven.",
  },
  {
    id: "RFC9175-5-1",
    words: "Echo values are made so that their reuse does no harm.",
    untestable: "one proves an address, to that address, for five minutes; using it again proves the same",
  },
  { id: "RFC9175-5-2", words: "Values without randomness or a MAC are not used where requests are not protected." },
  { id: "RFC9175-5-3", words: "When the clock of the values begins anew, those before it are refused." },
  {
    id: "RFC9175-6-1",
    words: "Echo is not used to follow a client.",
    untestable: "a value says no more than the second it was made in; nothing is kept of it",
  },
];

/** Sections 3 and 4: Request-Tag, ETags of blocks, tokens. */
export const RFC9175_TAG: readonly Statement[] = [
  { id: "RFC9175-3.3-1", words: "A Request-Tag is opaque." },
  { id: "RFC9175-3.4-1", words: "A Request-Tag is not used again before its operation is over.", binds: CLIENTS },
  { id: "RFC9175-3.4-2", words: "Request-Tag in a request without a Block option is ignored." },
  { id: "RFC9175-3.4-3", words: "Request-Tag is in no response." },
  { id: "RFC9175-3.5.1-1", words: "For integrity of a body its messages are protected end to end.", binds: CLIENTS },
  { id: "RFC9175-3.5.1-2", words: "And Request-Tags are not recycled.", binds: CLIENTS },
  { id: "RFC9175-3.5.1-3", words: "And all addresses of a security context count.", binds: CLIENTS },
  { id: "RFC9175-3.5.1-4", words: "And an operation is over only when no replay would be valid.", binds: CLIENTS },
  { id: "RFC9175-3.8-1", words: "Block2 comes with an ETag." },
  { id: "RFC9175-3.8-2", words: "Different representations have different ETags." },
  { id: "RFC9175-4.2-1", words: "Tokens do not bring a response to the wrong request.", binds: CLIENTS },
];
